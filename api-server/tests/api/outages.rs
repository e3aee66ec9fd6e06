//! ClickHouse away, frozen, back; more asked than can be done.

use std::time::{Duration, Instant};

use caudal_testbed::clickhouse::ClickHouse;
use caudal_testbed::wait::until;
use serde_json::{Value, json};

use crate::common::{Api, Pipeline, SOON};

fn served(clickhouse: &ClickHouse) -> Api {
    let pipeline = Pipeline::create(clickhouse, &["id: Int64"], &["id"]);
    let rows: Vec<_> = (0..10).map(|id| json!({"id": id})).collect();
    pipeline.insert(clickhouse, &rows, |number| (0, number));
    let api = Api::serve(&pipeline);
    assert_eq!(api.ok("/v1/records")["meta"]["count"], 10);
    api
}

#[test]
fn a_database_that_is_gone_is_503_and_its_return_is_noticed() {
    let clickhouse = ClickHouse::start().unwrap();
    let api = served(&clickhouse);
    clickhouse.kill();
    // A watermark that was just read is told for a second.
    let forgotten = || Ok((api.get("/v1/watermark").status() == 503).then_some(()));
    until("no watermark", SOON, forgotten).unwrap();
    for path in ["/v1/records", "/v1/records/1", "/v1/watermark"] {
        let response = api.get(path);
        assert_eq!(response.status(), 503, "{path}");
        assert_eq!(response.headers()["retry-after"], "5");
        let body: Value = response.json().unwrap();
        assert_eq!(body["code"], "DatabaseUnavailable", "{path}");
    }
    for path in ["/data", "/data/1"] {
        let (status, body) = api.json(path);
        assert_eq!(status, 500, "{path}: as the systems before");
        assert!(body["error"].is_string());
    }
    assert_eq!(api.json("/v1/records?id=eq.x").0, 400, "needs no database");
    assert_eq!(api.get("/openapi.json").status(), 200);
    assert_eq!(api.admin("/readyz").0, 200, "an outage must not lock rollouts");
    assert!(api.metric("caudal_api_clickhouse_errors_total", "").unwrap() >= 5.0);
    clickhouse.restart().unwrap();
    let back = || Ok((api.get("/v1/records").status() == 200).then_some(()));
    until("an answer", SOON, back).unwrap();
    assert_eq!(api.ok("/data").as_array().unwrap().len(), 10);
}

#[test]
fn overload_is_shed_at_once_and_a_frozen_database_is_504() {
    let clickhouse = ClickHouse::start().unwrap();
    let api = served(&clickhouse);
    clickhouse.pause().unwrap();
    let answers: Vec<(u16, Duration, Value)> = std::thread::scope(|scope| {
        let asked: Vec<_> = (0..100)
            .map(|_| {
                scope.spawn(|| {
                    let started = Instant::now();
                    let response = api.get("/v1/records");
                    let status = response.status().as_u16();
                    if status == 503 {
                        assert_eq!(response.headers()["retry-after"], "1");
                    }
                    (status, started.elapsed(), response.json().unwrap())
                })
            })
            .collect();
        asked.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let of = |status: u16| answers.iter().filter(move |answer| answer.0 == status);
    assert_eq!(of(503).count() + of(504).count(), 100);
    assert!(of(503).count() >= 80, "at most 16 may run: {} were shed", of(503).count());
    assert!(of(503).all(|(_, after, body)| *after < Duration::from_secs(8) && body["code"] == "Overloaded"));
    assert!(of(504).all(|(_, _, body)| body["code"] == "DatabaseTimeout"));
    assert!(of(504).count() >= 1);
    assert!(api.metric("caudal_api_shed_total", "").unwrap() >= 80.0);
    assert_eq!(api.admin("/healthz").0, 200);
    clickhouse.resume().unwrap();
    let back = || Ok((api.get("/v1/records").status() == 200).then_some(()));
    until("an answer", SOON, back).unwrap();
}

#[test]
fn many_clients_at_once_get_what_they_asked_for() {
    let clickhouse = ClickHouse::start().unwrap();
    let api = served(&clickhouse);
    std::thread::scope(|scope| {
        for worker in 0..8 {
            let api = &api;
            scope.spawn(move || {
                for round in 0..20 {
                    let id = (worker + round) % 10;
                    assert_eq!(api.ok(&format!("/v1/records/{id}"))["data"]["id"], id);
                    assert_eq!(api.column(&format!("/v1/records?id=eq.{id}"), "id"), [json!(id)]);
                }
            });
        }
    });
}
