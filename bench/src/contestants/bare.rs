//! Consuming alone, message by message, as most programs do; every payload is touched.

use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{ClientConfig, Message, Offset, TopicPartitionList};

use crate::parts::{PARTITIONS, Stage, Topic};
use crate::process::{self, Running};
use crate::sample::{Sample, Used};

pub fn measure(stage: &Stage, topic: &Topic) -> anyhow::Result<Sample> {
    let start = Instant::now();
    let (brokers, messages) = (stage.kafka.bootstrap_servers(), topic.messages.to_string());
    let used: Used = Running::own(&["bare-consume", &brokers, &topic.name, &messages])?.answer()?;
    Ok(Sample {
        rows: topic.messages,
        wall_seconds: start.elapsed().as_secs_f64(),
        consumer: Some(used),
        server: None,
    })
}

/// Consumes `messages` and prints a [`Used`].
pub fn run(brokers: &str, topic: &str, messages: u64) -> anyhow::Result<()> {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", brokers)
        .set("group.id", "bare")
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false");
    let consumer: BaseConsumer = config.create()?;
    let mut assignment = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        assignment.add_partition_offset(topic, partition, Offset::Beginning)?;
    }
    consumer.assign(&assignment)?;
    let (mut seen, mut touched) = (0, 0_u64);
    while seen < messages {
        let Some(message) = consumer.poll(Duration::from_secs(30)) else {
            anyhow::bail!("no message for 30 s")
        };
        let last = message?.payload().and_then(<[u8]>::last).copied();
        touched = touched.wrapping_add(last.unwrap_or_default().into());
        seen += 1;
    }
    std::hint::black_box(touched);
    let used = Used {
        cpu_seconds: process::own_cpu_seconds()?,
        peak_bytes: process::memory(std::process::id(), true)?,
    };
    println!("{}", serde_json::to_string(&used)?);
    Ok(())
}
