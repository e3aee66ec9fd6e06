//! What every Caudal process has: logs, an admin port, a bounded HTTP server, a shutdown signal,
//! credentials from files and (features `clickhouse`, `kafka`, `tls`) clients' settings.

pub mod admin;
#[cfg(feature = "clickhouse")]
pub mod clickhouse;
pub mod credentials;
pub mod http;
#[cfg(feature = "kafka")]
pub mod kafka;
pub mod logging;
pub mod shutdown;
#[cfg(feature = "tls")]
pub mod tls;

pub use credentials::Credentials;

/// What `--version` prints, and the version in logs.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
