//! The command line → everything the process starts from, checked.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Context as _;
use caudal_model::Fleet;
use caudal_service::logging::Format;
use clap::Parser;

/// Reconciles DataPipelines into topics, tables and workloads.
#[derive(Debug, Parser)]
#[command(name = "caudal-operator", version = caudal_service::VERSION)]
pub struct Args {
    /// Fleet configuration (YAML).
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Where /healthz, /readyz and /metrics are served.
    #[arg(long, default_value = "0.0.0.0:9090")]
    admin_address: SocketAddr,
    /// json or text.
    #[arg(long, default_value = "json")]
    log_format: Format,
    /// This replica's name, as leader.
    #[arg(long, env = "POD_NAME", hide = true)]
    pod_name: String,
    /// Where the Lease and the fleet's Secrets are.
    #[arg(long, env = "POD_NAMESPACE", hide = true)]
    pod_namespace: String,
}

/// Arguments that were found to be usable.
#[derive(Debug)]
pub struct Settings {
    pub fleet: Fleet,
    pub admin_address: SocketAddr,
    pub log_format: Format,
    pub pod_name: String,
    pub pod_namespace: String,
}

impl Args {
    pub fn resolve(self) -> anyhow::Result<Settings> {
        let Self { config, admin_address, log_format, pod_name, pod_namespace } = self;
        let text = std::fs::read_to_string(&config).with_context(|| format!("read {}", config.display()))?;
        let fleet = Fleet::from_yaml(&text).with_context(|| format!("in {}", config.display()))?;
        Ok(Settings { fleet, admin_address, log_format, pod_name, pod_namespace })
    }
}
