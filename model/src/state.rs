//! What an ingestor says of itself on `GET /state`, read by the operator.

use serde::{Deserialize, Serialize};

use crate::resource::Delivery;

/// The answer of `GET /state` on the admin port.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct IngestorState {
    /// Revision of the plan it runs.
    pub plan_revision: String,
    /// How it stores blocks.
    #[serde(default)]
    pub delivery: Delivery,
    /// It is a member of the consumer group.
    pub joined: bool,
    /// What stands between it and its work now, if anything; cleared when the
    /// outside answers again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<Trouble>,
    pub partitions: Vec<PartitionState>,
}

/// A fault and what to do about it.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Trouble {
    pub reason: Reason,
    pub message: String,
    /// Since when, RFC 3339.
    pub since: String,
}

/// Reasons an ingestor reports; they become the reason of `ConsumersReady`.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, PartialEq, Eq, Hash)]
pub enum Reason {
    KafkaUnreachable,
    ClickHouseUnreachable,
    AuthenticationFailed,
    /// A healthy server refuses the same block again and again.
    BlockRefused,
    /// Kafka deleted messages before they were stored.
    RetentionGap,
    /// The dead-letter topic takes nothing.
    DeadLettersBlocked,
    /// More messages can't become rows than are sent to the dead letters.
    DeadLettersLimited,
    /// The table is not the one the plan names.
    TableChanged,
    /// The topic is not the one the plan names.
    TopicChanged,
    /// The committed intent is of a newer version or another pipeline.
    IntentForeign,
    /// The plan revision that an open intent names is not there.
    PlanRevisionMissing,
    /// SETTLE gave up.
    SettleFailed,
    /// Blocks wait, for the server would forget their tokens too soon.
    WindowExceeded,
}

#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct PartitionState {
    pub partition: i32,
    pub phase: Phase,
    /// Why the partition is `Waiting` or `Stopped`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<Trouble>,
    /// Everything below is stored, dead-lettered or filtered.
    pub committed_offset: i64,
    /// The block that is promised but not yet completed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub intent: Option<OpenIntent>,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub enum Phase {
    /// Finding out where to begin.
    Starting,
    /// Building again the block of an intent it found.
    Replaying,
    Running,
    /// Retrying what failed for a passing reason.
    Waiting,
    /// Stopped for good; needs a hand.
    Stopped,
}

#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct OpenIntent {
    /// First offset of the block.
    pub first: i64,
    /// The offset after its last.
    pub next: i64,
    pub plan_revision: String,
}
