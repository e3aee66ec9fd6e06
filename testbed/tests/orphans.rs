//! Nothing outlives the process that started it.

#![allow(clippy::unwrap_used)]

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use caudal_testbed::wait;

/// Processes that mention `folder` in their command line.
fn processes_of(folder: &str) -> Vec<String> {
    std::fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter_map(|entry| std::fs::read_to_string(entry.path().join("cmdline")).ok())
        .filter(|command| command.contains(folder))
        .collect()
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
