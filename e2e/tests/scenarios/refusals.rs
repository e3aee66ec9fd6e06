//! Wrong manifests are refused at `kubectl apply`, with what to write instead.

use caudal_e2e::Scene;
use caudal_e2e::manifest::{notes, with};
use serde_json::json;

#[test]
fn wrong_manifests_are_refused_with_what_to_write_instead() -> anyhow::Result<()> {
    let scene = Scene::new("refusals")?;
    let cases = [
        ("/metadata/name", json!("1-notes"), "beginning with a"),
        ("/spec/schema/fields/0/type", json!("int"), "type"),
        ("/spec/schema/fields/0/name", json!("_kafka_id"), "_kafka_"),
        ("/spec/sink/clickhouse/orderBy", json!(["missing"]), "orderBy"),
        ("/spec/api/key", json!("missing"), "api.key"),
        ("/spec/api/aliases", json!([{"path": "/v1/notes"}]), "/v1"),
        ("/spec/source/kafka/startFrom", json!({"position": "Timestamp"}), "timestamp"),
        ("/spec/slo/freshness/within", json!("10 s"), "within"),
    ];
    for (pointer, value, message) in cases {
        scene.refused(&with(notes("notes"), pointer, value.clone()), message)?;
    }
    let mut open = notes("notes");
    open["spec"]["api"].as_object_mut().expect("notes has an API").remove("auth");
    scene.refused(&open, "auth")?;
    assert!(scene.apply(&notes("notes"))?.contains("created"));
    let moved = with(notes("notes"), "/spec/source/kafka/topic", json!("another"));
    scene.refused(&moved, "topic")?;
    Ok(())
}
