//! `spec`: what a user writes.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Api, DeadLetter, Ingest, Schema, Sink, Slo, Source};

/// What the pipeline reads, what its messages look like, where they go, and who may read them.
#[derive(CustomResource, Clone, Debug, Serialize, Deserialize, JsonSchema, PartialEq)]
#[kube(
    group = "caudal.dev",
    version = "v1alpha1",
    kind = "DataPipeline",
    plural = "datapipelines",
    shortname = "dp",
    category = "caudal",
    namespaced,
    status = "super::DataPipelineStatus",
    derive = "PartialEq",
    doc = "One stream of messages on its way from a Kafka topic to a ClickHouse table to a read API, watched against an objective.",
    scale(
        spec_replicas_path = ".spec.ingest.replicas",
        status_replicas_path = ".status.ingest.replicas",
        label_selector_path = ".status.ingest.selector"
    ),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].status"#,
        description = "Everything the pipeline asks for is there and runs."
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].reason"#,
        description = "Why it is ready or not; `kubectl describe` shows the message."
    ),
    printcolumn(
        name = "Partitions",
        type_ = "integer",
        json_path = ".status.resolved.partitions",
        description = "Partitions of the topic."
    ),
    printcolumn(
        name = "Consumers",
        type_ = "integer",
        json_path = ".status.ingest.replicas",
        description = "Ingestor pods."
    ),
    printcolumn(
        name = "Delivery",
        type_ = "string",
        json_path = ".status.delivery",
        description = "How often a message becomes a row."
    ),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp",
        description = "Since it was made."
    ),
    printcolumn(
        name = "Topic",
        type_ = "string",
        json_path = ".status.resolved.topic",
        priority = 1,
        description = "The topic it reads."
    ),
    printcolumn(
        name = "Table",
        type_ = "string",
        json_path = ".status.resolved.table",
        priority = 1,
        description = "The table it writes."
    ),
    printcolumn(
        name = "URL",
        type_ = "string",
        json_path = ".status.url",
        priority = 1,
        description = "The API, inside the cluster."
    )
)]
#[expect(clippy::duplicated_attributes, reason = "columns share types and priorities")]
#[serde(rename_all = "camelCase")]
pub struct DataPipelineSpec {
    /// Where messages come from.
    #[serde(default)]
    pub source: Source,
    /// What a message holds.
    pub schema: Schema,
    /// Where rows go.
    pub sink: Sink,
    /// Where messages go that can't become a row.
    #[serde(default)]
    pub dead_letter: DeadLetter,
    /// The consumers that carry messages from topic to table.
    #[serde(default)]
    pub ingest: Ingest,
    /// The read API. Leave it out for a pipeline without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api: Option<Api>,
    /// What the pipeline promises. The fleet's objective where nothing is said.
    #[serde(default)]
    pub slo: Slo,
    /// Stops the consumers; topic, table and API stay. Taken up again, the pipeline goes on where it was.
    #[serde(default)]
    pub paused: bool,
    /// What becomes of topic, dead letters, table and ledger when this resource is deleted: `Retain` leaves them,
    /// `Delete` removes those that Caudal made. Databases are never removed.
    #[serde(default)]
    pub deletion_policy: DeletionPolicy,
}

#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, JsonSchema, PartialEq, Eq)]
pub enum DeletionPolicy {
    #[default]
    Retain,
    Delete,
}
