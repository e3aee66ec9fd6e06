use super::*;
use crate::table::tests::{plan, table};

fn example() -> Value {
    let fields = [
        "id: Int64",
        "order: String?",
        "price: Decimal(9, 2)",
        "at: DateTime64(3)",
        "small: UInt8",
        "ok: Bool?",
        "state: Enum8('new' = 1, 'paid' = 2)?",
        "address: IPv6",
        "tags: Array(Nullable(String))",
        "prices: Map(String, Array(Decimal(9, 2)))",
        "more: JSON",
    ];
    let plan = plan(&fields, &["id"]);
    let aliases =
        ["/records", "/data", "/a-b", "/a/b"].map(|path| Alias { path: path.to_owned(), limit: Some(10) });
    document(&plan.pipeline, &table(&fields, &["id"]), &aliases)
}

/// The committed document is what a reader of the repository sees. After a
/// change, run the test with `UPDATE_SNAPSHOTS=1`.
#[test]
fn is_the_committed_document() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/openapi.json");
    let text = serde_json::to_string_pretty(&example()).unwrap() + "\n";
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        std::fs::write(path, &text).unwrap();
    }
    assert_eq!(std::fs::read_to_string(path).unwrap(), text, "run again with UPDATE_SNAPSHOTS=1");
}

#[test]
fn every_reference_leads_somewhere() {
    fn check(root: &Value, value: &Value) {
        match value {
            Value::Object(map) => {
                if let Some(Value::String(target)) = map.get("$ref") {
                    assert!(root.pointer(target.trim_start_matches('#')).is_some(), "{target}");
                }
                map.values().for_each(|value| check(root, value));
            }
            Value::Array(items) => items.iter().for_each(|value| check(root, value)),
            _ => {}
        }
    }
    let document = example();
    check(&document, &document);
}

#[test]
fn shows_a_reserved_name_in_quotes_and_operations_with_different_ids() {
    let document = example();
    assert_eq!(document["components"]["parameters"]["filter.order"]["name"], "\"order\"");
    assert_eq!(
        document["components"]["schemas"]["Record"]["properties"]["ok"]["type"],
        json!(["boolean", "null"])
    );
    let paths = document["paths"].as_object().unwrap();
    let mut ids: Vec<_> = paths.values().map(|path| path["get"]["operationId"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), 5 + 2 * 4);
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 5 + 2 * 4);
    assert_eq!(paths["/data"]["get"]["parameters"][0]["schema"]["default"], 10);
}
