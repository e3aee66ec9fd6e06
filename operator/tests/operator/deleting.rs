//! What goes with a pipeline, and what stays.

use caudal_model::DataPipeline;
use k8s_openapi::api::apps::v1::Deployment;
use serde_json::json;

use crate::stage::{Scene, spec, with};

fn until_gone(scene: &Scene, name: &str) {
    scene.until("the pipeline is gone", || scene.get::<DataPipeline>(name).is_none().then_some(()));
}

#[test]
fn delete_drops_everything_that_was_made() {
    let scene = Scene::new("dropping");
    scene.apply("orders", &with(spec(), "/deletionPolicy", json!("Delete")));
    scene.until_applied("orders");
    scene.delete("orders");
    until_gone(&scene, "orders");
    assert!(!scene.stage.topics().iter().any(|topic| topic.starts_with("dropping.")));
    assert!(!scene.stage.has_table("dropping.orders"));
    assert!(!scene.stage.has_table("dropping.orders__ledger"));
}

#[test]
fn while_reconciliation_is_paused_nothing_is_dropped() {
    let scene = Scene::new("held");
    scene.apply("orders", &with(spec(), "/deletionPolicy", json!("Delete")));
    scene.until_applied("orders");
    scene.annotate("orders", "caudal.dev/pause-reconciliation", Some("true"));
    scene.delete("orders");
    scene.until_condition("orders", "ReconciliationPaused", "True", "ReconciliationPaused");
    assert!(scene.stage.has_table("held.orders"));
    scene.annotate("orders", "caudal.dev/pause-reconciliation", None);
    until_gone(&scene, "orders");
    assert!(!scene.stage.has_table("held.orders"));
}

#[test]
fn retain_keeps_topics_and_tables_and_finds_them_again() {
    let scene = Scene::new("keeping");
    scene.apply("orders", &spec());
    let before = scene.until_applied("orders");
    scene.delete("orders");
    until_gone(&scene, "orders");
    scene
        .until("the workload is gone", || scene.get::<Deployment>("orders-ingestor").is_none().then_some(()));
    assert!(scene.stage.topics().iter().any(|topic| topic == "keeping.orders"));
    assert!(scene.stage.has_table("keeping.orders"));
    scene.apply("orders", &spec());
    let after = scene.until_applied("orders");
    assert_eq!((after.topic_id, after.table_uuid), (before.topic_id, before.table_uuid));
}

#[test]
fn the_finalizer_follows_the_policy() {
    let scene = Scene::new("policy");
    let finalizers = || scene.get::<DataPipeline>("orders")?.metadata.finalizers;
    scene.apply("orders", &with(spec(), "/deletionPolicy", json!("Delete")));
    scene.until("the finalizer is there", || (finalizers()? == ["caudal.dev/cleanup"]).then_some(()));
    scene.apply("orders", &with(spec(), "/deletionPolicy", json!("Retain")));
    scene.until("the finalizer is gone", || finalizers().is_none().then_some(()));
}

#[test]
fn a_topic_that_was_made_anew_by_others_stays() {
    let scene = Scene::new("anew");
    scene.apply("orders", &with(spec(), "/deletionPolicy", json!("Delete")));
    let before = scene.until_applied("orders");
    // The operator would make them again itself.
    scene.annotate("orders", "caudal.dev/pause-reconciliation", Some("true"));
    scene.until_condition("orders", "ReconciliationPaused", "True", "ReconciliationPaused");
    for topic in [&before.topic, &before.dead_letter_topic] {
        scene.stage.replace_topic(topic);
    }
    scene.annotate("orders", "caudal.dev/pause-reconciliation", None);
    scene.until("the new topics are recorded as others'", || {
        let resolved = scene.get::<DataPipeline>("orders")?.status?.resolved?;
        let ours = resolved.topic_created || resolved.dead_letter_topic_created;
        (!ours && resolved.topic_id != before.topic_id).then_some(())
    });
    scene.delete("orders");
    until_gone(&scene, "orders");
    let topics = scene.stage.topics();
    for topic in [&before.topic, &before.dead_letter_topic] {
        assert!(topics.contains(topic), "{topic} in {topics:?}");
    }
}

#[test]
fn a_topic_that_was_there_is_used_and_stays() {
    let scene = Scene::new("lent");
    scene.apply("maker", &with(spec(), "/source", json!({"kafka": {"topic": "lent-topic"}})));
    scene.until_applied("maker");
    scene.delete("maker");
    until_gone(&scene, "maker");
    let spec = with(spec(), "/source", json!({"kafka": {"topic": "lent-topic"}}));
    scene.apply("user", &with(spec, "/deletionPolicy", json!("Delete")));
    assert!(!scene.until_applied("user").topic_created);
    scene.delete("user");
    until_gone(&scene, "user");
    assert!(scene.stage.topics().iter().any(|topic| topic == "lent-topic"));
}
