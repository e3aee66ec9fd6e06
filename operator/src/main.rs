use caudal_operator::args::Args;
use clap::Parser as _;

fn main() -> anyhow::Result<()> {
    let settings = Args::parse().resolve()?;
    caudal_service::logging::init(settings.log_format);
    // Reconciles wait for others most of the time; each thread costs memory.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(caudal_operator::run(settings))
}
