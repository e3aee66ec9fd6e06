//! Answers and queries that would be too large.

use serde_json::json;

use crate::common::{Api, Pipeline, clickhouse};

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
    assert_eq!(api.ok("/v1/records?limit=100")["meta"]["count"], 100);
    assert_eq!(api.ok("/v1/records?limit=300&select=id")["meta"]["count"], 300);
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
        rows.iter().enumerate().all(|(number, row)| row["id"] == number && row["text"] == *number.to_string())
    );
    assert!(page["meta"]["next_cursor"].is_string());
}
