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

/// A `mvn` that does nothing for long, and a program of ours that waits for it.
fn prepare_slowly(folder: &Path) -> Child {
    let maven = folder.join("mvn");
    fs::write(&maven, "#!/bin/sh\nexec sleep 1000\n").unwrap();
    fs::set_permissions(&maven, fs::Permissions::from_mode(0o755)).unwrap();
    Command::new(env!("CARGO_BIN_EXE_testbed"))
        .args(["run", "kafka"])
        .env("CAUDAL_CACHE", folder.join("cache"))
        .env("PATH", format!("{}:{}", folder.display(), std::env::var("PATH").unwrap()))
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// The children of a process that sleep.
fn sleepers(parent: &Child) -> Vec<String> {
    let children = format!("/proc/{0}/task/{0}/children", parent.id());
    let children = fs::read_to_string(children).unwrap_or_default();
    let sleeps =
        |pid: &&str| fs::read_to_string(format!("/proc/{pid}/cmdline")).is_ok_and(|c| c.starts_with("sleep"));
    children.split_whitespace().filter(sleeps).map(ToOwned::to_owned).collect()
}

#[test]
fn a_killed_preparation_ends_its_programs_and_does_not_disturb_the_next_one() {
    let folder = tempfile::tempdir().unwrap();
    let started = |child: &Child| {
        wait::until("mvn to run", Duration::from_secs(20), || Ok(sleepers(child).pop())).unwrap()
    };
    let mut first = prepare_slowly(folder.path());
    let maven = started(&first);
    first.kill().unwrap();
    first.wait().unwrap();
    let mut second = prepare_slowly(folder.path());
    started(&second);
    assert!(
        !Path::new("/proc").join(maven).exists(),
        "the first one's mvn has ended before the second one's began"
    );
    let partial = || {
        let entries = fs::read_dir(folder.path().join("cache")).unwrap().flatten();
        let partial = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "partial");
        entries.map(|entry| entry.path()).find(partial)
    };
    assert!(partial().unwrap().join("pom.xml").exists());
    second.kill().unwrap();
    second.wait().unwrap();
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
