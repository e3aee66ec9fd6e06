//! Names of parts → the parts, until this process ends.

use caudal_testbed::clickhouse::ClickHouse;
use caudal_testbed::kafka::Kafka;
use caudal_testbed::kubernetes::ControlPlane;
use clap::ValueEnum;

#[derive(Clone, Copy, ValueEnum)]
pub enum Part {
    Kafka,
    Clickhouse,
    /// Kubernetes without a node.
    ControlPlane,
}

/// Prints the parts' addresses as `NAME=value`, then READY, and stays.
pub fn run(parts: &[Part]) -> anyhow::Result<()> {
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
