//! The demo: the four examples on a local stack or on your own cluster.

mod cluster;
mod demo;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use caudal_examples::Message;
use caudal_examples::publish::publish;
use clap::{Parser, Subcommand};

use cluster::Cluster;

/// Run the four example pipelines, publish to them, read their APIs.
#[derive(Parser)]
#[command(version)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Start the local stack (unless --context), apply the examples, publish, GET, check the account
    Run {
        #[command(flatten)]
        target: Target,
        /// Messages to publish to each pipeline
        #[arg(long, default_value_t = 2_000)]
        messages: usize,
        /// Share of malformed messages and tombstones, 0 to 1
        #[arg(long, default_value_t = 0.03)]
        malformed: f64,
        /// Equal seeds give equal messages
        #[arg(long, default_value_t = 7)]
        seed: u64,
    },
    /// Publish one message of your own to a pipeline's topic
    Publish {
        #[command(flatten)]
        target: Target,
        /// The pipeline's name
        pipeline: String,
        /// The message, as JSON
        message: String,
    },
}

/// Where the pipelines run.
#[derive(clap::Args)]
struct Target {
    /// A context of your kubeconfig with Caudal installed, instead of the local stack
    #[arg(long, requires = "kafka_config")]
    context: Option<String>,
    /// With --context: a file of librdkafka properties (bootstrap.servers=…), how this machine reaches your brokers
    #[arg(long, requires = "context")]
    kafka_config: Option<PathBuf>,
    /// The namespace of the pipelines
    #[arg(long, default_value = "demo")]
    namespace: String,
}

fn main() -> ExitCode {
    match run(Args::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Run { target, messages, malformed, seed } => {
            anyhow::ensure!(
                (0.0..=1.0).contains(&malformed),
                "--malformed {malformed} is no share; write 0 to 1"
            );
            let cluster = Cluster::open(&target, true)?;
            demo::run(&cluster, &demo::Load { messages, malformed, seed })
        }
        Command::Publish { target, pipeline, message } => {
            let cluster = Cluster::open(&target, false)?;
            publish_one(&cluster, &pipeline, message)
        }
    }
}

fn publish_one(cluster: &Cluster, pipeline: &str, message: String) -> anyhow::Result<()> {
    let topic = cluster.resolved(pipeline, "topic")?.with_context(|| {
        format!("pipeline {pipeline:?} has no topic yet; see: kubectl describe datapipeline {pipeline}")
    })?;
    let message = Message {
        key: Vec::new(),
        value: Some(message.into_bytes()),
        outcome: caudal_examples::Outcome::Filtered,
    };
    publish(&cluster.kafka()?, &topic, [message])?;
    let place = if cluster.is_local() {
        format!("{}/v1/records", cluster.base(pipeline)?.url)
    } else {
        let namespace = &cluster.namespace;
        format!("/v1/records of: kubectl --namespace {namespace} port-forward service/{pipeline}-api 8080:80")
    };
    println!("published to {topic}; read it at {place}");
    Ok(())
}
