//! Everybody who brings a topic into a table, each with its best documented settings.

pub mod bare;
mod blocks;
mod http;
pub mod ingestor;
mod kafka_engine;
pub mod limit;
pub mod plain;

pub use blocks::Blocks;
pub use ingestor::Ingestors;
pub use kafka_engine::KafkaEngine;

use crate::parts::{Stage, Topic, Tuning};
use crate::sample::Sample;

/// Who is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contestant {
    KafkaEngine { consumers: u8 },
    Plain,
    Ingestor,
    Limit,
    Bare,
}

impl Contestant {
    pub const ALL: [Self; 6] = [
        Self::KafkaEngine { consumers: 1 },
        Self::KafkaEngine { consumers: 2 },
        Self::Plain,
        Self::Ingestor,
        Self::Limit,
        Self::Bare,
    ];

    pub fn title(self) -> &'static str {
        match self {
            Self::KafkaEngine { consumers: 1 } => "Kafka engine, 1 consumer",
            Self::KafkaEngine { .. } => "Kafka engine, 2 consumers",
            Self::Plain => "plain Rust sink, at least once",
            Self::Ingestor => "Caudal, exactly once",
            Self::Limit => "limit: consume, ready-made blocks",
            Self::Bare => "consume only, nothing stored",
        }
    }

    /// Brings all of `topic` into a new table.
    pub fn measure(self, stage: &Stage, topic: &Topic, blocks: &Blocks) -> anyhow::Result<Sample> {
        match self {
            Self::KafkaEngine { consumers } => kafka_engine::measure(stage, topic, consumers),
            Self::Plain => plain::measure(stage, topic),
            Self::Ingestor => ingestor::measure(stage, topic, Tuning::default(), 1),
            Self::Limit => limit::measure(stage, topic, blocks),
            Self::Bare => bare::measure(stage, topic),
        }
    }
}
