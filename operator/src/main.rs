use anyhow::Context as _;
use caudal_operator::args::{Args, Settings};
use clap::Parser as _;
use kube::Client;

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
    let client = Client::try_default().await.context("set up the Kubernetes client")?;
    caudal_operator::run(settings, client, shutdown).await
}
