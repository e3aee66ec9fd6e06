//! Kubernetes from its Go modules: a control plane on its own for tests of
//! controllers, and a node that runs pods.

mod binary;
mod cgroups;
mod client;
mod control;
mod control_plane;
mod credentials;
mod network;
mod node;

pub use binary::{GO_MODULE, binary as prepare};
pub(crate) use cgroups::folders as cgroup_folders;
pub use client::Client;
pub use control_plane::ControlPlane;
pub(crate) use network::{INSTANCES, Network, RANGE};
pub(crate) use node::{Layout, Node, init, ip};
