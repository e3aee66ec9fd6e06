//! Kafka and ClickHouse of a stack, which its supervisor runs.

use std::path::PathBuf;
use std::time::Duration;

use super::control::{Act, Part, ask};
use super::state::{ClickHouseState, KafkaState, State};
use crate::User;
use crate::clickhouse::{self, ADMIN};

/// A part of a stack, and what is known of its addresses.
pub struct StackPart<Addresses> {
    socket: PathBuf,
    part: Part,
    addresses: Addresses,
}

/// The broker of a stack.
pub type StackKafka = StackPart<KafkaState>;
/// The ClickHouse server of a stack.
pub type StackClickHouse = StackPart<ClickHouseState>;

impl<Addresses> StackPart<Addresses> {
    /// Ends the part with SIGKILL.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        self.ask(Act::Kill)
    }

    /// Starts the part again on the same data and ports.
    pub fn restart(&mut self) -> anyhow::Result<()> {
        self.ask(Act::Restart)
    }

    pub fn pause(&mut self) -> anyhow::Result<()> {
        self.ask(Act::Pause)
    }

    pub fn resume(&mut self) -> anyhow::Result<()> {
        self.ask(Act::Resume)
    }

    /// The part's process, or `None` while it does not run.
    pub fn pid(&self) -> anyhow::Result<Option<u32>> {
        ask(&self.socket, self.part, Act::Look)
    }

    fn ask(&mut self, act: Act) -> anyhow::Result<()> {
        ask(&self.socket, self.part, act).map(drop)
    }
}

impl StackKafka {
    pub(super) fn of(state: &State) -> Self {
        let addresses = state.kafka.clone().unwrap_or_default();
        Self { socket: state.control_socket(), part: Part::Kafka, addresses }
    }

    /// `host:port` on this machine without authentication.
    pub fn bootstrap_servers(&self) -> String {
        self.addresses.bootstrap_servers.clone()
    }

    /// `host:port` on this machine for SASL_PLAINTEXT with SCRAM-SHA-512.
    pub fn sasl_bootstrap_servers(&self) -> String {
        self.addresses.sasl_bootstrap_servers.clone()
    }
}

impl StackClickHouse {
    pub(super) fn of(state: &State) -> Self {
        let addresses = state.clickhouse.clone().unwrap_or_default();
        Self { socket: state.control_socket(), part: Part::ClickHouse, addresses }
    }

    /// The HTTP interface on this machine.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.addresses.http_port)
    }

    /// Runs one statement as the administrator and gives its answer, without a
    /// last line feed.
    pub fn query(&self, sql: &str) -> anyhow::Result<String> {
        self.query_as(ADMIN, sql)
    }

    pub fn query_as(&self, user: User, sql: &str) -> anyhow::Result<String> {
        clickhouse::query(self.addresses.http_port, user, sql, Duration::from_mins(1))
    }
}
