//! Sealing blocks, and moving them on.

use std::sync::Arc;
use std::time::Instant;

use caudal_model::resource::Delivery;
use caudal_model::state::Reason;
use rand::RngExt;

use super::{End, Session};
use crate::fail;
use crate::protocol::{Action, Outcome};
use crate::sink::Effort;
use crate::source::partition::{Mismatch, Partition, Relocated};
use crate::source::{Job, Unrecorded, Unsent};

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
        let together = self.goes_together(now);
        for one in self.partitions.values_mut() {
            let goes = largest == Some(one.id) || together && one.due(self.limits).is_some();
            if !goes && !one.ripe(self.limits, now) {
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

    /// Whether one block is due and all others go with it: at least once, they
    /// share an insert.
    fn goes_together(&self, now: Instant) -> bool {
        let due = |one: &Partition| one.due(self.limits).is_some_and(|due| due <= now);
        self.context.ingest.delivery == Delivery::AtLeastOnce && self.partitions.values().any(due)
    }

    /// Sends what needs no intent, as many blocks in one request as one part of
    /// the table holds.
    pub(super) fn send(&mut self) {
        let topic = &self.topic;
        let ready = self.partitions.values_mut().filter(|one| !one.stopped).filter_map(|one| {
            let verified = one.sealed_at().is_none_or(|at| topic.confirms(at));
            one.machine.unguarded(verified).map(|action| (one.id, action))
        });
        let ready: Vec<_> = ready.collect();
        for (id, action) in ready {
            self.act(id, [action]);
        }
        while let Some(first) = self.unsent.pop_front() {
            let (mut rows, mut bytes) = (first.block.rows(), first.block.bytes());
            let joins = |next: &&Unsent| {
                (rows, bytes) = (rows + next.block.rows(), bytes + next.block.bytes());
                let fits = rows <= self.limits.rows && bytes <= self.limits.bytes;
                fits && Arc::ptr_eq(&next.form, &first.form)
            };
            let more = self.unsent.iter().take_while(joins).count();
            let blocks = std::iter::once(first).chain(self.unsent.drain(..more)).collect();
            let membership = self.membership.clone();
            let _ = self.context.jobs.send(Job::Send { epoch: self.epoch, membership, blocks });
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
        if self.context.ingest.delivery == Delivery::AtLeastOnce {
            // A second time is as good as a fresh intent.
            self.unsent.extend(one.unsent(self.context.plan.source.dead_letter.max_attempts));
        } else if !one.renew(rand::rng().random()) {
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
                Action::Send(promise) => {
                    one.storing = one.waiting.take_if(|sealed| sealed.promise.first == promise.first);
                    self.unsent.extend(one.unsent(max_attempts));
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
