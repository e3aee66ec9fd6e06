//! When an open block is complete, and what it becomes.

use std::sync::Arc;
use std::time::Instant;

use super::{Counts, Limits, Partition, Replay};
use crate::block::{Block, Buffers};
use crate::content::Content;
use crate::kafka::Batch;
use crate::protocol::{Origin, Outcome, Promise};
use crate::sink::{Form, LedgerRow};
use crate::source::Unsent;

/// A sealed range, from its sealing to its completion.
pub struct Sealed {
    pub promise: Promise,
    pub block: Arc<Block>,
    /// How it is inserted.
    pub form: Arc<Form>,
    /// Everything in it had been read.
    pub at: Instant,
    pub bytes: usize,
    pub(super) ticket: usize,
    pub(super) letters_left: u64,
    counts: Counts,
    /// How often the range was promised anew.
    renewals: u32,
}

impl Sealed {
    pub fn oldest_ms(&self) -> Option<i64> {
        self.counts.oldest_ms
    }

    /// The block's memory, where nobody else reads it.
    pub fn into_buffers(self) -> Option<Buffers> {
        Arc::into_inner(self.block).map(Block::into_buffers)
    }
}

/// What a replay found in place of the promised block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mismatch {
    /// Nothing of it is left in Kafka, and not all of it is stored.
    Gone,
    /// More rows, or more dead letters, than were promised.
    Changed { found: u64, dead_letters: u64 },
}

/// More fresh intents than this for one range: something removes the rows.
const MAX_RENEWALS: u32 = 16;

impl Partition {
    /// Whether everything of the intent's range has been read: the end is
    /// reached, or a message behind it waits (rule 13).
    pub(super) fn replay_complete(&self) -> bool {
        let next = self.replay.map_or(i64::MIN, |replay| replay.promise.next);
        let held = self.held.as_ref().and_then(Batch::peek);
        self.position >= next || held.is_some_and(|message| message.offset() >= next)
    }

    /// Whether anything is read that is not sealed.
    pub fn open(&self) -> bool {
        self.position > self.first
    }

    #[inline]
    pub(super) fn full(&mut self, limits: Limits) -> bool {
        self.cut || self.columns.rows() >= limits.rows || self.columns.full(limits.bytes)
    }

    /// When the open block has to go, if it holds anything.
    pub fn due(&self, limits: Limits) -> Option<Instant> {
        let waits = self.replay.is_none() && self.machine.takes_block() && !self.stopped;
        let delay = if self.behind { limits.delay_in_catch_up() } else { limits.delay };
        self.opened.filter(|_| waits).map(|opened| opened + delay)
    }

    /// Whether the open block can be sealed and should be.
    pub fn ripe(&mut self, limits: Limits, now: Instant) -> bool {
        if self.stopped || !self.machine.takes_block() {
            return false;
        }
        if self.replay.is_some() {
            self.replay_complete()
        } else {
            let ended = self.window_ended() && self.open();
            ended || self.full(limits) || self.due(limits).is_some_and(|due| due <= now)
        }
    }

    /// Whether what a replay has built is what was promised (rule 12): less is
    /// survivors, nothing at all or more is not.
    pub fn mismatch(&self) -> Option<Mismatch> {
        let Replay { promise, stored, .. } = self.replay.filter(|replay| !replay.part)?;
        let (found, dead_letters) = (self.columns.rows() as u64, self.counts.dead_letters);
        if found > promise.rows || dead_letters > promise.dead_letters {
            return Some(Mismatch::Changed { found, dead_letters });
        }
        (found == 0 && promise.rows > 0 && !stored).then_some(Mismatch::Gone)
    }

    /// Seals the open block. `next_ticket` names the one after it.
    pub fn seal(&mut self, running: &Content, source: u64, nonce: u128, next_ticket: usize) {
        let replay = self.replay.take();
        let older = self.older.take();
        let content = older.as_ref().map_or(running, |older| &older.content);
        let next = replay.map_or(self.position, |replay| replay.promise.next);
        self.position = self.position.max(next);
        let block = self.columns.seal(&content.layout, source, self.id);
        self.open_bytes = 0;
        let behind = Counts { gap: replay.map_or(0, |replay| replay.gap_behind), ..Counts::default() };
        let counts = std::mem::replace(&mut self.counts, behind);
        let Counts { dead_letters, filtered, .. } = counts;
        let rows = block.rows() as u64;
        let promise = match replay {
            // Committed words stay as they are, whatever is left of the block.
            Some(replay) if !replay.part => replay.promise,
            _ => Promise { first: self.first, next, rows, dead_letters, filtered, nonce },
        };
        let acknowledged = std::mem::take(&mut self.letters_acknowledged);
        let sealed = Sealed {
            promise,
            bytes: block.bytes(),
            block: Arc::new(block),
            form: content.form.clone(),
            at: Instant::now(),
            ticket: self.ticket,
            letters_left: counts.dead_letters.saturating_sub(acknowledged),
            counts,
            renewals: 0,
        };
        if older.is_some() {
            self.columns.discard(&running.layout);
        }
        let epoch = self.epoch.filter(|(behind, _)| *behind == next).map(|(_, epoch)| epoch);
        self.epochs.push((next, epoch));
        self.first = next;
        self.opened = None;
        self.cut = false;
        self.ticket = next_ticket;
        self.reconcile.take_if(|reconcile| reconcile.sealed(next));
        if replay.is_some() {
            self.machine.rebuilt(promise);
            self.storing = Some(sealed);
        } else {
            self.machine.sealed(promise);
            self.waiting = Some(sealed);
        }
    }

    /// The block being stored, to be sent without an intent.
    pub fn unsent(&self, max_attempts: Option<u32>) -> Option<Unsent> {
        let Sealed { promise, block, form, .. } = self.storing.as_ref()?;
        let attempts = self.attempts(promise, max_attempts);
        Some(Unsent { partition: self.id, block: block.clone(), form: form.clone(), attempts })
    }

    /// Promises the range being stored anew; `false` when that was done too
    /// often.
    pub fn renew(&mut self, nonce: u128) -> bool {
        let Some(sealed) = &mut self.storing else { return true };
        sealed.renewals += 1;
        if sealed.renewals > MAX_RENEWALS {
            return false;
        }
        sealed.promise.nonce = nonce;
        self.machine.renewed(nonce);
        true
    }

    /// The ledger row of the block being stored.
    pub fn ledger_row(
        &self,
        promise: Promise,
        outcome: Outcome,
        running: &Origin,
        high_watermark: i64,
    ) -> LedgerRow {
        let (rows, counts) = if let Some(sealed) = &self.storing {
            (sealed.block.rows() as u64, sealed.counts)
        } else {
            let Promise { rows, dead_letters, filtered, .. } = promise;
            (rows, Counts { dead_letters, filtered, ..Counts::default() })
        };
        LedgerRow {
            partition: self.id,
            first: promise.first,
            next: promise.next,
            rows,
            dead_letters: counts.dead_letters,
            filtered: counts.filtered,
            gap: counts.gap,
            oldest_ms: counts.oldest_ms,
            newest_ms: counts.newest_ms,
            high_watermark: high_watermark.max(promise.next),
            plan_revision: self.origin(&promise, running).plan.clone(),
            outcome,
        }
    }
}
