//! Connections of a pipeline's own, and what is wrong with them.

use caudal_testbed::{clickhouse, kafka};
use serde_json::{Value, json};

use crate::stage::{Scene, spec, with};

fn own_kafka() -> Value {
    let reference = json!({"kafka": {"connectionRef": {"kind": "Secret", "name": "mine"}}});
    with(spec(), "/source", reference)
}

#[test]
fn a_missing_secret_is_named_and_found_when_it_comes() {
    let scene = Scene::new("secrets");
    scene.apply("orders", &own_kafka());
    let condition = scene.until_condition("orders", "TopicReady", "False", "SecretNotFound");
    for part in ["\"mine\"", "\"secrets\"", "caudal.dev/connection: kafka", "bootstrapServers"] {
        assert!(condition.message.contains(part), "{part} in {}", condition.message);
    }
    scene.until_condition("orders", "TableReady", "True", "Reconciled");
    let servers = scene.stage.kafka.sasl_bootstrap_servers();
    let values = [
        ("bootstrapServers", servers.as_str()),
        ("securityProtocol", "SASL_PLAINTEXT"),
        ("saslMechanism", "SCRAM-SHA-512"),
        ("username", kafka::ADMIN.name),
        ("password", kafka::ADMIN.password),
    ];
    scene.stage.create_secret("secrets", "mine", None, &values);
    scene.until("the label is asked for", || {
        scene.condition("orders", "TopicReady")?.message.contains("has no label").then_some(())
    });
    scene.stage.create_secret("secrets", "mine", Some("kafka"), &values);
    assert_eq!(scene.until_applied("orders").kafka_connection, "secret/mine");
}

#[test]
fn a_wrong_password_is_told_from_an_outage() {
    let scene = Scene::new("passwords");
    let servers = scene.stage.kafka.sasl_bootstrap_servers();
    let kafka = |password| {
        [
            ("bootstrapServers", servers.as_str()),
            ("securityProtocol", "SASL_PLAINTEXT"),
            ("username", kafka::ADMIN.name),
            ("password", password),
        ]
    };
    let url = scene.stage.clickhouse.url();
    let clickhouse = |password| {
        [
            ("url", url.as_str()),
            ("username", clickhouse::ADMIN.name),
            ("password", password),
            ("reader-username", clickhouse::READER.name),
            ("reader-password", clickhouse::READER.password),
        ]
    };
    scene.stage.create_secret("passwords", "mine", Some("kafka"), &kafka("wrong"));
    scene.stage.create_secret("passwords", "store", Some("clickhouse"), &clickhouse("wrong"));
    let store = json!({"kind": "Secret", "name": "store"});
    scene.apply("orders", &with(own_kafka(), "/sink/clickhouse/connectionRef", store));
    scene.until_condition("orders", "TopicReady", "False", "AuthenticationFailed");
    scene.until_condition("orders", "TableReady", "False", "AuthenticationFailed");
    // The clients with the old passwords are dropped.
    scene.stage.create_secret("passwords", "mine", Some("kafka"), &kafka(kafka::ADMIN.password));
    scene.stage.create_secret(
        "passwords",
        "store",
        Some("clickhouse"),
        &clickhouse(clickhouse::ADMIN.password),
    );
    scene.until_applied("orders");
}

#[test]
fn nobody_at_an_address_is_an_outage_and_holds_up_nobody_else() {
    let scene = Scene::new("nobody");
    scene.stage.create_secret("nobody", "mine", Some("kafka"), &[("bootstrapServers", "127.0.0.1:1")]);
    scene.stage.create_secret("nobody", "store", Some("clickhouse"), &[("url", "http://127.0.0.1:1")]);
    let store = json!({"kind": "Secret", "name": "store"});
    scene.apply("lost", &with(own_kafka(), "/sink/clickhouse/connectionRef", store));
    scene.apply("orders", &spec());
    scene.until_applied("orders");
    scene.until_condition("lost", "TopicReady", "False", "KafkaUnreachable");
    scene.until_condition("lost", "TableReady", "False", "ClickHouseUnreachable");
}
