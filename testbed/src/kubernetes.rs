//! Kubernetes from its Go modules: a control plane on its own for tests of
//! controllers, and a node that runs pods.

mod binary;
mod client;
mod control;
mod control_plane;
mod credentials;

pub use binary::binary as prepare;
pub use client::Client;
pub use control_plane::ControlPlane;
