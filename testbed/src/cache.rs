//! A part's inputs → a folder with the part, made once per machine and shared
//! by all clones of the repository.

use std::env;
use std::fs::{self, File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;

use anyhow::Context as _;
use sha2::{Digest as _, Sha256};

use crate::process::Keeper;
use crate::progress::Heartbeat;

/// `$CAUDAL_CACHE`, else `caudal` in `$XDG_CACHE_HOME`, else in `~/.cache`.
pub fn root() -> anyhow::Result<PathBuf> {
    let set = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let folder = set("CAUDAL_CACHE")
        .or_else(|| set("XDG_CACHE_HOME").map(|base| base.join("caudal")))
        .or_else(|| set("HOME").map(|home| home.join(".cache/caudal")))
        .context("find a cache folder: none of CAUDAL_CACHE, XDG_CACHE_HOME and HOME is set")?;
    Ok(std::path::absolute(folder)?)
}

/// The folder of `part` for these inputs. `make` fills it when it is not there
/// yet; the folder gets its name only when complete. Work that failed or was
/// killed leaves neither a folder nor, if the keeper knows them, programs that
/// run on. Two processes at once do the work once.
pub fn folder(
    part: &str,
    inputs: &[&str],
    make: impl FnOnce(&Path, &Arc<Keeper>) -> anyhow::Result<()>,
) -> anyhow::Result<PathBuf> {
    folder_in(&root()?, part, inputs, make)
}

fn folder_in(
    root: &Path,
    part: &str,
    inputs: &[&str],
    make: impl FnOnce(&Path, &Arc<Keeper>) -> anyhow::Result<()>,
) -> anyhow::Result<PathBuf> {
    let name = format!("{part}-{}", key(inputs));
    let complete = root.join(&name);
    if complete.is_dir() {
        return Ok(complete);
    }
    fs::create_dir_all(root).with_context(|| format!("create {}", root.display()))?;
    let lock = lock(&root.join(format!("{name}.lock")), part)?;
    if complete.is_dir() {
        return Ok(complete);
    }
    let partial = root.join(format!("{name}.partial"));
    remove(&partial)?;
    fs::create_dir(&partial).with_context(|| format!("create {}", partial.display()))?;
    // The lock is the keeper's until it has cleared up: a process that starts
    // when this one is killed must not lose its folder to this one's keeper.
    let held = Stdio::from(lock);
    let keeper = Arc::new(Keeper::start_with(std::slice::from_ref(&partial), held)?);
    make(&partial, &keeper)?;
    fs::rename(&partial, &complete).with_context(|| format!("name {}", complete.display()))?;
    Ok(complete)
}

/// A short name for a list of inputs.
pub fn key(inputs: &[&str]) -> String {
    let mut hash = Sha256::new();
    for input in inputs {
        hash.update((input.len() as u64).to_le_bytes());
        hash.update(input.as_bytes());
    }
    hex(&hash.finalize())[..16].to_owned()
}

pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.map(|digit| char::from(DIGITS[usize::from(digit)])).collect()
}

fn lock(path: &Path, part: &str) -> anyhow::Result<File> {
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)
        .with_context(|| format!("open {}", path.display()))?;
    let waiting = format!("another process prepares {part}: waiting for it");
    let mut heartbeat = Heartbeat::new(&waiting);
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(fs::TryLockError::WouldBlock) => heartbeat.beat(),
            Err(fs::TryLockError::Error(error)) => {
                return Err(error).with_context(|| format!("lock {}", path.display()));
            }
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
}

fn remove(folder: &Path) -> anyhow::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("remove {}", folder.display()))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use anyhow::bail;

    use super::*;

    #[test]
    fn the_key_depends_on_each_input_and_on_their_borders() {
        assert_eq!(key(&["a", "b"]), key(&["a", "b"]));
        assert_ne!(key(&["a", "b"]), key(&["ab"]));
        assert_ne!(key(&["a", "b"]), key(&["b", "a"]));
    }

    #[test]
    fn two_at_once_make_a_part_once() {
        let root = tempfile::tempdir().unwrap();
        let calls = AtomicU32::new(0);
        let make = |folder: &Path, _: &Arc<Keeper>| {
            calls.fetch_add(1, Ordering::Relaxed);
            Ok(fs::write(folder.join("file"), "x")?)
        };
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| folder_in(root.path(), "part", &["input"], make).unwrap());
            }
        });
        assert_eq!(calls.into_inner(), 1);
        let again = folder_in(root.path(), "part", &["input"], |_, _| bail!("made again")).unwrap();
        assert!(again.join("file").exists());
    }

    #[test]
    fn a_failure_leaves_no_folder() {
        let root = tempfile::tempdir().unwrap();
        assert!(folder_in(root.path(), "part", &[], |_, _| bail!("no network")).is_err());
        let folders = fs::read_dir(root.path()).unwrap().flatten();
        assert_eq!(folders.filter(|entry| entry.path().is_dir()).count(), 0);
    }
}
