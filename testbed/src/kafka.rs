//! Nothing → one Kafka broker (KRaft, combined with its controller) on free
//! loopback ports, with data in a folder of its own.

mod broker;
mod install;

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Context as _;
use nix::sys::signal::Signal;

use crate::User;
use crate::ports::Port;
use crate::process::{Keeper, Process};

/// The account for administration.
pub const ADMIN: User = User { name: "admin", password: "admin-password" };
/// The account that pipelines use.
pub const DATA: User = User { name: "caudal", password: "caudal-password" };

pub struct Kafka {
    settings: broker::Settings,
    ports: [Port; 3],
    process: Mutex<Option<Process>>,
    keeper: Arc<Keeper>,
}

impl Kafka {
    /// Starts a broker and waits until it serves. It ends, and its data go, when
    /// the value is dropped or this process ends in any way.
    pub fn start() -> anyhow::Result<Self> {
        let folder = crate::temporary_folder("kafka")?;
        let keeper = Arc::new(Keeper::start(&folder)?);
        Self::start_in(&folder, None, keeper)
    }

    /// Like `start`, in a folder that the keeper knows. `pods` is a further
    /// address, reachable from pods, on which SASL is served at port 9092.
    pub(crate) fn start_in(
        folder: &Path,
        pods: Option<Ipv4Addr>,
        keeper: Arc<Keeper>,
    ) -> anyhow::Result<Self> {
        let ports = [Port::take()?, Port::take()?, Port::take()?];
        let settings = broker::Settings {
            folder: folder.to_owned(),
            plain: ports[0].number(),
            sasl: ports[1].number(),
            controller: ports[2].number(),
            pods,
        };
        let libraries = install::libraries()?;
        broker::format(&settings, &libraries, &keeper)?;
        let process = broker::serve(&settings, &libraries, &keeper)?;
        Ok(Self { settings, ports, process: Mutex::new(Some(process)), keeper })
    }

    /// `host:port` without authentication.
    pub fn bootstrap_servers(&self) -> String {
        format!("127.0.0.1:{}", self.ports[0].number())
    }

    /// `host:port` for SASL_PLAINTEXT with SCRAM-SHA-512.
    pub fn sasl_bootstrap_servers(&self) -> String {
        format!("127.0.0.1:{}", self.ports[1].number())
    }

    /// Ends the broker with SIGKILL. A broker that does not run stays so.
    pub fn kill(&self) {
        drop(self.process().take());
    }

    /// Starts the broker again on the same data and ports, killing it first if
    /// it runs, and waits until it serves.
    pub fn restart(&self) -> anyhow::Result<()> {
        let mut process = self.process();
        drop(process.take());
        *process = Some(broker::serve(&self.settings, &install::libraries()?, &self.keeper)?);
        Ok(())
    }

    /// Stops the broker's clock with SIGSTOP: connections stay, answers do not come.
    pub fn pause(&self) -> anyhow::Result<()> {
        self.signal(Signal::SIGSTOP)
    }

    pub fn resume(&self) -> anyhow::Result<()> {
        self.signal(Signal::SIGCONT)
    }

    /// The broker's process, or `None` while it does not run.
    pub fn pid(&self) -> Option<u32> {
        self.process().as_ref().map(Process::pid)
    }

    /// The broker's log.
    pub fn log(&self) -> PathBuf {
        self.settings.log()
    }

    fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        self.process().as_ref().context("signal Kafka: it does not run")?.signal(signal)
    }

    fn process(&self) -> MutexGuard<'_, Option<Process>> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub use install::libraries as prepare;
