//! A real broker: accounts, and what survives which kind of end.

#![allow(clippy::unwrap_used)]

use std::time::Duration;

use caudal_testbed::User;
use caudal_testbed::kafka::{ADMIN, DATA, Kafka};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::Message as _;
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::{Offset, TopicPartitionList};

fn sasl(kafka: &Kafka, user: User) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", kafka.sasl_bootstrap_servers())
        .set("security.protocol", "SASL_PLAINTEXT")
        .set("sasl.mechanism", "SCRAM-SHA-512")
        .set("sasl.username", user.name)
        .set("sasl.password", user.password);
    config
}

fn read_first(kafka: &Kafka, topic: &str) -> Vec<u8> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", kafka.bootstrap_servers())
        .set("group.id", "test")
        .create()
        .unwrap();
    let mut partitions = TopicPartitionList::new();
    partitions.add_partition_offset(topic, 0, Offset::Beginning).unwrap();
    consumer.assign(&partitions).unwrap();
    let message = consumer.poll(Duration::from_secs(30)).expect("a message within 30 s").unwrap();
    message.payload().unwrap().to_vec()
}

#[tokio::test]
async fn messages_survive_kill_and_restart() {
    let kafka = Kafka::start().unwrap();
    let admin: AdminClient<DefaultClientContext> = sasl(&kafka, ADMIN).create().unwrap();
    let topic = NewTopic::new("orders", 1, TopicReplication::Fixed(1));
    for result in admin.create_topics(&[topic], &AdminOptions::new()).await.unwrap() {
        result.unwrap();
    }
    let producer: FutureProducer = sasl(&kafka, DATA).set("acks", "all").create().unwrap();
    let record = FutureRecord::<str, _>::to("orders").payload("hello");
    producer.send(record, Duration::from_secs(30)).await.unwrap();

    let addresses = kafka.bootstrap_servers();
    kafka.kill();
    assert_eq!(kafka.pid(), None);
    kafka.restart().unwrap();
    assert_eq!(kafka.bootstrap_servers(), addresses);
    assert_eq!(read_first(&kafka, "orders"), b"hello");

    kafka.pause().unwrap();
    kafka.resume().unwrap();
    assert_eq!(read_first(&kafka, "orders"), b"hello");

    let (pid, folder) = (kafka.pid().unwrap(), kafka.log().parent().unwrap().to_owned());
    drop(kafka);
    assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists());
    assert!(!folder.exists());
}
