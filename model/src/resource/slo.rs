//! `spec.slo`: what the pipeline promises.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::duration;

/// What the pipeline promises.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Slo {
    /// How soon a message can be queried. It sets how long a block may wait for more rows, so a pipeline that may be late
    /// costs ClickHouse less.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub freshness: Option<FreshnessObjective>,
}

/// How soon a message can be queried, counted from its Kafka timestamp.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct FreshnessObjective {
    /// Share of rows in percent, 95–99.999 with at most three decimals.
    #[schemars(range(min = 0.0, max = 100.0))]
    pub objective: f64,
    /// A duration like `10s` or `1m30s`, from 1s to 24h.
    #[schemars(length(min = 2, max = 16))]
    pub within: String,
}

impl FreshnessObjective {
    /// `within`, or nothing if it is no duration.
    pub fn duration(&self) -> Option<Duration> {
        duration::parse(&self.within)
    }
}
