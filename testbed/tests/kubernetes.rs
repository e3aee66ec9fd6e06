//! Control planes side by side on one machine.

#![allow(clippy::unwrap_used)]

use caudal_testbed::kubernetes::ControlPlane;

const NAMESPACES: [&str; 3] = ["get", "namespaces", "--output=jsonpath={.items[*].metadata.name}"];

#[test]
fn two_control_planes_know_nothing_of_each_other() {
    let (one, two) = std::thread::scope(|scope| {
        let two = scope.spawn(|| ControlPlane::start().unwrap());
        (ControlPlane::start().unwrap(), two.join().unwrap())
    });
    one.client().kubectl(&["create", "namespace", "only-in-one"]).unwrap();
    assert!(one.client().kubectl(&NAMESPACES).unwrap().contains("only-in-one"));
    assert!(!two.client().kubectl(&NAMESPACES).unwrap().contains("only-in-one"));

    // The tools keep what they remember with the cluster.
    let home = tempfile::tempdir().unwrap();
    let run = |tool: &str, arguments: &[&str]| {
        one.client().command(tool).env("HOME", home.path()).args(arguments).output().unwrap()
    };
    assert!(run("kubectl", &["get", "pods"]).status.success());
    assert_eq!(run("helm", &["list", "--namespace=default", "--output=json"]).stdout, b"[]\n");
    // It fails for want of a server, after making its folders.
    assert!(!run("helm", &["repo", "add", "nowhere", "http://127.0.0.1:1"]).status.success());
    let left: Vec<_> = std::fs::read_dir(home.path()).unwrap().flatten().map(|entry| entry.path()).collect();
    assert!(left.is_empty(), "{left:?}");

    let folder = one.folder().to_owned();
    drop(one);
    assert!(!folder.exists());
    two.client().kubectl_apply("{apiVersion: v1, kind: Namespace, metadata: {name: still-there}}").unwrap();
    assert!(two.client().kubectl(&NAMESPACES).unwrap().contains("still-there"));
}
