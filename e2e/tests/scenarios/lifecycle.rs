//! From apply to delete: what changes, what stays, what goes.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::ensure;
use caudal_e2e::manifest::{note_messages, notes, with};
use caudal_e2e::scene::PATIENCE;
use caudal_e2e::{Scene, eventually, holds};
use serde_json::{Value, json};

/// What would change if anything rolled, by object.
fn revisions(scene: &Scene, name: &str) -> anyhow::Result<BTreeMap<String, String>> {
    let kinds = "deployment,replicaset,service,configmap,networkpolicy,poddisruptionbudget,pod";
    let mut seen = BTreeMap::new();
    for object in scene.owned(kinds, name)? {
        let metadata = &object["metadata"];
        let name = format!("{} {}", object["kind"], metadata["name"]);
        seen.insert(name, format!("{} generation {}", metadata["uid"], metadata["generation"]));
    }
    Ok(seen)
}

#[test]
fn an_unchanged_apply_changes_nothing() -> anyhow::Result<()> {
    let scene = Scene::new("unchanged")?;
    scene.apply(&notes("notes"))?;
    scene.wait_ready("notes")?;
    let before = revisions(&scene, "notes")?;
    assert!(scene.apply(&notes("notes"))?.contains("unchanged"));
    scene.kubectl(&["annotate", "datapipeline", "notes", "team=data"])?;
    holds("nothing rolls", Duration::from_secs(5), || {
        let now = revisions(&scene, "notes")?;
        let differ = |(name, revision): &(&String, &String)| before.get(*name) != Some(*revision);
        let new: Vec<_> = now.iter().filter(differ).collect();
        let gone: Vec<_> = before.keys().filter(|name| !now.contains_key(*name)).collect();
        Ok(if new.is_empty() && gone.is_empty() {
            Ok(())
        } else {
            Err(format!("new or changed: {new:?}; gone: {gone:?}; before: {before:?}"))
        })
    })
}

#[test]
fn a_hand_edited_deployment_is_put_back() -> anyhow::Result<()> {
    let scene = Scene::new("hand-edit")?;
    scene.apply(&notes("notes"))?;
    scene.wait_ready("notes")?;
    scene.kubectl(&["scale", "deployment", "notes-ingestor", "--replicas=3"])?;
    eventually("one replica again", PATIENCE, || {
        let replicas = scene.object("deployment", "notes-ingestor")?["spec"]["replicas"].clone();
        ensure!(replicas == 1, "{replicas} replicas");
        Ok(())
    })
}

#[test]
fn an_added_field_appears_in_table_and_api() -> anyhow::Result<()> {
    let scene = Scene::new("added-field")?;
    scene.apply(&notes("notes"))?;
    scene.wait_ready("notes")?;
    scene.publish("notes", &note_messages(0..10))?;
    scene.wait_rows("notes", 10)?;
    let wider = with(
        notes("notes"),
        "/spec/schema/fields/2",
        json!({"name": "lang", "type": "String", "nullable": true}),
    );
    scene.apply(&wider)?;
    eventually("the new field in the schema", PATIENCE, || {
        let schema = scene.get("notes", "/v1/schema")?.text()?;
        ensure!(schema.contains("lang"), "{schema}");
        Ok(())
    })?;
    scene.wait_ready("notes")?;
    let mut message = note_messages(10..11).remove(0);
    message.value = Some(br#"{"id":10,"note":"note 10","lang":"es"}"#.to_vec());
    scene.publish("notes", &[message])?;
    let rows = scene.wait_rows("notes", 11)?;
    let of = |id: u64| rows.iter().find(|row| row["id"] == id).map(|row| row["lang"].clone());
    assert_eq!(of(10), Some(json!("es")));
    assert_eq!(of(3), Some(Value::Null));
    Ok(())
}

#[test]
fn an_incompatible_change_is_refused_and_the_old_plan_runs_on() -> anyhow::Result<()> {
    let scene = Scene::new("incompatible")?;
    scene.apply(&notes("notes"))?;
    scene.wait_ready("notes")?;
    scene.apply(&with(notes("notes"), "/spec/schema/fields/1/type", json!("Int64")))?;
    let message = scene.wait_condition("notes", "Ready", "False", "SchemaIncompatible")?;
    assert!(message.contains("note"), "{message}");
    scene.publish("notes", &note_messages(0..10))?;
    scene.wait_rows("notes", 10)?;
    scene.apply(&notes("notes"))?;
    scene.wait_ready("notes")
}

#[test]
fn paused_stops_the_consumers_and_the_api_stays() -> anyhow::Result<()> {
    let scene = Scene::new("paused")?;
    scene.apply(&notes("notes"))?;
    scene.wait_ready("notes")?;
    scene.publish("notes", &note_messages(0..10))?;
    scene.wait_rows("notes", 10)?;
    scene.apply(&with(notes("notes"), "/spec/paused", json!(true)))?;
    eventually("no ingestor pods", PATIENCE, || {
        let pods = scene.kubectl(&[
            "get",
            "pods",
            "--selector",
            "app.kubernetes.io/component=ingestor",
            "--output",
            "name",
        ])?;
        ensure!(pods.trim().is_empty(), "{pods}");
        Ok(())
    })?;
    scene.publish("notes", &note_messages(10..20))?;
    holds("nothing is stored and the API answers", Duration::from_secs(5), || {
        let rows = scene.rows("notes")?.len();
        Ok(if rows == 10 { Ok(()) } else { Err(format!("{rows} rows")) })
    })?;
    scene.apply(&notes("notes"))?;
    scene.wait_rows("notes", 20)?;
    Ok(())
}

#[test]
fn scale_changes_the_consumers() -> anyhow::Result<()> {
    let scene = Scene::new("scale")?;
    scene.apply(&notes("notes"))?;
    scene.wait_ready("notes")?;
    scene.kubectl(&["scale", "datapipeline", "notes", "--replicas=2"])?;
    eventually("two ingestors", PATIENCE, || {
        let ready = scene.object("deployment", "notes-ingestor")?["status"]["readyReplicas"].clone();
        ensure!(ready == 2, "{ready}");
        Ok(())
    })?;
    let messages = note_messages(0..5_000);
    scene.publish("notes", &messages)?;
    scene.wait_balance("notes", "id", &messages)
}

#[test]
fn retain_keeps_topic_and_table_and_a_new_apply_finds_them() -> anyhow::Result<()> {
    let scene = Scene::new("retain")?;
    scene.apply(&notes("notes"))?;
    scene.wait_ready("notes")?;
    let topic_id = scene.resolved("notes", "topicId")?;
    let first = note_messages(0..100);
    scene.publish("notes", &first)?;
    scene.wait_rows("notes", 100)?;
    scene.kubectl(&["delete", "datapipeline", "notes", "--timeout=60s"])?;
    eventually("the pods are gone", PATIENCE, || {
        let pods = scene.owned("pod", "notes")?;
        ensure!(pods.is_empty(), "{} pods", pods.len());
        Ok(())
    })?;
    scene.apply(&notes("notes"))?;
    scene.wait_ready("notes")?;
    assert_eq!(scene.resolved("notes", "topicId")?, topic_id);
    let second = note_messages(100..200);
    scene.publish("notes", &second)?;
    let all: Vec<_> = first.into_iter().chain(second).collect();
    scene.wait_balance("notes", "id", &all)
}

#[test]
fn delete_drops_topic_dead_letters_and_table() -> anyhow::Result<()> {
    let scene = Scene::new("deletes")?;
    let manifest = with(notes("notes"), "/spec/deletionPolicy", json!("Delete"));
    scene.apply(&manifest)?;
    scene.wait_ready("notes")?;
    let (topic, letters) = (scene.resolved("notes", "topic")?, scene.resolved("notes", "deadLetterTopic")?);
    let database = scene.resolved("notes", "database")?;
    scene.publish("notes", &note_messages(0..10))?;
    scene.wait_rows("notes", 10)?;
    scene.kubectl(&["delete", "datapipeline", "notes", "--timeout=120s"])?;
    assert_eq!(
        scene
            .stack()
            .clickhouse()
            .query(&format!("SELECT count() FROM system.tables WHERE database = '{database}'"))?
            .trim(),
        "0"
    );
    let topics = topics(&scene)?;
    assert!(!topics.contains(&topic) && !topics.contains(&letters), "{topics:?}");
    Ok(())
}

#[test]
fn a_topic_that_was_there_before_is_used_and_never_deleted() -> anyhow::Result<()> {
    use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
    let scene = Scene::new("foreign-topic")?;
    let admin: AdminClient<_> = scene.kafka().create()?;
    let theirs = format!("{}.theirs", scene.namespace);
    let topic = NewTopic::new(&theirs, 2, TopicReplication::Fixed(1));
    futures_block(admin.create_topics([&topic], &AdminOptions::new()))?;
    let manifest = with(notes("notes"), "/spec/deletionPolicy", json!("Delete"));
    let manifest = with(manifest, "/spec/source/kafka/topic", json!(theirs));
    scene.apply(&manifest)?;
    scene.wait_ready("notes")?;
    let messages = note_messages(0..10);
    scene.publish("notes", &messages)?;
    scene.wait_balance("notes", "id", &messages)?;
    scene.kubectl(&["delete", "datapipeline", "notes", "--timeout=120s"])?;
    assert!(topics(&scene)?.contains(&theirs));
    Ok(())
}

fn topics(scene: &Scene) -> anyhow::Result<Vec<String>> {
    use rdkafka::consumer::{BaseConsumer, Consumer};
    let consumer: BaseConsumer = scene.kafka().create()?;
    let metadata = consumer.fetch_metadata(None, Duration::from_secs(30))?;
    Ok(metadata.topics().iter().map(|topic| topic.name().to_owned()).collect())
}

fn futures_block<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(future)
}
