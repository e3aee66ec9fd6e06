//! Kafka and ClickHouse of a stack, which its supervisor runs.

use std::path::PathBuf;
use std::time::Duration;

use super::control::{Act, Part, ask};
use super::state::State;
use crate::User;
use crate::clickhouse::{self, ADMIN};

/// The broker of a stack.
pub struct StackKafka {
    socket: PathBuf,
    bootstrap_servers: String,
    sasl_bootstrap_servers: String,
}

/// The ClickHouse server of a stack.
pub struct StackClickHouse {
    socket: PathBuf,
    http_port: u16,
}

impl StackKafka {
    pub(super) fn of(state: &State) -> Self {
        let kafka = state.kafka.clone();
        let (bootstrap_servers, sasl_bootstrap_servers) =
            kafka.map(|kafka| (kafka.bootstrap_servers, kafka.sasl_bootstrap_servers)).unwrap_or_default();
        Self { socket: state.control_socket(), bootstrap_servers, sasl_bootstrap_servers }
    }

    /// `host:port` on this machine without authentication.
    pub fn bootstrap_servers(&self) -> String {
        self.bootstrap_servers.clone()
    }

    /// `host:port` on this machine for SASL_PLAINTEXT with SCRAM-SHA-512.
    pub fn sasl_bootstrap_servers(&self) -> String {
        self.sasl_bootstrap_servers.clone()
    }

    /// Ends the broker with SIGKILL.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        self.ask(Act::Kill)
    }

    /// Starts the broker again on the same data and ports.
    pub fn restart(&mut self) -> anyhow::Result<()> {
        self.ask(Act::Restart)
    }

    pub fn pause(&mut self) -> anyhow::Result<()> {
        self.ask(Act::Pause)
    }

    pub fn resume(&mut self) -> anyhow::Result<()> {
        self.ask(Act::Resume)
    }

    /// The broker's process, or `None` while it does not run.
    pub fn pid(&self) -> anyhow::Result<Option<u32>> {
        ask(&self.socket, Part::Kafka, Act::Look)
    }

    fn ask(&mut self, act: Act) -> anyhow::Result<()> {
        ask(&self.socket, Part::Kafka, act).map(drop)
    }
}

impl StackClickHouse {
    pub(super) fn of(state: &State) -> Self {
        let http_port = state.clickhouse.as_ref().map(|clickhouse| clickhouse.http_port).unwrap_or_default();
        Self { socket: state.control_socket(), http_port }
    }

    /// The HTTP interface on this machine.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.http_port)
    }

    /// Runs one statement as the administrator and gives its answer, without a
    /// last line feed.
    pub fn query(&self, sql: &str) -> anyhow::Result<String> {
        self.query_as(ADMIN, sql)
    }

    pub fn query_as(&self, user: User, sql: &str) -> anyhow::Result<String> {
        clickhouse::query(self.http_port, user, sql, Duration::from_mins(1))
    }

    /// Ends the server with SIGKILL.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        self.ask(Act::Kill)
    }

    /// Starts the server again on the same data and ports.
    pub fn restart(&mut self) -> anyhow::Result<()> {
        self.ask(Act::Restart)
    }

    pub fn pause(&mut self) -> anyhow::Result<()> {
        self.ask(Act::Pause)
    }

    pub fn resume(&mut self) -> anyhow::Result<()> {
        self.ask(Act::Resume)
    }

    /// The server's process, or `None` while it does not run.
    pub fn pid(&self) -> anyhow::Result<Option<u32>> {
        ask(&self.socket, Part::ClickHouse, Act::Look)
    }

    fn ask(&mut self, act: Act) -> anyhow::Result<()> {
        ask(&self.socket, Part::ClickHouse, act).map(drop)
    }
}
