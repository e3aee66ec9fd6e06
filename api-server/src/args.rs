//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use caudal_service::logging::Format;
use clap::Parser;

/// Serves the rows of one pipeline over HTTP.
#[derive(Clone, Debug, Parser)]
#[command(name = "caudal-api-server", version = caudal_service::VERSION)]
pub struct Args {
    /// The plan file.
    #[arg(long)]
    pub plan: PathBuf,
    /// Directory with clickhouse-username, clickhouse-password and clickhouse-ca.crt; without it no
    /// authentication.
    #[arg(long)]
    pub credentials: Option<PathBuf>,
    /// Where the API listens.
    #[arg(long, default_value = "0.0.0.0:8080")]
    pub address: SocketAddr,
    /// Where health, readiness and metrics are.
    #[arg(long, default_value = "0.0.0.0:9090")]
    pub admin_address: SocketAddr,
    /// How log lines look: json or text.
    #[arg(long, default_value = "json")]
    pub log_format: Format,
}
