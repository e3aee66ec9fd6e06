//! What a stack's supervisor tells others: files under `/run/caudal-testbed`.
//!
//! A stack has a number. `<number>.lock` is locked while its supervisor, or the
//! keeper that clears up after it, is alive; `<number>/state.json` says the
//! rest.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use crate::kubernetes::{INSTANCES, Layout, Network};

pub const RUN: &str = "/run/caudal-testbed";

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct State {
    pub name: String,
    pub supervisor: u32,
    pub phase: Phase,
    pub layout: Layout,
    /// The process whose namespaces the node has.
    pub node: Option<u32>,
    pub kafka: Option<KafkaState>,
    pub clickhouse: Option<ClickHouseState>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Phase {
    Starting,
    Ready,
    Failed(String),
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct KafkaState {
    pub bootstrap_servers: String,
    pub sasl_bootstrap_servers: String,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct ClickHouseState {
    pub http_port: u16,
}

impl Phase {
    pub fn has_failed(&self) -> bool {
        matches!(self, Self::Failed(_))
    }
}

/// The folder of a stack's sockets and state.
pub fn folder(instance: u8) -> PathBuf {
    Path::new(RUN).join(instance.to_string())
}

impl State {
    pub fn network(&self) -> Network {
        self.layout.network
    }

    /// The folder with the data and logs of all parts.
    pub fn data(&self) -> &Path {
        let kubernetes = &self.layout.data;
        kubernetes.parent().unwrap_or(kubernetes)
    }

    /// Whether the stack is or once was ready, so that its parts may hold data.
    pub fn was_ready(&self) -> bool {
        self.kafka.is_some()
    }

    pub fn control_socket(&self) -> PathBuf {
        self.layout.run.join("control.sock")
    }

    pub fn supervisor_log(&self) -> PathBuf {
        supervisor_log(&self.layout.run)
    }

    pub fn write(&self) -> anyhow::Result<()> {
        let (path, new) = (self.layout.run.join("state.json"), self.layout.run.join("state.new"));
        fs::write(&new, serde_json::to_vec_pretty(self)?)
            .with_context(|| format!("write {}", new.display()))?;
        fs::rename(&new, &path).with_context(|| format!("write {}", path.display()))
    }

    /// The state of a stack, if it has told one.
    pub fn read(instance: u8) -> anyhow::Result<Option<Self>> {
        let path = folder(instance).join("state.json");
        match fs::read(&path) {
            Ok(text) => {
                serde_json::from_slice(&text).with_context(|| format!("understand {}", path.display()))
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("read {}", path.display())),
        }
    }
}

pub fn supervisor_log(run: &Path) -> PathBuf {
    run.join("supervisor.log")
}

/// The states of all stacks that live.
pub fn living() -> anyhow::Result<Vec<State>> {
    let mut states = Vec::new();
    for instance in 0..INSTANCES {
        if lock_file(instance).exists() && lock(instance)?.is_none() {
            states.extend(State::read(instance)?);
        }
    }
    Ok(states)
}

/// The lock of a stack's number, or `None` while the stack lives.
pub fn lock(instance: u8) -> anyhow::Result<Option<File>> {
    let path = lock_file(instance);
    let file = open(&path)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error).with_context(|| format!("lock {}", path.display())),
    }
}

/// Held by whoever takes numbers or clears up after the dead.
pub fn lock_all() -> anyhow::Result<File> {
    let path = Path::new(RUN).join("lock");
    let file = open(&path)?;
    file.lock().with_context(|| format!("lock {}", path.display()))?;
    Ok(file)
}

fn open(path: &Path) -> anyhow::Result<File> {
    fs::create_dir_all(RUN).with_context(|| format!("create {RUN}"))?;
    let mut options = OpenOptions::new();
    options.create(true).truncate(false).write(true);
    options.open(path).with_context(|| format!("open {}", path.display()))
}

/// The file whose lock tells that a stack lives. It is never removed.
pub fn lock_file(instance: u8) -> PathBuf {
    Path::new(RUN).join(format!("{instance}.lock"))
}
