//! What came out of a pipeline: all rows of its API, all messages of its dead-letter topic.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{Headers, Message as _};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use reqwest::blocking::{Client, Response};
use serde_json::{Map, Value};

/// A client that answers or fails within half a minute.
pub fn http() -> Client {
    Client::builder().timeout(Duration::from_secs(30)).build().expect("no setting of this client can fail")
}

/// GETs `url`, whatever its status.
pub fn get(client: &Client, url: &str) -> anyhow::Result<Response> {
    client.get(url).send().with_context(|| format!("GET {url}"))
}

/// Every row that `base/v1/records` answers, page after page by cursor.
pub fn all_rows(client: &Client, base: &str) -> anyhow::Result<Vec<Map<String, Value>>> {
    let mut rows = Vec::new();
    let mut cursor: Option<String> = None;
    loop {
        let url = format!("{base}/v1/records");
        let mut request = client.get(&url).query(&[("limit", "10000")]);
        if let Some(cursor) = &cursor {
            request = request.query(&[("cursor", cursor)]);
        }
        let response = request.send().with_context(|| format!("GET {url}"))?;
        let status = response.status();
        let body: Value = response.json().with_context(|| format!("read the answer of GET {url}"))?;
        ensure!(status.is_success(), "GET {url}: {status} {body}");
        let page = body["data"].as_array().with_context(|| format!("GET {url}: no data in {body}"))?;
        rows.extend(page.iter().filter_map(Value::as_object).cloned());
        match body["meta"]["next_cursor"].as_str() {
            Some(next) => cursor = Some(next.to_owned()),
            None => return Ok(rows),
        }
    }
}

/// A message of a dead-letter topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    /// Header name → value, the message's own and Caudal's (`caudal.reason` …).
    pub headers: BTreeMap<String, Vec<u8>>,
}

impl DeadLetter {
    /// The header's text; empty when absent.
    pub fn header(&self, name: &str) -> String {
        self.headers.get(name).map(|value| String::from_utf8_lossy(value).into_owned()).unwrap_or_default()
    }

    /// (partition, offset) of the message it was: what makes it distinct.
    pub fn origin(&self) -> (String, String) {
        (self.header("caudal.partition"), self.header("caudal.offset"))
    }
}

/// Everything in the one partition of dead-letter topic `topic`, up to its end when called.
pub fn dead_letters(config: &ClientConfig, topic: &str) -> anyhow::Result<Vec<DeadLetter>> {
    const PATIENCE: Duration = Duration::from_secs(30);
    let mut config = config.clone();
    config.set("group.id", "caudal-dead-letter-reader").set("enable.auto.commit", "false");
    let consumer: BaseConsumer = config.create().context("create a Kafka consumer")?;
    let act = || format!("read dead-letter topic {topic:?}");
    let (low, high) = consumer.fetch_watermarks(topic, 0, PATIENCE).with_context(act)?;
    let mut assignment = TopicPartitionList::new();
    assignment.add_partition_offset(topic, 0, Offset::Offset(low)).with_context(act)?;
    consumer.assign(&assignment).with_context(act)?;
    let deadline = Instant::now() + PATIENCE;
    let mut letters = Vec::new();
    let mut next = low;
    while next < high {
        ensure!(Instant::now() < deadline, "{}: stood at offset {next} of {high}", act());
        let Some(message) = consumer.poll(Duration::from_millis(200)) else { continue };
        let message = message.with_context(act)?;
        next = message.offset() + 1;
        letters.push(DeadLetter {
            key: message.key().map(<[u8]>::to_vec),
            value: message.payload().map(<[u8]>::to_vec),
            headers: message
                .headers()
                .into_iter()
                .flat_map(|headers| headers.iter())
                .map(|header| (header.key.to_owned(), header.value.unwrap_or_default().to_vec()))
                .collect(),
        });
    }
    Ok(letters)
}
