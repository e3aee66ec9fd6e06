//! Rejected messages → the dead-letter topic, byte for byte, with the reason
//! and the way back to the original in headers.

mod rate;

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use caudal_model::state;
use rate::Rate;
use rdkafka::ClientConfig;

use crate::decode::Reason;
use crate::fail;
use crate::kafka::{DeadLetterMessage, KafkaError, Letter, Message, Producer};

/// What may be on its way; beyond it partitions wait. A single letter always
/// goes, however large.
const ON_THE_WAY_BYTES: usize = 16 << 20;
/// Kafka's own limits are larger or smaller; a topic's is what counts.
const LARGEST: &str = "104857600";
/// librdkafka refuses what does not fit into its queue, for ever.
const QUEUE_KILOBYTES: &str = "204800";
const RESEND_AFTER: Duration = Duration::from_secs(1);
/// A letter older than this is in trouble, whatever librdkafka thinks.
const PATIENCE: Duration = Duration::from_secs(10);

/// Sends dead letters and counts acknowledgements by block.
pub struct DeadLetters {
    settings: Settings,
    producer: Producer,
    pipeline: String,
    topic: String,
    /// By number, in the order in which they were sent.
    on_the_way: BTreeMap<usize, OnTheWay>,
    bytes: usize,
    sent: usize,
    refused: VecDeque<(Instant, usize, Letter)>,
    error: Option<KafkaError>,
    rate: Rate,
    /// Why the last one was sent.
    reason: Option<Reason>,
}

struct Settings {
    config: ClientConfig,
    topic: String,
    wake: std::thread::Thread,
}

impl Settings {
    fn producer(&self) -> anyhow::Result<Producer> {
        Producer::new(&self.config, &self.topic, self.wake.clone())
    }
}

/// Not acknowledged yet.
struct OnTheWay {
    block: usize,
    bytes: usize,
    since: Instant,
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
            .set("message.max.bytes", LARGEST)
            .set("queue.buffering.max.kbytes", QUEUE_KILOBYTES)
            .set("compression.type", "zstd");
        let settings = Settings { config, topic: dead_letter_topic.to_owned(), wake };
        Ok(Self {
            producer: settings.producer()?,
            settings,
            pipeline,
            topic,
            on_the_way: BTreeMap::new(),
            bytes: 0,
            sent: 0,
            refused: VecDeque::new(),
            error: None,
            rate: Rate::new(Instant::now()),
            reason: None,
        })
    }

    /// The producer, for questions.
    pub fn producer(&self) -> &Producer {
        &self.producer
    }

    /// Queues `message`; `false` when there is no room now. `block` comes back
    /// from [`DeadLetters::acknowledged`].
    pub fn send(
        &mut self,
        message: Message<'_>,
        partition: i32,
        reason: Reason,
        detail: &str,
        block: usize,
    ) -> bool {
        let bytes = [message.value(), message.key()].into_iter().flatten().map(<[u8]>::len).sum::<usize>();
        if !self.on_the_way.is_empty() && self.bytes + bytes > ON_THE_WAY_BYTES {
            return false;
        }
        self.reason = Some(reason);
        if !self.rate.allows(Instant::now()) {
            return false;
        }
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
        let ticket = self.sent;
        let sent = self.producer.send(&DeadLetterMessage { message, headers: &headers, ticket }).is_ok();
        if sent {
            self.sent += 1;
            self.rate.took(bytes);
            self.bytes += bytes;
            self.on_the_way.insert(ticket, OnTheWay { block, bytes, since: Instant::now() });
        }
        sent
    }

    /// Blocks of which a letter is now safe, one entry per letter; resends what
    /// Kafka refused.
    pub fn acknowledged(&mut self) -> Vec<usize> {
        let mut blocks = self.delivered();
        if let Some(error) = self.producer.fatal() {
            tracing::error!("the producer of dead letters has failed for good, and is made anew: {error}");
            self.error = Some(error);
            // Whatever it still holds comes back as refused.
            self.producer.purge();
            blocks.extend(self.delivered());
            match self.settings.producer() {
                Ok(producer) => self.producer = producer,
                Err(error) => tracing::error!("{error:#}"),
            }
        }
        while let Some((at, ticket, letter)) = self.refused.front() {
            if *at > Instant::now() || self.producer.resend(letter, *ticket).is_err() {
                break;
            }
            self.refused.pop_front();
        }
        blocks
    }

    fn delivered(&mut self) -> Vec<usize> {
        let mut blocks = Vec::new();
        for delivery in self.producer.deliveries() {
            match delivery.refused {
                None => {
                    fail::point("letter_sent");
                    blocks.extend(self.arrived(delivery.ticket));
                }
                Some((error, letter)) => {
                    self.error = Some(error);
                    self.refused.push_back((Instant::now() + RESEND_AFTER, delivery.ticket, letter));
                }
            }
        }
        if !blocks.is_empty() && self.refused.is_empty() {
            self.error = None;
        }
        blocks
    }

    /// Nobody waits for the letter any more; its block.
    fn arrived(&mut self, ticket: usize) -> Option<usize> {
        let letter = self.on_the_way.remove(&ticket)?;
        self.bytes -= letter.bytes;
        Some(letter.block)
    }

    /// What keeps letters from arriving, if anything.
    pub fn trouble(&self) -> Option<(state::Reason, String)> {
        let topic = &self.settings.topic;
        if let Some(error) = self.error {
            let message = format!("write to the dead-letter topic {topic:?}: {error}");
            return Some((state::Reason::DeadLettersBlocked, message));
        }
        let oldest = self.on_the_way.first_key_value().map(|(_, oldest)| oldest.since.elapsed());
        if oldest.is_some_and(|age| age > PATIENCE) {
            let message = format!("the dead-letter topic {topic:?} does not acknowledge what is sent to it");
            return Some((state::Reason::DeadLettersBlocked, message));
        }
        let held = self.rate.held(Instant::now())?;
        (held > PATIENCE).then(|| (state::Reason::DeadLettersLimited, self.flood()))
    }

    /// Letters wait for their turn.
    pub fn limited(&self) -> bool {
        self.rate.held(Instant::now()).is_some()
    }

    fn flood(&self) -> String {
        format!(
            "more messages can't become rows than go to the dead letters at once ({} a second, or {} MiB): correct the \
             producer or the schema; the last reason is {}",
            rate::BYTES_PER_SECOND / rate::LEAST_BYTES,
            rate::BYTES_PER_SECOND >> 20,
            self.reason.map_or("none", Reason::name)
        )
    }

    /// Forgets what belongs to partitions given away.
    pub fn forget_refused(&mut self) {
        for (_, ticket, _) in std::mem::take(&mut self.refused) {
            self.arrived(ticket);
        }
        self.error = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_letter_that_nobody_acknowledges_is_told_by_its_age() {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", "127.0.0.1:1");
        let (pipeline, topic) = ("n/p".to_owned(), "orders".to_owned());
        let mut letters =
            DeadLetters::new(config, "orders.dead-letters", pipeline, topic, std::thread::current()).unwrap();
        assert_eq!(letters.trouble(), None);
        let Some(since) = Instant::now().checked_sub(2 * PATIENCE) else { return };
        letters.bytes = 5;
        letters.on_the_way.insert(0, OnTheWay { block: 7, bytes: 5, since });
        letters.on_the_way.insert(1, OnTheWay { block: 7, bytes: 0, since: Instant::now() });
        assert!(letters.trouble().is_some_and(|(_, text)| text.contains("orders.dead-letters")));
        assert_eq!(letters.arrived(0), Some(7));
        assert_eq!((letters.trouble(), letters.bytes), (None, 0));
    }
}
