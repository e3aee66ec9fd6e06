use std::time::Duration;

use anyhow::Context as _;
use caudal_operator::args::{Args, Settings};
use clap::Parser as _;
use kube::{Client, Config};

const READ_TIMEOUT: Duration = Duration::from_secs(295);

fn main() -> anyhow::Result<()> {
    let settings = Args::parse().resolve()?;
    caudal_service::logging::init(settings.log_format);
    // Reconciles wait for others most of the time; each thread costs memory.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let result = runtime.block_on(run(settings));
    // A request that still waits for its answer must not hold up the end.
    runtime.shutdown_background();
    result
}

async fn run(settings: Settings) -> anyhow::Result<()> {
    let shutdown = caudal_service::shutdown::on_signal()?;
    let mut config = Config::infer().await.context("find the API server")?;
    // Watches get news or an end within 290 s; a connection silent for longer is dead.
    config.read_timeout = Some(READ_TIMEOUT);
    let client = Client::try_from(config).context("set up the Kubernetes client")?;
    caudal_operator::run(settings, client, shutdown).await
}
