//! What the scenarios stand on: the running stack, a namespace of one's own,
//! and waiting for conditions with a deadline.

pub mod ledger;
pub mod manifest;
pub mod scene;
pub mod wait;

pub use caudal_testbed::wait::eventually;
pub use scene::Scene;
pub use wait::holds;
