//! `spec.ingest`: the consumers.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Resources;

/// The consumers that carry messages from topic to table.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Ingest {
    /// Consumer pods; those beyond the topic's partitions stand by. `kubectl scale` sets this.
    #[serde(default = "super::one")]
    #[schemars(range(min = 1, max = 1000))]
    pub replicas: i32,
    /// `ExactlyOnce`: every message becomes a row once, whatever dies. `AtLeastOnce` is cheaper: one insert for all
    /// partitions instead of one each, and rows may be there twice after a failure. Where the table can't hold rows
    /// exactly once, delivery is at least once, and the condition DeliveryDowngraded says why.
    #[serde(default)]
    pub delivery: Delivery,
    /// How large blocks grow. Their delay follows from the freshness objective.
    #[serde(default)]
    pub batch: Batch,
    /// CPU and memory of a consumer pod; the fleet's where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,
}

impl Default for Ingest {
    fn default() -> Self {
        Self {
            replicas: super::one(),
            delivery: Delivery::default(),
            batch: Batch::default(),
            resources: None,
        }
    }
}

/// How often a message becomes a row.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, JsonSchema, PartialEq, Eq, Hash)]
pub enum Delivery {
    #[default]
    ExactlyOnce,
    AtLeastOnce,
}

impl Delivery {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ExactlyOnce => "ExactlyOnce",
            Self::AtLeastOnce => "AtLeastOnce",
        }
    }
}

/// How large a block, which is one insert, grows.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Batch {
    /// Rows of a block at most; the fleet's default where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_048_448))]
    pub max_rows: Option<i64>,
    /// Bytes of a block at most; where nothing is said the fleet's default, or less: the memory limit must hold four
    /// blocks and 64 MiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 65_536, max = 268_435_455))]
    pub max_bytes: Option<i64>,
}
