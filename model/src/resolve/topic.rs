//! How topics are made, and where reading begins.

use std::collections::BTreeMap;

use super::{Resolution, Violation};
use crate::fleet::TopicDefaults;
use crate::plan::StartFrom;
use crate::resource::{self, Resolved, StartPosition, TopicCreation};
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

impl Resolution {
    /// How the dead-letter topic is made beside a source topic that takes
    /// messages of up to `source_max_message_bytes`.
    pub fn dead_letter_topic(&self, source_max_message_bytes: u64) -> TopicSettings {
        let retention_ms = u64::from(self.dead_letter_retention_days) * 86_400_000;
        let limit = i32::MAX.unsigned_abs().into();
        let mut config = BTreeMap::from([
            ("cleanup.policy".to_owned(), "delete".to_owned()),
            (
                "max.message.bytes".to_owned(),
                (source_max_message_bytes + DEAD_LETTER_ROOM).min(limit).to_string(),
            ),
            ("retention.ms".to_owned(), retention_ms.to_string()),
        ]);
        // As safe as the source: what a dead letter holds is nowhere else.
        let safety = "min.insync.replicas";
        config.extend(self.topic.config.get(safety).map(|replicas| (safety.to_owned(), replicas.clone())));
        TopicSettings { partitions: 1, replication_factor: self.topic.replication_factor, config }
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
