//! Names of everything outside the cluster: resolved once, then kept.

use std::fmt;
use std::str::FromStr;

use super::Violation;
use crate::fleet::Fleet;
use crate::plan::PipelineId;
use crate::resource::{ConnectionRef, DataPipelineSpec, Resolved};

/// Kafka's limit on the length of a topic's name.
const TOPIC_LENGTH: usize = 249;
/// Names of Kafka's own topics begin so.
const INTERNAL_TOPICS: &str = "__";
/// Databases that belong to the server.
const SYSTEM_DATABASES: [&str; 3] = ["system", "information_schema", "INFORMATION_SCHEMA"];

/// Where address and credentials of a connection come from. Its text form is
/// what `status.resolved` records: `fleet/<name>` or `secret/<name>`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ConnectionSource {
    /// A connection of the fleet configuration.
    Fleet(String),
    /// A Secret in the pipeline's own namespace.
    Secret(String),
}

impl fmt::Display for ConnectionSource {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fleet(name) => write!(out, "fleet/{name}"),
            Self::Secret(name) => write!(out, "secret/{name}"),
        }
    }
}

/// A recorded connection that names neither a fleet's nor a Secret.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{0:?} is no connection; it must be fleet/<name> or secret/<name>")]
pub struct NoConnection(String);

impl FromStr for ConnectionSource {
    type Err = NoConnection;

    fn from_str(text: &str) -> Result<Self, NoConnection> {
        match text.split_once('/') {
            Some(("fleet", name)) => Ok(Self::Fleet(name.to_owned())),
            Some(("secret", name)) => Ok(Self::Secret(name.to_owned())),
            _ => Err(NoConnection(text.to_owned())),
        }
    }
}

/// A record that wins over what spec and defaults would give today.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Field of `status.resolved`.
    pub field: &'static str,
    pub recorded: String,
    pub wanted: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} stays {}, although it would now be {}", self.field, self.recorded, self.wanted)
    }
}

/// The identity and the two connections it names.
pub(super) struct Identity {
    pub resolved: Resolved,
    pub differences: Vec<Difference>,
    pub kafka: ConnectionSource,
    pub clickhouse: ConnectionSource,
}

pub(super) fn identity(
    id: &PipelineId,
    spec: &DataPipelineSpec,
    fleet: &Fleet,
    recorded: Option<&Resolved>,
) -> Result<Identity, Vec<Violation>> {
    let mut found = Vec::new();
    let kafka_serves =
        |name: &str| fleet.connections.kafka.get(name).map(|connection| &connection.namespaces[..]);
    let clickhouse_serves =
        |name: &str| fleet.connections.clickhouse.get(name).map(|connection| &connection.namespaces[..]);
    let kafka = connection(
        "kafka",
        "spec.source.kafka.connectionRef",
        id,
        recorded.map(|recorded| recorded.kafka_connection.as_str()),
        wanted(
            spec.source.kafka.connection_ref.as_ref(),
            fleet.kafka_for(&id.namespace).map(|(name, _)| name),
        ),
        kafka_serves,
    );
    let clickhouse = connection(
        "clickhouse",
        "spec.sink.clickhouse.connectionRef",
        id,
        recorded.map(|recorded| recorded.clickhouse_connection.as_str()),
        wanted(
            spec.sink.clickhouse.connection_ref.as_ref(),
            fleet.clickhouse_for(&id.namespace).map(|(name, _)| name),
        ),
        clickhouse_serves,
    );
    let kafka = kafka.map_err(|violation| found.push(violation)).ok();
    let clickhouse = clickhouse.map_err(|violation| found.push(violation)).ok();
    let (Some((kafka, wanted_kafka)), Some((clickhouse, wanted_clickhouse))) = (kafka, clickhouse) else {
        return Err(found);
    };
    let wanted = names(id, spec, fleet, wanted_kafka.as_ref(), wanted_clickhouse.as_ref());
    let resolved = recorded.cloned().unwrap_or_else(|| wanted.clone());
    found.extend(check(&resolved));
    if !found.is_empty() {
        return Err(found);
    }
    let differences = if recorded.is_some() { differences(&resolved, &wanted) } else { Vec::new() };
    Ok(Identity { resolved, differences, kafka, clickhouse })
}

/// What the spec says, else what the fleet offers this namespace.
fn wanted(reference: Option<&ConnectionRef>, fleet: Option<&str>) -> Option<ConnectionSource> {
    match reference {
        Some(reference) => Some(ConnectionSource::Secret(reference.name.clone())),
        None => fleet.map(|name| ConnectionSource::Fleet(name.to_owned())),
    }
}

/// The connection to use (the recorded one if any), and the one wanted now.
fn connection<'a>(
    part: &str,
    field: &str,
    id: &PipelineId,
    recorded: Option<&str>,
    wanted: Option<ConnectionSource>,
    namespaces: impl Fn(&str) -> Option<&'a [String]>,
) -> Result<(ConnectionSource, Option<ConnectionSource>), Violation> {
    let used = match recorded {
        Some(recorded) => recorded.parse().map_err(|error: NoConnection| {
            Violation::new(format!("status.resolved.{part}Connection"), error.to_string())
        })?,
        None => wanted.clone().ok_or_else(|| {
            let message = format!(
                "no connection of the fleet serves the namespace {}; name a Secret here, or add the namespace to \
                 connections.{part}.<name>.namespaces in the chart's values",
                id.namespace
            );
            Violation::new(field, message)
        })?,
    };
    if let ConnectionSource::Fleet(name) = &used {
        let serves = namespaces(name).is_some_and(|namespaces| {
            namespaces.iter().any(|listed| listed == crate::fleet::ANY_NAMESPACE || *listed == id.namespace)
        });
        if !serves {
            let message = format!(
                "the fleet's connection {name} no longer serves the namespace {}; put it back into \
                 connections.{part}.{name}.namespaces in the chart's values",
                id.namespace
            );
            return Err(Violation::new(field, message));
        }
    }
    Ok((used, wanted))
}

/// The names that spec and defaults give today.
fn names(
    id: &PipelineId,
    spec: &DataPipelineSpec,
    fleet: &Fleet,
    kafka: Option<&ConnectionSource>,
    clickhouse: Option<&ConnectionSource>,
) -> Resolved {
    let PipelineId { namespace, name } = id;
    let source = &spec.source.kafka;
    let sink = &spec.sink.clickhouse;
    let text = |source: Option<&ConnectionSource>| source.map(ToString::to_string).unwrap_or_default();
    let topic = source.topic.clone().unwrap_or_else(|| format!("{namespace}.{name}"));
    Resolved {
        kafka_connection: text(kafka),
        clickhouse_connection: text(clickhouse),
        dead_letter_topic: spec.dead_letter.topic.clone().unwrap_or_else(|| format!("{topic}.dead-letters")),
        topic,
        group: format!("caudal.{namespace}.{name}"),
        database: sink.database.clone().unwrap_or_else(|| namespace.replace('-', "_")),
        table: sink.table.clone().unwrap_or_else(|| name.replace('-', "_")),
        engine: sink.engine.as_str().to_owned(),
        order_by: sink.order_by.clone(),
        partitions: Some(source.create.partitions.unwrap_or(fleet.defaults.topic.partitions)),
        topic_created: false,
        dead_letter_topic_created: false,
        table_created: false,
        cluster_id: None,
        topic_id: None,
        dead_letter_topic_id: None,
        table_uuid: None,
    }
}

/// What the resource definition can't see, since defaults come from elsewhere.
fn check(resolved: &Resolved) -> Vec<Violation> {
    let mut found = Vec::new();
    for (field, topic) in
        [("spec.source.kafka.topic", &resolved.topic), ("spec.deadLetter.topic", &resolved.dead_letter_topic)]
    {
        if topic.len() > TOPIC_LENGTH {
            let message = format!("{topic:?} has {} characters; Kafka allows {TOPIC_LENGTH}", topic.len());
            found.push(Violation::new(field, message));
        }
        if topic.starts_with(INTERNAL_TOPICS) {
            let message = format!("{topic:?} belongs to Kafka itself; write another name");
            found.push(Violation::new(field, message));
        }
    }
    if resolved.topic == resolved.dead_letter_topic {
        let message = format!("{:?} is the source topic; write another name", resolved.topic);
        found.push(Violation::new("spec.deadLetter.topic", message));
    }
    if SYSTEM_DATABASES.contains(&resolved.database.as_str()) {
        let message = format!("{:?} belongs to ClickHouse itself; write another database", resolved.database);
        found.push(Violation::new("spec.sink.clickhouse.database", message));
    }
    found
}

fn differences(recorded: &Resolved, wanted: &Resolved) -> Vec<Difference> {
    // What has no name in the spec (flags, ids) is known only to the record.
    let Resolved {
        kafka_connection,
        clickhouse_connection,
        topic,
        dead_letter_topic,
        group,
        database,
        table,
        engine,
        order_by,
        partitions,
        topic_created,
        dead_letter_topic_created: _,
        table_created: _,
        cluster_id: _,
        topic_id: _,
        dead_letter_topic_id: _,
        table_uuid: _,
    } = recorded;
    let count = |partitions: &Option<i32>| partitions.map(|count| count.to_string()).unwrap_or_default();
    let mut pairs = vec![
        ("kafkaConnection", kafka_connection.clone(), wanted.kafka_connection.clone()),
        ("clickhouseConnection", clickhouse_connection.clone(), wanted.clickhouse_connection.clone()),
        ("topic", topic.clone(), wanted.topic.clone()),
        ("deadLetterTopic", dead_letter_topic.clone(), wanted.dead_letter_topic.clone()),
        ("group", group.clone(), wanted.group.clone()),
        ("database", database.clone(), wanted.database.clone()),
        ("table", table.clone(), wanted.table.clone()),
        ("engine", engine.clone(), wanted.engine.clone()),
        ("orderBy", order_by.join(", "), wanted.order_by.join(", ")),
    ];
    if *topic_created {
        pairs.push(("partitions", count(partitions), count(&wanted.partitions)));
    }
    let differs = |(field, recorded, wanted): (&'static str, String, String)| {
        (recorded != wanted).then_some(Difference { field, recorded, wanted })
    };
    pairs.into_iter().filter_map(differs).collect()
}
