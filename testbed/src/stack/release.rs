//! A running stack and an image → names for Kafka and ClickHouse inside the
//! cluster, the Secrets that lead to them, and the chart installed.

use std::fs;
use std::path::Path;

use anyhow::Context as _;
use serde_json::{Value, json};

use super::programs::repository;
use super::state::State;
use crate::image::{Image, NAME};
use crate::{cache, clickhouse, kafka};

/// Where the Services of Kafka and ClickHouse are.
pub const INFRASTRUCTURE: &str = "caudal-infra";
/// The namespace and the name of the chart's release.
pub const SYSTEM: &str = "caudal-system";
pub const RELEASE: &str = "caudal";

const KAFKA_SECRET: &str = "caudal-kafka";
const CLICKHOUSE_SECRET: &str = "caudal-clickhouse";

/// Namespaces, Services that lead to this machine, and Secrets.
pub fn objects(state: &State) -> String {
    let host = state.network().host().to_string();
    let http = state.clickhouse.as_ref().map(|clickhouse| clickhouse.http_port);
    let mut items = vec![namespace(INFRASTRUCTURE), namespace(SYSTEM)];
    items.extend(service("kafka", 9092, &host, 9092));
    items.extend(service("clickhouse", 8123, &host, http.unwrap_or_default()));
    items.push(secret(
        KAFKA_SECRET,
        "kafka",
        &json!({
            "admin-username": kafka::ADMIN.name, "admin-password": kafka::ADMIN.password,
            "username": kafka::DATA.name, "password": kafka::DATA.password,
        }),
    ));
    items.push(secret(
        CLICKHOUSE_SECRET,
        "clickhouse",
        &json!({
            "admin-username": clickhouse::ADMIN.name, "admin-password": clickhouse::ADMIN.password,
            "username": clickhouse::INGEST.name, "password": clickhouse::INGEST.password,
            "reader-username": clickhouse::READER.name, "reader-password": clickhouse::READER.password,
        }),
    ));
    json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string()
}

/// The chart's values.
pub fn values(image: &Image) -> String {
    let tag = image.reference.strip_prefix(&format!("{NAME}:")).unwrap_or(&image.reference);
    json!({
        "image": {"name": NAME, "tag": tag, "pullPolicy": "Never"},
        "connections": {
            "kafka": {"default": {
                "namespaces": ["*"],
                "bootstrapServers": format!("kafka.{INFRASTRUCTURE}.svc:9092"),
                "securityProtocol": "SASL_PLAINTEXT",
                "saslMechanism": "SCRAM-SHA-512",
                "secretName": KAFKA_SECRET,
            }},
            "clickhouse": {"default": {
                "namespaces": ["*"],
                "url": format!("http://clickhouse.{INFRASTRUCTURE}.svc:8123"),
                "secretName": CLICKHOUSE_SECRET,
            }},
        },
        "defaults": {"topic": {"replicationFactor": 1}},
    })
    .to_string()
}

/// What must be equal for an installed release to be the wanted one.
pub fn fingerprint(values: &str, chart: &Path) -> anyhow::Result<String> {
    let mut files = Vec::new();
    collect(chart, &mut files)?;
    files.sort();
    let mut inputs = vec![values.to_owned()];
    for file in files {
        let text = fs::read_to_string(&file).with_context(|| format!("read {}", file.display()))?;
        inputs.extend([file.display().to_string(), text]);
    }
    Ok(cache::key(&inputs.iter().map(String::as_str).collect::<Vec<_>>()))
}

pub fn chart() -> std::path::PathBuf {
    repository().join("charts/caudal")
}

fn collect(folder: &Path, files: &mut Vec<std::path::PathBuf>) -> anyhow::Result<()> {
    let entries = fs::read_dir(folder).with_context(|| format!("list {}", folder.display()))?;
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            collect(&entry.path(), files)?;
        } else {
            files.push(entry.path());
        }
    }
    Ok(())
}

fn namespace(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
}

/// A Service without selector, and where it leads.
fn service(name: &str, port: u16, address: &str, target: u16) -> [Value; 2] {
    let ports = |port: u16| json!([{"name": name, "port": port, "protocol": "TCP"}]);
    [
        json!({
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": name, "namespace": INFRASTRUCTURE},
            "spec": {"ports": ports(port)},
        }),
        json!({
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {
                "name": name,
                "namespace": INFRASTRUCTURE,
                "labels": {"kubernetes.io/service-name": name},
            },
            "addressType": "IPv4",
            "ports": ports(target),
            "endpoints": [{"addresses": [address]}],
        }),
    ]
}

fn secret(name: &str, connection: &str, data: &Value) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": SYSTEM, "labels": {"caudal.dev/connection": connection}},
        "stringData": data,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fingerprint_follows_values_and_chart() {
        let chart = tempfile::tempdir().unwrap();
        fs::write(chart.path().join("Chart.yaml"), "a").unwrap();
        let first = fingerprint("v", chart.path()).unwrap();
        assert_eq!(first, fingerprint("v", chart.path()).unwrap());
        assert_ne!(first, fingerprint("w", chart.path()).unwrap());
        fs::write(chart.path().join("Chart.yaml"), "b").unwrap();
        assert_ne!(first, fingerprint("v", chart.path()).unwrap());
    }
}
