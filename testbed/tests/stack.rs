//! A real node: pods, names, Services in both directions, and nothing left.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::Read as _;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use caudal_testbed::{Options, Stack, image, stack, wait};

const NAME: &str = "testbed-test";
const PATIENCE: Duration = Duration::from_mins(1);

/// Ends the stack also when a test fails.
struct Ended;

impl Drop for Ended {
    fn drop(&mut self) {
        stack::down(NAME).unwrap();
    }
}

fn up() -> Stack {
    Stack::up(&Options::parts_only(NAME)).unwrap()
}

/// An image with a server and what a shell needs to be a client.
fn import_image(stack: &Stack) -> String {
    let folder = tempfile::tempdir().unwrap();
    let echo = folder.path().join("echo");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pod/echo.c");
    assert!(Command::new("cc").arg("-o").arg(&echo).arg(source).status().unwrap().success());
    let programs =
        [echo, PathBuf::from("/bin/bash"), PathBuf::from("/bin/cat"), PathBuf::from("/usr/bin/getent")];
    let image = image::of_programs("localhost/testbed-test", &programs, folder.path()).unwrap();
    stack.import(&image).unwrap();
    image.reference
}

fn in_pod(stack: &Stack, script: &str) -> String {
    stack.kubectl(&["exec", "echo", "--", "bash", "-c", script]).unwrap()
}

/// What names this stack in lists of the machine's mounts, links and cgroups.
fn traces(node: &str) -> Vec<String> {
    let mut traces = Vec::new();
    let links = Command::new("ip").args(["link"]).output().unwrap();
    let routes = Command::new("ip").args(["route"]).output().unwrap();
    for text in [&links.stdout, &routes.stdout] {
        let text = String::from_utf8_lossy(text).into_owned();
        traces.extend(text.lines().filter(|line| line.contains(node)).map(ToOwned::to_owned));
    }
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    traces.extend(mounts.lines().filter(|line| line.contains("caudal")).map(ToOwned::to_owned));
    for hierarchy in fs::read_dir("/sys/fs/cgroup").unwrap().flatten() {
        let cgroup = hierarchy.path().join(node);
        traces.extend(cgroup.exists().then(|| cgroup.display().to_string()));
    }
    traces
}

fn processes_mentioning(text: &str) -> Vec<String> {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let commands = processes.filter_map(|entry| fs::read_to_string(entry.path().join("cmdline")).ok());
    commands.filter(|command| command.contains(text)).collect()
}

#[test]
fn a_stack_runs_pods_survives_its_starter_and_leaves_nothing() {
    let _ended = Ended;
    let stack = up();
    let node = stack.kubectl(&["get", "nodes", "--output=jsonpath={.items[*].metadata.name}"]).unwrap();
    assert!(!traces(&node).is_empty());

    let image = import_image(&stack);
    let manifest = include_str!("pod/pod.yaml").replace("IMAGE", &image);
    wait::until("the service account", PATIENCE, || Ok(stack.kubectl_apply(&manifest).ok())).unwrap();
    stack.kubectl(&["wait", "--for=condition=Ready", "pod/echo", "--timeout=60s"]).unwrap();

    let address = stack.kubectl(&["get", "service", "echo", "--output=jsonpath={.spec.clusterIP}"]).unwrap();
    let answer = wait::until("the Service to answer", PATIENCE, || {
        let mut answer = String::new();
        let connection = TcpStream::connect((address.as_str(), 80));
        Ok(connection.and_then(|mut stream| stream.read_to_string(&mut answer)).ok().map(|_| answer))
    });
    assert_eq!(answer.unwrap(), "echo");
    assert_eq!(in_pod(&stack, "cat < /dev/tcp/echo.default/80"), "echo", "a pod through its own Service");
    assert!(in_pod(&stack, "getent hosts kubernetes.default.svc.cluster.local").contains("198.18."));
    let ping =
        "exec 3<>/dev/tcp/clickhouse.caudal-infra/8123; printf 'GET /ping HTTP/1.0\\r\\n\\r\\n' >&3; cat <&3";
    assert!(in_pod(&stack, ping).ends_with("Ok.\n"));
    in_pod(&stack, "exec 3<>/dev/tcp/kafka.caudal-infra/9092");

    let pids = stack.pids_in_node("echo", "HOSTNAME=echo").unwrap();
    assert_eq!(pids.len(), 1);
    assert!(stack.pids_in_node("echo", "HOSTNAME=other").unwrap().is_empty());

    let mut clickhouse = Stack::attach(NAME).unwrap().clickhouse();
    clickhouse.query("CREATE DATABASE kept").unwrap();
    clickhouse.kill().unwrap();
    assert_eq!(clickhouse.pid().unwrap(), None);
    clickhouse.restart().unwrap();
    assert_eq!(clickhouse.query("SELECT name FROM system.databases WHERE name = 'kept'").unwrap(), "kept");

    let bundle = tempfile::tempdir().unwrap();
    let archive = stack.logs(bundle.path()).unwrap();
    let list = Command::new("tar").arg("-tzf").arg(archive).output().unwrap();
    let list = String::from_utf8(list.stdout).unwrap();
    for file in ["/objects.yaml", "/kafka/kafka.log", "/components/kubelet.log", "/pods/default_echo_"] {
        assert!(list.contains(file), "{file} in {list}");
    }

    let data = stack.data().to_owned();
    stack.kill_supervisor().unwrap();
    wait::until("everything to be gone", PATIENCE, || {
        let gone = traces(&node).is_empty()
            && !data.exists()
            && Stack::attach(NAME).is_err()
            && processes_mentioning(&format!("{}/", data.display())).is_empty();
        Ok(gone.then_some(()))
    })
    .unwrap();
}
