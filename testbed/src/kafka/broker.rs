//! Settings → a formatted data folder, and a broker process that serves.

use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};

use super::{ADMIN, DATA};
use crate::process::{Keeper, Process};
use crate::{User, wait};

const START: Duration = Duration::from_mins(2);

pub struct Settings {
    pub folder: PathBuf,
    pub plain: u16,
    pub sasl: u16,
    pub controller: u16,
    pub pods: Option<Ipv4Addr>,
}

impl Settings {
    pub fn log(&self) -> PathBuf {
        self.folder.join("kafka.log")
    }

    fn file(&self) -> PathBuf {
        self.folder.join("server.properties")
    }

    /// One listener per audience: this machine, with and without
    /// authentication, and pods. The session is short because a broker that was
    /// killed may register again only after its old session has ended.
    fn properties(&self) -> String {
        let Self { folder, plain, sasl, controller, pods } = self;
        let pods = pods.map(|address| format!(",PODS://{address}:9092")).unwrap_or_default();
        let audiences = format!("PLAIN://127.0.0.1:{plain},SASL://127.0.0.1:{sasl}{pods}");
        let jaas = "org.apache.kafka.common.security.scram.ScramLoginModule required;";
        format!(
            "process.roles=broker,controller\n\
             node.id=1\n\
             controller.quorum.voters=1@127.0.0.1:{controller}\n\
             controller.listener.names=CONTROLLER\n\
             listeners={audiences},CONTROLLER://127.0.0.1:{controller}\n\
             advertised.listeners={audiences}\n\
             listener.security.protocol.map=PLAIN:PLAINTEXT,SASL:SASL_PLAINTEXT,PODS:SASL_PLAINTEXT,CONTROLLER:PLAINTEXT\n\
             inter.broker.listener.name=PLAIN\n\
             sasl.enabled.mechanisms=SCRAM-SHA-512\n\
             listener.name.sasl.scram-sha-512.sasl.jaas.config={jaas}\n\
             listener.name.pods.scram-sha-512.sasl.jaas.config={jaas}\n\
             log.dirs={}\n\
             auto.create.topics.enable=false\n\
             offsets.topic.replication.factor=1\n\
             offsets.topic.num.partitions=4\n\
             transaction.state.log.replication.factor=1\n\
             transaction.state.log.min.isr=1\n\
             transaction.state.log.num.partitions=2\n\
             share.coordinator.state.topic.replication.factor=1\n\
             share.coordinator.state.topic.min.isr=1\n\
             share.coordinator.state.topic.num.partitions=2\n\
             group.initial.rebalance.delay.ms=0\n\
             log.cleaner.backoff.ms=1000\n\
             broker.heartbeat.interval.ms=500\n\
             broker.session.timeout.ms=3000\n\
             num.network.threads=2\n\
             num.io.threads=4\n",
            folder.join("data").display()
        )
    }
}

/// Writes the settings and prepares the data folder with the accounts.
pub fn format(settings: &Settings, libraries: &Path, keeper: &Arc<Keeper>) -> anyhow::Result<()> {
    let file = settings.file();
    fs::write(&file, settings.properties()).with_context(|| format!("write {}", file.display()))?;
    let mut command = java(libraries);
    command.args(["-XX:TieredStopAtLevel=1", "kafka.tools.StorageTool", "format"]);
    command.args(["--cluster-id", &cluster_id(), "--config"]).arg(&file);
    for user in [ADMIN, DATA] {
        command.args(["--add-scram", &scram(user)]);
    }
    let log = settings.folder.join("format.log");
    let mut process = Process::start("Kafka's storage tool", &mut command, &log, keeper)?;
    let status = wait::until("Kafka's storage tool", START, || process.ended())?;
    ensure!(status.success(), "format Kafka's data folder: {status}\n{}", process.output()?);
    Ok(())
}

/// Starts the broker and waits until it serves.
pub fn serve(settings: &Settings, libraries: &Path, keeper: &Arc<Keeper>) -> anyhow::Result<Process> {
    let mut command = java(libraries);
    command.args(["-Dorg.slf4j.simpleLogger.showDateTime=true", "kafka.Kafka"]).arg(settings.file());
    let mut process = Process::start("Kafka", &mut command, &settings.log(), keeper)?;
    wait::until("Kafka to serve", START, || {
        process.check_runs()?;
        Ok(process.output()?.contains("Kafka Server started").then_some(()))
    })?;
    Ok(process)
}

fn java(libraries: &Path) -> Command {
    let mut command = Command::new("java");
    command.args(["-Xms64m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:-UsePerfData", "-Djava.awt.headless=true"]);
    command.arg("-cp").arg(libraries.join("*"));
    command
}

fn scram(user: User) -> String {
    format!("SCRAM-SHA-512=[name={},password={}]", user.name, user.password)
}

/// 16 bytes in URL-safe base 64, which is 22 characters, the last of which
/// carries two bits.
fn cluster_id() -> String {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    let mut id: String =
        (0..21).map(|_| char::from(ALPHABET[rand::random_range(0..ALPHABET.len())])).collect();
    id.push('A');
    id
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(pods: Option<Ipv4Addr>) -> Settings {
        Settings { folder: PathBuf::from("/f"), plain: 1, sasl: 2, controller: 3, pods }
    }

    #[test]
    fn pods_get_a_listener_only_when_there_are_pods() {
        let alone = settings(None).properties();
        assert!(alone.contains("\nadvertised.listeners=PLAIN://127.0.0.1:1,SASL://127.0.0.1:2\n"));
        let stack = settings(Some(Ipv4Addr::new(198, 18, 0, 1))).properties();
        assert!(stack.contains(",PODS://198.18.0.1:9092,CONTROLLER://127.0.0.1:3\n"), "{stack}");
    }

    #[test]
    fn cluster_ids_differ_and_have_the_length_of_16_bytes() {
        assert_eq!(cluster_id().len(), 22);
        assert_ne!(cluster_id(), cluster_id());
    }
}
