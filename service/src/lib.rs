//! What every Caudal process has: logs, an admin port, a shutdown signal,
//! credentials from files and (feature `kafka`) Kafka client settings.

pub mod admin;
pub mod credentials;
#[cfg(feature = "kafka")]
pub mod kafka;
pub mod logging;
pub mod shutdown;

pub use credentials::Credentials;

/// What `--version` prints, and the version in logs.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
