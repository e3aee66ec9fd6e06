//! Starts and stops the real parts that demo, tests and benchmarks run
//! against: Kubernetes, Kafka and ClickHouse from package registries, without
//! a container engine.
//!
//! Everything here blocks; from asynchronous code call it through
//! `spawn_blocking` or before the runtime starts. Parts end with the value
//! that owns them, or with this process, however it ends.

mod cache;
pub mod clickhouse;
mod http;
pub mod kafka;
pub mod kubernetes;
mod ports;
mod process;
pub mod progress;
pub mod wait;

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
