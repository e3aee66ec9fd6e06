//! Connections → what Kafka and ClickHouse have now. Reads only.

use std::collections::BTreeMap;
use std::sync::Arc;

use caudal_model::ddl::ExistingColumn;
use caudal_model::resolve::Resolution;

use super::connections::{ClickHouse, Kafka};
use super::reason::Problem;
use super::validate::Connections;
use crate::context::Context;
use crate::external::clickhouse::{Admin as ClickHouseAdmin, ClickHouseError, Table};
use crate::external::kafka::{Admin as KafkaAdmin, KafkaError, TopicDescription};

/// What was found on each side, or why it could not be looked at.
pub struct Survey {
    pub kafka: Result<(Arc<KafkaAdmin>, KafkaSurvey), Problem>,
    pub clickhouse: Result<(Arc<ClickHouseAdmin>, ClickHouseSurvey), Problem>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KafkaSurvey {
    pub cluster_id: String,
    pub topic: Option<TopicDescription>,
    pub dead_letters: Option<TopicDescription>,
    /// Settings of both; empty where nothing depends on them.
    pub topic_config: BTreeMap<String, String>,
    pub dead_letter_config: BTreeMap<String, String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClickHouseSurvey {
    /// Like `26.7.1.1`.
    pub version: String,
    pub host: String,
    pub table: Option<SurveyedTable>,
    pub ledger: Option<Table>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SurveyedTable {
    pub table: Table,
    pub columns: Vec<ExistingColumn>,
    /// Names of skipping indices.
    pub indices: Vec<String>,
    /// By which ingestors see less of it; or why nobody can tell.
    pub row_policies: Result<Vec<String>, String>,
}

pub async fn survey(context: &Context, resolution: &Resolution, connections: &Connections) -> Survey {
    let kafka = async {
        let kafka = connections.kafka.as_ref().map_err(Clone::clone)?;
        let admin = kafka_admin(context, kafka).await?;
        let found = survey_kafka(&admin, resolution).await?;
        Ok((admin, found))
    };
    let clickhouse = async {
        let clickhouse = connections.clickhouse.as_ref().map_err(Clone::clone)?;
        let admin = clickhouse_admin(context, clickhouse).await?;
        let found = survey_clickhouse(&admin, resolution, clickhouse).await?;
        Ok((admin, found))
    };
    let (kafka, clickhouse) = tokio::join!(kafka, clickhouse);
    Survey { kafka, clickhouse }
}

/// The shared client of a connection.
pub async fn kafka_admin(context: &Context, kafka: &Kafka) -> Result<Arc<KafkaAdmin>, KafkaError> {
    context.kafkas.get(&kafka.name, &kafka.access, KafkaAdmin::connect).await
}

/// The shared client of a connection.
pub async fn clickhouse_admin(
    context: &Context,
    clickhouse: &ClickHouse,
) -> Result<Arc<ClickHouseAdmin>, ClickHouseError> {
    context.clickhouses.get(&clickhouse.name, &clickhouse.access, ClickHouseAdmin::connect).await
}

async fn survey_kafka(admin: &Arc<KafkaAdmin>, resolution: &Resolution) -> Result<KafkaSurvey, KafkaError> {
    let cluster_id = admin.cluster_id().await?;
    let identity = &resolution.identity;
    let (topic, dead_letters) =
        tokio::try_join!(admin.describe(&identity.topic), admin.describe(&identity.dead_letter_topic))?;
    let holds_letters = identity.dead_letter_topic_created && dead_letters.is_some();
    let is_held = identity.topic_created && !resolution.topic_wishes.config.is_empty();
    let config = async |name: &str, wanted: bool| {
        if wanted { admin.config(name).await } else { Ok(BTreeMap::new()) }
    };
    let (topic_config, dead_letter_config) = tokio::try_join!(
        config(&identity.topic, topic.is_some() && (is_held || holds_letters)),
        config(&identity.dead_letter_topic, holds_letters),
    )?;
    Ok(KafkaSurvey { cluster_id, topic, dead_letters, topic_config, dead_letter_config })
}

async fn survey_clickhouse(
    admin: &ClickHouseAdmin,
    resolution: &Resolution,
    clickhouse: &ClickHouse,
) -> Result<ClickHouseSurvey, ClickHouseError> {
    let (version, host) = admin.version_and_host().await?;
    let spec = resolution.table_spec();
    let (database, name) = (&spec.database, &spec.table);
    let ledger_name = resolution.ledger_spec().table;
    let (table, ledger) = tokio::try_join!(admin.table(database, name), admin.table(database, &ledger_name))?;
    let table = match table {
        None => None,
        Some(table) => {
            let user = clickhouse.ingest.as_ref().map_or("default", |login| &login.username);
            let (columns, indices, row_policies) = tokio::join!(
                admin.columns(database, name),
                admin.indices(database, name),
                admin.row_policies(database, name, user),
            );
            let row_policies = match row_policies {
                Err(error) if matches!(error, ClickHouseError::Unreachable { .. }) => return Err(error),
                // The columns could be read: it is this right that is missing.
                other => other.map_err(|error| error.to_string()),
            };
            Some(SurveyedTable { table, columns: columns?, indices: indices?, row_policies })
        }
    };
    Ok(ClickHouseSurvey { version, host, table, ledger })
}
