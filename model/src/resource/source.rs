//! `spec.source` and `spec.deadLetter`: topics.

use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// Where messages come from.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Source {
    /// A Kafka topic.
    #[serde(default)]
    pub kafka: KafkaSource,
}

/// A Kafka topic.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct KafkaSource {
    /// The cluster. Without it, the fleet's connection that serves this namespace. Fixed once the pipeline exists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection_ref: Option<ConnectionRef>,
    /// The topic; `<namespace>.<name>` where nothing is said. One that is already there is used as it is and never
    /// deleted. Fixed once the pipeline exists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 236))]
    pub topic: Option<String>,
    /// How the topic is made where it is not there yet.
    #[serde(default)]
    pub create: TopicCreation,
    /// Where a pipeline begins that has read nothing yet.
    #[serde(default)]
    pub start_from: StartFrom,
    /// Whether messages of transactions that are open or aborted are read (`ReadUncommitted`) or not (`ReadCommitted`).
    #[serde(default)]
    pub isolation_level: IsolationLevel,
}

/// A connection of the pipeline's own.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ConnectionRef {
    /// `Secret`: a Secret in the pipeline's namespace, labelled `caudal.dev/connection: kafka` or
    /// `caudal.dev/connection: clickhouse`, that holds addresses and credentials.
    pub kind: ConnectionKind,
    /// Name of the Secret.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema, PartialEq, Eq)]
pub enum ConnectionKind {
    Secret,
}

/// How a topic is made where it is not there yet.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct TopicCreation {
    /// Partitions; the fleet's default where nothing is said. More may be asked for later, and are added where Caudal
    /// made the topic; fewer can't.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10_000))]
    pub partitions: Option<i32>,
    /// Copies of every message, and of the dead letters; the fleet's default where nothing is said. Kafka changes it
    /// later only by reassigning partitions, so an edit is told and not carried out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 15))]
    pub replication_factor: Option<i32>,
    /// Topic configuration as Kafka spells it, like `retention.ms: "604800000"`, over the fleet's. What
    /// is written here is kept so in a topic that Caudal made; what is taken out again stays as it is.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "topic_config")]
    pub config: BTreeMap<String, String>,
}

fn topic_config(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "maxProperties": 32,
        "additionalProperties": {"type": "string", "maxLength": 1024},
    })
}

/// Where a pipeline begins that has read nothing yet.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct StartFrom {
    /// `Earliest`: with the oldest message kept. `Latest`: with what comes from now on. `Timestamp`: with the first
    /// message at or after `timestamp`.
    #[serde(default)]
    pub position: StartPosition,
    /// A moment like `2026-01-31T12:00:00Z`, for position `Timestamp`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 40))]
    pub timestamp: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, JsonSchema, PartialEq, Eq)]
pub enum StartPosition {
    #[default]
    Earliest,
    Latest,
    Timestamp,
}

#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, JsonSchema, PartialEq, Eq)]
pub enum IsolationLevel {
    #[default]
    ReadCommitted,
    ReadUncommitted,
}

/// Where messages go that can't become a row.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct DeadLetter {
    /// `Topic`: into a topic of their own, with key, value and headers as they were and the reason in further headers.
    #[serde(default)]
    pub policy: DeadLetterPolicy,
    /// The topic of dead letters; `<topic>.dead-letters` where nothing is said. Fixed once the pipeline exists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 249))]
    pub topic: Option<String>,
    /// Days that dead letters are kept; the fleet's default, as it was when the topic was made, where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 3650))]
    pub retention_days: Option<i32>,
    /// How often a message that ClickHouse refuses for its values, for example by a constraint of the table, is tried
    /// alone before it becomes a dead letter with the reason `Refused`. Failures that pass (an outage, overload, a
    /// lost connection) never count. Where nothing is said such a message is tried for ever: its partition waits with
    /// the reason `BlockRefused`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    pub max_attempts: Option<u32>,
}

#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, JsonSchema, PartialEq, Eq)]
pub enum DeadLetterPolicy {
    #[default]
    Topic,
}
