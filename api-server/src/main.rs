use std::process::ExitCode;

use caudal_api_server::args::Args;
use caudal_service::{logging, shutdown};
use clap::Parser;

fn main() -> ExitCode {
    let args = Args::parse();
    logging::init(args.log_format);
    match run(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = format!("{error:#}"), "ended");
            ExitCode::FAILURE
        }
    }
}

/// One thread: ClickHouse does the work, this process passes it on.
fn run(args: Args) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async { caudal_api_server::run(args, shutdown::on_signal()?).await })
}
