//! `/v1/schema` and `/openapi.json`.

use serde_json::json;

use crate::common::{Api, Pipeline, clickhouse};

#[test]
fn the_schema_and_the_openapi_document_show_the_pipelines_own_fields() {
    let pipeline = Pipeline::create(clickhouse(), &["id: Int64", "price: Decimal(9, 2)?"], &["id"]);
    let api = Api::serve(&pipeline);
    let schema = api.ok("/v1/schema");
    assert_eq!(schema["fields"][1], json!({"name": "price", "type": "Decimal(9, 2)", "nullable": true}));
    assert_eq!(schema["key"], "id");
    let document = api.ok("/openapi.json");
    assert_eq!(document["openapi"], "3.1.0");
    let record = &document["components"]["schemas"]["Record"]["properties"];
    assert_eq!(record["price"]["type"], json!(["number", "null"]));
    for path in document["paths"].as_object().unwrap().keys() {
        let status = api.get(&path.replace("{key}", "1")).status().as_u16();
        assert!(status == 200 || (status == 404 && path.contains("{key}")), "{path}: {status}");
    }
}
