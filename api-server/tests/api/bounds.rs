//! Answers and queries that would be too large.

use std::io::{Read, Write};
use std::net::TcpStream;

use caudal_testbed::wait::until;
use serde_json::json;

use crate::common::{Api, Pipeline, SOON, clickhouse};

#[test]
fn an_answer_of_too_many_bytes_is_refused_whole() {
    let pipeline = Pipeline::create(clickhouse(), &["id: Int64", "text: String"], &["id"]);
    let sink = &pipeline.plan.sink;
    let fill = format!(
        "INSERT INTO `{}`.`{}` SELECT number, repeat('x', 100000), 1, 0, number, now64(3) FROM numbers(300)",
        sink.database, sink.table
    );
    clickhouse().query(&fill).unwrap();
    let api = Api::serve(&pipeline);
    let (status, body) = api.json("/v1/records?limit=300");
    assert_eq!((status, &body["code"]), (400, &json!("AnswerTooLarge")));
    assert_eq!(api.metric("caudal_api_clickhouse_errors_total", ""), Some(0.0), "it did answer");
    assert_eq!(api.ok("/v1/records?limit=100")["meta"]["count"], 100);
    assert_eq!(api.ok("/v1/records?limit=300&select=id")["meta"]["count"], 300);
}

#[test]
fn a_few_slow_readers_of_large_answers_leave_room_for_small_ones() {
    let pipeline = Pipeline::create(clickhouse(), &["id: Int64", "text: String"], &["id"]);
    let sink = &pipeline.plan.sink;
    let fill = format!(
        "INSERT INTO `{}`.`{}` SELECT number, repeat('x', 100000), 1, 0, number, now64(3) FROM numbers(150)",
        sink.database, sink.table
    );
    clickhouse().query(&fill).unwrap();
    let api = Api::serve(&pipeline);
    let large = "/v1/records?limit=150";
    let readers: Vec<TcpStream> = (0..3)
        .map(|_| {
            let mut stream = TcpStream::connect(&api.address).unwrap();
            write!(stream, "GET {large} HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
            let mut start = [0; 12];
            stream.read_exact(&mut start).unwrap();
            assert_eq!(&start, b"HTTP/1.1 200");
            stream
        })
        .collect();
    let (status, body) = api.json(large);
    assert_eq!((status, &body["code"]), (503, &json!("Overloaded")));
    assert_eq!(api.metric("caudal_api_shed_total", ""), Some(1.0));
    for _ in 0..20 {
        assert_eq!(api.ok("/v1/records?limit=150&select=id")["meta"]["count"], 150);
        assert_eq!(api.ok("/data?limit=0001").as_array().unwrap().len(), 1);
    }
    drop(readers);
    let room = || Ok((api.get(large).status() == 200).then_some(()));
    until("room for a large answer", SOON, room).unwrap();
}

#[test]
fn a_table_of_the_most_fields_is_served() {
    let fields: Vec<String> = (0..256).map(|number| format!("field_{number}: String?")).collect();
    let fields: Vec<&str> = fields.iter().map(String::as_str).chain(["id: Int64"]).skip(1).collect();
    let pipeline = Pipeline::create(clickhouse(), &fields, &["id"]);
    pipeline.insert(clickhouse(), &[json!({"id": 1, "field_255": "x"})], |number| (0, number));
    let api = Api::serve(&pipeline);
    for row in [&api.ok("/v1/records")["data"][0], &api.ok("/v1/records/1")["data"], &api.ok("/data/1")] {
        assert_eq!(row.as_object().unwrap().len(), 256);
        assert_eq!((&row["field_255"], &row["field_1"]), (&json!("x"), &json!(null)));
    }
    assert_eq!(api.ok("/openapi.json")["components"]["parameters"].as_object().unwrap().len(), 5 + 256 + 4);
}

#[test]
fn a_page_whose_last_key_is_too_long_for_a_cursor_is_still_a_page() {
    let pipeline = Pipeline::create(clickhouse(), &["id: String", "n: Int64"], &["id"]);
    let rows: Vec<_> = (0..3).map(|n| json!({"id": format!("{n}{}", "k".repeat(20_000)), "n": n})).collect();
    pipeline.insert(clickhouse(), &rows, |number| (0, number));
    let api = Api::serve(&pipeline);
    let response = api.get("/v1/records?limit=1&select=n");
    assert!(!response.headers().contains_key("link"));
    let page: serde_json::Value = response.json().unwrap();
    assert_eq!(page["data"], json!([{"n": 0}]));
    let cursor = page["meta"]["next_cursor"].as_str().unwrap();
    assert_eq!(api.json(&format!("/v1/records?limit=1&cursor={cursor}")).0, 414);
}

#[test]
fn the_most_rows_of_a_page_come_whole() {
    let pipeline = Pipeline::create(clickhouse(), &["id: Int64", "text: String"], &["id"]);
    let sink = &pipeline.plan.sink;
    let fill = format!(
        "INSERT INTO `{}`.`{}` SELECT number, toString(number), 1, 0, number, now64(3) FROM numbers(30000)",
        sink.database, sink.table
    );
    clickhouse().query(&fill).unwrap();
    let api = Api::serve(&pipeline);
    let page = api.ok("/v1/records?limit=10000");
    let rows = page["data"].as_array().unwrap();
    assert_eq!(rows.len(), 10000);
    assert!(
        rows.iter()
            .enumerate()
            .all(|(number, row)| row["id"] == number && row["text"] == *number.to_string())
    );
    assert!(page["meta"]["next_cursor"].is_string());
}
