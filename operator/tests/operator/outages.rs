//! Parts that go away and come back. These tests hold the stage alone.

use k8s_openapi::api::core::v1::ConfigMap;
use serde_json::json;

use crate::stage::{Scene, alone, spec, with};

#[test]
fn a_broker_that_goes_is_told_and_the_workload_stays() {
    let (stage, _guard) = alone();
    let scene = Scene::held(stage, "broker");
    scene.apply("orders", &spec());
    scene.until_applied("orders");
    let plan = scene.plan("orders");
    stage.kafka.kill();
    scene.until_condition("orders", "TopicReady", "False", "KafkaUnreachable");
    // What Kubernetes holds is still looked after, even where it is broken.
    let api_plan = scene.mounted_plan("orders-api");
    scene.remove::<ConfigMap>(&api_plan);
    scene.apply("orders", &with(spec(), "/ingest", json!({"replicas": 2})));
    scene.until("two replicas", || (scene.ingestor("orders")?.spec?.replicas == Some(2)).then_some(()));
    assert_eq!(scene.plan("orders"), plan);
    assert_eq!(scene.mounted_plan("orders-api"), api_plan);
    stage.kafka.restart().unwrap();
    scene.until_applied("orders");
    scene.until("the API's plan is there again", || scene.get::<ConfigMap>(&api_plan));
}

#[test]
fn a_server_that_goes_is_told_and_blocks_a_deletion_loudly() {
    let (stage, _guard) = alone();
    let scene = Scene::held(stage, "server");
    scene.apply("orders", &with(spec(), "/deletionPolicy", json!("Delete")));
    scene.apply("left", &with(spec(), "/deletionPolicy", json!("Delete")));
    scene.until_applied("orders");
    scene.until_applied("left");
    stage.clickhouse.kill();
    scene.until_condition("orders", "TableReady", "False", "ClickHouseUnreachable");

    scene.delete("orders");
    scene.delete("left");
    let condition = scene.until("the deletion is blocked", || {
        scene.condition("orders", "DeletionBlocked").filter(|found| found.status == "True")
    });
    assert_eq!(condition.reason, "ClickHouseUnreachable");
    let gone = |name| scene.get::<caudal_model::DataPipeline>(name).is_none().then_some(());
    scene.annotate("left", "caudal.dev/abandon-external", Some("true"));
    scene.until("the abandoned one is gone", || gone("left"));
    assert!(gone("orders").is_none());

    stage.clickhouse.restart().unwrap();
    scene.until("the other is gone", || gone("orders"));
    assert!(!stage.has_table("server.orders"));
    assert!(stage.has_table("server.left"));
}
