//! One owner per topic and table: the older pipeline, or whoever was there.

use serde_json::json;

use crate::stage::{Scene, spec, with};

#[test]
fn the_younger_of_two_that_claim_a_topic_waits() {
    let scene = Scene::new("claims");
    let other = Scene::held(scene.stage, "claims-other");
    scene.apply("orders", &spec());
    scene.until_applied("orders");
    let claim = with(spec(), "/source", json!({"kafka": {"topic": "claims.orders"}}));
    other.apply("thief", &claim);
    let condition = other.until_condition("thief", "TopicReady", "False", "NameConflict");
    assert!(condition.message.contains("claims/orders"), "{}", condition.message);
    assert!(other.ingestor("thief").is_none());
    assert!(!scene.stage.has_table("claims_other.thief"));
    scene.until_applied("orders");
    // The owner goes, and the other has its turn.
    scene.delete("orders");
    other.until_applied("thief");
}

#[test]
fn of_two_applied_at_once_one_gets_the_topic_and_keeps_it() {
    let scene = Scene::new("race");
    let claim = with(spec(), "/source", json!({"kafka": {"topic": "race.shared"}}));
    let names = ["a", "b", "c", "d"];
    std::thread::scope(|threads| {
        for name in names {
            threads.spawn(|| scene.apply(name, &claim));
        }
    });
    let owner = scene.until("one owns the topic, and the others wait", || {
        let reasons: Vec<_> = names
            .iter()
            .map(|name| Some(scene.condition(name, "TopicReady")?.reason))
            .collect::<Option<_>>()?;
        let waiting = reasons.iter().filter(|reason| *reason == "NameConflict").count();
        let owner = reasons.iter().position(|reason| reason == "Reconciled")?;
        (waiting == names.len() - 1).then(|| names[owner])
    });
    // Every one is looked at again, and it stays so.
    for name in names {
        scene.apply(name, &with(claim.clone(), "/ingest", json!({"replicas": 2})));
    }
    scene.until_applied(owner);
    for name in names.into_iter().filter(|name| *name != owner) {
        scene.until_condition(name, "TopicReady", "False", "NameConflict");
        assert!(scene.ingestor(name).is_none());
    }
}

#[test]
fn one_cluster_behind_two_connections_is_one() {
    let scene = Scene::new("two-ways");
    scene.apply("orders", &spec());
    scene.until_applied("orders");
    let servers = scene.stage.kafka.bootstrap_servers();
    scene.stage.create_secret("two-ways", "mine", Some("kafka"), &[("bootstrapServers", &servers)]);
    let source = json!({"connectionRef": {"kind": "Secret", "name": "mine"}, "topic": "two-ways.orders"});
    scene.apply("thief", &with(spec(), "/source", json!({"kafka": source})));
    let condition = scene.until_condition("thief", "TopicReady", "False", "NameConflict");
    assert!(condition.message.contains("two-ways/orders"), "{}", condition.message);
    assert!(!scene.stage.has_table("two_ways.thief"));
}

#[test]
fn the_younger_of_two_that_claim_a_table_waits() {
    let scene = Scene::new("tables");
    scene.apply("orders", &spec());
    scene.until_applied("orders");
    let claim = with(spec(), "/sink/clickhouse/table", json!("orders"));
    scene.apply("thief", &claim);
    let condition = scene.until_condition("thief", "TableReady", "False", "NameConflict");
    assert!(condition.message.contains("tables/orders"), "{}", condition.message);
}

#[test]
fn a_table_that_was_there_is_not_taken() {
    let scene = Scene::new("foreign");
    let query = |sql: &str| scene.stage.clickhouse.query(sql).unwrap();
    query("CREATE DATABASE foreign");
    query("CREATE TABLE foreign.orders (id UInt64, name String) ENGINE = MergeTree ORDER BY id");
    scene.apply("orders", &spec());
    let condition = scene.until_condition("orders", "TableReady", "False", "NameConflict");
    assert!(condition.message.contains("existingTable"), "{}", condition.message);
    scene.until_condition("orders", "Ready", "False", "NameConflict");

    query("DROP TABLE foreign.orders SYNC");
    query(
        "CREATE TABLE foreign.orders (id UInt64, name String) ENGINE = MergeTree ORDER BY id COMMENT 'other/a/b'",
    );
    let condition = scene.until_condition("orders", "TableReady", "False", "NameConflict");
    scene.until("it names the owner", || {
        scene.condition("orders", "TableReady")?.message.contains("other/a/b").then_some(())
    });
    drop(condition);
}

#[test]
fn the_same_name_in_two_namespaces_works() {
    let scene = Scene::new("twin-a");
    let other = Scene::held(scene.stage, "twin-b");
    scene.apply("orders", &spec());
    other.apply("orders", &spec());
    assert_eq!(scene.until_applied("orders").topic, "twin-a.orders");
    let resolved = other.until_applied("orders");
    assert_eq!((resolved.topic.as_str(), resolved.database.as_str()), ("twin-b.orders", "twin_b"));
}

/// A table somebody made by hand, with every column a row needs.
fn create_by_hand(scene: &Scene, table: &str, settings: &str) {
    let columns = "id UInt64, name String, _kafka_source UInt64, _kafka_partition Int32, _kafka_offset Int64, \
                   _kafka_timestamp DateTime64(3, 'UTC')";
    let sql = format!(
        "CREATE TABLE {table} ({columns}) ENGINE = MergeTree PRIMARY KEY id \
         ORDER BY (id, _kafka_source, _kafka_partition, _kafka_offset) {settings}"
    );
    scene.stage.clickhouse.query(&sql).unwrap();
}

#[test]
fn a_table_in_use_by_existing_table_is_never_altered() {
    let scene = Scene::new("existing");
    let query = |sql: &str| scene.stage.clickhouse.query(sql).unwrap();
    query("CREATE DATABASE existing");
    create_by_hand(
        &scene,
        "existing.mine",
        "SETTINGS non_replicated_deduplication_window = 10000, fsync_after_insert = 1, fsync_part_directory = 1",
    );
    let before = query("SHOW CREATE TABLE existing.mine");
    let spec =
        with(spec(), "/sink/clickhouse", json!({"orderBy": ["id"], "table": "mine", "existingTable": true}));
    let spec = with(spec, "/deletionPolicy", json!("Delete"));
    scene.apply("orders", &spec);
    assert!(!scene.until_applied("orders").table_created);
    scene.delete("orders");
    scene.until("the pipeline is gone", || {
        scene.get::<caudal_model::DataPipeline>("orders").is_none().then_some(())
    });
    assert_eq!(query("SHOW CREATE TABLE existing.mine"), before);
}
