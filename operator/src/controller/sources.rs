//! Which connections a pipeline uses, by its resolution or by its record alone.

use caudal_model::resolve::{ConnectionSource, Resolution};
use caudal_model::resource::Resolved;

use super::reason::{Problem, Reason};

/// The pipeline's namespace and where its connections come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sources {
    pub namespace: String,
    pub kafka: ConnectionSource,
    pub clickhouse: ConnectionSource,
}

impl Sources {
    pub fn of(resolution: &Resolution) -> Self {
        Self {
            namespace: resolution.pipeline.namespace.clone(),
            kafka: resolution.kafka.clone(),
            clickhouse: resolution.clickhouse.clone(),
        }
    }

    /// For a deletion, which must not fail because the spec does.
    pub fn recorded(namespace: &str, resolved: &Resolved) -> Result<Self, Problem> {
        let parse = |text: &str| {
            text.parse()
                .map_err(|error| Problem::new(Reason::InvalidSpec, format!("status.resolved: {error}")))
        };
        Ok(Self {
            namespace: namespace.to_owned(),
            kafka: parse(&resolved.kafka_connection)?,
            clickhouse: parse(&resolved.clickhouse_connection)?,
        })
    }
}
