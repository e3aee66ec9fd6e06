//! The real operator with the rights of the chart's ServiceAccount, and no others.

use std::net::{Ipv4Addr, SocketAddr};

use caudal_model::Fleet;
use caudal_operator::args::Settings;
use caudal_testbed::clickhouse::{ADMIN, ClickHouse, INGEST, READER};
use caudal_testbed::kafka::Kafka;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::install::NAMESPACE;
use crate::stage::{create_namespace, kubectl, plane, until};

const TEAM: &str = "team";

pub fn are_what_the_operator_needs() -> anyhow::Result<()> {
    refuse_the_rest();
    let (kafka, clickhouse) = (Kafka::start()?, ClickHouse::start()?);
    create_namespace(TEAM)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let shutdown = CancellationToken::new();
    let client = runtime.block_on(operator_client())?;
    let operator =
        runtime.spawn(caudal_operator::run(settings(&kafka, &clickhouse)?, client, shutdown.clone()));

    plane().client().kubectl_apply(&pipeline("Delete", true).to_string())?;
    until_owned(11)?;
    until_nothing_is_forbidden()?;
    plane().client().kubectl_apply(&pipeline("Delete", false).to_string())?;
    until_owned(5)?;
    kubectl(&["--namespace", TEAM, "delete", "datapipeline", "events", "--timeout=180s"])?;
    assert_eq!(clickhouse.query("EXISTS TABLE team.events")?, "0");
    shutdown.cancel();
    runtime.block_on(operator)??;
    let lease = kubectl(&["--namespace", NAMESPACE, "get", "lease", "caudal-operator", "--output=json"])?;
    let lease: Value = serde_json::from_str(&lease)?;
    assert!(
        lease["spec"]["holderIdentity"].as_str().is_none_or(str::is_empty),
        "the Lease was not given up: {lease}"
    );
    Ok(())
}

/// A few of the things that a stolen token must not open.
fn refuse_the_rest() {
    let account = format!("--as=system:serviceaccount:{NAMESPACE}:caudal-operator");
    for (verb, resource, subresource) in [
        ("create", "pods", ""),
        ("get", "pods", ""),
        ("create", "pods", "exec"),
        ("delete", "datapipelines.caudal.dev", ""),
        ("create", "clusterrolebindings", ""),
        ("create", "rolebindings", ""),
        ("delete", "namespaces", ""),
        ("get", "nodes", ""),
        ("update", "leases", ""),
        ("patch", "customresourcedefinitions", ""),
        ("impersonate", "users", ""),
        ("create", "serviceaccounts", "token"),
    ] {
        let subresource = format!("--subresource={subresource}");
        let asked = ["auth", "can-i", verb, resource, &subresource, "--all-namespaces", &account];
        let said = kubectl(&asked).map_or_else(|error| error.to_string(), |_| "yes".to_owned());
        assert!(said.trim_end().ends_with("no"), "{verb} {resource} {subresource}: {said}");
    }
}

async fn operator_client() -> anyhow::Result<Client> {
    let token = kubectl(&["--namespace", NAMESPACE, "create", "token", "caudal-operator"])?;
    let mut kubeconfig = serde_json::to_value(Kubeconfig::read_from(plane().kubeconfig())?)?;
    for user in kubeconfig["users"].as_array_mut().into_iter().flatten() {
        user["user"] = json!({"token": token.trim()});
    }
    let kubeconfig: Kubeconfig = serde_json::from_value(kubeconfig)?;
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    Ok(Client::try_from(config)?)
}

fn settings(kafka: &Kafka, clickhouse: &ClickHouse) -> anyhow::Result<Settings> {
    let secret = |name: &str, users: [(&str, caudal_testbed::User); 3]| {
        let logins = users.iter().flat_map(|(prefix, user)| {
            [
                (format!("{prefix}username"), json!(user.name)),
                (format!("{prefix}password"), json!(user.password)),
            ]
        });
        json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": name, "namespace": NAMESPACE},
            "stringData": logins.collect::<serde_json::Map<_, _>>(),
        })
    };
    let users = [("admin-", ADMIN), ("", INGEST), ("reader-", READER)];
    plane().client().kubectl_apply(&secret("clickhouse", users).to_string())?;
    let fleet = json!({
        "installation": "caudal",
        "image": {"name": "localhost/caudal", "tag": "test"},
        "connections": {
            "kafka": {"default": {"namespaces": ["*"], "bootstrapServers": kafka.bootstrap_servers()}},
            "clickhouse": {"default": {"namespaces": ["*"], "url": clickhouse.url(), "secretName": "clickhouse"}},
        },
        "defaults": {"topic": {"partitions": 1, "replicationFactor": 1}},
    });
    Ok(Settings {
        fleet: Fleet::from_yaml(&fleet.to_string())?,
        admin_address: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        log_format: caudal_service::logging::Format::Text,
        pod_name: "operator-0".to_owned(),
        pod_namespace: NAMESPACE.to_owned(),
    })
}

fn pipeline(deletion_policy: &str, api: bool) -> Value {
    let mut pipeline = json!({
        "apiVersion": "caudal.dev/v1alpha1",
        "kind": "DataPipeline",
        "metadata": {"name": "events", "namespace": TEAM},
        "spec": {
            "schema": {"fields": [{"name": "id", "type": "String"}]},
            "sink": {"clickhouse": {"orderBy": ["id"]}},
            "deletionPolicy": deletion_policy,
        },
    });
    if api {
        pipeline["spec"]["api"] = json!({"key": "id", "auth": {"mode": "None"}});
    }
    pipeline
}

fn pipeline_now() -> anyhow::Result<Value> {
    Ok(serde_json::from_str(&kubectl(&[
        "--namespace",
        TEAM,
        "get",
        "datapipeline",
        "events",
        "--output=json",
    ])?)?)
}

/// Waits until the pipeline owns so many kinds-and-names besides its plans.
fn until_owned(count: usize) -> anyhow::Result<()> {
    let mut last = String::new();
    let kinds = "deployments,services,serviceaccounts,poddisruptionbudgets,networkpolicies,secrets";
    let waited = until("the pipeline's objects", || {
        last = kubectl(&[
            "--namespace",
            TEAM,
            "get",
            kinds,
            "--selector=caudal.dev/pipeline=events",
            "--output=name",
        ])?;
        Ok((last.lines().count() == count).then_some(()))
    });
    waited.map_err(|error| {
        error.context(format!("not {count} objects:\n{last}\n{:#}", pipeline_now().unwrap_or_default()))
    })
}

/// Waits for what the operator writes last, and that no right was missing.
fn until_nothing_is_forbidden() -> anyhow::Result<()> {
    until("conditions and Events", || {
        let pipeline = pipeline_now()?;
        let text = pipeline["status"].to_string();
        anyhow::ensure!(!text.contains("forbidden"), "a right is missing: {text}");
        let holds = |condition: &str| {
            let mut conditions = pipeline["status"]["conditions"].as_array().into_iter().flatten();
            conditions.any(|found| found["type"] == condition && found["status"] == "True")
        };
        let events = kubectl(&[
            "--namespace",
            TEAM,
            "get",
            "events",
            "--output=jsonpath={.items[*].involvedObject.kind}",
        ])?;
        Ok((holds("TopicReady") && holds("TableReady") && events.contains("DataPipeline")).then_some(()))
    })
}
