//! Manifests of the scenarios, as JSON, so that each says only what is special about it.

use std::ops::Range;

use caudal_examples::{Message, Outcome};
use serde_json::{Map, Value, json};

/// A pipeline of (id, note), readable at once: its objective is two seconds.
pub fn notes(name: &str) -> Value {
    json!({
        "apiVersion": "caudal.dev/v1alpha1",
        "kind": "DataPipeline",
        "metadata": {"name": name},
        "spec": {
            "source": {"kafka": {"create": {"partitions": 3}}},
            "schema": {"fields": [{"name": "id", "type": "UInt64"}, {"name": "note", "type": "String"}]},
            "sink": {"clickhouse": {"orderBy": ["id"]}},
            "api": {"key": "id", "auth": {"mode": "None"}},
            "slo": {"freshness": {"objective": 99, "within": "2s"}},
        },
    })
}

/// Messages for [`notes`], one for each id.
pub fn note_messages(ids: Range<u64>) -> Vec<Message> {
    ids.map(|id| {
        let row: Map<String, Value> =
            [("id".to_owned(), json!(id)), ("note".to_owned(), json!(format!("note {id}")))]
                .into_iter()
                .collect();
        Message {
            key: id.to_string().into_bytes(),
            value: Some(Value::Object(row.clone()).to_string().into_bytes()),
            outcome: Outcome::Row(row),
        }
    })
    .collect()
}

/// `manifest` with the value at `pointer` (RFC 6901) set, its parents made.
#[must_use]
pub fn with(mut manifest: Value, pointer: &str, value: Value) -> Value {
    let mut place = &mut manifest;
    for step in pointer.split('/').skip(1) {
        place = match place {
            Value::Array(list) => {
                let index: usize = step.parse().expect("a list is indexed by a number");
                if index == list.len() {
                    list.push(Value::Null);
                }
                &mut list[index]
            }
            other => {
                if other.is_null() {
                    *other = json!({});
                }
                other.as_object_mut().expect("a step leads into an object").entry(step).or_insert(Value::Null)
            }
        };
    }
    *place = value;
    manifest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_makes_and_appends() {
        let manifest = with(notes("n"), "/spec/sink/clickhouse/ttl/days", json!(3));
        assert_eq!(manifest["spec"]["sink"]["clickhouse"]["ttl"]["days"], 3);
        let manifest = with(manifest, "/spec/schema/fields/2", json!({"name": "x"}));
        assert_eq!(manifest["spec"]["schema"]["fields"][2]["name"], "x");
    }
}
