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
    one.kubectl(&["create", "namespace", "only-in-one"]).unwrap();
    assert!(one.kubectl(&NAMESPACES).unwrap().contains("only-in-one"));
    assert!(!two.kubectl(&NAMESPACES).unwrap().contains("only-in-one"));

    let folder = one.folder().to_owned();
    drop(one);
    assert!(!folder.exists());
    two.kubectl_apply("{apiVersion: v1, kind: Namespace, metadata: {name: still-there}}").unwrap();
    assert!(two.kubectl(&NAMESPACES).unwrap().contains("still-there"));
}
