//! Topics and consumer groups: describe, create, widen, delete.

use std::collections::BTreeMap;
use std::sync::Arc;

use rdkafka::admin::{
    ConfigEntry, NewPartitions, NewTopic as ClientNewTopic, ResourceSpecifier, TopicReplication,
};
use rdkafka::error::KafkaError as ClientError;
use rdkafka::types::RDKafkaErrorCode;

use super::client::TIMEOUT;
use super::{Admin, KafkaError, TopicDescription, native};

/// A topic to create.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewTopic {
    pub name: String,
    pub partitions: i32,
    pub replication_factor: i32,
    pub config: BTreeMap<String, String>,
}

/// What came of a creation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Creation {
    Created,
    /// Somebody else was faster.
    AlreadyThere,
}

impl Admin {
    /// The topic, or `None` when there is none of that name.
    pub async fn describe(self: &Arc<Self>, topic: &str) -> Result<Option<TopicDescription>, KafkaError> {
        let name = topic.to_owned();
        let request = move |admin: &Self| native::describe_topic(admin.client.inner(), &name, TIMEOUT);
        self.blocking(&format!("describe topic {topic:?}"), request).await
    }

    pub async fn create(&self, topic: &NewTopic) -> Result<Creation, KafkaError> {
        let act = format!("create topic {:?}", topic.name);
        let replication = TopicReplication::Fixed(topic.replication_factor);
        let mut request = ClientNewTopic::new(&topic.name, topic.partitions, replication);
        for (key, value) in &topic.config {
            request = request.set(key, value);
        }
        let results =
            self.call(&act, async { self.client.create_topics([&request], &Self::options()).await }).await?;
        match first(results) {
            Ok(()) => Ok(Creation::Created),
            Err(RDKafkaErrorCode::TopicAlreadyExists) => Ok(Creation::AlreadyThere),
            Err(code) => Err(self.classify(&act, &ClientError::AdminOp(code))),
        }
    }

    /// Raises the number of partitions to `partitions`.
    pub async fn widen(&self, topic: &str, partitions: i32) -> Result<(), KafkaError> {
        let act = format!("raise topic {topic:?} to {partitions} partitions");
        let count = usize::try_from(partitions).unwrap_or_default();
        let request = NewPartitions::new(topic, count);
        let results = self
            .call(&act, async { self.client.create_partitions([&request], &Self::options()).await })
            .await?;
        first(results).map_err(|code| self.classify(&act, &ClientError::AdminOp(code)))
    }

    /// Deletes a topic; one that is not there counts as deleted.
    pub async fn delete_topic(&self, topic: &str) -> Result<(), KafkaError> {
        let act = format!("delete topic {topic:?}");
        let results =
            self.call(&act, async { self.client.delete_topics(&[topic], &Self::options()).await }).await?;
        match first(results) {
            Ok(()) | Err(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic) => {
                Ok(())
            }
            Err(code) => Err(self.classify(&act, &ClientError::AdminOp(code))),
        }
    }

    /// Deletes a consumer group; one that is not there counts as deleted.
    pub async fn delete_group(&self, group: &str) -> Result<(), KafkaError> {
        let act = format!("delete consumer group {group:?}");
        let results =
            self.call(&act, async { self.client.delete_groups(&[group], &Self::options()).await }).await?;
        match first(results) {
            Ok(()) | Err(RDKafkaErrorCode::GroupIdNotFound) => Ok(()),
            Err(code) => Err(self.classify(&act, &ClientError::AdminOp(code))),
        }
    }

    /// Sets some of a topic's settings and leaves the others.
    pub async fn alter(
        self: &Arc<Self>,
        topic: &str,
        config: &BTreeMap<String, String>,
    ) -> Result<(), KafkaError> {
        let pairs: Vec<_> = config.iter().map(|(key, value)| format!("{key} = {value}")).collect();
        let act = format!("set {} of topic {topic:?}", pairs.join(", "));
        let (name, config) = (topic.to_owned(), config.clone());
        let request = move |admin: &Self| native::alter_topic(admin.client.inner(), &name, &config, TIMEOUT);
        self.blocking(&act, request).await
    }

    /// All settings of a topic.
    pub async fn config(&self, topic: &str) -> Result<BTreeMap<String, String>, KafkaError> {
        let act = format!("read the settings of topic {topic:?}");
        let resource = ResourceSpecifier::Topic(topic);
        let results = self
            .call(&act, async { self.client.describe_configs([&resource], &Self::options()).await })
            .await?;
        let refused = |detail: String| KafkaError::Refused { act: act.clone(), detail };
        let resource = results
            .into_iter()
            .next()
            .ok_or_else(|| refused("no answer for the topic".to_owned()))?
            .map_err(|code| self.classify(&act, &ClientError::AdminOp(code)))?;
        let entry = |entry: ConfigEntry| Some((entry.name, entry.value?));
        Ok(resource.entries.into_iter().filter_map(entry).collect())
    }
}

/// The outcome for the only object of a request.
fn first(results: Vec<Result<String, (String, RDKafkaErrorCode)>>) -> Result<(), RDKafkaErrorCode> {
    match results.into_iter().next() {
        Some(Ok(_)) => Ok(()),
        Some(Err((_, code))) => Err(code),
        None => Err(RDKafkaErrorCode::BadMessage),
    }
}
