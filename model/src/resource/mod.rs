//! The `DataPipeline` custom resource: what a user writes and what they read back.

mod resources;
mod spec;
mod status;

pub use resources::*;
pub use spec::*;
pub use status::*;
