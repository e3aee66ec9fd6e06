//! Exactly once where the table can hold it; at least once, visibly, where not.

use caudal_model::resource::{DataPipeline, Delivery};
use k8s_openapi::api::events::v1::Event;
use kube::api::ListParams;
use serde_json::{Value, json};

use crate::stage::{Scene, spec, with};

fn sql(scene: &Scene, text: &str) -> String {
    scene.stage.clickhouse.query(text).unwrap()
}

/// Waits until status and plan say so.
fn until_delivery(scene: &Scene, name: &str, delivery: Delivery) {
    scene.until(&format!("delivery is {delivery:?}"), || {
        let status = scene.get::<DataPipeline>(name)?.status?;
        let told = status.delivery == Some(delivery);
        (told && scene.plan(name).ingest?.delivery == delivery).then_some(())
    });
}

fn until_event(scene: &Scene, kind: &str, begin: &str) {
    scene.until(&format!("an Event {begin}"), || {
        let events = scene.stage.block_on(scene.api::<Event>().list(&ListParams::default())).unwrap();
        let tells = |event: &&Event| event.note.as_deref().is_some_and(|note| note.starts_with(begin));
        let found = events.iter().find(tells)?.type_.clone();
        assert_eq!(found.as_deref(), Some(kind));
        Some(())
    });
}

/// A spec that uses the table which is there.
fn existing() -> Value {
    with(spec(), "/sink/clickhouse/existingTable", json!(true))
}

/// Makes the database and a table like that of [`spec`] in it.
fn create_table(scene: &Scene, engine: &str) {
    let database = &scene.namespace;
    sql(scene, &format!("CREATE DATABASE IF NOT EXISTS {database}"));
    sql(
        scene,
        &format!(
            "CREATE TABLE {database}.orders (id UInt64, name String, _kafka_source UInt64, _kafka_partition Int32, \
             _kafka_offset Int64, _kafka_timestamp DateTime64(3, 'UTC')) ENGINE = {engine}"
        ),
    );
}

const SORTED: &str = "ORDER BY (id, _kafka_source, _kafka_partition, _kafka_offset) PRIMARY KEY id";

#[test]
fn a_view_added_later_downgrades_visibly_and_heals_when_it_goes() {
    let scene = Scene::new("viewed");
    scene.apply("orders", &spec());
    scene.until_applied("orders");
    until_delivery(&scene, "orders", Delivery::ExactlyOnce);
    assert!(scene.condition("orders", "DeliveryDowngraded").is_none());

    sql(
        &scene,
        "CREATE TABLE viewed.counted (name String, n UInt64) ENGINE = SummingMergeTree ORDER BY name",
    );
    let select = "SELECT name, count() AS n FROM viewed.orders GROUP BY name";
    sql(&scene, &format!("CREATE MATERIALIZED VIEW viewed.counts TO viewed.counted AS {select}"));
    scene.settle("orders");
    let condition = scene.until_condition("orders", "DeliveryDowngraded", "True", "MaterializedView");
    assert!(condition.message.contains("viewed.counts"), "{}", condition.message);
    until_delivery(&scene, "orders", Delivery::AtLeastOnce);
    scene.until_condition("orders", "TableReady", "True", "Reconciled");
    until_event(&scene, "Warning", "DeliveryDowngraded is True: the materialized view viewed.counts");

    sql(&scene, "DROP VIEW viewed.counts SYNC");
    scene.settle("orders");
    scene.until_condition("orders", "DeliveryDowngraded", "False", "Reconciled");
    until_delivery(&scene, "orders", Delivery::ExactlyOnce);
    until_event(&scene, "Normal", "DeliveryDowngraded is False: delivery is ExactlyOnce");
}

#[test]
fn settings_that_are_missing_are_named_with_the_statement_that_helps() {
    let scene = Scene::new("lacking");
    create_table(&scene, &format!("MergeTree {SORTED}"));
    scene.apply("orders", &existing());
    let condition = scene.until_condition("orders", "DeliveryDowngraded", "True", "TableSettings");
    let (_, alter) = condition.message.split_once("run ").expect("a statement");
    assert!(alter.starts_with("ALTER TABLE `lacking`.`orders` MODIFY SETTING"), "{alter}");
    until_delivery(&scene, "orders", Delivery::AtLeastOnce);
    sql(&scene, alter);
    scene.settle("orders");
    until_delivery(&scene, "orders", Delivery::ExactlyOnce);
}

#[test]
fn a_table_that_merges_rows_gets_them_at_least_once() {
    let scene = Scene::new("merging");
    create_table(&scene, "ReplacingMergeTree ORDER BY id");
    scene.apply("orders", &existing());
    let condition = scene.until_condition("orders", "DeliveryDowngraded", "True", "EngineNotExact");
    assert!(condition.message.contains("ReplacingMergeTree merges rows"), "{}", condition.message);
    until_delivery(&scene, "orders", Delivery::AtLeastOnce);

    // Asked for, it is no downgrade.
    scene.apply("orders", &with(existing(), "/ingest", json!({"delivery": "AtLeastOnce"})));
    scene.until_condition("orders", "DeliveryDowngraded", "False", "Reconciled");
    until_delivery(&scene, "orders", Delivery::AtLeastOnce);
}

#[test]
fn what_is_no_table_for_rows_is_refused() {
    let scene = Scene::new("viewonly");
    sql(&scene, "CREATE DATABASE viewonly");
    sql(&scene, "CREATE VIEW viewonly.orders AS SELECT 1 AS id");
    scene.apply("orders", &existing());
    let condition = scene.until_condition("orders", "TableReady", "False", "SchemaIncompatible");
    assert!(condition.message.contains("engine is View"), "{}", condition.message);
}

#[test]
fn at_least_once_is_what_the_plan_says_when_it_is_asked_for() {
    let scene = Scene::new("asked");
    scene.apply("orders", &with(spec(), "/ingest", json!({"delivery": "AtLeastOnce"})));
    scene.until_applied("orders");
    until_delivery(&scene, "orders", Delivery::AtLeastOnce);
    assert!(scene.condition("orders", "DeliveryDowngraded").is_none());
}

#[test]
fn a_server_is_tested_once_and_nothing_is_left() {
    let (stage, _guard) = crate::stage::alone();
    let scene = Scene::held(stage, "tested");
    let tables = || {
        let names = "SELECT database || '.' || name FROM system.tables WHERE name LIKE 'caudal_self_test_%' ORDER BY 1";
        sql(&scene, names)
    };
    // What operators leave that die during their test.
    let leave = |table: &str, owner: &str| {
        sql(&scene, &format!("CREATE TABLE tested.{table} (unit UInt8) ENGINE = Memory COMMENT '{owner}'"));
    };
    sql(&scene, "CREATE DATABASE tested");
    leave("caudal_self_test_a", "caudal/tested/orders");
    leave("caudal_self_test_b", "other/tested/orders");
    // Through another connection it is another server.
    let mut secret = crate::stage::clickhouse_logins().to_vec();
    let url = stage.clickhouse.url();
    secret.push(("url", &url));
    stage.create_secret("tested", "mine", Some("clickhouse"), &secret);
    let spec = with(spec(), "/sink/clickhouse/connectionRef", json!({"kind": "Secret", "name": "mine"}));
    scene.apply("orders", &spec);
    until_delivery(&scene, "orders", Delivery::ExactlyOnce);
    assert_eq!(tables(), "tested.caudal_self_test_b", "another's stays");

    // A second test would drop this.
    leave("caudal_self_test_c", "caudal/tested/orders");
    scene.apply("payments", &spec);
    until_delivery(&scene, "payments", Delivery::ExactlyOnce);
    assert_eq!(tables(), "tested.caudal_self_test_b\ntested.caudal_self_test_c");
}
