//! The physical limit: librdkafka consumes a topic and nothing else is done.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, ensure};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{ClientConfig, Message, Offset, TopicPartitionList};

use crate::parts::{PARTITIONS, Sample};

/// Runs [`bare`] in a process of its own, so that its CPU time is its own.
pub fn measure(bootstrap: &str, topic: &str, messages: u64) -> anyhow::Result<Sample> {
    let program = std::env::current_exe()?;
    let output = Command::new(program)
        .args(["bare-consume", bootstrap, topic, &messages.to_string()])
        .output()
        .context("run the bare consumer")?;
    let text = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success(), "the bare consumer failed: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_str(text.trim()).context("read what the bare consumer measured")
}

/// Consumes `messages` in batches with every payload touched, and prints a [`Sample`].
pub fn bare(bootstrap: &str, topic: &str, messages: u64) -> anyhow::Result<()> {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", bootstrap)
        .set("group.id", "bare")
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false");
    let consumer: BaseConsumer = config.create()?;
    let mut assignment = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        assignment.add_partition_offset(topic, partition, Offset::Beginning)?;
    }
    consumer.assign(&assignment)?;
    let start = std::time::Instant::now();
    let (mut seen, mut touched) = (0, 0_u64);
    while seen < messages {
        let Some(message) = consumer.poll(Duration::from_secs(30)) else {
            anyhow::bail!("no message for 30 s")
        };
        let message = message?;
        touched = touched
            .wrapping_add(message.payload().and_then(<[u8]>::last).copied().unwrap_or_default().into());
        seen += 1;
    }
    std::hint::black_box(touched);
    let pid = std::process::id();
    let sample = Sample {
        rows: seen,
        cpu_seconds: crate::process::cpu_seconds(pid)?,
        wall_seconds: start.elapsed().as_secs_f64(),
        peak_bytes: crate::process::memory(pid, true)?,
    };
    println!("{}", serde_json::to_string(&sample)?);
    Ok(())
}
