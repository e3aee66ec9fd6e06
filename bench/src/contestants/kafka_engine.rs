//! ClickHouse's own Kafka engine and a materialized view, from the statements in `peers/`.

use anyhow::Context;

use crate::parts::{DATABASE, Stage, Topic};
use crate::records::Workload;
use crate::sample::Sample;
use crate::server::Watch;

/// The default, which makes the largest blocks.
const FLUSH_MS: u32 = 7_500;

/// Starts queue and view; they go with the database.
pub fn start(stage: &Stage, topic: &Topic, table: &str, consumers: u8, flush_ms: u32) -> anyhow::Result<()> {
    let text = match topic.workload {
        Workload::Flat => include_str!("../../peers/kafka-engine-flat.sql"),
        Workload::Wide => include_str!("../../peers/kafka-engine-wide.sql"),
    };
    let values = [
        ("{brokers}", stage.kafka.bootstrap_servers()),
        ("{topic}", topic.name.clone()),
        ("{group}", stage.name("kafka_engine")),
        ("{table}", table.to_owned()),
        ("{consumers}", consumers.to_string()),
        ("{flush_ms}", flush_ms.to_string()),
    ];
    let text = values.iter().fold(text.to_owned(), |text, (name, value)| text.replace(name, value));
    for statement in text.split(';').filter(|statement| !statement.trim().is_empty()) {
        stage.clickhouse.query(statement).context("start the Kafka engine")?;
    }
    Ok(())
}

/// Ends the consumers, so that they use nothing while merges go on.
pub fn stop(stage: &Stage) -> anyhow::Result<()> {
    for table in ["pump", "queue"] {
        stage.clickhouse.query(&format!("DROP TABLE {DATABASE}.{table} SYNC"))?;
    }
    Ok(())
}

pub fn measure(stage: &Stage, topic: &Topic, consumers: u8) -> anyhow::Result<Sample> {
    let table = stage.table(topic.workload)?;
    let watch = Watch::begin(&stage.clickhouse)?;
    start(stage, topic, &table, consumers, FLUSH_MS)?;
    let stored = watch.wait_for_rows(&table, topic.messages, || Ok(()))?;
    stop(stage)?;
    let server = watch.settle(stored)?;
    Ok(Sample {
        rows: topic.messages,
        wall_seconds: stored.wall_seconds,
        consumer: None,
        server: Some(server),
    })
}
