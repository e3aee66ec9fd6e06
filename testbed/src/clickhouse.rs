//! Nothing → one ClickHouse server on free loopback ports, with data in a
//! folder of its own.
//!
//! The server is the one inside libchdb, ClickHouse as a library. It has no
//! CREATE USER, ON CLUSTER, replicated tables, Keeper, HTTPS or query log.

mod config;
mod install;
mod server;

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use nix::sys::signal::Signal;

use crate::User;
use crate::ports::Port;
use crate::process::{Keeper, Process};

/// May do everything.
pub const ADMIN: User = User { name: "admin", password: "admin-password" };
/// May INSERT and SELECT, anywhere.
pub const INGEST: User = User { name: "ingest", password: "ingest-password" };
/// May SELECT, within limits, and change no data.
pub const READER: User = User { name: "reader", password: "reader-password" };

pub struct ClickHouse {
    settings: config::Settings,
    _ports: [Port; 2],
    process: Mutex<Option<Process>>,
    keeper: Arc<Keeper>,
}

impl ClickHouse {
    /// Starts a server and waits until it answers. It ends, and its data go,
    /// when the value is dropped or this process ends in any way.
    pub fn start() -> anyhow::Result<Self> {
        let folder = crate::temporary_folder("clickhouse")?;
        let keeper = Arc::new(Keeper::start(&folder)?);
        Self::start_in(&folder, None, keeper)
    }

    /// Like `start`, in a folder that the keeper knows. `pods` is a further
    /// address, reachable from pods, to listen on.
    pub(crate) fn start_in(
        folder: &Path,
        pods: Option<Ipv4Addr>,
        keeper: Arc<Keeper>,
    ) -> anyhow::Result<Self> {
        let ports = [Port::take()?, Port::take()?];
        let settings = config::Settings {
            folder: folder.to_owned(),
            http: ports[0].number(),
            native: ports[1].number(),
            pods,
        };
        settings.write()?;
        let process = server::serve(&settings, &install::server()?, &keeper)?;
        Ok(Self { settings, _ports: ports, process: Mutex::new(Some(process)), keeper })
    }

    /// The HTTP interface.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.settings.http)
    }

    /// The port of the HTTP interface.
    pub fn http_port(&self) -> u16 {
        self.settings.http
    }

    /// Runs one statement as [`ADMIN`] and gives its answer (TabSeparated,
    /// unless the statement says otherwise), without a last line feed.
    pub fn query(&self, sql: &str) -> anyhow::Result<String> {
        self.query_as(ADMIN, sql)
    }

    pub fn query_as(&self, user: User, sql: &str) -> anyhow::Result<String> {
        query(self.settings.http, user, sql, Duration::from_mins(1))
    }

    /// Ends the server with SIGKILL. A server that does not run stays so.
    pub fn kill(&self) {
        drop(self.process().take());
    }

    /// Starts the server again on the same data and ports, killing it first if
    /// it runs, and waits until it answers.
    pub fn restart(&self) -> anyhow::Result<()> {
        let mut process = self.process();
        drop(process.take());
        *process = Some(server::serve(&self.settings, &install::server()?, &self.keeper)?);
        Ok(())
    }

    /// Stops the server's clock with SIGSTOP: connections stay, answers do not come.
    pub fn pause(&self) -> anyhow::Result<()> {
        self.signal(Signal::SIGSTOP)
    }

    pub fn resume(&self) -> anyhow::Result<()> {
        self.signal(Signal::SIGCONT)
    }

    /// The server's process, or `None` while it does not run.
    pub fn pid(&self) -> Option<u32> {
        self.process().as_ref().map(Process::pid)
    }

    /// The server's log.
    pub fn log(&self) -> PathBuf {
        self.settings.log()
    }

    fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        self.process().as_ref().context("signal ClickHouse: it does not run")?.signal(signal)
    }

    fn process(&self) -> MutexGuard<'_, Option<Process>> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs one statement on a server of this machine and gives its answer.
pub(crate) fn query(port: u16, user: User, sql: &str, limit: Duration) -> anyhow::Result<String> {
    let answer = server::query(port, user, sql, limit).with_context(|| format!("query ClickHouse: {sql}"))?;
    let text = answer.body.trim_end_matches('\n');
    ensure!(answer.status == 200, "query ClickHouse: {sql}\n{text}");
    Ok(text.to_owned())
}

pub use install::prepare;
