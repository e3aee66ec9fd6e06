//! Nothing outlives the process that started it.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use caudal_testbed::wait;

/// Processes that mention `folder` in their command line.
fn processes_of(folder: &str) -> Vec<String> {
    fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter_map(|entry| fs::read_to_string(entry.path().join("cmdline")).ok())
        .filter(|command| command.contains(folder))
        .collect()
}

/// A child that is killed when dropped.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// A program of ours that waits for a `mvn` which does nothing, and tells its
/// process in a file named after its parent.
fn prepare_slowly(folder: &Path) -> Killed {
    let maven = folder.join("mvn");
    let script = "#!/bin/sh\necho $$ > \"$(dirname \"$0\")/$PPID\"\nexec sleep 1000\n";
    fs::write(&maven, script).unwrap();
    fs::set_permissions(&maven, fs::Permissions::from_mode(0o755)).unwrap();
    let program = Command::new(env!("CARGO_BIN_EXE_testbed"))
        .args(["run", "kafka"])
        .env("CAUDAL_CACHE", folder.join("cache"))
        .env("PATH", format!("{}:{}", folder.display(), std::env::var("PATH").unwrap()))
        .stderr(Stdio::null())
        .spawn();
    Killed(program.unwrap())
}

#[test]
fn a_killed_preparation_ends_its_programs_and_does_not_disturb_the_next_one() {
    let folder = tempfile::tempdir().unwrap();
    let started = |Killed(child): &Killed| {
        let file = folder.path().join(child.id().to_string());
        let pid = || Ok(fs::read_to_string(&file).ok().filter(|text| text.ends_with('\n')));
        wait::until("mvn to run", Duration::from_secs(20), pid).unwrap().trim().to_owned()
    };
    let first = prepare_slowly(folder.path());
    let maven = started(&first);
    drop(first);
    let second = prepare_slowly(folder.path());
    started(&second);
    // One that has ended, and for which nobody waited yet, has no command line.
    let command = fs::read(format!("/proc/{maven}/cmdline")).unwrap_or_default();
    assert!(command.is_empty(), "the first one's mvn has ended before the second one's began");
    let partial = || {
        let entries = fs::read_dir(folder.path().join("cache")).unwrap().flatten();
        let partial = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "partial");
        entries.map(|entry| entry.path()).find(partial)
    };
    assert!(partial().unwrap().join("pom.xml").exists());
    drop(second);
    wait::until("the folder to go", Duration::from_secs(10), || Ok(partial().is_none().then_some(())))
        .unwrap();
}

#[test]
fn parts_of_a_killed_process_end_and_leave_no_folder() {
    let mut parent = Command::new(env!("CARGO_BIN_EXE_testbed"))
        .args(["run", "kafka", "clickhouse", "control-plane"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(parent.stdout.take().unwrap()).lines().map(Result::unwrap);
    let folders: Vec<String> = lines
        .take_while(|line| line != "READY")
        .filter_map(|line| {
            let (name, path) = line.split_once('=')?;
            name.ends_with("_LOG").then(|| Path::new(path).parent().unwrap().to_str().unwrap().to_owned())
        })
        .collect();
    assert_eq!(folders.len(), 3);
    for folder in &folders {
        assert!(!processes_of(folder).is_empty(), "{folder}");
    }
    parent.kill().unwrap();
    parent.wait().unwrap();
    wait::until("processes and folders to go", Duration::from_secs(10), || {
        let gone =
            folders.iter().all(|folder| processes_of(folder).is_empty() && !Path::new(folder).exists());
        Ok(gone.then_some(()))
    })
    .unwrap();
}
