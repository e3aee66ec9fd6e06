//! The sink a good engineer writes in an afternoon: rdkafka's stream, serde, typed inserts of the official crate.
//! It commits after each insert, so a crash repeats rows.

mod rows;

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Context;
use caudal_testbed::clickhouse::ADMIN;
use clickhouse::{Client, Compression, Row, RowWrite};
use rdkafka::consumer::{CommitMode, Consumer, StreamConsumer};
use rdkafka::{ClientConfig, Message, Offset, TopicPartitionList};
use tokio::time::{Instant, sleep_until};

use crate::parts::{BLOCK_ROWS, DATABASE, Stage, Topic};
use crate::process::{self, Running};
use crate::records::Workload;
use crate::sample::{Sample, Used};
use crate::server::Watch;
use rows::{Flat, FromKafka, Wide};

/// As the Kafka engine's default.
const FLUSH_MS: u64 = 7_500;

/// What the process is told, as JSON.
#[derive(serde::Serialize, serde::Deserialize)]
pub struct Orders {
    brokers: String,
    topic: String,
    group: String,
    workload: Workload,
    url: String,
    table: String,
    flush_ms: u64,
    /// Ends after so many messages.
    messages: u64,
}

pub fn start(
    stage: &Stage,
    topic: &Topic,
    table: &str,
    flush_ms: u64,
    messages: u64,
) -> anyhow::Result<Running> {
    let orders = Orders {
        brokers: stage.kafka.bootstrap_servers(),
        topic: topic.name.clone(),
        group: stage.name("plain"),
        workload: topic.workload,
        url: stage.clickhouse.url(),
        table: table.into(),
        flush_ms,
        messages,
    };
    Running::own(&["plain", &serde_json::to_string(&orders)?])
}

pub fn measure(stage: &Stage, topic: &Topic) -> anyhow::Result<Sample> {
    let table = stage.table(topic.workload)?;
    let watch = Watch::begin(&stage.clickhouse)?;
    let mut running = start(stage, topic, &table, FLUSH_MS, topic.messages)?;
    let stored = watch.wait_for_rows(&table, topic.messages, || running.check_not_failed())?;
    let used: Used = running.answer()?;
    let server = watch.settle(stored)?;
    Ok(Sample {
        rows: topic.messages,
        wall_seconds: stored.wall_seconds,
        consumer: Some(used),
        server: Some(server),
    })
}

/// Runs the sink and prints a [`Used`].
pub fn run(orders: &str) -> anyhow::Result<()> {
    let orders: Orders = serde_json::from_str(orders)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    match orders.workload {
        Workload::Flat => runtime.block_on(sink::<Flat>(&orders))?,
        Workload::Wide => runtime.block_on(sink::<Wide>(&orders))?,
    }
    let used = Used {
        cpu_seconds: process::own_cpu_seconds()?,
        peak_bytes: process::memory(std::process::id(), true)?,
    };
    println!("{}", serde_json::to_string(&used)?);
    Ok(())
}

async fn sink<T>(orders: &Orders) -> anyhow::Result<()>
where
    T: FromKafka + RowWrite + for<'a> Row<Value<'a> = T>,
{
    let consumer: StreamConsumer = ClientConfig::new()
        .set("bootstrap.servers", &orders.brokers)
        .set("group.id", &orders.group)
        .set("auto.offset.reset", "earliest")
        .set("enable.auto.commit", "false")
        .create()?;
    consumer.subscribe(&[&orders.topic])?;
    // The faster choices: no compression on this machine, and no check of types in every row.
    let client = Client::default()
        .with_url(&orders.url)
        .with_user(ADMIN.name)
        .with_password(ADMIN.password)
        .with_database(DATABASE)
        .with_compression(Compression::None)
        .with_validation(false);
    let flush_delay = Duration::from_millis(orders.flush_ms);
    let mut seen = 0;
    while seen < orders.messages {
        let mut insert = client.insert::<T>(&orders.table).await?;
        let mut next_offsets = BTreeMap::new();
        let mut rows = 0;
        let flush = sleep_until(Instant::now() + flush_delay);
        tokio::pin!(flush);
        while rows < BLOCK_ROWS && seen < orders.messages {
            let message = tokio::select! {
                biased;
                message = consumer.recv() => message?,
                () = &mut flush => break,
            };
            let payload = message.payload().context("a message without a value")?;
            let mut row: T = serde_json::from_slice(payload)?;
            let timestamp = message.timestamp().to_millis().unwrap_or_default();
            row.came_from(message.partition(), message.offset(), timestamp);
            insert.write(&row).await?;
            next_offsets.insert(message.partition(), message.offset() + 1);
            rows += 1;
            seen += 1;
        }
        insert.end().await?;
        let mut positions = TopicPartitionList::new();
        for (partition, next) in next_offsets {
            positions.add_partition_offset(&orders.topic, partition, Offset::Offset(next))?;
        }
        if positions.count() > 0 {
            consumer.commit(&positions, CommitMode::Sync)?;
        }
    }
    Ok(())
}
