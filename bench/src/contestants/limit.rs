//! The limit, made by hand: consume in batches without work, and insert blocks that were ready before.

use std::ffi::CString;
use std::path::Path;
use std::ptr;
use std::sync::mpsc::sync_channel;

use anyhow::{Context, bail, ensure};
use rdkafka::ClientConfig;
use rdkafka_sys as sys;

use super::Blocks;
use super::http::Connection;
use crate::parts::{BLOCK_ROWS, DATABASE, PARTITIONS, Stage, Topic};
use crate::process::{self, Running};
use crate::sample::{Sample, Used};
use crate::server::Watch;

/// Messages per call.
const BATCH: usize = 1_000;

pub fn measure(stage: &Stage, topic: &Topic, blocks: &Blocks) -> anyhow::Result<Sample> {
    let table = stage.table(topic.workload)?;
    let watch = Watch::begin(&stage.clickhouse)?;
    let mut running = Running::own(&[
        "limit",
        &stage.kafka.bootstrap_servers(),
        &topic.name,
        &topic.messages.to_string(),
        &stage.clickhouse.http_port().to_string(),
        &table,
        &blocks.folder().to_string_lossy(),
    ])?;
    let stored = watch.wait_for_rows(&table, topic.messages, || running.check_not_failed())?;
    let used: Used = running.answer()?;
    let server = watch.settle(stored)?;
    Ok(Sample {
        rows: topic.messages,
        wall_seconds: stored.wall_seconds,
        consumer: Some(used),
        server: Some(server),
    })
}

/// Consumes `messages`, inserts a block of `folder` for each so many of them, and prints a [`Used`].
pub fn run(
    brokers: &str,
    topic: &str,
    messages: u64,
    http_port: u16,
    table: &str,
    folder: &Path,
) -> anyhow::Result<()> {
    let blocks = Blocks::load(folder)?;
    let ready_made: usize = blocks.iter().map(Vec::len).sum();
    let before = process::own_cpu_seconds()?;
    let (full, next) = sync_channel::<()>(1);
    let insert = format!("INSERT INTO {DATABASE}.{table} FORMAT Native");
    let sender = std::thread::spawn(move || -> anyhow::Result<()> {
        let mut server = Connection::open(http_port)?;
        let mut blocks = blocks.iter();
        for () in next {
            server.post(&insert, blocks.next().context("more blocks than were made")?)?;
        }
        blocks.try_for_each(|block| server.post(&insert, block).map(drop))
    });
    let mut consumer = BatchConsumer::new(brokers, topic)?;
    let (mut seen, mut sent) = (0, 0);
    while seen < messages {
        seen += consumer.batch()?;
        // The last block of each partition is smaller; the sender sends what remains at the end.
        if seen / BLOCK_ROWS > sent && full.send(()).is_ok() {
            sent += 1;
        }
    }
    drop(full);
    match sender.join() {
        Ok(result) => result?,
        Err(_) => bail!("the sender panicked"),
    }
    let used = Used {
        cpu_seconds: process::own_cpu_seconds()? - before,
        peak_bytes: process::memory(std::process::id(), true)?.saturating_sub(ready_made as u64),
    };
    println!("{}", serde_json::to_string(&used)?);
    Ok(())
}

/// librdkafka's cheapest way: whole batches, from a queue of all partitions, assigned by hand.
struct BatchConsumer {
    client: *mut sys::rd_kafka_t,
    queue: *mut sys::rd_kafka_queue_t,
    batch: Vec<*mut sys::rd_kafka_message_t>,
    touched: u64,
}

impl BatchConsumer {
    fn new(brokers: &str, topic: &str) -> anyhow::Result<Self> {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", brokers)
            .set("group.id", "limit")
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("fetch.queue.backoff.ms", "20");
        let native = config.create_native_config()?;
        let name = CString::new(topic)?;
        let mut text = [0; 512];
        // SAFETY: the duplicated configuration belongs to the client once that is made; the list is copied by
        // `rd_kafka_assign` and destroyed here; client and queue are given back in `drop`.
        unsafe {
            let client = sys::rd_kafka_new(
                sys::rd_kafka_type_t::RD_KAFKA_CONSUMER,
                sys::rd_kafka_conf_dup(native.ptr()),
                text.as_mut_ptr(),
                text.len(),
            );
            ensure!(!client.is_null(), "create the Kafka consumer");
            sys::rd_kafka_poll_set_consumer(client);
            let queue = sys::rd_kafka_queue_get_consumer(client);
            let list = sys::rd_kafka_topic_partition_list_new(PARTITIONS);
            for partition in 0..PARTITIONS {
                let one = sys::rd_kafka_topic_partition_list_add(list, name.as_ptr(), partition);
                (*one).offset = i64::from(sys::RD_KAFKA_OFFSET_BEGINNING);
            }
            let code = sys::rd_kafka_assign(client, list);
            sys::rd_kafka_topic_partition_list_destroy(list);
            ensure!(code == sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR, "assign: {code:?}");
            Ok(Self { client, queue, batch: vec![ptr::null_mut(); BATCH], touched: 0 })
        }
    }

    /// How many messages came; their last bytes were touched.
    fn batch(&mut self) -> anyhow::Result<u64> {
        let mut seen = 0;
        // SAFETY: the call fills at most `batch.len()` places, each with a message that is ours until destroyed.
        unsafe {
            let count = sys::rd_kafka_consume_batch_queue(
                self.queue,
                30_000,
                self.batch.as_mut_ptr(),
                self.batch.len(),
            );
            ensure!(count > 0, "no message for 30 s");
            for &message in &self.batch[..usize::try_from(count)?] {
                let one = &*message;
                if one.err == sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR && one.len > 0 {
                    let last = *one.payload.cast::<u8>().add(one.len - 1);
                    self.touched = self.touched.wrapping_add(last.into());
                    seen += 1;
                }
                sys::rd_kafka_message_destroy(message);
            }
        }
        std::hint::black_box(self.touched);
        Ok(seen)
    }
}

impl Drop for BatchConsumer {
    fn drop(&mut self) {
        // SAFETY: the queue first, then the client, each once.
        unsafe {
            sys::rd_kafka_queue_destroy(self.queue);
            sys::rd_kafka_destroy(self.client);
        }
    }
}
