//! Rejected messages → the dead-letter topic, byte for byte, with the reason
//! and the way back to the original in headers.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;

use crate::decode::Reason;
use crate::kafka::{DeadLetterMessage, KafkaError, Letter, Message, Producer};

/// What librdkafka may hold unsent; beyond it partitions wait.
const QUEUE_KILOBYTES: &str = "16384";
const RESEND_AFTER: Duration = Duration::from_secs(1);

/// Sends dead letters and counts acknowledgements by block.
pub struct DeadLetters {
    producer: Producer,
    pipeline: String,
    topic: String,
    refused: VecDeque<(Instant, usize, Letter)>,
    pub trouble: Option<KafkaError>,
}

impl DeadLetters {
    /// Sets what makes the producer reliable on a connection's settings.
    pub fn new(
        mut config: ClientConfig,
        dead_letter_topic: &str,
        pipeline: String,
        topic: String,
        wake: std::thread::Thread,
    ) -> anyhow::Result<Self> {
        config
            .set("enable.idempotence", "true")
            .set("acks", "all")
            // For ever: a letter is given up by nobody.
            .set("message.timeout.ms", "0")
            .set("linger.ms", "20")
            .set("message.max.bytes", "104857600")
            .set("queue.buffering.max.kbytes", QUEUE_KILOBYTES)
            .set("compression.type", "zstd");
        let producer = Producer::new(&config, dead_letter_topic, wake)?;
        Ok(Self { producer, pipeline, topic, refused: VecDeque::new(), trouble: None })
    }

    /// Queues `message`; `false` when there is no room now. `block` comes back
    /// from [`DeadLetters::acknowledged`].
    pub fn send(
        &self,
        message: Message<'_>,
        partition: i32,
        reason: Reason,
        detail: &str,
        block: usize,
    ) -> bool {
        let partition = partition.to_string();
        let offset = message.offset().to_string();
        let timestamp = message.timestamp_ms().to_string();
        let headers = [
            (c"caudal.reason", reason.name().as_bytes()),
            (c"caudal.detail", detail.as_bytes()),
            (c"caudal.pipeline", self.pipeline.as_bytes()),
            (c"caudal.topic", self.topic.as_bytes()),
            (c"caudal.partition", partition.as_bytes()),
            (c"caudal.offset", offset.as_bytes()),
            (c"caudal.timestamp", timestamp.as_bytes()),
        ];
        self.producer.send(&DeadLetterMessage { message, headers: &headers, ticket: block }).is_ok()
    }

    /// Blocks of which a letter is now safe, one entry per letter; resends what
    /// Kafka refused.
    pub fn acknowledged(&mut self) -> Vec<usize> {
        let mut blocks = Vec::new();
        for delivery in self.producer.deliveries() {
            match delivery.refused {
                None => blocks.push(delivery.ticket),
                Some((error, letter)) => {
                    self.trouble = Some(error);
                    self.refused.push_back((Instant::now() + RESEND_AFTER, delivery.ticket, letter));
                }
            }
        }
        if !blocks.is_empty() && self.refused.is_empty() {
            self.trouble = None;
        }
        while let Some((at, ticket, letter)) = self.refused.front() {
            if *at > Instant::now() || self.producer.resend(letter, *ticket).is_err() {
                break;
            }
            self.refused.pop_front();
        }
        blocks
    }

    /// Forgets what belongs to partitions given away.
    pub fn forget_refused(&mut self) {
        self.refused.clear();
        self.trouble = None;
    }
}
