//! Fields that are added, and edits a table can't follow.

use caudal_model::resource::DataPipeline;
use serde_json::json;

use crate::stage::{Scene, spec, with};

#[test]
fn an_added_field_becomes_a_column_and_a_new_plan() {
    let scene = Scene::new("added");
    scene.apply("orders", &spec());
    scene.until_applied("orders");
    let before = scene.plan("orders");
    let fields = json!([
        {"name": "id", "type": "UInt64"},
        {"name": "name", "type": "String"},
        {"name": "note", "type": "String", "nullable": true},
        {"name": "state", "type": "String", "default": "new"},
    ]);
    scene.apply("orders", &with(spec(), "/schema/fields", fields));
    scene.until_applied("orders");
    let columns = scene
        .stage
        .clickhouse
        .query("SELECT name, type FROM system.columns WHERE database = 'added' AND table = 'orders' ORDER BY position")
        .unwrap();
    assert!(
        columns.starts_with("id\tUInt64\nname\tString\nnote\tNullable(String)\nstate\tString\n"),
        "{columns}"
    );
    scene.until("a new plan runs", || (scene.plan("orders") != before).then_some(()));
    assert_eq!(scene.plan("orders").fields.len(), 4);
}

#[test]
fn an_edit_the_table_can_not_follow_leaves_the_old_plan_running() {
    let scene = Scene::new("edits");
    scene.apply("orders", &spec());
    scene.until_applied("orders");
    let before = scene.plan("orders");
    let fields = json!([
        {"name": "id", "type": "UInt64"},
        {"name": "name", "type": "String"},
        {"name": "note", "type": "String"},
    ]);
    scene.apply("orders", &with(spec(), "/schema/fields", fields));
    let condition = scene.until_condition("orders", "TableReady", "False", "SchemaIncompatible");
    assert!(condition.message.contains("note"), "{}", condition.message);
    scene.until_condition("orders", "Ready", "False", "SchemaIncompatible");
    assert_eq!(scene.plan("orders"), before);
    scene.apply("orders", &spec());
    scene.until_applied("orders");
}

#[test]
fn more_partitions_are_added_and_none_is_taken() {
    let scene = Scene::new("wider");
    let partitions =
        |count: i32| with(spec(), "/source", json!({"kafka": {"create": {"partitions": count}}}));
    scene.apply("orders", &partitions(2));
    scene.until_applied("orders");
    scene.apply("orders", &partitions(4));
    scene.until("four are recorded", || {
        let pipeline: DataPipeline = scene.get("orders")?;
        (pipeline.status?.resolved?.partitions == Some(4)).then_some(())
    });
    assert_eq!(scene.stage.partitions("wider.orders"), 4);
}

#[test]
fn settings_of_topics_follow_the_spec_and_what_can_not_is_told() {
    let scene = Scene::new("settings");
    let of = |days: i32, create: serde_json::Value| {
        let spec = with(spec(), "/deadLetter", json!({"retentionDays": days}));
        with(spec, "/source", json!({"kafka": {"create": create}}))
    };
    scene.apply("orders", &of(3, json!({"config": {"retention.ms": "3600000"}})));
    let resolved = scene.until_applied("orders");
    let setting = |topic: &str, key: &str| scene.stage.topic_setting(topic, key).unwrap();
    assert_eq!(setting(&resolved.dead_letter_topic, "retention.ms"), "259200000");
    let config = json!({"retention.ms": "7200000", "max.message.bytes": "2000000"});
    scene.apply("orders", &of(5, json!({"config": config, "replicationFactor": 2})));
    scene.until("the settings are changed", || {
        let kept = setting(&resolved.topic, "retention.ms") == "7200000"
            && setting(&resolved.topic, "max.message.bytes") == "2000000";
        let letters = setting(&resolved.dead_letter_topic, "retention.ms") == "432000000"
            && setting(&resolved.dead_letter_topic, "max.message.bytes") == "2065536";
        (kept && letters).then_some(())
    });
    let condition = scene.until_condition("orders", "DefaultsDiffer", "True", "RecordWins");
    assert!(condition.message.contains("replicationFactor is 2"), "{}", condition.message);
    scene.apply("orders", &of(5, json!({"config": {"retention.ms": "soon"}})));
    let condition = scene.until_condition("orders", "TopicReady", "False", "KafkaRefused");
    assert!(condition.message.contains("retention.ms = soon"), "{}", condition.message);
}

#[test]
fn a_table_that_is_replaced_is_told() {
    let scene = Scene::new("replaced");
    scene.apply("orders", &spec());
    scene.until_applied("orders");
    scene.stage.clickhouse.query("DROP TABLE replaced.orders SYNC").unwrap();
    scene.apply("orders", &with(spec(), "/ingest", json!({"replicas": 2})));
    scene.until_condition("orders", "TableReady", "False", "TableChanged");
    assert!(!scene.stage.has_table("replaced.orders"));
}

#[test]
fn a_default_that_does_not_parse_is_told_and_nothing_is_made() {
    let scene = Scene::new("invalid");
    let fields = json!([{"name": "id", "type": "UInt64", "default": "many"}]);
    scene.apply("orders", &with(spec(), "/schema/fields", fields));
    let condition = scene.until_condition("orders", "Ready", "False", "InvalidSpec");
    assert!(condition.message.contains("spec.schema.fields[id].default"), "{}", condition.message);
    assert!(!scene.stage.topics().iter().any(|topic| topic == "invalid.orders"));
    assert!(scene.ingestor("orders").is_none());
}

#[test]
fn unknown_members_get_their_column_when_they_are_to_be_stored() {
    let scene = Scene::new("unknown");
    scene.apply("orders", &spec());
    scene.until_applied("orders");
    let before = scene.plan("orders");
    let columns = || {
        let sql = "SELECT name, type, default_expression FROM system.columns WHERE database = 'unknown' AND \
                   table = 'orders' AND name NOT LIKE '_kafka%' ORDER BY position";
        scene.stage.clickhouse.query(sql).unwrap()
    };
    let database = "unknown.orders (id, name)";
    scene.stage.clickhouse.query(&format!("INSERT INTO {database} VALUES (1, 'old')")).unwrap();
    scene.apply("orders", &with(spec(), "/schema/unknownFields", json!("Store")));
    scene.until("a new plan runs", || (scene.plan("orders") != before).then_some(()));
    scene.until_applied("orders");
    let stored = "id\tUInt64\t\nname\tString\t\n_unknown\tString\t\\'{}\\'";
    assert_eq!(columns().trim(), stored);
    assert_eq!(scene.stage.clickhouse.query("SELECT _unknown FROM unknown.orders").unwrap().trim(), "{}");
    // Fields that come later stand before it.
    let fields = json!([
        {"name": "id", "type": "UInt64"},
        {"name": "name", "type": "String"},
        {"name": "city", "from": "customer.city", "type": "String", "nullable": true},
    ]);
    let storing =
        with(with(spec(), "/schema/fields", fields.clone()), "/schema/unknownFields", json!("Store"));
    scene.apply("orders", &storing);
    let place = "id name city _unknown";
    scene.until("the field is added", || {
        let names: Vec<_> =
            columns().lines().filter_map(|line| line.split('\t').next().map(str::to_owned)).collect();
        (names.join(" ") == place).then_some(())
    });
    scene.until_applied("orders");
    // Taken back, the column stays and fills itself.
    let storing = scene.plan("orders");
    scene.apply("orders", &with(spec(), "/schema/fields", fields));
    scene.until("the plan no longer stores", || {
        let plan = scene.plan("orders");
        (plan != storing && plan.unknown_fields.is_ignore()).then_some(())
    });
    scene.until_applied("orders");
    assert!(columns().contains("_unknown"));
}

#[test]
fn fields_that_read_the_same_value_are_told_and_nothing_is_made() {
    let scene = Scene::new("same");
    let fields = json!([
        {"name": "id", "type": "UInt64"},
        {"name": "home", "type": "String"},
        {"name": "city", "from": "home.city", "type": "String"},
    ]);
    scene.apply("orders", &with(spec(), "/schema/fields", fields));
    let condition = scene.until_condition("orders", "Ready", "False", "InvalidSpec");
    let said = "spec.schema.fields[city].from: \"home.city\" is a part of what home reads";
    assert!(condition.message.contains(said), "{}", condition.message);
    assert!(scene.ingestor("orders").is_none());
}
