//! `status`: what the operator found and did.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What the operator found and did.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct DataPipelineStatus {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolved: Option<Resolved>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ingest: Option<IngestStatus>,
    /// In-cluster address of the API.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}

/// The identity, resolved once and kept: a changed default never re-points a table.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Resolved {
    pub kafka_connection: String,
    pub clickhouse_connection: String,
    pub topic: String,
    pub dead_letter_topic: String,
    pub group: String,
    pub database: String,
    pub table: String,
    pub engine: String,
    pub order_by: Vec<String>,
    /// Caudal made the topic (and may delete it); recorded before it is made.
    #[serde(default)]
    pub topic_created: bool,
    #[serde(default)]
    pub dead_letter_topic_created: bool,
    #[serde(default)]
    pub table_created: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partitions: Option<i32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table_uuid: Option<String>,
}

/// What `kubectl scale` reads and autoscalers follow.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct IngestStatus {
    pub replicas: i32,
    pub selector: String,
}
