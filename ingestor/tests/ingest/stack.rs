//! A Kafka and a ClickHouse for one test at a time, a few of each for all tests
//! of this program, and what a test needs to talk to them.

use std::ops::Deref;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use caudal_testbed::clickhouse::ClickHouse;
use caudal_testbed::kafka::Kafka;
use caudal_testbed::wait;
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{Headers, Message, OwnedHeaders};
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};
use rdkafka::{Offset, TopicPartitionList};

use super::pipeline::LIMIT;

pub struct Stack {
    pub kafka: Kafka,
    pub clickhouse: ClickHouse,
}

/// Tests mostly wait: for sessions to end, for servers to start.
const STACKS: usize = 3;

struct Pool {
    free: Vec<Stack>,
    started: usize,
}

static POOL: Mutex<Pool> = Mutex::new(Pool { free: Vec::new(), started: 0 });
static FREED: Condvar = Condvar::new();

fn pool() -> MutexGuard<'static, Pool> {
    POOL.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A stack, for one test alone.
pub fn stack() -> Alone {
    let mut pool = pool();
    loop {
        if let Some(stack) = pool.free.pop() {
            return Alone(Some(stack));
        }
        if pool.started < STACKS {
            pool.started += 1;
            drop(pool);
            let kafka = Kafka::start().expect("start Kafka");
            let clickhouse = ClickHouse::start().expect("start ClickHouse");
            return Alone(Some(Stack { kafka, clickhouse }));
        }
        pool = FREED.wait(pool).unwrap_or_else(PoisonError::into_inner);
    }
}

/// Gives the stack back when the test ends.
pub struct Alone(Option<Stack>);

impl Deref for Alone {
    type Target = Stack;

    fn deref(&self) -> &Stack {
        self.0.as_ref().expect("it is given back last")
    }
}

impl Drop for Alone {
    fn drop(&mut self) {
        let stack = self.0.take();
        if std::thread::panicking() {
            // In whatever state the test has left it.
            drop(stack);
            pool().started -= 1;
        } else {
            pool().free.extend(stack);
        }
        FREED.notify_one();
    }
}

/// A message as a test writes or reads it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sent {
    pub partition: i32,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub headers: Vec<(String, Option<Vec<u8>>)>,
}

impl Sent {
    pub fn value(partition: i32, value: impl Into<Vec<u8>>) -> Self {
        Self { partition, value: Some(value.into()), ..Self::default() }
    }
}

impl Stack {
    pub fn config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", self.kafka.bootstrap_servers());
        config
    }

    pub fn create_topic(&self, name: &str, partitions: i32) {
        self.create_topic_with(name, partitions, &[]);
    }

    /// `settings`: configuration of the topic.
    pub fn create_topic_with(&self, name: &str, partitions: i32, settings: &[(&str, &str)]) {
        let topic = NewTopic::new(name, partitions, TopicReplication::Fixed(1))
            .set("message.timestamp.type", "CreateTime");
        let topic = settings.iter().fold(topic, |topic, (name, value)| topic.set(name, value));
        // A topic of that name may still be going.
        wait::until("the topic", LIMIT, || {
            let results =
                administer(async || self.admin().create_topics([&topic], &AdminOptions::new()).await);
            Ok(results.unwrap().into_iter().all(|result| result.is_ok()).then_some(()))
        })
        .unwrap();
    }

    pub fn delete_topic(&self, name: &str) {
        administer(async || self.admin().delete_topics(&[name], &AdminOptions::new()).await).unwrap();
    }

    /// The topic has `partitions` from now on.
    pub fn add_partitions(&self, topic: &str, partitions: usize) {
        let new = NewPartitions::new(topic, partitions);
        administer(async || self.admin().create_partitions([&new], &AdminOptions::new()).await).unwrap();
    }

    /// Deletes the messages below `offset`, as retention does.
    pub fn delete_before(&self, topic: &str, partition: i32, offset: i64) {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(topic, partition, Offset::Offset(offset)).unwrap();
        administer(async || self.admin().delete_records(&list, &AdminOptions::new()).await).unwrap();
    }

    fn admin(&self) -> AdminClient<DefaultClientContext> {
        self.config().create().unwrap()
    }

    /// Kafka's ids of the topic and the cluster.
    pub fn ids(&self, topic: &str) -> (String, String) {
        let thread = std::thread::current();
        let mut config = self.config();
        config.set("group.id", "ids");
        let consumer = caudal_ingestor::kafka::Consumer::new(&config, topic, thread).unwrap();
        let timeout = Duration::from_secs(10);
        (consumer.describe_topic(timeout).unwrap().0, consumer.cluster_id(timeout).unwrap())
    }

    pub fn producer(&self) -> ThreadedProducer<DefaultProducerContext> {
        self.config().set("linger.ms", "5").set("message.max.bytes", "20000000").create().unwrap()
    }

    /// Publishes and waits until Kafka has them all.
    pub fn publish(&self, topic: &str, messages: impl IntoIterator<Item = Sent>) {
        let producer = self.producer();
        for message in messages {
            send(&producer, topic, &message);
        }
        producer.flush(LIMIT).unwrap();
    }

    /// Everything that is in the topic now.
    pub fn read_all(&self, topic: &str) -> Vec<Sent> {
        let consumer: BaseConsumer =
            self.config().set("group.id", "reader").set("enable.auto.commit", "false").create().unwrap();
        let timeout = Duration::from_secs(10);
        let metadata = consumer.fetch_metadata(Some(topic), timeout).unwrap();
        let mut found = Vec::new();
        for partition in metadata.topics()[0].partitions() {
            let (low, high) = consumer.fetch_watermarks(topic, partition.id(), timeout).unwrap();
            if low == high {
                continue;
            }
            let mut assignment = TopicPartitionList::new();
            assignment.add_partition_offset(topic, partition.id(), Offset::Beginning).unwrap();
            consumer.assign(&assignment).unwrap();
            loop {
                let message = consumer.poll(timeout).expect("a message").unwrap();
                let headers = message.headers().map(|headers| {
                    headers.iter().map(|one| (one.key.to_owned(), one.value.map(<[u8]>::to_vec))).collect()
                });
                found.push(Sent {
                    partition: partition.id(),
                    key: message.key().map(<[u8]>::to_vec),
                    value: message.payload().map(<[u8]>::to_vec),
                    headers: headers.unwrap_or_default(),
                });
                if message.offset() + 1 >= high {
                    break;
                }
            }
        }
        found
    }

    /// Committed offset and metadata of a partition.
    pub fn committed(&self, group: &str, topic: &str, partition: i32) -> Option<(i64, String)> {
        let consumer: BaseConsumer = self.config().set("group.id", group).create().unwrap();
        let mut list = TopicPartitionList::new();
        list.add_partition(topic, partition);
        let found = consumer.committed_offsets(list, Duration::from_secs(10)).unwrap();
        let element = &found.elements()[0];
        element
            .offset()
            .to_raw()
            .filter(|offset| *offset >= 0)
            .map(|offset| (offset, element.metadata().to_owned()))
    }

    pub fn number(&self, sql: &str) -> u64 {
        self.clickhouse.query(sql).unwrap().trim().parse().unwrap()
    }
}

fn administer<T>(act: impl AsyncFnOnce() -> T) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(act())
}

/// Queues one message, waiting for room.
pub fn send(producer: &ThreadedProducer<DefaultProducerContext>, topic: &str, message: &Sent) {
    loop {
        let mut record = BaseRecord::<[u8], [u8]>::to(topic).partition(message.partition);
        if let Some(value) = &message.value {
            record = record.payload(value);
        }
        if let Some(key) = &message.key {
            record = record.key(key);
        }
        if !message.headers.is_empty() {
            let headers = message.headers.iter().fold(OwnedHeaders::new(), |headers, (key, value)| {
                headers.insert(rdkafka::message::Header { key, value: value.as_ref() })
            });
            record = record.headers(headers);
        }
        if producer.send(record).is_ok() {
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}
