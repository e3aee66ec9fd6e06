//! Paths of the systems before Caudal.

use serde_json::json;

use crate::common::{Api, Pipeline, clickhouse};

#[test]
fn an_alias_answers_the_bare_list_of_fields() {
    let pipeline = Pipeline::create(clickhouse(), &["id: Int64", "name: String?"], &["id"]);
    let rows: Vec<_> = (0..150).map(|id| json!({"id": id, "name": null})).collect();
    pipeline.insert(clickhouse(), &rows, |number| (0, number));
    let api = Api::serve(&pipeline);
    let list = api.ok("/data");
    assert_eq!(list.as_array().unwrap().len(), 10, "its own default");
    assert_eq!(list[0], json!({"id": 0, "name": null}));
    assert_eq!(api.ok("/old/rows").as_array().unwrap().len(), 100, "the general default");
    assert_eq!(
        api.ok("/old/rows?limit=2&offset=148"),
        json!([{"id": 148, "name": null}, {"id": 149, "name": null}])
    );
    assert_eq!(api.ok("/data/149"), json!({"id": 149, "name": null}));
    for (path, status) in [
        ("/data/150", 404),
        ("/data/abc", 404),
        ("/data?limit=x", 400),
        ("/data?nope=1", 400),
        ("/data?limit=0", 400),
    ] {
        let (found, body) = api.json(path);
        assert_eq!(found, status, "{path}");
        assert_eq!(body.as_object().unwrap().keys().collect::<Vec<_>>(), ["error"], "{path}");
        assert!(body["error"].is_string());
    }
}
