//! Stacks that end in every way, and what is left of them: nothing. What runs in
//! a stack is tested end to end.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use caudal_testbed::wait::{eventually, until};
use caudal_testbed::{Options, Stack, stack};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

const PATIENCE: Duration = Duration::from_mins(1);

/// Ends the stack also when a test fails.
struct Ended(String);

impl Drop for Ended {
    fn drop(&mut self) {
        stack::down(&self.0).unwrap();
        for archive in kept_logs(&self.0) {
            fs::remove_file(archive).unwrap();
        }
    }
}

/// What `up` keeps of stacks of this name that failed to start.
fn kept_logs(name: &str) -> Vec<PathBuf> {
    let archives = fs::read_dir(std::env::temp_dir()).unwrap().flatten().map(|entry| entry.path());
    let prefix = format!("caudal-{name}-");
    archives
        .filter(|path| path.file_name().is_some_and(|file| file.to_string_lossy().starts_with(&prefix)))
        .collect()
}

/// What names this node in lists of the machine's mounts, links and cgroups.
fn traces(node: &str) -> Vec<String> {
    let mut traces = Vec::new();
    let links = Command::new("ip").args(["link"]).output().unwrap();
    let routes = Command::new("ip").args(["route"]).output().unwrap();
    for text in [&links.stdout, &routes.stdout] {
        let text = String::from_utf8_lossy(text).into_owned();
        let ours = |line: &&str| line.split(|c: char| !c.is_alphanumeric()).any(|word| word == node);
        traces.extend(text.lines().filter(ours).map(ToOwned::to_owned));
    }
    for hierarchy in fs::read_dir("/sys/fs/cgroup").unwrap().flatten() {
        let cgroup = hierarchy.path().join(node);
        traces.extend(cgroup.exists().then(|| cgroup.display().to_string()));
    }
    traces
}

/// Processes of a program with a file of the folder in their command line.
fn processes(program: &str, folder: &Path) -> Vec<Pid> {
    let inside = format!("{}/", folder.display());
    let has = |pid: &i32| {
        let command = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let command = String::from_utf8_lossy(&command).replace('\0', "/");
        command.contains(program) && command.contains(&inside)
    };
    let pids =
        fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(has).map(Pid::from_raw).collect()
}

fn node_of(stack: &Stack) -> String {
    stack.client().kubectl(&["get", "nodes", "--output=jsonpath={.items[*].metadata.name}"]).unwrap()
}

/// The data folder of a stack in any state.
fn data_of(name: &str) -> Option<PathBuf> {
    let description = stack::describe(Some(name)).unwrap().pop()?;
    let line = description.lines().find_map(|line| line.trim().strip_prefix("data"))?;
    Some(PathBuf::from(line.trim()))
}

/// Waits for a process of the stack's Kafka and kills it.
fn kill_kafka_that_starts(name: &str) {
    let java = until("Kafka to start", PATIENCE, || {
        Ok(data_of(name).and_then(|data| processes("java", &data.join("kafka")).pop()))
    });
    kill(java.unwrap(), Signal::SIGKILL).unwrap();
}

fn assert_nothing_left(name: &str, node: &str, data: &Path) {
    eventually("everything to be gone", PATIENCE, || {
        let (traces, processes) = (traces(node), processes("", data));
        anyhow::ensure!(traces.is_empty() && processes.is_empty(), "{traces:?}, processes {processes:?}");
        anyhow::ensure!(!data.exists(), "{} is there", data.display());
        anyhow::ensure!(Stack::attach(name).is_err(), "the stack runs");
        Ok(())
    })
    .unwrap();
}

#[test]
fn a_stack_comes_back_after_every_kind_of_death_and_leaves_nothing() {
    let name = format!("{}-deaths", stack::name_in_tests());
    let up = || Stack::up(&Options::parts_only(&name));
    let _ended = Ended(name.clone());

    // It fails to start: the next start begins anew.
    let failed = std::thread::scope(|scope| {
        scope.spawn(|| kill_kafka_that_starts(&name));
        up().map(drop).unwrap_err()
    });
    assert!(format!("{failed:#}").contains("Kafka"), "{failed:#}");
    let stack = up().unwrap();
    assert_eq!(kept_logs(&name).len(), 1);
    let node = node_of(&stack);
    let data = stack.data().to_owned();
    assert!(!traces(&node).is_empty());
    stack.clickhouse().query("CREATE DATABASE old").unwrap();

    let bundle = tempfile::tempdir().unwrap();
    let archive = stack.logs(bundle.path()).unwrap();
    let list = Command::new("tar").arg("-tzf").arg(archive).output().unwrap();
    let list = String::from_utf8(list.stdout).unwrap();
    for file in ["/objects.yaml", "/kafka/kafka.log", "/clickhouse/clickhouse.log", "/components/kubelet.log"]
    {
        assert!(list.contains(file), "{file} in {list}");
    }

    // Supervisor and keeper are killed: the parts live on, and the next start clears them away.
    for keeper in processes("caudal-testbed-keeper", &data) {
        kill(keeper, Signal::SIGKILL).unwrap();
    }
    stack.kill_supervisor().unwrap();
    until("the stack to be dead", PATIENCE, || Ok(Stack::attach(&name).err())).unwrap();
    let parts = || ["unshare", "java", "clickhouse"].map(|part| processes(part, &data)).concat();
    let orphans = parts();
    assert!(orphans.len() >= 3, "{orphans:?}");
    let stack = up().unwrap();
    let now = parts();
    assert!(!orphans.iter().any(|orphan| now.contains(orphan)), "{orphans:?} and {now:?}");
    assert_eq!(
        stack.clickhouse().query("SELECT count() FROM system.databases WHERE name = 'old'").unwrap(),
        "0"
    );

    // The supervisor is killed: its keeper leaves nothing.
    let (node, data) = (node_of(&stack), stack.data().to_owned());
    stack.kill_supervisor().unwrap();
    assert_nothing_left(&name, &node, &data);
}
