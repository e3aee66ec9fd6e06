//! Walking through a table by cursor.

use std::collections::HashSet;

use serde_json::{Value, json};

use crate::common::{Api, Pipeline, clickhouse};

const COUNTRIES: [&str; 5] = ["Perú", "Chile, \"norte\"", "", "Ñuble'", "Ecuador"];

/// Follows cursors to the end; returns the pages' rows in order.
fn walk(api: &Api, query: &str) -> Vec<Value> {
    let mut rows = Vec::new();
    let mut path = format!("/v1/records?{query}");
    loop {
        let response = api.get(&path);
        let link = response.headers().get("link").map(|value| value.to_str().unwrap().to_owned());
        let page: Value = response.json().unwrap();
        let data = page["data"].as_array().unwrap_or_else(|| panic!("{path}: {page}"));
        assert_eq!(page["meta"]["count"], data.len());
        rows.extend(data.iter().cloned());
        assert!(rows.len() <= 1000, "the walk does not end");
        match page["meta"]["next_cursor"].as_str() {
            None => {
                assert_eq!(link, None);
                return rows;
            }
            Some(cursor) => {
                let link = link.unwrap();
                let target = link.strip_prefix('<').unwrap().strip_suffix(">; rel=\"next\"").unwrap();
                assert!(target.starts_with('?'), "it must be right below any path: {target}");
                path = format!("/v1/records{target}");
                assert!(path.contains(cursor));
            }
        }
    }
}

/// 100 rows with many ties: five countries, and pairs of rows that differ in
/// nothing but their offset.
fn tied() -> (Pipeline, Api) {
    let fields =
        ["country: LowCardinality(String)", "score: Int32?", "at: DateTime64(3)", "price: Decimal(9, 2)"];
    let pipeline = Pipeline::create(clickhouse(), &fields, &["country", "at"]);
    let rows: Vec<_> = (0..100)
        .map(|number| {
            json!({
                "country": COUNTRIES[number % 5],
                "score": if number % 7 == 0 { Value::Null } else { json!(number % 3) },
                "at": format!("2024-01-01T00:00:0{}.500Z", number % 2),
                "price": format!("{}.{}5", number % 4, number % 10),
            })
        })
        .collect();
    pipeline.insert(clickhouse(), &rows, |number| (i32::try_from(number % 3).unwrap(), number / 3));
    let api = Api::serve(&pipeline);
    (pipeline, api)
}

#[test]
fn a_walk_visits_each_row_once_in_any_order_and_page_size() {
    let (_pipeline, api) = tied();
    for order in [
        "",
        "order=country.desc,at.desc",
        "order=score",
        "order=score.desc",
        "order=price.desc,score",
        "order=_kafka_offset.desc",
        "order=at,country.desc,score.desc",
    ] {
        let select = "select=country,score,at,price,_kafka_partition,_kafka_offset";
        let whole = api.ok(&format!("/v1/records?{order}&{select}"))["data"].as_array().unwrap().clone();
        assert_eq!(whole.len(), 100);
        for limit in [1, 7, 33, 100] {
            let rows = walk(&api, &format!("{order}&{select}&limit={limit}"));
            assert_eq!(rows, whole, "{order} {limit}");
        }
        let places: HashSet<_> = whole
            .iter()
            .map(|row| (row["_kafka_partition"].as_i64(), row["_kafka_offset"].as_i64()))
            .collect();
        assert_eq!(places.len(), 100);
    }
}

#[test]
fn a_walk_keeps_its_filters_and_selection() {
    let (_pipeline, api) = tied();
    let query = "country=in.(%22Chile,%20%5C%22norte%5C%22%22,Ecuador)&score=neq.1&limit=3&select=score";
    let rows = walk(&api, query);
    assert_eq!(
        rows,
        api.ok(&format!("/v1/records?{}", query.replace("limit=3", "limit=99")))["data"]
            .as_array()
            .unwrap()
            .clone()
    );
    assert!(rows.len() > 20 && rows.iter().all(|row| row.as_object().unwrap().len() == 1));
}

#[test]
fn rows_that_come_in_between_are_neither_lost_nor_seen_twice() {
    let (pipeline, api) = tied();
    let first = api.ok("/v1/records?limit=50&select=_kafka_offset,_kafka_partition");
    let row = json!({"country": "", "score": 0, "at": "2020-01-01T00:00:00.000Z", "price": "1"});
    let late: Vec<_> = vec![row; 10];
    pipeline.insert(clickhouse(), &late, |number| (9, number));
    let cursor = first["meta"]["next_cursor"].as_str().unwrap();
    let rest =
        api.ok(&format!("/v1/records?limit=500&select=_kafka_offset,_kafka_partition&cursor={cursor}"));
    let seen: HashSet<_> = (first["data"].as_array().unwrap().iter().chain(rest["data"].as_array().unwrap()))
        .map(|row| (row["_kafka_partition"].as_i64().unwrap(), row["_kafka_offset"].as_i64().unwrap()))
        .collect();
    assert_eq!(seen.iter().filter(|(partition, _)| *partition < 3).count(), 100);
    assert_eq!(first["data"].as_array().unwrap().len() + rest["data"].as_array().unwrap().len(), seen.len());
}

#[test]
fn a_late_page_reads_no_more_than_an_early_one() {
    let pipeline = Pipeline::create(clickhouse(), &["id: Int64", "kind: String"], &["kind", "id"]);
    let sink = &pipeline.plan.sink;
    let fill = format!(
        "INSERT INTO `{}`.`{}` SELECT number, toString(number % 3), 1, 0, number, now64(3) FROM numbers(1000000)",
        sink.database, sink.table
    );
    clickhouse().query(&fill).unwrap();
    let api = Api::serve(&pipeline);
    // The rows ClickHouse reads are counted for the whole server, so other
    // tests add to them; of several tries one is undisturbed.
    let read = |path: &str| {
        let once = || {
            let before = selected_rows();
            api.ok(path);
            selected_rows() - before
        };
        (0..20).map(|_| once()).min().unwrap()
    };
    let skipped = api.ok("/v1/records?limit=1&offset=100000");
    let cursor = skipped["meta"]["next_cursor"].as_str().unwrap();
    let first = read("/v1/records?limit=100");
    let late = read(&format!("/v1/records?limit=100&cursor={cursor}"));
    assert!((100..200_000).contains(&first), "page 1 reads {first} rows");
    assert!(late <= first * 3, "page 1 reads {first} rows, a late one {late}");
}

fn selected_rows() -> i64 {
    let sql = "SELECT value FROM system.events WHERE event = 'SelectedRows'";
    clickhouse().query(sql).unwrap().parse().unwrap()
}
