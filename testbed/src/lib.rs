//! Starts and stops the real parts that demo, tests and benchmarks run
//! against: Kubernetes, Kafka and ClickHouse from package registries, without
//! a container engine.
//!
//! Everything here blocks; from asynchronous code call it through
//! `spawn_blocking` or before the runtime starts. Parts end with the value
//! that owns them, or with this process, however it ends.

mod cache;
pub mod clickhouse;
mod debian;
mod http;
pub mod image;
pub mod kafka;
pub mod kubernetes;
mod ports;
mod preflight;
mod process;
pub mod progress;
pub mod stack;
pub mod wait;

use std::path::Path;

pub use stack::{Options, Stack};

/// A fixed account of a part. The parts hold test data on addresses of this
/// machine only, so that the passwords are no secrets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct User {
    pub name: &'static str,
    pub password: &'static str,
}

/// A fresh folder for a part's data, below the system's temporary folder.
fn temporary_folder(part: &str) -> anyhow::Result<std::path::PathBuf> {
    use anyhow::Context as _;
    let prefix = format!("caudal-{part}-");
    Ok(tempfile::Builder::new().prefix(&prefix).tempdir().context("make a temporary folder")?.keep())
}

/// What the program `testbed` runs as the first process of a node.
#[doc(hidden)]
pub fn run_node(layout: &Path) -> anyhow::Result<()> {
    kubernetes::init::run(layout)
}

/// What the program `testbed` runs as the supervisor of a stack.
#[doc(hidden)]
pub fn run_supervisor(name: &str, instance: u8) -> anyhow::Result<()> {
    stack::supervisor::run(name, instance)
}
