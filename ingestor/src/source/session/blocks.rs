//! Sealing blocks, and moving them on.

use std::time::Instant;

use caudal_model::state::Reason;
use rand::RngExt;

use super::{End, Session};
use crate::fail;
use crate::protocol::{Action, Outcome};
use crate::sink::Effort;
use crate::source::partition::{Mismatch, Partition, Relocated};
use crate::source::{Job, Unrecorded};

impl Session<'_> {
    /// Finds positions again that Kafka calls out of range, as soon as it is
    /// certain that this is still the same topic.
    pub(super) fn relocate(&mut self, now: Instant) -> Result<(), End> {
        let mut relocated = false;
        for one in self.partitions.values_mut() {
            let Some(since) = one.misplaced_since(now) else { continue };
            if !self.topic.confirms(since) {
                continue;
            }
            match one.relocate(&self.consumer) {
                Relocated::Lost(lost) => {
                    self.context.metrics.gap(lost);
                    relocated = true;
                }
                Relocated::Truncated(message) => {
                    one.stop(&self.context.contents.current().layout, Reason::RetentionGap, &message);
                }
                Relocated::NotYet => {}
            }
        }
        // librdkafka has given the partition up: a seek would be refused.
        if relocated { self.assign() } else { Ok(()) }
    }

    pub(super) fn seal(&mut self, now: Instant) {
        // Under pressure the largest block goes at once.
        let pressed = self.bytes() > self.budget;
        let sealable = |one: &&Partition| one.machine.takes_block() && !one.replaying() && !one.stopped;
        let sealable = self.partitions.values().filter(sealable).filter(|one| one.open_bytes() > 0);
        let largest = sealable.max_by_key(|one| one.open_bytes()).map(|one| one.id).filter(|_| pressed);
        let running = self.context.contents.current();
        for one in self.partitions.values_mut() {
            if largest != Some(one.id) && !one.ripe(self.limits, now) {
                continue;
            }
            if let Some(mismatch) = one.mismatch() {
                let (reason, message) = explain(mismatch);
                one.stop(&running.layout, reason, &message);
            } else {
                let nonce = rand::rng().random();
                one.seal(running, self.context.source, nonce, self.context.unique());
            }
        }
    }

    pub(super) fn acknowledged(&mut self) {
        for ticket in self.letters.acknowledged() {
            let done =
                self.partitions.values_mut().find_map(|one| one.acknowledged(ticket).then_some(one.id));
            if let Some(id) = done {
                let action = self.partitions.get_mut(&id).and_then(|one| one.machine.lettered());
                self.act(id, action);
            }
        }
    }

    /// The block being stored is in the table.
    pub(super) fn stored(&mut self, id: i32, outcome: Outcome) {
        let Some(one) = self.partitions.get_mut(&id) else { return };
        if !one.stopped {
            one.trouble = None;
        }
        if let Some(sealed) = &one.storing {
            self.context.metrics.stored(sealed, outcome);
        }
        let mut action = one.machine.stored(outcome);
        if one.lettered() {
            action = action.or_else(|| one.machine.lettered());
        }
        self.act(id, action);
    }

    /// The block's token is spent without its rows.
    pub(super) fn token_spent(&mut self, id: i32) {
        let Some(one) = self.partitions.get_mut(&id) else { return };
        if !one.renew(rand::rng().random()) {
            let message = "rows vanish after every clean answer: what deletes or merges them?";
            one.stop(&self.context.contents.current().layout, Reason::SettleFailed, message);
            one.storing = None;
        }
    }

    /// The block being stored holds values that ClickHouse does not take.
    pub(super) fn refused(&mut self, id: i32, message: String) -> Result<(), End> {
        let contents = &self.context.contents;
        let Some(one) = self.partitions.get_mut(&id) else { return Ok(()) };
        if one.stopped {
            one.storing = None;
            return Ok(());
        }
        tracing::warn!(partition = id, "taking a refused block apart");
        match one.take_apart(contents, message) {
            Ok(true) => self.assign(),
            Ok(false) => Ok(()),
            Err(error) => {
                one.stop(&contents.current().layout, Reason::PlanRevisionMissing, &error.to_string());
                Ok(())
            }
        }
    }

    /// Does what the protocol says is next for a partition.
    pub(super) fn act(&mut self, id: i32, actions: impl IntoIterator<Item = Action>) {
        let high = self.consumer.known_ends(id).map_or(0, |(_, high)| high);
        let max_attempts = self.context.plan.source.dead_letter.max_attempts;
        let Some(one) = self.partitions.get_mut(&id) else { return };
        for action in actions {
            match action {
                Action::Completed(promise) => {
                    fail::point("completed");
                    self.spare.keep(one.completed(promise));
                }
                Action::Insert(promise) | Action::Settle(promise) => {
                    fail::point("intent_committed");
                    if let Some(sealed) = one.waiting.take_if(|sealed| sealed.promise.first == promise.first)
                    {
                        one.storing = Some(sealed);
                    }
                    let Some(sealed) = &one.storing else { continue };
                    let job = Job::Store {
                        epoch: self.epoch,
                        partition: id,
                        block: sealed.block.clone(),
                        form: sealed.form.clone(),
                        promise,
                        settle: matches!(action, Action::Settle(_)),
                        effort: Effort {
                            attempts: one.attempts(&promise, max_attempts),
                            in_doubt: one.was_found(&promise),
                        },
                        lease: one.lease.clone(),
                    };
                    let _ = self.context.jobs.send(job);
                }
                Action::Record(promise, outcome) => {
                    let row = one.ledger_row(promise, outcome, self.context.origin(), high);
                    self.to_record.push(Unrecorded { row, lease: one.lease.clone() });
                }
            }
        }
    }
}

fn explain(mismatch: Mismatch) -> (Reason, String) {
    match mismatch {
        Mismatch::Gone => (
            Reason::RetentionGap,
            "Kafka deleted the messages of an open intent before they were stored".to_owned(),
        ),
        Mismatch::Changed { found, dead_letters } => (
            Reason::SettleFailed,
            format!(
                "the block of an open intent has {found} rows and {dead_letters} dead letters, more than promised"
            ),
        ),
    }
}
