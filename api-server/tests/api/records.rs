//! `/v1/records` and `/v1/records/{key}` beyond filters and cursors.

use serde_json::json;

use crate::common::{Api, Pipeline, clickhouse, encode};

#[test]
fn an_empty_table_is_an_empty_page() {
    let pipeline = Pipeline::create(clickhouse(), &["id: String"], &["id"]);
    let api = Api::serve(&pipeline);
    let page = api.ok("/v1/records");
    assert_eq!(page["data"], json!([]));
    assert_eq!((&page["meta"]["count"], &page["meta"]["next_cursor"]), (&json!(0), &json!(null)));
    assert!(page["meta"]["elapsed_ms"].as_f64().unwrap() > 0.0);
    assert_eq!(api.json("/v1/records/x").0, 404);
    assert_eq!(api.ok("/data"), json!([]));
}

#[test]
fn select_order_limit_and_offset_shape_the_page() {
    let fields = ["id: Int64", "name: String?", "order: Int32", "a\"b, c: String"];
    let pipeline = Pipeline::create(clickhouse(), &fields, &["id"]);
    let rows: Vec<_> = (0..20)
        .map(|id| json!({"id": id, "name": format!("n{id}"), "order": 20 - id, "a\"b, c": "x"}))
        .collect();
    pipeline.insert(clickhouse(), &rows, |number| (0, number));
    let api = Api::serve(&pipeline);
    let text = api.get("/v1/records?select=order,id&limit=2&offset=3").text().unwrap();
    assert!(
        text.starts_with(
            r#"{"data":[{"order":17,"id":3},{"order":16,"id":4}],"meta":{"count":2,"next_cursor":""#
        ),
        "{text}"
    );
    assert_eq!(api.column("/v1/records?order=%22order%22&limit=2", "id"), [json!(19), json!(18)]);
    assert_eq!(api.column("/v1/records?%22order%22=lte.2", "id"), [json!(18), json!(19)]);
    assert_eq!(api.ok("/v1/records?limit=20")["meta"]["next_cursor"], json!(null));
    assert_eq!(api.ok("/v1/records?offset=25")["data"], json!([]));
    let odd = api.ok(&format!("/v1/records?limit=1&select={}", encode(r#""a\"b, c",id"#)));
    assert_eq!(odd["data"][0], json!({"a\"b, c": "x", "id": 0}));
    let metadata = api.ok("/v1/records?limit=1&select=_kafka_source,_kafka_partition,_kafka_timestamp");
    assert_eq!(
        metadata["data"][0],
        json!({
            "_kafka_source": pipeline.plan.source.source_id(),
            "_kafka_partition": 0,
            "_kafka_timestamp": "2024-01-01T00:00:00.000Z",
        })
    );
}

#[test]
fn arrays_maps_and_objects_are_json() {
    let fields = [
        "address: IPv6",
        "tags: Array(Nullable(String))",
        "times: Array(DateTime64(3, 'Asia/Tokyo'))",
        "numbers: Map(Int64, Array(UInt64))",
        "prices: Map(LowCardinality(String), Decimal(38, 2))",
        "floats: Array(Float64)",
        "more: JSON",
        "list: Array(JSON)",
    ];
    let pipeline = Pipeline::create(clickhouse(), &fields, &["address"]);
    let rows = [
        json!({"address": "::1", "tags": [], "times": [], "numbers": {}, "prices": {}, "floats": [], "more": {},
               "list": []}),
        json!({"address": "::ffff:192.0.2.1", "tags": ["a/\"\n", null], "times": ["2024-01-01T00:00:00.120Z"],
               "numbers": {"-9223372036854775808": [u64::MAX, 0]}, "prices": {"": 12.5}, "floats": [0.1, -1e300],
               "more": {"a": {"b": [1, "x", {"c": i64::MAX}]}}, "list": [{}, {"a": true}]}),
    ];
    pipeline.insert(clickhouse(), &rows, |number| (0, number));
    let api = Api::serve(&pipeline);
    assert_eq!(api.ok("/v1/records")["data"], json!(rows));
    assert_eq!(api.ok("/v1/records/%3A%3A1")["data"], rows[0]);
    assert_eq!(api.ok("/v1/records/192.0.2.1")["data"], rows[1]);
    assert_eq!(api.json("/v1/records/%3A%3A2").0, 404);
    assert_eq!(api.json("/v1/records/localhost").0, 400);
    assert_eq!(
        api.ok("/v1/records?select=tags&order=address.desc&limit=1")["data"],
        json!([{"tags": rows[1]["tags"]}])
    );
    for wrong in ["tags=eq.a", "numbers=gt.1", "more=in.(a)", "order=list", "order=more.desc"] {
        let (status, problem) = api.json(&format!("/v1/records?{wrong}"));
        assert_eq!((status, &problem["errors"][0]["code"]), (400, &json!("WrongType")), "{wrong}: {problem}");
    }
}

#[test]
fn a_key_finds_the_newest_row_and_says_how_many_there_are() {
    let pipeline = Pipeline::create(clickhouse(), &["id: String", "status: String?"], &["id"]);
    let rows = [
        json!({"id": "7", "status": "paid", "_kafka_timestamp": "2024-01-01T00:00:09.000Z"}),
        json!({"id": "7", "status": "late", "_kafka_timestamp": "2024-01-01T00:00:05.000Z"}),
        json!({"id": "7", "status": null, "_kafka_timestamp": "2024-01-01T00:00:09.000Z"}),
        json!({"id": "8", "status": "other"}),
    ];
    pipeline.insert(clickhouse(), &rows, |number| (0, number));
    let api = Api::serve(&pipeline);
    let answer = api.ok("/v1/records/7");
    assert_eq!(
        answer["data"],
        json!({"id": "7", "status": null}),
        "of equal times the higher offset is newer"
    );
    assert_eq!(answer["meta"]["count"], 3);
    assert_eq!(api.ok("/old/rows/8"), json!({"id": "8", "status": "other"}));
}

#[test]
fn keys_may_hold_any_character() {
    let keys =
        ["a.csv", "a/b", "ñandú", "100%", "a b+c", "?x=1&y#z", "..%2F", "'; DROP TABLE x; --", "\u{1F600}"];
    let pipeline = Pipeline::create(clickhouse(), &["id: String"], &["id"]);
    let rows: Vec<_> = keys.iter().map(|key| json!({"id": key})).collect();
    pipeline.insert(clickhouse(), &rows, |number| (0, number));
    let api = Api::serve(&pipeline);
    for key in keys {
        let path = format!("/v1/records/{}", encode(key));
        assert_eq!(api.ok(&path)["data"]["id"], key);
        assert_eq!(api.ok(&format!("/data/{}", encode(key)))["id"], key);
    }
    assert_eq!(api.json("/v1/records/%FF").0, 400);
}

#[test]
fn injection_finds_nothing_and_changes_nothing() {
    let pipeline = Pipeline::create(clickhouse(), &["id: String", "n: Int64"], &["id"]);
    let rows: Vec<_> = (0..5).map(|n| json!({"id": format!("r{n}"), "n": n})).collect();
    pipeline.insert(clickhouse(), &rows, |number| (0, number));
    let api = Api::serve(&pipeline);
    for text in [
        "' OR 1=1 --",
        "\\' OR 1=1 --",
        "') OR ('a'='a",
        "{p0:String}",
        "r0'; DROP TABLE x; --",
        "\\x27 OR 1=1",
        "`id`",
        "r0\u{0}",
        "\\N",
        "r0\n",
        "NULL",
    ] {
        assert_eq!(api.ok(&format!("/v1/records?id=eq.{}", encode(text)))["meta"]["count"], 0, "{text}");
        assert_eq!(api.json(&format!("/v1/records/{}", encode(text))).0, 404, "{text}");
        for place in ["n=eq.", "select=", "order=", "limit=", "offset=", "cursor=", "n=in.(1,", "n="] {
            let (status, body) = api.json(&format!("/v1/records?{place}{}", encode(text)));
            assert_eq!((status, &body["code"]), (400, &json!("InvalidParameter")), "{place}{text}");
        }
        assert_eq!(api.json(&format!("/v1/records?{}=eq.1", encode(text))).0, 400, "{text}");
    }
    assert_eq!(api.ok("/v1/records")["meta"]["count"], 5);
}
