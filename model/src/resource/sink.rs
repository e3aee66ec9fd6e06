//! `spec.sink`: the table.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ConnectionRef;

/// Where rows go.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Sink {
    /// A ClickHouse table.
    pub clickhouse: ClickHouseSink,
}

/// A ClickHouse table. Besides the fields it has the columns `_kafka_source`, `_kafka_partition`, `_kafka_offset` and
/// `_kafka_timestamp`; a table `<table>__ledger` beside it records which offsets are where.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ClickHouseSink {
    /// The server. Without it, the fleet's connection that serves this namespace. Fixed once the pipeline exists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection_ref: Option<ConnectionRef>,
    /// The database; the namespace with `_` for `-` where nothing is said. Made where it is not there, never dropped.
    /// Fixed once the pipeline exists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub database: Option<String>,
    /// The table; the pipeline's name with `_` for `-` where nothing is said. Fixed once the pipeline exists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub table: Option<String>,
    /// Fields that rows are sorted by, the ones asked for most first. Fixed once the pipeline exists.
    #[schemars(length(min = 1, max = 16), inner(length(min = 1, max = 64)))]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub order_by: Vec<String>,
    /// Keeps rows of different days, months or years apart on disk. Fixed once the pipeline exists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partition_by: Option<PartitionBy>,
    /// Removes rows some days after the moment in a field. Fixed once the pipeline exists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl: Option<Ttl>,
    /// The table's engine. Fixed once the pipeline exists.
    #[serde(default)]
    pub engine: Engine,
    /// Uses a table that is already there: it is checked, but never altered and never dropped. Where it
    /// can't hold every row exactly once (settings, engine, views), delivery is at least once and a condition says what
    /// helps. Fixed once the pipeline exists.
    #[serde(default)]
    pub existing_table: bool,
}

/// Keeps rows of different days, months or years apart on disk.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct PartitionBy {
    /// A field of type Date or DateTime64 that is not nullable.
    #[schemars(length(min = 1, max = 64))]
    pub field: String,
    /// `Day`, `Month` or `Year`, in the field's zone or UTC. An insert that touches many partitions is slow: `Month`
    /// is right for most.
    pub by: PartitionUnit,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema, PartialEq, Eq)]
pub enum PartitionUnit {
    Day,
    Month,
    Year,
}

/// Removes rows some days after the moment in a field.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Ttl {
    /// A field of type Date or DateTime64 that is not nullable.
    #[schemars(length(min = 1, max = 64))]
    pub field: String,
    /// Days that a row stays.
    #[schemars(range(min = 1, max = 36_500))]
    pub days: i32,
}

#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, JsonSchema, PartialEq, Eq)]
pub enum Engine {
    #[default]
    MergeTree,
}

impl Engine {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::MergeTree => "MergeTree",
        }
    }
}
