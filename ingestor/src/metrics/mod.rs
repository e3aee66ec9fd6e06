//! What the ingestor counts, in Prometheus' terms. Updated per batch or per
//! block, never per message.

mod ages;

use ages::Ages;
use caudal_model::plan::{Ingest, PipelineId};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use crate::decode::Reason;
use crate::protocol::Outcome;
use crate::sink::Class;
use crate::source::Sealed;
use crate::state::now_ms;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByReason {
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByClass {
    class: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByDelivery {
    delivery: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByPartition {
    partition: i32,
}

/// What one batch of messages came to.
#[derive(Debug, Default)]
pub struct Tally {
    pub messages: u64,
    pub bytes: u64,
    pub filtered: u64,
    /// By the order of [`Reason::ALL`].
    pub rejected: [u64; Reason::ALL.len()],
}

/// Handles to everything counted.
#[derive(Default)]
pub struct Metrics {
    delivery: Family<ByDelivery, Gauge>,
    messages: Counter,
    bytes: Counter,
    filtered: Counter,
    dead_letters: Family<ByReason, Counter>,
    letters_limited: Gauge,
    rows: Counter,
    blocks: Counter,
    block_bytes: Counter,
    settled: Counter,
    resent: Counter,
    failures: Family<ByClass, Counter>,
    held: Counter,
    insert: Seconds,
    freshness: Ages,
    lag_messages: Family<ByPartition, Gauge>,
    lag_seconds: Family<ByPartition, Gauge>,
    assignments: Counter,
    paused: Gauge,
    buffered: Gauge,
    replayed: Counter,
    reconciled: Counter,
    gap: Counter,
}

struct Seconds(Histogram);

impl Default for Seconds {
    fn default() -> Self {
        Self(Histogram::new([0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0]))
    }
}

impl Metrics {
    /// The freshness objective becomes a bucket of its own.
    pub fn new(registry: &mut Registry, pipeline: &PipelineId, ingest: &Ingest) -> Self {
        let all = Self { freshness: Ages::new(ingest.freshness_within_ms), ..Self::default() };
        let labels = [
            ("namespace".into(), pipeline.namespace.clone().into()),
            ("pipeline".into(), pipeline.name.clone().into()),
        ];
        let registry =
            registry.sub_registry_with_prefix("caudal_ingestor").sub_registry_with_labels(labels.into_iter());
        // Series exist from the start, so that a first error is an increase.
        for reason in Reason::ALL {
            let _ = all.dead_letters.get_or_create(&ByReason { reason: reason.name() });
        }
        for class in Class::ALL {
            let _ = all.failures.get_or_create(&ByClass { class: class.name() });
        }
        all.delivery.get_or_create(&ByDelivery { delivery: ingest.delivery.as_str() }).set(1);
        registry.register("delivery", "How blocks are stored; always 1", all.delivery.clone());
        all.register_messages(registry);
        all.register_blocks(registry);
        all.register_partitions(registry);
        all
    }

    fn register_messages(&self, registry: &mut Registry) {
        registry.register("messages", "Messages consumed", self.messages.clone());
        registry.register("consumed_bytes", "Bytes of message values consumed", self.bytes.clone());
        registry.register(
            "filtered",
            "Messages without a value, which become nothing",
            self.filtered.clone(),
        );
        registry.register(
            "dead_letters",
            "Messages sent to the dead-letter topic",
            self.dead_letters.clone(),
        );
        registry.register(
            "dead_letters_limited",
            "1 while dead letters wait because too many came at once",
            self.letters_limited.clone(),
        );
        registry.register("rows", "Rows stored", self.rows.clone());
    }

    fn register_blocks(&self, registry: &mut Registry) {
        registry.register("blocks", "Blocks stored", self.blocks.clone());
        registry.register("block_bytes", "Bytes of blocks stored", self.block_bytes.clone());
        registry.register("blocks_settled", "Blocks stored by reading back", self.settled.clone());
        registry.register("inserts_resent", "Inserts sent again", self.resent.clone());
        registry.register(
            "inserts_held",
            "Inserts that waited because the table would forget tokens too soon",
            self.held.clone(),
        );
        registry.register(
            "clickhouse_failures",
            "Requests to ClickHouse without a clean answer",
            self.failures.clone(),
        );
        let help = "From sending an insert to its clean answer";
        registry.register_with_unit("insert", help, Unit::Seconds, self.insert.0.clone());
        let help = "From a message's Kafka timestamp until its row can be queried";
        registry.register_with_unit("freshness", help, Unit::Seconds, self.freshness.clone());
        registry.register("buffered_bytes", "Bytes in columns and blocks", self.buffered.clone());
    }

    fn register_partitions(&self, registry: &mut Registry) {
        registry.register(
            "lag_messages",
            "Messages in the partition that are not completed",
            self.lag_messages.clone(),
        );
        let help = "Age of the oldest message that is not completed";
        registry.register_with_unit("lag", help, Unit::Seconds, self.lag_seconds.clone());
        registry.register(
            "assignments",
            "Times the group gave this process partitions",
            self.assignments.clone(),
        );
        registry.register("paused_partitions", "Partitions that are not read now", self.paused.clone());
        registry.register("intents_replayed", "Open intents found on assignment", self.replayed.clone());
        registry.register(
            "reconciled_partitions",
            "Assignments that had to be reconciled",
            self.reconciled.clone(),
        );
        registry.register(
            "retention_gap_messages",
            "Messages Kafka deleted before they were stored",
            self.gap.clone(),
        );
    }

    pub fn consumed(&self, tally: &Tally) {
        let Tally { messages, bytes, filtered, rejected } = tally;
        self.messages.inc_by(*messages);
        self.bytes.inc_by(*bytes);
        self.filtered.inc_by(*filtered);
        for (reason, count) in Reason::ALL.iter().zip(rejected).filter(|(_, count)| **count > 0) {
            self.dead_letters.get_or_create(&ByReason { reason: reason.name() }).inc_by(*count);
        }
    }

    pub fn stored(&self, sealed: &Sealed, outcome: Outcome) {
        self.rows.inc_by(sealed.block.rows() as u64);
        self.blocks.inc();
        self.block_bytes.inc_by(sealed.bytes as u64);
        if outcome == Outcome::Settled {
            self.settled.inc();
        }
        self.freshness.observe_all(now_ms(), sealed.block.timestamps_ms());
    }

    pub fn inserted(&self, seconds: f64) {
        self.insert.0.observe(seconds);
    }

    pub fn resent(&self) {
        self.resent.inc();
    }

    pub fn held(&self) {
        self.held.inc();
    }

    pub fn failed(&self, class: Class) {
        self.failures.get_or_create(&ByClass { class: class.name() }).inc();
    }

    pub fn assigned(&self) {
        self.assignments.inc();
    }

    pub fn replayed(&self) {
        self.replayed.inc();
    }

    pub fn reconciled(&self, partitions: usize) {
        self.reconciled.inc_by(partitions as u64);
    }

    pub fn gap(&self, messages: u64) {
        self.gap.inc_by(messages);
    }

    pub fn lag(&self, partition: i32, messages: i64, seconds: i64) {
        self.lag_messages.get_or_create(&ByPartition { partition }).set(messages);
        self.lag_seconds.get_or_create(&ByPartition { partition }).set(seconds);
    }

    /// The partitions are somebody else's: their lag is not ours to tell.
    pub fn forget_partitions(&self) {
        self.lag_messages.clear();
        self.lag_seconds.clear();
    }

    pub fn holds(&self, paused: usize, buffered: usize, letters_limited: bool) {
        self.letters_limited.set(letters_limited.into());
        self.paused.set(i64::try_from(paused).unwrap_or(i64::MAX));
        self.buffered.set(i64::try_from(buffered).unwrap_or(i64::MAX));
    }
}
