//! Apply → objects, topic, table and conditions; apply again → nothing.

use std::collections::BTreeMap;

use caudal_model::resource::DataPipeline;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Secret, Service, ServiceAccount};
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::ResourceExt;
use kube::api::{DeleteParams, ListParams};
use serde_json::json;

use crate::stage::{Scene, spec, with};

#[test]
fn a_pipeline_gets_its_topics_tables_and_workloads() {
    let scene = Scene::new("applying");
    let pipeline = scene.apply("orders", &spec());
    let resolved = scene.until_applied("orders");

    let topics = scene.stage.topics();
    for topic in ["applying.orders", "applying.orders.dead-letters"] {
        assert!(topics.iter().any(|found| found == topic), "{topic} in {topics:?}");
    }
    assert_eq!(scene.stage.partitions("applying.orders"), 2);
    assert_eq!(scene.stage.partitions("applying.orders.dead-letters"), 1);
    assert!(scene.stage.has_table("applying.orders"));
    assert!(scene.stage.has_table("applying.orders__ledger"));
    assert!(resolved.topic_created && resolved.dead_letter_topic_created && resolved.table_created);
    assert_eq!(resolved.topic_id.as_ref().map(String::len), Some(22));
    let uuid = scene
        .stage
        .clickhouse
        .query("SELECT uuid FROM system.tables WHERE database = 'applying' AND name = 'orders'")
        .unwrap();
    assert_eq!(resolved.table_uuid.as_ref(), Some(&uuid));
    assert_eq!(scene.plan("orders").sink.table_uuid, uuid);

    for workload in ["orders-ingestor", "orders-api"] {
        let deployment: Deployment = scene.get(workload).unwrap();
        assert_eq!(deployment.owner_references()[0].uid, pipeline.uid().unwrap());
        assert!(scene.get::<ServiceAccount>(workload).is_some());
        assert!(scene.get::<NetworkPolicy>(workload).is_some());
        assert!(scene.get::<PodDisruptionBudget>(workload).is_some());
    }
    assert!(scene.get::<Service>("orders-api").is_some());
    let files = |name| {
        let secret: Secret = scene.get(name).unwrap();
        secret
            .data
            .unwrap()
            .into_iter()
            .map(|(key, value)| (key, String::from_utf8(value.0).unwrap()))
            .collect::<BTreeMap<_, _>>()
    };
    let ingestor = files("orders-ingestor-credentials");
    assert_eq!(ingestor["kafka-username"], caudal_testbed::kafka::DATA.name);
    assert_eq!(ingestor["clickhouse-username"], caudal_testbed::clickhouse::INGEST.name);
    let api = files("orders-api-credentials");
    assert_eq!(api["clickhouse-username"], caudal_testbed::clickhouse::READER.name);
    assert!(!api.contains_key("kafka-username"));

    let status = scene.get::<DataPipeline>("orders").unwrap().status.unwrap();
    assert_eq!(status.url.as_deref(), Some("http://orders-api.applying.svc"));
    assert_eq!(status.observed_generation, pipeline.metadata.generation);
    scene.until_condition("orders", "Ready", "False", "RolloutInProgress");
    scene.until("an Event tells of the topic", || {
        let events = scene.stage.block_on(scene.api::<Event>().list(&ListParams::default())).unwrap();
        let tells =
            |event: &Event| event.note.as_deref().is_some_and(|note| note.starts_with("TopicReady is True"));
        events.iter().any(tells).then_some(())
    });
}

#[test]
fn applying_the_same_again_changes_nothing() {
    let scene = Scene::new("again");
    scene.apply("orders", &spec());
    scene.until_applied("orders");
    let versions = || {
        let mut versions = BTreeMap::new();
        macro_rules! list {
            ($($kind:ty),*) => {$(
                for object in scene.stage.block_on(scene.api::<$kind>().list(&ListParams::default())).unwrap() {
                    versions.insert(format!("{}/{}", stringify!($kind), object.name_any()), object.resource_version());
                }
            )*};
        }
        list!(ConfigMap, Secret, ServiceAccount, Service, NetworkPolicy, PodDisruptionBudget, Deployment);
        versions
    };
    // The Deployments' own controllers must be done with them.
    let quiet = scene.until("the objects are quiet", || {
        let before = versions();
        std::thread::sleep(std::time::Duration::from_secs(2));
        (versions() == before).then_some(before)
    });
    let status = scene.get::<DataPipeline>("orders").unwrap().status;
    scene.apply("orders", &spec());
    // Makes sure that a reconcile runs, and tells when it has: the generation changes.
    let paused = with(spec(), "/deletionPolicy", json!("Delete"));
    scene.apply("orders", &paused);
    scene.until_applied("orders");
    assert_eq!(versions(), quiet);
    let now = scene.get::<DataPipeline>("orders").unwrap().status;
    let times = |status: &Option<caudal_model::resource::DataPipelineStatus>| {
        let conditions = &status.as_ref().unwrap().conditions;
        conditions
            .iter()
            .map(|found| (found.type_.clone(), found.last_transition_time.clone()))
            .collect::<Vec<_>>()
    };
    assert_eq!(times(&now), times(&status));
}

#[test]
fn a_hand_edit_is_put_back() {
    let scene = Scene::new("edited");
    scene.apply("orders", &spec());
    scene.until_applied("orders");
    scene.merge::<Deployment>("orders-ingestor", &json!({"spec": {"replicas": 7}}));
    scene.until("one replica again", || (scene.ingestor("orders")?.spec?.replicas == Some(1)).then_some(()));
    scene.stage.block_on(scene.api::<Service>().delete("orders-api", &DeleteParams::default())).unwrap();
    scene.until("the Service is there again", || scene.get::<Service>("orders-api"));
}

#[test]
fn an_object_of_somebody_else_is_neither_taken_nor_removed() {
    let scene = Scene::new("neighbours");
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "orders-api"},
        "spec": {"ports": [{"port": 1234}]},
    });
    let deployment = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "orders-api"},
        "spec": {
            "replicas": 0, "selector": {"matchLabels": {"app": "shop"}},
            "template": {
                "metadata": {"labels": {"app": "shop"}},
                "spec": {"containers": [{"name": "shop", "image": "shop"}]},
            },
        },
    });
    scene.create::<Service>(&service);
    scene.create::<Deployment>(&deployment);
    let port = || Some(scene.get::<Service>("orders-api")?.spec?.ports?[0].port);
    let mut silent = spec();
    silent.as_object_mut().unwrap().remove("api");
    scene.apply("orders", &silent);
    scene.until_applied("orders");

    scene.apply("orders", &spec());
    let condition = scene.until_condition("orders", "Ready", "False", "ObjectRefused");
    assert!(condition.message.contains("Service \"orders-api\""), "{}", condition.message);
    scene.apply("orders", &silent);
    scene.until_applied("orders");
    assert_eq!(port(), Some(1234));
    assert!(scene.get::<Deployment>("orders-api").unwrap().metadata.owner_references.is_none());
    assert!(scene.get::<ServiceAccount>("orders-api").is_none());
}

#[test]
fn a_paused_pipeline_has_no_consumers_and_keeps_its_api() {
    let scene = Scene::new("paused");
    scene.apply("orders", &with(spec(), "/paused", json!(true)));
    scene.until_condition("orders", "Paused", "True", "Paused");
    scene.until_condition("orders", "ConsumersReady", "True", "Paused");
    assert_eq!(scene.ingestor("orders").unwrap().spec.unwrap().replicas, Some(0));
    assert_eq!(scene.get::<Deployment>("orders-api").unwrap().spec.unwrap().replicas, Some(1));
    scene.apply("orders", &spec());
    scene.until_applied("orders");
    assert!(scene.condition("orders", "Paused").is_none());
}

#[test]
fn while_reconciliation_is_paused_nothing_is_put_back() {
    let scene = Scene::new("frozen");
    scene.apply("orders", &spec());
    scene.until_applied("orders");
    scene.annotate("orders", "caudal.dev/pause-reconciliation", Some("true"));
    scene.until_condition("orders", "ReconciliationPaused", "True", "ReconciliationPaused");
    scene.apply("orders", &with(spec(), "/ingest", json!({"replicas": 2})));
    scene.until_condition("orders", "ReconciliationPaused", "True", "ReconciliationPaused");
    assert_eq!(scene.ingestor("orders").unwrap().spec.unwrap().replicas, Some(1));
    scene.annotate("orders", "caudal.dev/pause-reconciliation", None);
    scene.until("two replicas", || (scene.ingestor("orders")?.spec?.replicas == Some(2)).then_some(()));
    scene.until("the condition is gone", || {
        scene.condition("orders", "ReconciliationPaused").is_none().then_some(())
    });
}

#[test]
fn an_api_that_is_not_wanted_any_more_goes() {
    let scene = Scene::new("silent");
    scene.apply("orders", &spec());
    scene.until_applied("orders");
    scene.until("the API is there", || scene.get::<Deployment>("orders-api"));
    let mut silent = spec();
    silent.as_object_mut().unwrap().remove("api");
    scene.apply("orders", &silent);
    scene.until("the API is gone", || {
        let gone =
            scene.get::<Deployment>("orders-api").is_none() && scene.get::<Service>("orders-api").is_none();
        gone.then_some(())
    });
    scene.until_applied("orders");
    assert!(scene.condition("orders", "APIReady").is_none());
}
