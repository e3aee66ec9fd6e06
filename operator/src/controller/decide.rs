//! What is wanted + what is there → what to do outside, or why nothing may be
//! done. Pure.

use std::collections::BTreeMap;

use caudal_model::ddl::{
    Incompatible, add_column, add_key_index, check_table, create_database, create_ledger, create_table,
    downgrades, schema_changes,
};
use caudal_model::resolve::{MAX_MESSAGE_BYTES, Resolution, TopicSettings};
use caudal_model::resource::{Delivery, Resolved};

use super::reason::{Problem, Reason};
use super::survey::{ClickHouseSurvey, KafkaSurvey, SurveyedTable};
use crate::external::clickhouse::Table;
use crate::external::kafka::NewTopic;

/// The oldest ClickHouse whose insert deduplication was measured for the
/// exactly-once protocol; older and newer servers number tokens differently.
pub const OLDEST_CLICKHOUSE: (u32, u32) = (26, 7);

/// What to do in Kafka.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KafkaWork {
    pub create_topic: Option<NewTopic>,
    /// The number of partitions to raise the topic to.
    pub widen: Option<i32>,
    pub create_dead_letters: bool,
    /// Settings that differ from what the spec asks for; both may be empty.
    pub alter_topic: BTreeMap<String, String>,
    pub alter_dead_letters: BTreeMap<String, String>,
}

/// What to do in ClickHouse.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClickHouseWork {
    pub creates_table: bool,
    /// Why the table that is there can't hold every row exactly once, though
    /// that is asked for.
    pub downgrade: Option<Problem>,
    /// In this order.
    pub statements: Vec<Statement>,
}

/// DDL and what it does, for errors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    pub act: String,
    pub ddl: String,
}

impl Statement {
    fn new(act: impl Into<String>, ddl: String) -> Self {
        Self { act: act.into(), ddl }
    }
}

pub fn kafka(resolution: &Resolution, found: &KafkaSurvey) -> Result<KafkaWork, Problem> {
    let identity = &resolution.identity;
    let mut work = KafkaWork { create_dead_letters: found.dead_letters.is_none(), ..KafkaWork::default() };
    match &found.topic {
        None if identity.topic_id.is_some() && !identity.topic_created => {
            let message = format!(
                "topic {:?}, which Caudal did not create, is gone; create it again, or delete this DataPipeline",
                identity.topic
            );
            return Err(Problem::new(Reason::TopicNotFound, message));
        }
        None => work.create_topic = Some(new_topic(&identity.topic, resolution.topic.clone())),
        Some(topic) if identity.topic_created && topic.partitions < resolution.topic.partitions => {
            work.widen = Some(resolution.topic.partitions);
        }
        Some(_) => (),
    }
    let wishes = &resolution.topic_wishes;
    if identity.topic_created && found.topic.is_some() {
        work.alter_topic = changed(wishes.config.clone(), &found.topic_config);
    }
    if identity.dead_letter_topic_created && found.dead_letters.is_some() {
        let mut wanted = resolution.dead_letter_config(&found.topic_config);
        // What fits is never made too small for letters that are on their way.
        let size = |config: &BTreeMap<String, String>| config.get(MAX_MESSAGE_BYTES)?.parse::<u64>().ok();
        if size(&found.dead_letter_config) >= size(&wanted) {
            wanted.remove(MAX_MESSAGE_BYTES);
        }
        work.alter_dead_letters = changed(wanted, &found.dead_letter_config);
    }
    Ok(work)
}

/// The wishes that are not fulfilled. Kafka prints numbers and lists its own
/// way.
fn changed(
    mut wanted: BTreeMap<String, String>,
    there: &BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    let plain = |text: &str| -> String {
        let text: String = text.chars().filter(|letter| !letter.is_whitespace()).collect();
        text.parse::<f64>().map_or(text, |number| number.to_string())
    };
    wanted.retain(|key, value| there.get(key).is_none_or(|found| plain(found) != plain(value)));
    wanted
}

/// What the spec asks of a topic that Kafka can't change by a request.
pub fn unchangeable(resolution: &Resolution, found: &KafkaSurvey) -> Option<String> {
    let wanted = resolution.topic_wishes.replication_factor?;
    let topic = found.topic.as_ref().filter(|_| resolution.identity.topic_created)?;
    (topic.replication_factor != wanted).then(|| {
        format!(
            "the topic stays at {} copies, although spec.source.kafka.create.replicationFactor is {wanted}: reassign its \
             partitions with kafka-reassign-partitions.sh, or write {} there",
            topic.replication_factor, topic.replication_factor
        )
    })
}

pub fn new_topic(name: &str, settings: TopicSettings) -> NewTopic {
    let TopicSettings { partitions, replication_factor, config } = settings;
    NewTopic { name: name.to_owned(), partitions, replication_factor, config }
}

pub fn clickhouse(resolution: &Resolution, found: &ClickHouseSurvey) -> Result<ClickHouseWork, Problem> {
    check_version(&found.version)?;
    let spec = resolution.table_spec();
    let (database, name) = (&spec.database, &spec.table);
    let mut work = ClickHouseWork::default();
    match &found.table {
        None => {
            check_may_create(resolution)?;
            work.creates_table = true;
            let database_ddl = create_database(database);
            work.statements.push(Statement::new(format!("create database {database:?}"), database_ddl));
            work.statements
                .push(Statement::new(format!("create table {database}.{name}"), create_table(&spec)));
        }
        Some(surveyed) => {
            check_owner(resolution, &surveyed.table)?;
            check_table(&surveyed.table.definition, &spec).map_err(incompatible)?;
            work.downgrade = downgrade(resolution, surveyed);
            for column in schema_changes(&surveyed.columns, &spec).map_err(incompatible)? {
                let act = format!("add column {:?} to {database}.{name}", column.field.name);
                work.statements.push(Statement::new(act, add_column(database, name, &column)));
            }
            work.statements.extend(missing_index(resolution, surveyed));
        }
    }
    let ledger = resolution.ledger_spec();
    match &found.ledger {
        None => {
            let act = format!("create table {}.{}", ledger.database, ledger.table);
            work.statements.push(Statement::new(act, create_ledger(&ledger)));
        }
        Some(table) => check_comment(resolution, table, &ledger.table)?,
    }
    Ok(work)
}

/// Everything that stands in the way, under the reason of the first.
fn downgrade(resolution: &Resolution, found: &SurveyedTable) -> Option<Problem> {
    if resolution.ingest.plan.delivery == Delivery::AtLeastOnce {
        return None;
    }
    let Resolved { database, table, .. } = &resolution.identity;
    let of_table = downgrades(&found.table.definition, &resolution.table_spec());
    let mut all: Vec<Problem> = of_table.into_iter().map(Problem::from).collect();
    match &found.row_policies {
        Ok(policies) if policies.is_empty() => {}
        Ok(policies) => {
            let message = format!(
                "the ingestors' user does not see all rows of {database}.{table}, so that what is stored can't be \
                 counted: take it out of the row policy {}",
                policies.join(", ")
            );
            all.push(Problem::new(Reason::RowPolicy, message));
        }
        Err(error) => {
            let message = format!(
                "nobody can tell whether the ingestors' user sees all rows: grant the connection's admin user SHOW ROW \
                 POLICIES and SHOW ROLES on *.*: {error}"
            );
            all.push(Problem::new(Reason::RowPolicy, message));
        }
    }
    let reason = all.first()?.reason;
    let messages: Vec<_> = all.into_iter().map(|problem| problem.message).collect();
    Some(Problem::new(reason, messages.join("; ")))
}

fn missing_index(resolution: &Resolution, found: &SurveyedTable) -> Option<Statement> {
    let spec = resolution.table_spec();
    let ddl = add_key_index(&spec)?;
    let there = found.indices.iter().any(|index| ddl.contains(&caudal_model::ddl::quote_identifier(index)));
    let act = format!("add the key's index to {}.{}", spec.database, spec.table);
    (!there).then(|| Statement::new(act, ddl))
}

fn check_version(version: &str) -> Result<(), Problem> {
    let mut numbers = version.split('.').map(|number| number.parse::<u32>().unwrap_or_default());
    let found = (numbers.next().unwrap_or_default(), numbers.next().unwrap_or_default());
    if found >= OLDEST_CLICKHOUSE {
        return Ok(());
    }
    let (major, minor) = OLDEST_CLICKHOUSE;
    let message = format!(
        "the server is ClickHouse {version}; exactly-once delivery was checked from {major}.{minor} on: upgrade the server"
    );
    Err(Problem::new(Reason::UnsupportedServer, message))
}

/// A table that is not there: may it be made?
fn check_may_create(resolution: &Resolution) -> Result<(), Problem> {
    let Resolved { database, table, table_uuid, .. } = &resolution.identity;
    if resolution.existing_table {
        let message = format!(
            "there is no table {database}.{table}, but existingTable is true; create it, or leave out existingTable"
        );
        return Err(Problem::new(Reason::TableNotFound, message));
    }
    if table_uuid.is_some() {
        let message = format!(
            "table {database}.{table} is gone, and with it rows that Kafka's offsets count as stored; attach it again, \
             or delete this DataPipeline and its consumer group and apply it anew"
        );
        return Err(Problem::new(Reason::TableChanged, message));
    }
    Ok(())
}

fn check_owner(resolution: &Resolution, found: &Table) -> Result<(), Problem> {
    let Resolved { database, table, table_uuid, .. } = &resolution.identity;
    if table_uuid.as_ref().is_some_and(|recorded| *recorded != found.uuid) {
        let message = format!(
            "table {database}.{table} is another one than before (its UUID changed); attach the former table again, or \
             delete this DataPipeline and its consumer group and apply it anew"
        );
        return Err(Problem::new(Reason::TableChanged, message));
    }
    if resolution.existing_table { Ok(()) } else { check_comment(resolution, found, table) }
}

fn check_comment(resolution: &Resolution, found: &Table, table: &str) -> Result<(), Problem> {
    let comment = &found.definition.comment;
    if *comment == resolution.owner {
        return Ok(());
    }
    let database = &resolution.identity.database;
    let message = if comment.is_empty() {
        format!(
            "table {database}.{table} is there already and was not made by Caudal; name another table in \
             sink.clickhouse.table, or set existingTable: true to use it"
        )
    } else {
        format!(
            "table {database}.{table} belongs to {comment:?}; name another table in sink.clickhouse.table"
        )
    };
    Err(Problem::new(Reason::NameConflict, message))
}

fn incompatible(error: Incompatible) -> Problem {
    let Incompatible(message) = error;
    Problem::new(Reason::SchemaIncompatible, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_whose_deduplication_was_not_checked_is_not_used() {
        for old in ["24.8.1.1", "26.6.9.9", "25.12", "unknown"] {
            let problem = check_version(old).unwrap_err();
            assert_eq!(problem.reason, Reason::UnsupportedServer);
            assert!(problem.message.contains("26.7"), "{}", problem.message);
        }
        for new in ["26.7.1.1", "26.10.1", "27.1.1.1"] {
            assert_eq!(check_version(new), Ok(()), "{new}");
        }
    }

    #[test]
    fn settings_that_kafka_prints_its_own_way_are_not_set_again_and_again() {
        let map = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
            pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
        };
        let there = map(&[("min.cleanable.dirty.ratio", "0.5"), ("cleanup.policy", "compact,delete")]);
        let same = map(&[("min.cleanable.dirty.ratio", "0.50"), ("cleanup.policy", "compact, delete")]);
        assert_eq!(changed(same, &there), map(&[]));
        let other = map(&[("cleanup.policy", "delete"), ("retention.ms", "1")]);
        assert_eq!(changed(other.clone(), &there), other);
    }
}
