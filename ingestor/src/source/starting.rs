//! An assignment → for each partition, where and how to begin. What Kafka
//! knows is asked here, what ClickHouse knows by [`super::Job::Prepare`].

use std::sync::atomic::Ordering;
use std::time::Duration;

use caudal_model::plan::StartFrom;
use caudal_model::resource::Delivery;

use super::Context;
use crate::kafka::{Code, Committed, Consumer, KafkaError};
use crate::protocol::{Known as Facts, Metadata, Promise};
use crate::sink::{Asked, Known};

const TIMEOUT: Duration = Duration::from_secs(5);

/// What Kafka knows of the partitions assigned.
pub struct Found {
    pub assigned: Vec<Committed>,
    /// Partitions of the topic when the group began.
    pub born: i32,
}

/// Why a partition's start could not be found out now.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("{act}")]
    Kafka { act: &'static str, source: KafkaError },
    #[error("topic {topic:?} is another one than the plan's: its id is {found}, not {expected}")]
    OtherTopic { topic: String, found: String, expected: String },
    #[error("the cluster is another one than the plan's: its id is {found:?}, not {expected:?}")]
    OtherCluster { found: String, expected: String },
}

fn kafka(act: &'static str) -> impl Fn(KafkaError) -> StartError {
    move |source| StartError::Kafka { act, source }
}

/// Asks Kafka; blocks for seconds at most.
pub fn find(context: &Context, consumer: &Consumer, assigned: &[i32]) -> Result<Found, StartError> {
    let source = &context.plan.source;
    let (topic_id, partitions) = consumer.describe_topic(TIMEOUT).map_err(kafka("describe the topic"))?;
    if topic_id != source.topic_id {
        let (topic, expected) = (source.topic.clone(), source.topic_id.clone());
        return Err(StartError::OtherTopic { topic, found: topic_id, expected });
    }
    let timed_out = KafkaError(Code::RD_KAFKA_RESP_ERR__TIMED_OUT);
    let cluster = consumer.cluster_id(TIMEOUT).ok_or_else(|| kafka("ask for the cluster's id")(timed_out))?;
    if cluster != source.cluster_id {
        return Err(StartError::OtherCluster { found: cluster, expected: source.cluster_id.clone() });
    }
    context.partitions.store(partitions, Ordering::Relaxed);
    let all: Vec<i32> = (0..partitions).collect();
    let committed = consumer.committed(&all, TIMEOUT).map_err(kafka("read committed offsets"))?;
    let born = committed.iter().filter_map(|one| Metadata::parse(&one.metadata).ok());
    let born = born.map(|metadata| metadata.born).min().unwrap_or(partitions);
    let assigned = committed.into_iter().filter(|one| assigned.contains(&one.partition)).collect();
    Ok(Found { assigned, born })
}

/// What to ask ClickHouse about.
pub fn questions(found: &Found, delivery: Delivery, runs: bool) -> Vec<Asked> {
    // Where rows may be there twice, nobody needs to know which are.
    let once = delivery == Delivery::ExactlyOnce;
    found
        .assigned
        .iter()
        .map(|one| {
            let promise = intent(one);
            Asked {
                partition: one.partition,
                committed: one.offset,
                intent: promise.map(|promise| (promise.first, promise.next)),
                height: once,
                runs: once && runs,
            }
        })
        .collect()
}

fn intent(committed: &Committed) -> Option<Promise> {
    Metadata::parse(&committed.metadata).ok().and_then(|metadata| metadata.word.promise())
}

/// Kafka's and ClickHouse's word on one partition.
pub fn facts(committed: &Committed, known: Option<&Known>, waited: bool) -> Facts {
    Facts {
        committed: committed.offset.map(|offset| (offset, committed.metadata.clone())),
        ledger: known.and_then(|known| known.ledger),
        stored: known.and_then(|known| known.table),
        stored_of_intent: known.map_or(0, |known| known.rows_of_intent),
        waited,
    }
}

/// Where a partition begins of which nothing is known.
pub fn first_offset(
    context: &Context,
    consumer: &Consumer,
    partition: i32,
    born: i32,
) -> Result<i64, StartError> {
    let act = kafka("ask for the partition's offsets");
    let from = if partition >= born { StartFrom::Earliest } else { context.plan.source.start_from };
    let (low, high) = consumer.ends(partition, TIMEOUT).map_err(&act)?;
    Ok(match from {
        StartFrom::Earliest => low,
        StartFrom::Latest => high,
        StartFrom::Timestamp { timestamp_ms } => {
            consumer.offset_at(partition, timestamp_ms, TIMEOUT).map_err(act)?.unwrap_or(high)
        }
    })
}
