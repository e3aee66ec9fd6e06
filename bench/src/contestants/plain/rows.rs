//! JSON → rows, with serde as its documentation shows it.

use chrono::NaiveDateTime;
use clickhouse::Row;
use serde::de::{DeserializeOwned, Error};
use serde::{Deserialize, Deserializer, Serialize};

/// A row that knows its message.
pub trait FromKafka: Serialize + DeserializeOwned {
    fn came_from(&mut self, partition: i32, offset: i64, timestamp: i64);
}

#[derive(Row, Serialize, Deserialize)]
pub struct Flat {
    id: u64,
    #[serde(deserialize_with = "moment")]
    ts: i64,
    country: String,
    user: String,
    value: f64,
    n: i32,
    ok: bool,
    r#ref: Option<String>,
    #[serde(deserialize_with = "cents")]
    price: i64,
    text: String,
    #[serde(default, rename = "_kafka_source")]
    kafka_source: u64,
    #[serde(default, rename = "_kafka_partition")]
    kafka_partition: i32,
    #[serde(default, rename = "_kafka_offset")]
    kafka_offset: i64,
    #[serde(default, rename = "_kafka_timestamp")]
    kafka_timestamp: i64,
}

#[derive(Row, Serialize, Deserialize)]
pub struct Wide {
    id: u64,
    #[serde(deserialize_with = "moment")]
    ts: i64,
    country: String,
    user: String,
    value: f64,
    n: i32,
    ok: bool,
    r#ref: Option<String>,
    #[serde(deserialize_with = "cents")]
    price: i64,
    text: String,
    device: String,
    event: String,
    url: String,
    agent: String,
    session: String,
    lat: f64,
    score: f64,
    seq: i64,
    duration: u32,
    level: u8,
    #[serde(deserialize_with = "moment")]
    seen: i64,
    bot: bool,
    parent: Option<i64>,
    title: String,
    body: String,
    #[serde(default, rename = "_kafka_source")]
    kafka_source: u64,
    #[serde(default, rename = "_kafka_partition")]
    kafka_partition: i32,
    #[serde(default, rename = "_kafka_offset")]
    kafka_offset: i64,
    #[serde(default, rename = "_kafka_timestamp")]
    kafka_timestamp: i64,
}

impl FromKafka for Flat {
    fn came_from(&mut self, partition: i32, offset: i64, timestamp: i64) {
        self.kafka_source = 1;
        self.kafka_partition = partition;
        self.kafka_offset = offset;
        self.kafka_timestamp = timestamp;
    }
}

impl FromKafka for Wide {
    fn came_from(&mut self, partition: i32, offset: i64, timestamp: i64) {
        self.kafka_source = 1;
        self.kafka_partition = partition;
        self.kafka_offset = offset;
        self.kafka_timestamp = timestamp;
    }
}

/// Milliseconds since 1970, as `DateTime64(3)` is sent.
fn moment<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    let text = <&str>::deserialize(deserializer)?;
    let moment = NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S%.3f").map_err(Error::custom)?;
    Ok(moment.and_utc().timestamp_millis())
}

/// Hundredths, as `Decimal(18, 2)` is sent.
fn cents<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    #[expect(clippy::cast_possible_truncation, reason = "what is usually written")]
    Ok((f64::deserialize(deserializer)? * 100.0).round() as i64)
}
