//! Problems: their form, their codes, what they name.

use serde_json::json;

use crate::common::{Api, Pipeline, clickhouse};

fn api() -> Api {
    Api::serve(&Pipeline::create(clickhouse(), &["id: Int64", "name: String"], &["id"]))
}

#[test]
fn a_wrong_parameter_is_named_with_what_is_allowed() {
    let api = api();
    for (query, parameter, code, allowed) in [
        ("nope=eq.1", "nope", "UnknownParameter", "id, name"),
        ("format=csv", "format", "UnknownParameter", "select, order, limit"),
        ("id=like.1", "id", "UnknownOperator", "eq, neq, gt, gte, lt, lte, in"),
        ("id=eq.abc", "id", "WrongType", "whole number"),
        ("select=nope", "select", "UnknownField", "id, name"),
        ("order=nope", "order", "UnknownField", "id, name"),
        ("limit=100000", "limit", "OutOfRange", "10000"),
        ("cursor=abc", "cursor", "BadCursor", "next_cursor"),
    ] {
        let response = api.get(&format!("/v1/records?{query}"));
        assert_eq!(response.headers()["content-type"], "application/problem+json");
        let id = response.headers()["x-request-id"].to_str().unwrap().to_owned();
        assert_eq!(response.status(), 400, "{query}");
        let body: serde_json::Value = response.json().unwrap();
        assert_eq!((&body["status"], &body["code"]), (&json!(400), &json!("InvalidParameter")));
        assert_eq!(body["request_id"], id);
        assert!(body["type"].as_str().unwrap().starts_with("https://"), "{body}");
        assert!(body["title"].is_string() && body["detail"].is_string());
        let error = &body["errors"][0];
        assert_eq!((&error["parameter"], &error["code"]), (&json!(parameter), &json!(code)), "{body}");
        assert!(error["detail"].as_str().unwrap().contains(allowed), "{body}");
    }
    let (status, body) = api.json("/v1/records/abc");
    assert_eq!((status, &body["errors"][0]["parameter"]), (400, &json!("key")));
    let (_, body) = api.json("/v1/records?a=1&b=2&id=eq.x");
    assert_eq!(body["errors"].as_array().unwrap().len(), 3, "all at once");
    let detail = body["detail"].as_str().unwrap();
    assert!(detail.starts_with("a: ") && detail.ends_with("(and 2 more)"), "{detail}");
}

#[test]
fn many_errors_make_no_large_answer() {
    let fields: Vec<String> =
        (0..255).map(|number| format!("a_field_of_this_name_{number}: String?")).collect();
    let fields: Vec<&str> = fields.iter().map(String::as_str).chain(["id: Int64"]).collect();
    let api = Api::serve(&Pipeline::create(clickhouse(), &fields, &["id"]));
    for query in [
        "a&".repeat(4000),
        "id&".repeat(2700),
        format!("select={}", "a,".repeat(4000)),
        format!("id={}", "%00".repeat(2700)),
        format!("order={}", "%22%5C%22".repeat(900)),
    ] {
        let response = api.get(&format!("/v1/records?{query}"));
        assert_eq!(response.status(), 400);
        let text = response.text().unwrap();
        assert!(text.len() < 16 << 10, "{} bytes: {text}", text.len());
    }
}

#[test]
fn unknown_paths_and_methods_are_problems() {
    let api = api();
    for path in ["/", "/v1", "/v1/nope", "/v1/records/", "/v1/records/1/2", "/metrics", "/healthz", "/docs"] {
        let (status, body) = api.json(path);
        assert_eq!((status, &body["code"]), (404, &json!("UnknownPath")), "{path}");
    }
    for method in ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"] {
        for path in ["/v1/records", "/v1/records/1", "/openapi.json"] {
            let response = api.request(method, path).send().unwrap();
            assert_eq!(response.status(), 405, "{method} {path}");
            assert_eq!(response.headers()["allow"], "GET,HEAD");
            let body: serde_json::Value = response.json().unwrap();
            assert_eq!(body["code"], "MethodNotAllowed");
        }
    }
}

#[test]
fn a_missing_table_is_a_server_error_that_tells_the_log_and_not_the_client() {
    let pipeline = Pipeline::create(clickhouse(), &["id: Int64"], &["id"]);
    let api = Api::serve(&pipeline);
    clickhouse().query(&format!("DROP TABLE `{}`.`the rows`", pipeline.plan.sink.database)).unwrap();
    let (status, body) = api.json("/v1/records");
    assert_eq!((status, &body["code"]), (500, &json!("Internal")));
    assert!(!body.to_string().contains("the rows"), "{body}");
    assert_eq!(api.json("/data").0, 500);
}
