//! Paths of the systems before Caudal.

use reqwest::blocking::Response;
use serde_json::{Value, json};

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
        is_plain(api.get(path), status);
    }
    let deep = is_plain(api.get("/data?offset=100001"), 400);
    assert!(deep.contains("/v1/records") && !deep.contains("next_cursor"), "{deep}");
}

/// Checks the form of an error and returns its text.
fn is_plain(response: Response, status: u16) -> String {
    let path = response.url().path().to_owned();
    assert_eq!(
        (response.status().as_u16(), &response.headers()["content-type"]),
        (status, &"application/json".parse().unwrap()),
        "{path}"
    );
    assert!(response.headers().contains_key("x-request-id"));
    let body: Value = response.json().unwrap();
    assert_eq!(body.as_object().unwrap().keys().collect::<Vec<_>>(), ["error"], "{path}");
    body["error"].as_str().unwrap().to_owned()
}

#[test]
fn what_no_handler_of_an_alias_sees_is_told_as_plainly() {
    let api = Api::serve(&Pipeline::create(clickhouse(), &["id: Int64"], &["id"]));
    for path in ["/data", "/data/1", "/old/rows"] {
        let response = api.request("POST", path).send().unwrap();
        assert_eq!(response.headers()["allow"], "GET,HEAD");
        is_plain(response, 405);
        is_plain(api.get(&format!("{path}?limit={}", "1".repeat(9000))), 414);
    }
    is_plain(api.get(&format!("/data/{}", "1".repeat(9000))), 414);
    assert_eq!(api.json("/data/1/2").1["code"], "UnknownPath", "no path of an alias");
}
