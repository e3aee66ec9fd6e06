//! Everybody who brings a topic into a table, each with its best documented settings.

pub mod bare;
mod blocks;
mod http;
pub mod ingestor;
pub mod kafka_engine;
pub mod limit;
pub mod plain;

pub use blocks::Blocks;
pub use ingestor::Ingestors;

use anyhow::Context;

use crate::parts::{Stage, Topic, Tuning};
use crate::sample::Sample;

/// Who is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Contestant {
    /// ClickHouse's Kafka engine, one consumer
    KafkaEngine,
    /// ClickHouse's Kafka engine, two consumers
    KafkaEngine2,
    /// rdkafka, serde, typed inserts; at least once
    Plain,
    /// Caudal's ingestor, exactly once
    Caudal,
    /// The cheapest consumer, blocks that were ready before
    Limit,
    /// A consumer that stores nothing
    Bare,
}

impl Contestant {
    pub const ALL: [Self; 6] =
        [Self::KafkaEngine, Self::KafkaEngine2, Self::Plain, Self::Caudal, Self::Limit, Self::Bare];

    pub fn title(self) -> &'static str {
        match self {
            Self::KafkaEngine => "Kafka engine, 1 consumer",
            Self::KafkaEngine2 => "Kafka engine, 2 consumers",
            Self::Plain => "plain Rust sink, at least once",
            Self::Caudal => "Caudal, exactly once",
            Self::Limit => "limit: consume, ready-made blocks",
            Self::Bare => "consume only, nothing stored",
        }
    }

    /// Brings all of `topic` into a new table.
    pub fn measure(self, stage: &Stage, topic: &Topic, blocks: Option<&Blocks>) -> anyhow::Result<Sample> {
        match self {
            Self::KafkaEngine => kafka_engine::measure(stage, topic, 1),
            Self::KafkaEngine2 => kafka_engine::measure(stage, topic, 2),
            Self::Plain => plain::measure(stage, topic),
            Self::Caudal => ingestor::measure(stage, topic, Tuning::default(), 1),
            Self::Limit => limit::measure(stage, topic, blocks.context("the limit needs ready-made blocks")?),
            Self::Bare => bare::measure(stage, topic),
        }
    }
}
