//! `/v1/watermark` and `meta.watermark`, from the ledger.

use caudal_testbed::wait::until;
use serde_json::json;

use crate::common::{Api, Pipeline, SOON, clickhouse};

#[test]
fn the_watermark_follows_the_ledger() {
    let pipeline = Pipeline::create(clickhouse(), &["id: Int64"], &["id"]);
    let api = Api::serve(&pipeline);
    let nothing = api.ok("/v1/watermark");
    assert_eq!(
        nothing,
        json!({
            "message_time": null, "stored_at": null, "lag": 0, "freshness_seconds": null, "partitions": [],
        })
    );
    assert_eq!(api.ok("/v1/records")["meta"]["watermark"], json!(null));

    pipeline.insert_ledger(
        clickhouse(),
        "(0, 0, 10, '2024-01-01 00:00:01', '2024-01-01 00:00:05', 10, '2024-01-01 00:00:06'),
         (0, 10, 12, '2024-01-01 00:00:07', '2024-01-01 00:00:08', 12, '2024-01-01 00:00:08.5'),
         (1, 0, 3, '2024-01-01 00:00:02', '2024-01-01 00:00:03', 8, '2024-01-01 00:00:07')",
    );
    // A moment ago is soon enough.
    let reached = |next_offset: i64| {
        let newer = || {
            let mark = api.ok("/v1/watermark");
            Ok((mark["partitions"][0]["next_offset"] == next_offset).then_some(mark))
        };
        until("a newer watermark", SOON, newer).unwrap()
    };
    let mark = reached(12);
    assert_eq!(mark["message_time"], "2024-01-01T00:00:03.000Z", "partition 1 is behind");
    assert_eq!((&mark["lag"], &mark["stored_at"]), (&json!(5), &json!("2024-01-01T00:00:08.500Z")));
    assert_eq!(mark["freshness_seconds"], 1.5);
    assert_eq!(
        mark["partitions"][0],
        json!({
            "partition": 0, "next_offset": 12, "message_time": "2024-01-01T00:00:08.000Z",
            "stored_at": "2024-01-01T00:00:08.500Z", "lag": 0, "freshness_seconds": 1.5,
            "rows": 12, "dead_letters": 0, "filtered": 0, "gap": 0,
        })
    );

    // The last range again, replaced, with what was read anew; a gap without
    // messages; a new partition.
    pipeline.insert_ledger(
        clickhouse(),
        "(0, 10, 13, '2024-01-01 00:00:07', '2024-01-01 00:00:09', 13, '2024-01-01 00:00:10'),
         (1, 3, 8, null, null, 8, '2024-01-01 00:00:11'),
         (2, 5, 6, '2024-01-01 00:00:04', '2024-01-01 00:00:04', 6, '2024-01-01 00:00:05')",
    );
    let mark = reached(13);
    assert_eq!((&mark["message_time"], &mark["lag"]), (&json!("2024-01-01T00:00:09.000Z"), &json!(0)));
    assert_eq!(mark["partitions"].as_array().unwrap().len(), 3);
    assert_eq!(mark["partitions"][0]["rows"], 13, "the range that was replaced counts once");
    assert_eq!(mark["partitions"][1]["rows"], 8);
    assert_eq!(mark["partitions"][1]["message_time"], "2024-01-01T00:00:03.000Z");
    assert_eq!(mark["partitions"][1]["freshness_seconds"], json!(null));

    let shown = || {
        let page = api.ok("/v1/records");
        Ok((page["meta"]["watermark"] == "2024-01-01T00:00:09.000Z").then_some(()))
    };
    until("the watermark in a page", SOON, shown).unwrap();
    assert!(api.metric("caudal_api_watermark_age_seconds", "").unwrap() > 86400.0);
}
