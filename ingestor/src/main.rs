//! Arguments → [`caudal_ingestor::run`].

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use caudal_ingestor::run::{Options, run};
use caudal_service::logging;
use clap::Parser;

/// Moves a Kafka topic into a ClickHouse table, every message exactly once
#[derive(Parser)]
#[command(name = "caudal-ingestor", version)]
struct Args {
    /// The plan, as the operator writes it
    #[arg(long)]
    plan: PathBuf,
    /// Directory of older plans, `<plan revision>.json`, for blocks that they
    /// have promised
    #[arg(long)]
    plans: Option<PathBuf>,
    /// Directory of credential files
    #[arg(long)]
    credentials: Option<PathBuf>,
    /// Serves /healthz, /readyz, /metrics and /state
    #[arg(long, default_value = "0.0.0.0:9090")]
    admin_address: SocketAddr,
    /// json or text
    #[arg(long, default_value = "json")]
    log_format: logging::Format,
}

fn main() -> ExitCode {
    let Args { plan, plans, credentials, admin_address, log_format } = Args::parse();
    logging::init(log_format);
    let options = Options { plan, plans, credentials, admin_address };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let result = match runtime {
        Ok(runtime) => {
            let result = runtime.block_on(run(options));
            runtime.shutdown_background();
            result
        }
        Err(error) => Err(error.into()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}
