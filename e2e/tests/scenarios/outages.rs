//! One pipeline's missing Secret, broker or database is its own trouble: the others go on.

use caudal_e2e::Scene;
use caudal_e2e::manifest::{note_messages, notes, with};
use serde_json::{Value, json};

/// A connection Secret that leads nowhere.
fn secret(kind: &str, data: &Value) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "elsewhere", "labels": {"caudal.dev/connection": kind}},
        "stringData": data,
    })
}

/// A server, and users that it does not know.
fn clickhouse(url: &str) -> Value {
    json!({
        "url": url,
        "username": "nobody",
        "password": "wrong",
        "reader-username": "nobody",
        "reader-password": "wrong",
    })
}

fn elsewhere() -> Value {
    json!({"kind": "Secret", "name": "elsewhere"})
}

/// A neighbour in the same namespace becomes ready and stores.
fn neighbour_goes_on(scene: &Scene) -> anyhow::Result<()> {
    scene.apply(&notes("neighbour"))?;
    scene.wait_ready("neighbour")?;
    let messages = note_messages(0..10);
    scene.publish("neighbour", &messages)?;
    scene.wait_balance("neighbour", "id", &messages)
}

#[test]
fn a_missing_secret_is_named_and_its_arrival_noticed() -> anyhow::Result<()> {
    let scene = Scene::new("missing-secret")?;
    scene.apply(&with(notes("lost"), "/spec/sink/clickhouse/connectionRef", elsewhere()))?;
    let message = scene.wait_condition("lost", "Ready", "False", "SecretNotFound")?;
    assert!(message.contains("elsewhere"), "{message}");
    neighbour_goes_on(&scene)?;
    scene.apply(&secret("clickhouse", &clickhouse("http://192.0.2.1:8123")))?;
    scene.wait_condition("lost", "Ready", "False", "ClickHouseUnreachable")?;
    Ok(())
}

#[test]
fn a_broker_that_is_not_there_gives_its_condition() -> anyhow::Result<()> {
    let scene = Scene::new("missing-broker")?;
    scene.apply(&secret(
        "kafka",
        &json!({"bootstrapServers": "127.0.0.1:1", "securityProtocol": "PLAINTEXT"}),
    ))?;
    scene.apply(&with(notes("lost"), "/spec/source/kafka/connectionRef", elsewhere()))?;
    scene.wait_condition("lost", "TopicReady", "False", "KafkaUnreachable")?;
    neighbour_goes_on(&scene)
}

#[test]
fn a_wrong_password_is_no_outage() -> anyhow::Result<()> {
    let scene = Scene::new("wrong-password")?;
    scene.apply(&secret("clickhouse", &clickhouse("http://clickhouse.caudal-infra.svc:8123")))?;
    scene.apply(&with(notes("lost"), "/spec/sink/clickhouse/connectionRef", elsewhere()))?;
    scene.wait_condition("lost", "TableReady", "False", "AuthenticationFailed")?;
    neighbour_goes_on(&scene)
}
