//! Decided work → topics and tables, and the facts the servers give them.

use std::sync::Arc;
use std::time::Duration;

use caudal_model::resolve::{MAX_MESSAGE_BYTES, Resolution};
use caudal_model::resource::Delivery;

use super::connections::client_name;
use super::decide::{ClickHouseWork, KafkaWork, new_topic};
use super::reason::{Problem, Reason};
use super::survey::{ClickHouseSurvey, KafkaSurvey};
use crate::context::Context;
use crate::external::clickhouse::{Admin as ClickHouseAdmin, ClickHouseError, Scratch, Server};
use crate::external::kafka::{Admin as KafkaAdmin, Creation, KafkaError, NewTopic, TopicDescription};

/// A new topic is not known everywhere at once.
const TOPIC_SETTLES: (u32, Duration) = (20, Duration::from_millis(250));

/// What Kafka says of the pipeline's topics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KafkaFacts {
    pub cluster_id: String,
    pub topic: TopicDescription,
    pub dead_letters: TopicDescription,
    /// What came of making them; `None` for one that was there before.
    pub topic_creation: Option<Creation>,
    pub dead_letter_creation: Option<Creation>,
}

/// What ClickHouse says of the pipeline's table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClickHouseFacts {
    pub table_uuid: String,
    /// Why rows can't be there exactly once, though that is asked for.
    pub downgrade: Option<Problem>,
}

impl ClickHouseFacts {
    /// What was asked for, or what can be.
    pub fn delivery(&self, resolution: &Resolution) -> Delivery {
        match self.downgrade {
            None => resolution.ingest.plan.delivery,
            Some(_) => Delivery::AtLeastOnce,
        }
    }
}

pub async fn in_kafka(
    admin: &Arc<KafkaAdmin>,
    resolution: &Resolution,
    found: KafkaSurvey,
    work: KafkaWork,
) -> Result<KafkaFacts, Problem> {
    let identity = &resolution.identity;
    let KafkaWork { create_topic, widen, create_dead_letters, alter_topic, alter_dead_letters } = work;
    let mut topic_creation = None;
    if let Some(topic) = &create_topic {
        topic_creation = Some(made(admin, topic).await?);
    }
    for (topic, config) in
        [(&identity.topic, &alter_topic), (&identity.dead_letter_topic, &alter_dead_letters)]
    {
        if !config.is_empty() {
            admin.alter(topic, config).await?;
            tracing::info!(topic, ?config, "changed settings");
        }
    }
    if let Some(partitions) = widen {
        admin.widen(&identity.topic, partitions).await?;
        tracing::info!(topic = identity.topic, partitions, "raised the number of partitions");
    }
    let at_least = widen.unwrap_or(1);
    let topic = match found.topic.filter(|_| widen.is_none()) {
        Some(topic) => topic,
        None => settled(admin, &identity.topic, at_least).await?,
    };
    let mut dead_letter_creation = None;
    if create_dead_letters {
        let limit = max_message_bytes(admin, &identity.topic).await?;
        let topic = new_topic(&identity.dead_letter_topic, resolution.dead_letter_topic(limit));
        dead_letter_creation = Some(made(admin, &topic).await?);
    }
    let dead_letters = match found.dead_letters {
        Some(topic) => topic,
        None => settled(admin, &identity.dead_letter_topic, 1).await?,
    };
    let cluster_id = found.cluster_id;
    Ok(KafkaFacts { cluster_id, topic, dead_letters, topic_creation, dead_letter_creation })
}

async fn made(admin: &KafkaAdmin, topic: &NewTopic) -> Result<Creation, KafkaError> {
    let creation = admin.create(topic).await?;
    tracing::info!(topic = topic.name, ?creation, "made a topic");
    Ok(creation)
}

async fn max_message_bytes(admin: &KafkaAdmin, topic: &str) -> Result<u64, KafkaError> {
    let config = admin.config(topic).await?;
    let limit = config.get(MAX_MESSAGE_BYTES).and_then(|text| text.parse().ok());
    limit.ok_or_else(|| KafkaError::Refused {
        act: format!("read the settings of topic {topic:?}"),
        detail: format!("{MAX_MESSAGE_BYTES} is not among them"),
    })
}

/// Waits until a topic is there with its partitions.
async fn settled(
    admin: &Arc<KafkaAdmin>,
    topic: &str,
    at_least: i32,
) -> Result<TopicDescription, KafkaError> {
    let (attempts, pause) = TOPIC_SETTLES;
    for _ in 0..attempts {
        if let Some(found) = admin.describe(topic).await?.filter(|found| found.partitions >= at_least) {
            return Ok(found);
        }
        tokio::time::sleep(pause).await;
    }
    let detail = "it was created but does not show up yet".to_owned();
    Err(KafkaError::Refused { act: format!("describe topic {topic:?}"), detail })
}

pub async fn in_clickhouse(
    context: &Context,
    admin: &ClickHouseAdmin,
    resolution: &Resolution,
    found: ClickHouseSurvey,
    work: ClickHouseWork,
) -> Result<ClickHouseFacts, Problem> {
    let ClickHouseWork { creates_table: _, mut downgrade, statements } = work;
    for statement in &statements {
        admin.execute(&statement.act, &statement.ddl).await?;
        tracing::info!(act = statement.act, "ran DDL");
    }
    if downgrade.is_none() && resolution.ingest.plan.delivery == Delivery::ExactlyOnce {
        downgrade = self_test(context, admin, resolution, found.version, found.host).await?;
    }
    if let Some(surveyed) = found.table {
        return Ok(ClickHouseFacts { table_uuid: surveyed.table.uuid, downgrade });
    }
    let identity = &resolution.identity;
    match admin.table(&identity.database, &identity.table).await? {
        Some(table) => Ok(ClickHouseFacts { table_uuid: table.uuid, downgrade }),
        None => Err(Problem::new(
            Reason::ClickHouseRefused,
            format!("table {}.{} was created but is not there", identity.database, identity.table),
        )),
    }
}

/// Why the server does not pass; an error only while it is away.
async fn self_test(
    context: &Context,
    admin: &ClickHouseAdmin,
    resolution: &Resolution,
    version: String,
    host: String,
) -> Result<Option<Problem>, Problem> {
    let connection = client_name(&resolution.clickhouse, &resolution.pipeline.namespace);
    let server = Server { connection, version, host };
    let scratch = Scratch {
        installation: &context.fleet.installation,
        owner: &resolution.owner,
        database: &resolution.identity.database,
    };
    let message = match context.self_tests.run(admin, server, scratch).await {
        Ok(Ok(())) => return Ok(None),
        Ok(Err(found)) => format!(
            "the server does not take of a resent block just what is new: {found}; use another version of ClickHouse"
        ),
        Err(error @ ClickHouseError::Unreachable { .. }) => return Err(error.into()),
        Err(error) => format!(
            "how the server deduplicates could not be tested: {error}; let the connection's admin user create, drop, \
             insert into and select from tables named caudal_self_test_* in {}",
            resolution.identity.database
        ),
    };
    Ok(Some(Problem::new(Reason::SelfTestFailed, message)))
}
