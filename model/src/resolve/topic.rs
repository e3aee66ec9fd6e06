//! How topics are made, and where reading begins.

use std::collections::BTreeMap;

use super::{Resolution, Violation};
use crate::fleet::TopicDefaults;
use crate::plan::StartFrom;
use crate::resource::{self, DataPipelineSpec, Resolved, StartPosition, TopicCreation};
use crate::value::rfc3339_ms;

/// Headers and reason that a dead letter carries beyond its message.
const DEAD_LETTER_ROOM: u64 = 64 << 10;

/// How a topic that is not there is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicSettings {
    pub partitions: i32,
    pub replication_factor: i32,
    /// As Kafka spells it.
    pub config: BTreeMap<String, String>,
}

pub(super) fn topic(create: &TopicCreation, defaults: &TopicDefaults, identity: &Resolved) -> TopicSettings {
    let mut config = defaults.config.clone();
    config.extend(create.config.clone());
    // A changed default never grows a topic; a changed spec does.
    let recorded = identity.partitions.unwrap_or(defaults.partitions);
    TopicSettings {
        partitions: create.partitions.unwrap_or(recorded),
        replication_factor: create.replication_factor.unwrap_or(defaults.replication_factor),
        config,
    }
}

/// What the spec itself asks of topics. It is kept as asked; what only the
/// fleet's defaults say is set when a topic is made, and a changed default
/// never alters one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TopicWishes {
    /// As Kafka spells it.
    pub config: BTreeMap<String, String>,
    pub replication_factor: Option<i32>,
    pub dead_letter_retention_days: Option<u32>,
}

/// The setting that bounds messages, as Kafka spells it.
pub const MAX_MESSAGE_BYTES: &str = "max.message.bytes";
const MIN_REPLICAS: &str = "min.insync.replicas";
const RETENTION: &str = "retention.ms";

impl Resolution {
    /// The configuration that a dead-letter topic of ours must have now, beside
    /// a source topic of the configuration `source`.
    pub fn dead_letter_config(&self, source: &BTreeMap<String, String>) -> BTreeMap<String, String> {
        let asked = self.topic_wishes.config.get(MAX_MESSAGE_BYTES);
        let limit = asked.or_else(|| source.get(MAX_MESSAGE_BYTES)).and_then(|limit| limit.parse().ok());
        let mut config = self.dead_letter_topic(limit.unwrap_or_default()).config;
        config.retain(|key, _| match key.as_str() {
            MAX_MESSAGE_BYTES => limit.is_some(),
            RETENTION => self.topic_wishes.dead_letter_retention_days.is_some(),
            key => self.topic_wishes.config.contains_key(key) && key == MIN_REPLICAS,
        });
        config
    }

    /// How the dead-letter topic is made beside a source topic that takes
    /// messages of up to `source_max_message_bytes`.
    pub fn dead_letter_topic(&self, source_max_message_bytes: u64) -> TopicSettings {
        let retention_ms = u64::from(self.dead_letter_retention_days) * 86_400_000;
        let limit = i32::MAX.unsigned_abs().into();
        let mut config = BTreeMap::from([
            ("cleanup.policy".to_owned(), "delete".to_owned()),
            (
                MAX_MESSAGE_BYTES.to_owned(),
                (source_max_message_bytes + DEAD_LETTER_ROOM).min(limit).to_string(),
            ),
            (RETENTION.to_owned(), retention_ms.to_string()),
        ]);
        // As safe as the source: what a dead letter holds is nowhere else.
        let replicas = self.topic.config.get(MIN_REPLICAS);
        config.extend(replicas.map(|replicas| (MIN_REPLICAS.to_owned(), replicas.clone())));
        TopicSettings { partitions: 1, replication_factor: self.topic.replication_factor, config }
    }
}

pub(super) fn wishes(spec: &DataPipelineSpec) -> TopicWishes {
    let create = &spec.source.kafka.create;
    TopicWishes {
        config: create.config.clone(),
        replication_factor: create.replication_factor,
        dead_letter_retention_days: spec.dead_letter.retention_days.map(days),
    }
}

pub(super) fn start_from(start: &resource::StartFrom) -> Result<StartFrom, Violation> {
    match (start.position, &start.timestamp) {
        (StartPosition::Earliest, _) => Ok(StartFrom::Earliest),
        (StartPosition::Latest, _) => Ok(StartFrom::Latest),
        (StartPosition::Timestamp, timestamp) => timestamp
            .as_deref()
            .and_then(rfc3339_ms)
            .map(|timestamp_ms| StartFrom::Timestamp { timestamp_ms })
            .ok_or_else(|| {
                Violation::new(
                    "spec.source.kafka.startFrom.timestamp",
                    "position Timestamp needs a time like 2026-01-31T12:00:00Z",
                )
            }),
    }
}

/// Days as written; bounded by the resource definition.
pub(super) fn days(days: i32) -> u32 {
    days.try_into().unwrap_or(1)
}
