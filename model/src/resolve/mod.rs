//! Resource + fleet configuration + recorded identity → resolved pipeline, or
//! everything that is wrong with it. Pure.
//!
//! A [`Resolution`] holds all that can be decided before anybody is asked. What
//! only the outside tells ([`Facts`], addresses) comes in [`Resolution::plan`].

mod fields;
mod identity;
pub mod path;
mod topic;
mod workload;

pub use identity::{ConnectionSource, Difference};
pub use topic::{MAX_MESSAGE_BYTES, TopicSettings, TopicWishes};
pub use workload::{ApiSettings, IngestSettings, counted_memory, flush_delay, largest_block};

use crate::ddl::{DEDUPLICATION_WINDOW, LONGEST_REQUEST_SECONDS, LedgerSpec, PartitionBy, TableSpec, Ttl};
use crate::fleet::Fleet;
use crate::plan::{
    self, ClickHouseConnection, ClickHouseSink, DeadLetter, FORMAT_VERSION, Field, Ingest, IsolationLevel,
    KafkaConnection, KafkaSource, PipelineId, Plan, StartFrom,
};
use crate::resource::{
    DataPipeline, DeletionPolicy, Delivery, Engine, FreshnessObjective, Resolved, UnknownFields,
};

/// Tokens that no table needs more of.
const MOST_TOKENS: u64 = 1_000_000;

/// Something in the resource or the fleet configuration that can't be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {message}")]
pub struct Violation {
    /// Path of the field, like `spec.schema.fields[2].default`.
    pub field: String,
    /// What is wrong and what to write instead.
    pub message: String,
}

impl Violation {
    fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { field: field.into(), message: message.into() }
    }
}

/// A pipeline with every default filled in and every value checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Resolution {
    pub pipeline: PipelineId,
    /// `<installation>/<namespace>/<name>`, the comment of its tables.
    pub owner: String,
    /// To be recorded in the status before anything is created.
    pub identity: Resolved,
    /// Where the record wins over what the defaults say now.
    pub differences: Vec<Difference>,
    pub kafka: ConnectionSource,
    pub clickhouse: ConnectionSource,
    /// How the topic is made if it is not there.
    pub topic: TopicSettings,
    /// What its topics are held to once they are there.
    pub topic_wishes: TopicWishes,
    pub dead_letter_retention_days: u32,
    pub start_from: StartFrom,
    pub isolation_level: IsolationLevel,
    pub max_attempts: Option<u32>,
    pub fields: Vec<Field>,
    pub unknown_fields: UnknownFields,
    pub engine: Engine,
    pub partition_by: Option<PartitionBy>,
    pub ttl: Option<Ttl>,
    /// The table is somebody else's: checked, never altered, never dropped.
    pub existing_table: bool,
    pub ingest: IngestSettings,
    pub api: Option<ApiSettings>,
    pub freshness: FreshnessObjective,
    pub paused: bool,
    pub deletion_policy: DeletionPolicy,
}

/// What the servers say of the pipeline's things.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    pub cluster_id: String,
    pub topic_id: String,
    pub table_uuid: String,
    /// What the table can hold, of what was asked for.
    pub delivery: Delivery,
}

/// Addresses of both sides, from the fleet configuration and the Secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Addresses {
    pub kafka: KafkaConnection,
    pub clickhouse: ClickHouseConnection,
}

/// Fills in defaults and checks what the resource definition can't.
///
/// `recorded` is `status.resolved`: what it names wins over spec and defaults.
pub fn resolve(
    pipeline: &DataPipeline,
    fleet: &Fleet,
    recorded: Option<&Resolved>,
) -> Result<Resolution, Vec<Violation>> {
    let id = PipelineId {
        namespace: pipeline.metadata.namespace.clone().unwrap_or_default(),
        name: pipeline.metadata.name.clone().unwrap_or_default(),
    };
    let spec = &pipeline.spec;
    let defaults = &fleet.defaults;
    let mut found = Vec::new();

    let identity = collect(&mut found, identity::identity(&id, spec, fleet, recorded));
    let fields = collect(&mut found, fields::fields(&spec.schema.fields));
    let start_from = collect_one(&mut found, topic::start_from(&spec.source.kafka.start_from));
    let ingest = collect(&mut found, workload::ingest(spec, defaults));
    let api_resources = spec.api.as_ref().map(|api| workload::api(api, &defaults.api));
    let api = api_resources.map(|api| collect(&mut found, api));
    if let Some(fields) = &fields {
        found.extend(fields::check_keys(spec, fields));
    }
    let (Some(identity), Some(fields), Some(start_from), Some(ingest)) =
        (identity, fields, start_from, ingest)
    else {
        return Err(found);
    };
    let sink = &spec.sink.clickhouse;
    let table_fields = fields::table_fields(sink, &fields);
    let (Some((partition_by, ttl)), true) = (collect(&mut found, table_fields), found.is_empty()) else {
        return Err(found);
    };
    Ok(Resolution {
        owner: format!("{}/{}/{}", fleet.installation, id.namespace, id.name),
        topic: topic::topic(&spec.source.kafka.create, &defaults.topic, &identity.resolved),
        topic_wishes: topic::wishes(spec),
        pipeline: id,
        identity: identity.resolved,
        differences: identity.differences,
        kafka: identity.kafka,
        clickhouse: identity.clickhouse,
        dead_letter_retention_days: topic::days(
            spec.dead_letter.retention_days.unwrap_or(defaults.dead_letter.retention_days),
        ),
        start_from,
        isolation_level: match spec.source.kafka.isolation_level {
            crate::resource::IsolationLevel::ReadCommitted => IsolationLevel::ReadCommitted,
            crate::resource::IsolationLevel::ReadUncommitted => IsolationLevel::ReadUncommitted,
        },
        max_attempts: spec.dead_letter.max_attempts,
        fields,
        unknown_fields: spec.schema.unknown_fields,
        engine: sink.engine,
        partition_by,
        ttl,
        existing_table: sink.existing_table,
        ingest,
        api: api.flatten(),
        freshness: workload::freshness(spec, defaults).clone(),
        paused: spec.paused,
        deletion_policy: spec.deletion_policy,
    })
}

fn collect<T>(found: &mut Vec<Violation>, result: Result<T, Vec<Violation>>) -> Option<T> {
    result.map_err(|violations| found.extend(violations)).ok()
}

fn collect_one<T>(found: &mut Vec<Violation>, result: Result<T, Violation>) -> Option<T> {
    collect(found, result.map_err(|violation| vec![violation]))
}

impl Resolution {
    /// The plan that pods read.
    pub fn plan(&self, addresses: &Addresses, facts: &Facts) -> Plan {
        let identity = &self.identity;
        Plan {
            format_version: FORMAT_VERSION,
            pipeline: self.pipeline.clone(),
            source: KafkaSource {
                connection: addresses.kafka.clone(),
                topic: identity.topic.clone(),
                topic_id: facts.topic_id.clone(),
                cluster_id: facts.cluster_id.clone(),
                group: identity.group.clone(),
                start_from: self.start_from,
                isolation_level: self.isolation_level,
                dead_letter: DeadLetter {
                    topic: identity.dead_letter_topic.clone(),
                    max_attempts: self.max_attempts,
                },
            },
            fields: self.fields.clone(),
            unknown_fields: self.unknown_fields,
            sink: ClickHouseSink {
                connection: addresses.clickhouse.clone(),
                database: identity.database.clone(),
                table: identity.table.clone(),
                table_uuid: facts.table_uuid.clone(),
                ledger_table: self.ledger_table(),
                order_by: identity.order_by.clone(),
            },
            ingest: Some(Ingest { delivery: facts.delivery, ..self.ingest.plan.clone() }),
            api: self.api.as_ref().map(|api| api.plan.clone()),
        }
    }

    /// The table as it should be.
    pub fn table_spec(&self) -> TableSpec {
        TableSpec {
            database: self.identity.database.clone(),
            table: self.identity.table.clone(),
            fields: plan::columns(&self.fields, self.unknown_fields),
            order_by: self.identity.order_by.clone(),
            partition_by: self.partition_by.clone(),
            ttl: self.ttl.clone(),
            engine: self.engine,
            comment: self.owner.clone(),
            api_key: self.api.as_ref().map(|api| api.plan.key.clone()),
            deduplication_window: self.deduplication_window(),
            existing: self.existing_table,
        }
    }

    /// Tokens that a new table remembers (rule 5): of all partitions' blocks,
    /// each in two of the table's partitions if it has any, four times what
    /// comes within the longest life of a request, in whole windows.
    fn deduplication_window(&self) -> u64 {
        let units = if self.partition_by.is_some() { 2 } else { 1 };
        let blocks = u64::try_from(self.topic.partitions).unwrap_or(1) * LONGEST_REQUEST_SECONDS * 1_000
            / self.ingest.plan.flush_delay_ms.max(1);
        (4 * units * blocks).next_multiple_of(DEDUPLICATION_WINDOW).clamp(DEDUPLICATION_WINDOW, MOST_TOKENS)
    }

    /// The ledger as it should be.
    pub fn ledger_spec(&self) -> LedgerSpec {
        LedgerSpec {
            database: self.identity.database.clone(),
            table: self.ledger_table(),
            comment: self.owner.clone(),
        }
    }

    fn ledger_table(&self) -> String {
        format!("{}__ledger", self.identity.table)
    }
}

#[cfg(test)]
mod tests;
