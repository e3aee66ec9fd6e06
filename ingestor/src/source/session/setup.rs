//! Plan and credentials → Kafka clients.

use caudal_model::plan::IsolationLevel;
use caudal_service::kafka::client_config;

use crate::dead_letter::DeadLetters;
use crate::kafka::Consumer;
use crate::source::{Context, SESSION_TIMEOUT};

/// Kilobytes fetched ahead per partition.
const FETCH_AHEAD_KILOBYTES: &str = "2048";

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

pub fn consumer(context: &Context) -> anyhow::Result<Consumer> {
    let source = &context.plan.source;
    let isolation = match source.isolation_level {
        IsolationLevel::ReadCommitted => "read_committed",
        IsolationLevel::ReadUncommitted => "read_uncommitted",
    };
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
        .set("queued.min.messages", "100000")
        .set("queued.max.messages.kbytes", FETCH_AHEAD_KILOBYTES)
        .set("fetch.queue.backoff.ms", "10");
    Consumer::new(&config, &source.topic, std::thread::current())
}
