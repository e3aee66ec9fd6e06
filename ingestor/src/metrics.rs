//! What the ingestor counts, in Prometheus' terms. Updated per batch or per
//! block, never per message.

use std::sync::atomic::AtomicU64;

use caudal_model::plan::PipelineId;
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
struct ByPartition {
    partition: i32,
}

/// Handles to everything counted.
pub struct Metrics {
    messages: Counter,
    bytes: Counter,
    rows: Counter,
    dead_letters: Family<ByReason, Counter>,
    blocks: Counter,
    block_bytes: Counter,
    settled: Counter,
    replayed: Counter,
    gaps: Counter,
    failures: Family<ByClass, Counter>,
    insert_seconds: Histogram,
    lag: Family<ByPartition, Gauge>,
    freshness: Histogram,
    freshness_max: Gauge<f64, AtomicU64>,
}

const SECONDS: [f64; 12] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

impl Metrics {
    pub fn new(registry: &mut Registry, pipeline: &PipelineId) -> Self {
        let metrics = Self {
            messages: Counter::default(),
            bytes: Counter::default(),
            rows: Counter::default(),
            dead_letters: Family::default(),
            blocks: Counter::default(),
            block_bytes: Counter::default(),
            settled: Counter::default(),
            replayed: Counter::default(),
            gaps: Counter::default(),
            failures: Family::default(),
            insert_seconds: Histogram::new(SECONDS),
            lag: Family::default(),
            freshness: Histogram::new(SECONDS),
            freshness_max: Gauge::default(),
        };
        let labels = [
            ("namespace".into(), pipeline.namespace.clone().into()),
            ("pipeline".into(), pipeline.name.clone().into()),
        ];
        let registry = registry.sub_registry_with_prefix("caudal_ingestor").sub_registry_with_labels(labels.into_iter());
        registry.register("messages", "Messages consumed", metrics.messages.clone());
        registry.register_with_unit("consumed", "Bytes of message values consumed", Unit::Bytes, metrics.bytes.clone());
        registry.register("rows", "Rows stored", metrics.rows.clone());
        registry.register("dead_letters", "Messages sent to the dead-letter topic", metrics.dead_letters.clone());
        registry.register("blocks", "Blocks stored", metrics.blocks.clone());
        registry.register_with_unit("block", "Bytes of blocks stored", Unit::Bytes, metrics.block_bytes.clone());
        registry.register("blocks_settled", "Blocks stored by SETTLE", metrics.settled.clone());
        registry.register("intents_replayed", "Intents found on assignment", metrics.replayed.clone());
        registry.register("retention_gap_messages", "Messages that Kafka deleted before they were stored", metrics.gaps.clone());
        registry.register("insert_failures", "Failed requests to ClickHouse", metrics.failures.clone());
        registry.register_with_unit("insert", "Seconds of clean inserts", Unit::Seconds, metrics.insert_seconds.clone());
        registry.register("lag_messages", "Messages not yet completed", metrics.lag.clone());
        registry.register_with_unit("freshness", "Seconds from a message's time until its row can be queried", Unit::Seconds, metrics.freshness.clone());
        metrics
    }

    pub fn consumed(&self, messages: u64, bytes: u64, rejected: &[u64]) {
        self.messages.inc_by(messages);
        self.bytes.inc_by(bytes);
        for (reason, count) in Reason::ALL.iter().zip(rejected).filter(|(_, count)| **count > 0) {
            self.dead_letters.get_or_create(&ByReason { reason: reason.name() }).inc_by(*count);
        }
    }

    pub fn stored(&self, sealed: &Sealed, outcome: Outcome) {
        self.rows.inc_by(sealed.promise.rows);
        self.blocks.inc();
        self.block_bytes.inc_by(sealed.bytes as u64);
        if outcome == Outcome::Settled {
            self.settled.inc();
        }
        let now = now_ms();
        for timestamp in sealed.block.timestamps_ms() {
            #[allow(clippy::cast_precision_loss)]
            self.freshness.observe((now - timestamp).max(0) as f64 / 1e3);
        }
    }

    pub fn inserted(&self, seconds: f64) {
        self.insert_seconds.observe(seconds);
    }

    pub fn replayed(&self) {
        self.replayed.inc();
    }

    pub fn gap(&self, messages: u64) {
        self.gaps.inc_by(messages);
    }

    pub fn failed(&self, class: Class) {
        self.failures.get_or_create(&ByClass { class: class.name() }).inc();
    }

    pub fn lag(&self, partition: i32, messages: i64) {
        self.lag.get_or_create(&ByPartition { partition }).set(messages);
    }
}
