//! Installed, upgraded, uninstalled, installed again.

use serde_json::{Value, json};

use crate::stage::{Values, chart, create_namespace, helm, kubectl, plane, until};

pub const NAMESPACE: &str = "caudal-system";

/// Installs or upgrades the release that all tests share.
pub fn install(values: &Value) -> anyhow::Result<()> {
    let values = Values::new(values)?;
    create_namespace(NAMESPACE)?;
    helm(&["upgrade", "--install", "caudal", &chart(), "--namespace", NAMESPACE, &values.argument()])?;
    kubectl(&["wait", "--for=condition=Established", "crd/datapipelines.caudal.dev", "--timeout=60s"])?;
    Ok(())
}

fn operator() -> anyhow::Result<Value> {
    let text = kubectl(&["--namespace", NAMESPACE, "get", "deployment", "caudal-operator", "--output=json"])?;
    Ok(serde_json::from_str(&text)?)
}

/// One after the other, for there is one release.
#[test]
fn a_release_lives_and_loses_nothing() -> anyhow::Result<()> {
    install(&json!({}))?;
    passes_pod_security()?;
    crate::rights::are_what_the_operator_needs()?;
    survives_uninstalling()
}

fn passes_pod_security() -> anyhow::Result<()> {
    until("two pods that pass the standard `restricted`", || {
        let status = &operator()?["status"];
        let failure = status["conditions"]
            .as_array()
            .into_iter()
            .flatten()
            .find(|found| found["type"] == "ReplicaFailure");
        anyhow::ensure!(failure.is_none(), "pods are refused: {failure:?}");
        Ok((status["replicas"] == 2).then_some(()))
    })
}

fn survives_uninstalling() -> anyhow::Result<()> {
    let pipeline = json!({
        "apiVersion": "caudal.dev/v1alpha1",
        "kind": "DataPipeline",
        "metadata": {"name": "kept", "namespace": "default"},
        "spec": {
            "schema": {"fields": [{"name": "id", "type": "String"}]},
            "sink": {"clickhouse": {"orderBy": ["id"]}},
        },
    });
    plane().client().kubectl_apply(&pipeline.to_string())?;
    let uid = || {
        kubectl(&["--namespace=default", "get", "datapipeline", "kept", "--output=jsonpath={.metadata.uid}"])
    };
    let before = uid()?;
    helm(&["uninstall", "caudal", "--namespace", NAMESPACE, "--wait"])?;
    let left = kubectl(&[
        "--namespace",
        NAMESPACE,
        "get",
        "deployments,services,configmaps,roles",
        "--output=name",
    ])?;
    assert!(!left.contains("caudal"), "left behind: {left}");
    let left = kubectl(&["get", "clusterroles,clusterrolebindings", "--output=name"])?;
    assert!(!left.contains("caudal"), "left behind: {left}");
    assert_eq!(uid()?, before);

    install(&json!({"operator": {"replicas": 1}}))?;
    assert_eq!(uid()?, before);
    assert_eq!(operator()?["spec"]["replicas"], 1);
    Ok(())
}
