//! Who owns a topic, a table, a name.

use caudal_e2e::Scene;
use caudal_e2e::manifest::{note_messages, notes, with};
use serde_json::json;

#[test]
fn the_younger_of_two_claims_to_a_topic_gets_a_conflict() -> anyhow::Result<()> {
    let scene = Scene::new("topic-claims")?;
    let topic = format!("{}.shared", scene.namespace);
    let claim = |name| with(notes(name), "/spec/source/kafka/topic", json!(topic));
    scene.apply(&claim("older"))?;
    scene.wait_ready("older")?;
    scene.apply(&claim("younger"))?;
    let message = scene.wait_condition("younger", "Ready", "False", "NameConflict")?;
    assert!(message.contains(&format!("{}/older", scene.namespace)), "{message}");
    scene.wait_ready("older")
}

#[test]
fn the_younger_of_two_claims_to_a_table_gets_a_conflict() -> anyhow::Result<()> {
    let scene = Scene::new("table-claims")?;
    let claim = |name| with(notes(name), "/spec/sink/clickhouse/table", json!("shared"));
    scene.apply(&claim("older"))?;
    scene.wait_ready("older")?;
    scene.apply(&claim("younger"))?;
    let message = scene.wait_condition("younger", "Ready", "False", "NameConflict")?;
    assert!(message.contains(&format!("{}/older", scene.namespace)), "{message}");
    Ok(())
}

#[test]
fn the_same_name_works_in_two_namespaces() -> anyhow::Result<()> {
    let one = Scene::new("twin-one")?;
    let two = one.beside("twin-two")?;
    for (scene, ids) in [(&one, 0..50), (&two, 50..90)] {
        scene.apply(&notes("notes"))?;
        scene.wait_ready("notes")?;
        let messages = note_messages(ids);
        scene.publish("notes", &messages)?;
        scene.wait_balance("notes", "id", &messages)?;
    }
    Ok(())
}
