//! Messages → a topic, acknowledged.

use std::time::Duration;

use anyhow::Context;
use rdkafka::ClientConfig;
use rdkafka::ClientContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer, ProducerContext};

use crate::Message;

/// Publishes all `messages` and returns how many the broker acknowledged: all, or it is an error.
pub fn publish(
    config: &ClientConfig,
    topic: &str,
    messages: impl IntoIterator<Item = Message>,
) -> anyhow::Result<u64> {
    let failure = Failure::default();
    let mut config = config.clone();
    config.set("enable.idempotence", "true").set("linger.ms", "20");
    let producer: BaseProducer<Failure> =
        config.create_with_context(failure).context("create a Kafka producer")?;
    let mut sent = 0;
    for message in messages {
        send(&producer, topic, &message)?;
        sent += 1;
        if sent % 1_000 == 0 {
            producer.poll(Duration::ZERO);
        }
    }
    producer.flush(Duration::from_mins(1)).with_context(|| format!("publish to topic {topic:?}"))?;
    match producer.context().first.lock().expect("no holder panics").take() {
        Some(error) => Err(error).with_context(|| format!("publish to topic {topic:?}")),
        None => Ok(sent),
    }
}

fn send(producer: &BaseProducer<Failure>, topic: &str, message: &Message) -> anyhow::Result<()> {
    let mut record = BaseRecord::<[u8], [u8]>::to(topic);
    if !message.key.is_empty() {
        record = record.key(&message.key);
    }
    if let Some(value) = &message.value {
        record = record.payload(value);
    }
    loop {
        match producer.send(record) {
            Ok(()) => return Ok(()),
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), unsent)) => {
                producer.poll(Duration::from_millis(100));
                record = unsent;
            }
            Err((error, _)) => return Err(error).with_context(|| format!("publish to topic {topic:?}")),
        }
    }
}

/// Keeps the first failed delivery.
#[derive(Default)]
struct Failure {
    first: std::sync::Mutex<Option<KafkaError>>,
}

impl ClientContext for Failure {}

impl ProducerContext for Failure {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Err((error, _)) = result {
            self.first.lock().expect("no holder panics").get_or_insert(error.clone());
        }
    }
}
