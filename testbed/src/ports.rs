//! Nothing → a loopback port that stays ours, even while nothing listens on it.
//!
//! Ports lie below the range the kernel gives to outgoing connections, and a
//! lock file marks each as taken, so that a part which is killed finds its port
//! free again when it restarts.

use std::fs::{self, File, OpenOptions};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

const FIRST: u16 = 20_000;
const COUNT: u16 = 10_000;

/// A port of this process, given back when dropped or when the process ends.
pub struct Port {
    number: u16,
    _lock: File,
}

impl Port {
    pub fn take() -> anyhow::Result<Self> {
        let folder = folder()?;
        let start = rand::random_range(0..COUNT);
        for step in 0..COUNT {
            if let Some(port) = try_take(&folder, FIRST + (start + step) % COUNT)? {
                return Ok(port);
            }
        }
        bail!("take a port: all from {FIRST} on are taken")
    }

    pub fn number(&self) -> u16 {
        self.number
    }
}

fn try_take(folder: &Path, number: u16) -> anyhow::Result<Option<Port>> {
    let path = folder.join(number.to_string());
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .with_context(|| format!("open {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(fs::TryLockError::WouldBlock) => return Ok(None),
        Err(fs::TryLockError::Error(error)) => {
            return Err(error).with_context(|| format!("lock {}", path.display()));
        }
    }
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, number)).is_ok();
    Ok(free.then_some(Port { number, _lock: file }))
}

fn folder() -> anyhow::Result<PathBuf> {
    let folder = std::env::temp_dir().join(format!("caudal-testbed-ports-{}", nix::unistd::getuid()));
    fs::create_dir_all(&folder).with_context(|| format!("create {}", folder.display()))?;
    Ok(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_is_not_given_again_until_dropped() {
        let port = Port::take().unwrap();
        let folder = folder().unwrap();
        assert!(try_take(&folder, port.number()).unwrap().is_none());
        let number = port.number();
        drop(port);
        // A child that another thread forks holds the lock until it execs.
        let again = || try_take(&folder, number);
        crate::wait::until("the port", std::time::Duration::from_secs(5), again).unwrap();
    }
}
