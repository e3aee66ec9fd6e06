//! `status`: what the operator found and did.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::Delivery;

/// What the operator found and did.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct DataPipelineStatus {
    /// The generation of the spec that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub observed_generation: Option<i64>,
    /// Ready sums up TopicReady, TableReady, ConsumersReady and APIReady; Paused, ReconciliationPaused, DefaultsDiffer
    /// and DeliveryDowngraded tell what else matters. Messages say what to do next.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "conditions")]
    pub conditions: Vec<Condition>,
    /// What the pipeline is connected to, resolved once and kept: a changed default never points it elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolved: Option<Resolved>,
    /// How often a message becomes a row: what the spec asks for, or less where the table can't hold that; then the
    /// condition DeliveryDowngraded says why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivery: Option<Delivery>,
    /// The consumers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ingest: Option<IngestStatus>,
    /// Address of the API inside the cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub url: Option<String>,
}

/// The bounds are Kubernetes' own; the crate that has the type leaves them out.
fn conditions(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "maxItems": 16,
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["type"],
        "items": {
            "type": "object",
            "description": "One aspect of the pipeline's state.",
            "required": ["type", "status", "reason", "message", "lastTransitionTime"],
            "properties": {
                "type": {"type": "string", "maxLength": 316, "description": "Which aspect."},
                "status": {
                    "type": "string",
                    "enum": ["True", "False", "Unknown"],
                    "description": "Whether it holds.",
                },
                "reason": {
                    "type": "string",
                    "minLength": 1,
                    "maxLength": 1024,
                    "description": "Why, in one word; from a closed list.",
                },
                "message": {"type": "string", "maxLength": 32768, "description": "Why, and what to do next."},
                "lastTransitionTime": {
                    "type": "string",
                    "format": "date-time",
                    "description": "Since when status is what it is.",
                },
                "observedGeneration": {
                    "type": "integer",
                    "format": "int64",
                    "minimum": 0,
                    "description": "The generation of the spec that this is about.",
                },
            },
        },
    })
}

/// What the pipeline is connected to.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Resolved {
    /// The Kafka connection: `fleet/<name>` or `secret/<name>`.
    #[schemars(length(max = 260))]
    pub kafka_connection: String,
    /// The ClickHouse connection: `fleet/<name>` or `secret/<name>`.
    #[schemars(length(max = 260))]
    pub clickhouse_connection: String,
    /// The topic.
    #[schemars(length(max = 249))]
    pub topic: String,
    /// The topic of dead letters.
    #[schemars(length(max = 249))]
    pub dead_letter_topic: String,
    /// The consumer group.
    #[schemars(length(max = 255))]
    pub group: String,
    /// The database.
    #[schemars(length(max = 64))]
    pub database: String,
    /// The table, in the database.
    #[schemars(length(max = 64))]
    pub table: String,
    /// The engine of a table that Caudal makes.
    #[schemars(length(max = 64))]
    pub engine: String,
    /// Fields that rows are sorted by.
    #[schemars(length(max = 16), inner(length(max = 64)))]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub order_by: Vec<String>,
    /// Caudal made the topic, and may delete it; recorded before it is made.
    #[serde(default)]
    pub topic_created: bool,
    /// Caudal made the topic of dead letters, and may delete it; recorded before it is made.
    #[serde(default)]
    pub dead_letter_topic_created: bool,
    /// Caudal made the table, and may drop it; recorded before it is made.
    #[serde(default)]
    pub table_created: bool,
    /// Kafka's id of the cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub cluster_id: Option<String>,
    /// Kafka's id of the topic: a topic deleted and made again under the same name is another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub topic_id: Option<String>,
    /// Kafka's id of the topic of dead letters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub dead_letter_topic_id: Option<String>,
    /// Partitions of the topic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub partitions: Option<i32>,
    /// The table's UUID: a table dropped and made again is another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 36))]
    pub table_uuid: Option<String>,
}

/// The consumers: what `kubectl scale` reads and autoscalers follow.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct IngestStatus {
    /// Consumer pods that exist.
    #[schemars(range(min = 0))]
    pub replicas: i32,
    /// Label selector of the consumer pods.
    #[schemars(length(max = 1024))]
    pub selector: String,
}
