//! A name → a free number for a stack; and the clearing up after stacks whose
//! processes have all been killed.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};

use super::processes;
use super::state::{self, State};
use crate::kubernetes::{INSTANCES, Network, cgroup_folders, ip};
use crate::{cache, wait};

const END: Duration = Duration::from_secs(20);

/// A number that is ours while the lock is held by anyone.
pub struct Instance {
    pub network: Network,
    pub lock: File,
}

impl Instance {
    /// Takes the first free number, clearing up after the dead. The caller holds
    /// the lock of all numbers.
    pub fn take() -> anyhow::Result<Self> {
        let mut taken = None;
        for instance in 0..INSTANCES {
            let Some(lock) = state::lock(instance)? else { continue };
            clear(instance)?;
            if taken.is_none() {
                taken = Some(Self { network: Network { instance }, lock });
            }
        }
        let Some(taken) = taken else { bail!("start a stack: {INSTANCES} run already") };
        for folder in [state::folder(taken.network.instance), data_folder(taken.network.instance)?] {
            fs::create_dir_all(&folder).with_context(|| format!("create {}", folder.display()))?;
        }
        Ok(taken)
    }
}

/// Where a stack keeps what is too large for `/run`.
pub fn data_folder(instance: u8) -> anyhow::Result<PathBuf> {
    Ok(cache::root()?.join("stacks").join(instance.to_string()))
}

/// Removes what dead stacks left.
pub fn clear_dead() -> anyhow::Result<()> {
    let _all = state::lock_all()?;
    for instance in 0..INSTANCES {
        if state::lock_file(instance).exists()
            && let Some(_lock) = state::lock(instance)?
        {
            clear(instance)?;
        }
    }
    Ok(())
}

/// Removes what a dead stack left, usually nothing: its keeper was there first.
fn clear(instance: u8) -> anyhow::Result<()> {
    let run = state::folder(instance);
    let data = State::read(instance).ok().flatten().map(|state| state.data().to_owned());
    let data = data.map_or_else(|| data_folder(instance), Ok)?;
    processes::kill_parts_in(&[&run, &data])?;
    let name = Network { instance }.name();
    remove_link(&name)?;
    let cgroups = cgroup_folders(&name)?;
    // Pods end with their node, but not at once.
    wait::eventually("the remains of a stack to go", END, || {
        cgroups.iter().try_for_each(|cgroup| remove_cgroup(cgroup))?;
        remove(&run)?;
        remove(&data)
    })
}

/// A link goes with its node's namespace; on a busy machine the kernel takes
/// minutes for that.
fn remove_link(name: &str) -> anyhow::Result<()> {
    let link = Path::new("/sys/class/net").join(name);
    if !link.exists() {
        return Ok(());
    }
    // It may have gone by itself just now.
    ip(&["link", "delete", name]).or_else(|error| if link.exists() { Err(error) } else { Ok(()) })
}

fn remove(folder: &Path) -> anyhow::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| format!("remove {}", folder.display()))
        }
        _ => Ok(()),
    }
}

/// A cgroup's files cannot be removed, its folders can, from the innermost on.
fn remove_cgroup(folder: &Path) -> anyhow::Result<()> {
    if !folder.exists() {
        return Ok(());
    }
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove_cgroup(&entry.path())?;
        }
    }
    fs::remove_dir(folder).with_context(|| format!("remove {}", folder.display()))
}
