//! Command line → the local stack, or single parts of it.

use std::process::ExitCode;

use caudal_testbed::clickhouse::ClickHouse;
use caudal_testbed::kafka::Kafka;
use caudal_testbed::kubernetes::ControlPlane;
use clap::{Parser, Subcommand, ValueEnum};

/// Starts and stops the real parts that Caudal runs against.
#[derive(Parser)]
#[command(version)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run single parts on free loopback ports until this command is ended.
    Run {
        #[arg(required = true)]
        parts: Vec<Part>,
    },
}

#[derive(Clone, Copy, ValueEnum)]
enum Part {
    Kafka,
    Clickhouse,
    /// Kubernetes without a node.
    ControlPlane,
}

fn main() -> ExitCode {
    match run(Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: Args) -> anyhow::Result<()> {
    match args.command {
        Command::Run { parts } => run_parts(&parts),
    }
}

fn run_parts(parts: &[Part]) -> anyhow::Result<()> {
    let mut kafka = None;
    let mut clickhouse = None;
    let mut control_plane = None;
    for part in parts {
        match part {
            Part::Kafka => {
                let part = kafka.insert(Kafka::start()?);
                println!("KAFKA={}\nKAFKA_SASL={}", part.bootstrap_servers(), part.sasl_bootstrap_servers());
                println!("KAFKA_LOG={}", part.log().display());
            }
            Part::Clickhouse => {
                let part = clickhouse.insert(ClickHouse::start()?);
                println!("CLICKHOUSE={}\nCLICKHOUSE_LOG={}", part.url(), part.log().display());
            }
            Part::ControlPlane => {
                let part = control_plane.insert(ControlPlane::start()?);
                println!("KUBECONFIG={}", part.kubeconfig().display());
                println!("KUBERNETES_LOG={}", part.folder().join("apiserver.log").display());
            }
        }
    }
    println!("READY");
    loop {
        std::thread::park();
    }
}
