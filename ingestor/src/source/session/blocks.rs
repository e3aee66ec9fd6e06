//! Reading partitions in turn, sealing blocks, and moving them on.

use std::time::{Duration, Instant};

use caudal_model::state::Reason;
use rand::RngExt;

use super::{Session, Unrecorded};
use crate::fail;
use crate::protocol::{Action, Outcome};
use crate::source::Job;
use crate::source::partition::{Mismatch, Partition, Read};
use crate::state;

/// How long one partition is read before the others get a turn.
const SLICE: Duration = Duration::from_millis(500);
const SEEK_TIMEOUT: Duration = Duration::from_secs(5);

impl Session<'_> {
    /// Reads one batch of one partition; stays with a partition as long as it
    /// has whole batches, so that blocks become large in catch-up.
    pub(super) fn read(&mut self) -> bool {
        if self.partitions.is_empty() || self.bytes() > self.budget {
            return false;
        }
        let ids: Vec<i32> = self.partitions.keys().copied().collect();
        let start = ids.iter().position(|id| *id >= self.turn).unwrap_or(0);
        for id in ids[start..].iter().chain(&ids[..start]) {
            let Some(one) = self.partitions.get_mut(id) else { continue };
            if !one.readable(self.limits) {
                continue;
            }
            let metrics = &self.context.metrics;
            match one.read(&mut self.scratch, &mut self.decoder, self.letters, self.limits, metrics) {
                // An acknowledgement wakes us when there is room again.
                Read::Nothing | Read::LettersFull => continue,
                Read::OutOfRange => self.out_of_range(*id),
                // Stay, for a large block, but not for ever.
                Read::More if self.turn == *id && self.slice.elapsed() < SLICE => {}
                Read::More if self.turn != *id => self.take_turn(*id),
                Read::More | Read::Drained | Read::Full => self.take_turn(*id + 1),
            }
            return true;
        }
        false
    }

    fn take_turn(&mut self, id: i32) {
        self.turn = id;
        self.slice = Instant::now();
    }

    pub(super) fn bytes(&self) -> usize {
        self.partitions.values().map(Partition::bytes).sum()
    }

    /// Rule 12: what Kafka has deleted is counted and told, never passed over
    /// in silence.
    fn out_of_range(&mut self, id: i32) {
        let Some(one) = self.partitions.get_mut(&id) else { return };
        let position = one.position();
        let Ok((low, high)) = self.consumer.ends(id, SEEK_TIMEOUT) else { return };
        if position > high {
            one.stopped = true;
            let message =
                format!("offset {position} is behind the end of the log, {high}: was the log truncated?");
            tracing::error!(partition = id, "{message}");
            state::raise(&mut one.trouble, Reason::RetentionGap, &message);
            return;
        }
        let lost = one.skip_to(low);
        tracing::error!(
            partition = id,
            position,
            low,
            lost,
            "Kafka deleted messages before they were stored"
        );
        self.context.metrics.gap(lost);
        if let Err(error) = self.consumer.seek(id, one.position(), SEEK_TIMEOUT) {
            tracing::error!(partition = id, "seek: {error}");
        }
    }

    pub(super) fn seal(&mut self, now: Instant) {
        // Under pressure the largest block goes at once.
        let pressed = self.bytes() > self.budget;
        let largest = self.partitions.values().max_by_key(|one| one.open_bytes()).map(|one| one.id);
        for one in self.partitions.values_mut() {
            let goes = pressed && largest == Some(one.id) && one.open_bytes() > 0;
            let goes = goes && one.machine.takes_block() && !one.replaying() && !one.stopped;
            if !goes && !one.ripe(self.limits, now) {
                continue;
            }
            if let Some(mismatch) = one.mismatch() {
                stop_replay(one, mismatch);
            } else {
                let nonce = rand::rng().random();
                one.seal(&self.context.layout, self.context.source, nonce, self.context.unique());
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
        one.trouble = None;
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
            one.stopped = true;
            let message = "rows vanish after every clean answer: what deletes or merges them?";
            tracing::error!(partition = id, "{message}");
            state::raise(&mut one.trouble, Reason::SettleFailed, message);
        }
    }

    /// Does what the protocol says is next for a partition.
    pub(super) fn act(&mut self, id: i32, actions: impl IntoIterator<Item = Action>) {
        let high = self.consumer.known_ends(id).map_or(0, |(_, high)| high);
        let Some(one) = self.partitions.get_mut(&id) else { return };
        for action in actions {
            match action {
                Action::Completed(_) => {
                    fail::point("completed");
                    if let Some(sealed) = one.storing.take() {
                        one.recycle(sealed);
                    }
                }
                Action::Insert(promise) | Action::Settle(promise) => {
                    fail::point("intent_committed");
                    if let Some(sealed) = one.waiting.take_if(|sealed| sealed.promise.first == promise.first)
                    {
                        one.storing = Some(sealed);
                    }
                    let (Some(sealed), Some(facts)) = (&one.storing, &self.facts) else { continue };
                    let job = Job::Store {
                        epoch: self.epoch,
                        partition: id,
                        block: sealed.block.clone(),
                        promise,
                        settle: matches!(action, Action::Settle(_)),
                        lease: one.lease.clone(),
                        facts: facts.clone(),
                    };
                    let _ = self.context.jobs.send(job);
                }
                Action::Record(promise, outcome) => {
                    let row = one.ledger_row(promise, outcome, &self.context.revision, high);
                    self.to_record.push(Unrecorded { row, lease: one.lease.clone() });
                }
            }
        }
    }
}

fn stop_replay(partition: &mut Partition, mismatch: Mismatch) {
    let (reason, message) = match mismatch {
        Mismatch::Gone => (
            Reason::RetentionGap,
            "Kafka deleted the messages of an open intent before they were stored".to_owned(),
        ),
        Mismatch::Grown { promised, found } => (
            Reason::SettleFailed,
            format!("the block of an open intent has {found} rows, not the {promised} promised"),
        ),
    };
    tracing::error!(partition = partition.id, ?reason, "{message}");
    partition.stopped = true;
    state::raise(&mut partition.trouble, reason, &message);
}
