//! Plan and credentials → Kafka clients.

use std::sync::atomic::Ordering;
use std::time::Duration;

use caudal_model::plan::IsolationLevel;
use caudal_service::kafka::client_config;

use crate::dead_letter::DeadLetters;
use crate::fail;
use crate::kafka::Consumer;
use crate::source::{Context, SESSION_TIMEOUT};

/// Partitions of a topic that nobody could be asked about.
const PARTITIONS_UNKNOWN: usize = 8;
const TIMEOUT: Duration = Duration::from_secs(5);

/// What librdkafka may hold of one partition, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct FetchAhead {
    /// It fetches no more when so much is queued.
    queued: usize,
    /// So much comes with one fetch, on top.
    fetch: usize,
}

/// A quarter of the memory is for what is fetched ahead. All partitions may be
/// ours.
fn fetch_ahead(memory_limit: usize, partitions: usize) -> FetchAhead {
    let each = (memory_limit / 4 / partitions.max(1)).clamp(48 << 10, 3 << 20);
    FetchAhead { queued: each * 2 / 3, fetch: each / 3 }
}

/// The producer of dead letters; it outlives sessions.
pub fn dead_letters(context: &Context) -> anyhow::Result<DeadLetters> {
    let source = &context.plan.source;
    DeadLetters::new(
        client_config(&source.connection, &context.credentials),
        &source.dead_letter.topic,
        context.identity.pipeline.clone(),
        source.topic.clone(),
        std::thread::current(),
    )
}

/// A consumer that fetches ahead as much as the topic's partitions allow. It
/// has to be there already to ask for their number.
pub fn consumer(context: &Context) -> anyhow::Result<Consumer> {
    let known = || usize::try_from(context.partitions.load(Ordering::Relaxed)).unwrap_or(0);
    let guess = match known() {
        0 => PARTITIONS_UNKNOWN,
        known => known,
    };
    let consumer = consumer_for(context, guess)?;
    if known() == 0
        && let Ok((_, partitions)) = consumer.describe_topic(TIMEOUT)
    {
        context.partitions.store(partitions, Ordering::Relaxed);
    }
    let memory = usize::try_from(context.ingest.memory_limit_bytes)?;
    let fits = known() == 0 || fetch_ahead(memory, known()) == fetch_ahead(memory, guess);
    if fits { Ok(consumer) } else { consumer_for(context, known()) }
}

fn consumer_for(context: &Context, partitions: usize) -> anyhow::Result<Consumer> {
    let source = &context.plan.source;
    let ahead = fetch_ahead(usize::try_from(context.ingest.memory_limit_bytes)?, partitions);
    let isolation = match source.isolation_level {
        IsolationLevel::ReadCommitted => "read_committed",
        IsolationLevel::ReadUncommitted => "read_uncommitted",
    };
    let refresh = fail::limit("CAUDAL_METADATA_REFRESH_MS", 30_000);
    let mut config = client_config(&source.connection, &context.credentials);
    config
        .set("group.id", &source.group)
        .set("group.protocol", "classic")
        // Eager: everything is given back before anything is taken over.
        .set("partition.assignment.strategy", "range")
        .set("session.timeout.ms", SESSION_TIMEOUT.as_millis().to_string())
        .set("heartbeat.interval.ms", "2000")
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("auto.offset.reset", "error")
        .set("enable.partition.eof", "true")
        .set("isolation.level", isolation)
        // Until then new partitions go unread.
        .set("topic.metadata.refresh.interval.ms", refresh.to_string())
        .set("queued.min.messages", "100000")
        .set("queued.max.messages.kbytes", (ahead.queued >> 10).to_string())
        .set("fetch.message.max.bytes", ahead.fetch.to_string())
        .set("fetch.queue.backoff.ms", "10");
    Consumer::new(&config, &source.topic, std::thread::current())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_fetched_ahead_stays_within_a_quarter_of_the_memory() {
        const MEMORY: usize = 256 << 20;
        assert_eq!(fetch_ahead(MEMORY, 6), FetchAhead { queued: 2 << 20, fetch: 1 << 20 });
        for partitions in [24, 48, 200] {
            let FetchAhead { queued, fetch } = fetch_ahead(MEMORY, partitions);
            assert!((queued + fetch) * partitions <= MEMORY / 4, "{partitions}");
            assert!(queued > 64 << 10, "{partitions}");
        }
    }
}
