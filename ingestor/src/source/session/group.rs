//! What the group wants: partitions come, are drained, and go.

use std::sync::Arc;
use std::time::Instant;

use caudal_model::state::{Reason, Trouble};

use super::begin::Starting;
use super::report::Troubles;
use super::{Draining, End, Session};
use crate::fail;
use crate::kafka::{Code, Rebalance};
use crate::source::partition::Partition;
use crate::source::{REVOKE_DEADLINE, SHUTDOWN_DEADLINE};
use crate::state;

impl Session<'_> {
    pub(super) fn group(&mut self, now: Instant) -> Result<(), End> {
        let (rebalances, errors) = self.consumer.poll();
        for (code, text) in errors {
            self.kafka_trouble(code, &text);
        }
        for rebalance in rebalances {
            match rebalance {
                Rebalance::Assigned(partitions) => {
                    tracing::info!(?partitions, "assigned");
                    self.joined = true;
                    self.troubles = Troubles::default();
                    self.context.metrics.assigned();
                    // Taken, but read only when it is known where to begin.
                    let _ = self.consumer.assign(&[]);
                    if !partitions.is_empty() {
                        self.starting.push(Starting { partitions, at: now, waited: false });
                    }
                }
                Rebalance::Revoked { lost: true } => {
                    tracing::warn!("partitions lost");
                    // A commit still out belongs to a membership that is over,
                    // and must not be sent in the next one.
                    if self.outstanding.is_some() {
                        return Err(End::Rejoin("the membership was lost with a commit under way"));
                    }
                    self.give_back();
                }
                Rebalance::Revoked { lost: false } => {
                    tracing::info!("revoked; finishing what is promised");
                    self.drain(now + REVOKE_DEADLINE, false);
                }
            }
        }
        if self.context.shutting_down() && self.draining.is_none_or(|draining| !draining.leave) {
            self.drain(now + SHUTDOWN_DEADLINE, true);
        }
        Ok(())
    }

    fn kafka_trouble(&mut self, code: Code, text: &str) {
        if code == Code::RD_KAFKA_RESP_ERR__PARTITION_EOF {
            return;
        }
        let reason = state::kafka_reason(code);
        let refused = |trouble: &Trouble| trouble.reason == Reason::AuthenticationFailed;
        if code == Code::RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN
            && self.troubles.kafka.as_ref().is_some_and(refused)
        {
            // Refused by all is what that means.
            return;
        }
        if self.troubles.kafka.as_ref().is_none_or(|trouble| trouble.reason != reason) {
            tracing::warn!(?reason, "Kafka: {text}");
        }
        state::raise(&mut self.troubles.kafka, reason, text);
    }

    /// No new intents; what is promised is finished until the deadline.
    fn drain(&mut self, deadline: Instant, leave: bool) {
        self.draining = Some(Draining { deadline, leave });
        self.starting.clear();
        self.asking = None;
        for one in self.partitions.values_mut() {
            one.stop_reading(&self.context.contents.current().layout);
        }
        fail::point("revoked");
    }

    pub(super) fn drained(&mut self, now: Instant) -> Result<(), End> {
        let Some(Draining { deadline, leave }) = self.draining else { return Ok(()) };
        let done = self.outstanding.is_none() && self.partitions.values().all(Partition::at_rest);
        if !done && now < deadline {
            return Ok(());
        }
        if leave {
            return Err(End::Shutdown);
        }
        if self.outstanding.is_some() {
            return Err(End::Rejoin("a commit was under way when the partitions had to be given back"));
        }
        self.give_back();
        Ok(())
    }

    pub(super) fn revoke_leases(&mut self) {
        self.partitions.values().for_each(|one| one.lease.revoke());
        self.membership.revoke();
        self.membership = Arc::default();
    }

    /// Nothing is committed for these partitions after this.
    fn give_back(&mut self) {
        self.revoke_leases();
        fail::point("given_back");
        self.partitions.clear();
        self.context.metrics.forget_partitions();
        self.letters.forget_refused();
        self.unsent.clear();
        self.to_record.clear();
        self.recording = false;
        self.starting.clear();
        self.asking = None;
        self.draining = None;
        self.troubles.commits = None;
        // Answers to what was asked so far are void.
        self.epoch = self.context.unique();
        if let Err(error) = self.consumer.unassign() {
            tracing::error!("give partitions back: {error}");
        }
    }
}
