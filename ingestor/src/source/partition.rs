//! One partition: messages read in order → columns → sealed blocks.

use std::sync::Arc;
use std::time::{Duration, Instant};

use caudal_model::state::{OpenIntent, PartitionState, Phase, Trouble};

use crate::block::{Block, Columns, Layout, RowId};
use crate::dead_letter::DeadLetters;
use crate::decode::Decoder;
use crate::kafka::{Batch, Code, Message, PartitionQueue};
use crate::metrics::{Metrics, Tally};
use crate::protocol::{Machine, Outcome, Promise};
use crate::sink::{Lease, LedgerRow};

/// Limits of a block.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub rows: usize,
    pub bytes: usize,
    pub delay: Duration,
}

/// What a range holds besides its rows.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    dead_letters: u64,
    filtered: u64,
    gap: u64,
    oldest_ms: Option<i64>,
    newest_ms: Option<i64>,
}

/// A sealed range, from its sealing to its completion.
pub struct Sealed {
    pub promise: Promise,
    pub block: Arc<Block>,
    counts: Counts,
    /// Names its dead letters in acknowledgements.
    ticket: usize,
    letters_left: u64,
    pub bytes: usize,
}

/// Why reading a batch ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Read {
    /// There was nothing.
    Nothing,
    /// Everything there was, and that was less than a batch.
    Drained,
    /// A whole batch; there may be more.
    More,
    /// The block is full; the rest of the batch waits.
    Full,
    /// The dead letters take no more for now; the rest of the batch waits.
    LettersFull,
    /// The position is not in the log any more.
    OutOfRange,
}

/// An intent that was found.
#[derive(Clone, Copy, Debug)]
struct Replay {
    promise: Promise,
    /// Its rows are all in the table.
    stored: bool,
    /// Messages behind it that Kafka has deleted as well.
    gap_behind: u64,
}

/// What a replay found in place of the promised block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mismatch {
    /// Nothing of it is left in Kafka, and not all of it is stored.
    Gone,
    /// More rows than were promised.
    Grown { promised: u64, found: u64 },
}

pub struct Partition {
    pub id: i32,
    pub machine: Machine,
    pub lease: Arc<Lease>,
    pub trouble: Option<Trouble>,
    /// Nothing more is done for it until a hand has helped.
    pub stopped: bool,
    /// Not before this: an old request may still run (RECONCILE).
    pub not_before: Option<Instant>,
    queue: PartitionQueue,
    /// A batch that was not used up.
    held: Option<Batch>,
    columns: Columns,
    first: i64,
    /// The next offset to come; everything below is in a block or filtered.
    position: i64,
    /// Kafka's time of the newest message read.
    newest_ms: Option<i64>,
    opened: Option<Instant>,
    counts: Counts,
    letters_acknowledged: u64,
    ticket: usize,
    /// The intent whose block is being built again.
    replay: Option<Replay>,
    /// Sealed, its intent not yet committed.
    pub waiting: Option<Sealed>,
    /// Promised, on its way into the table.
    pub storing: Option<Sealed>,
    pub recommitted: Instant,
}

impl Partition {
    pub fn new(
        id: i32,
        queue: PartitionQueue,
        machine: Machine,
        position: i64,
        layout: &Layout,
        ticket: usize,
    ) -> Self {
        Self {
            id,
            machine,
            lease: Arc::default(),
            trouble: None,
            stopped: false,
            not_before: None,
            queue,
            held: None,
            columns: Columns::new(layout),
            first: position,
            position,
            newest_ms: None,
            opened: None,
            counts: Counts::default(),
            letters_acknowledged: 0,
            ticket,
            replay: None,
            waiting: None,
            storing: None,
            recommitted: Instant::now(),
        }
    }

    /// Builds the block of an intent again before anything else.
    pub fn replay(&mut self, promise: Promise, stored: bool) {
        self.replay = Some(Replay { promise, stored, gap_behind: 0 });
    }

    pub fn replaying(&self) -> bool {
        self.replay.is_some()
    }

    /// Kafka's time of the oldest message that is not completed, as far as it
    /// is known: of what is not read yet, no message is older than the newest
    /// one read.
    pub fn oldest_ms(&self) -> Option<i64> {
        let sealed = [&self.storing, &self.waiting].into_iter().flatten();
        let oldest = sealed.filter_map(|sealed| sealed.counts.oldest_ms).chain(self.counts.oldest_ms).min();
        oldest.or(self.newest_ms)
    }

    pub fn position(&self) -> i64 {
        self.position
    }

    /// Bytes in columns and blocks.
    pub fn bytes(&self) -> usize {
        let sealed = |sealed: &Option<Sealed>| sealed.as_ref().map_or(0, |sealed| sealed.bytes);
        self.columns.bytes() + sealed(&self.waiting) + sealed(&self.storing)
    }

    pub fn open_bytes(&self) -> usize {
        self.columns.bytes()
    }

    /// Whether reading can get anywhere now.
    pub fn readable(&mut self, limits: Limits, now: Instant) -> bool {
        if self.stopped || self.not_before.is_some_and(|at| at > now) {
            return false;
        }
        match self.replay {
            Some(_) => !self.replay_complete(),
            None => !self.full(limits),
        }
    }

    /// Whether everything of the intent's range has been read: the end is
    /// reached, or a message behind it waits (rule 13).
    fn replay_complete(&self) -> bool {
        let next = self.replay.map_or(i64::MIN, |replay| replay.promise.next);
        let held = self.held.as_ref().and_then(Batch::peek);
        self.position >= next || held.is_some_and(|message| message.offset() >= next)
    }

    fn full(&mut self, limits: Limits) -> bool {
        self.columns.rows() >= limits.rows || self.columns.full(limits.bytes)
    }

    /// Reads once, and decodes.
    pub fn read(
        &mut self,
        scratch: &mut Batch,
        decoder: &mut Decoder,
        letters: &DeadLetters,
        limits: Limits,
        metrics: &Metrics,
    ) -> Read {
        let mut batch = self.held.take();
        let batch = batch.as_mut().unwrap_or(scratch);
        if batch.peek().is_none() {
            self.queue.read(batch);
        }
        let mut tally = Tally::default();
        let read = loop {
            let Some(message) = batch.peek() else {
                break match batch.size() {
                    0 => Read::Nothing,
                    len if len < super::session::BATCH => Read::Drained,
                    _ => Read::More,
                };
            };
            match message.code() {
                Code::RD_KAFKA_RESP_ERR_NO_ERROR => {
                    if message.offset() >= self.position {
                        if self.replay.is_some_and(|replay| message.offset() >= replay.promise.next)
                            || self.replay.is_none() && self.full(limits)
                        {
                            break Read::Full;
                        }
                        if !self.take(message, decoder, letters, &mut tally) {
                            break Read::LettersFull;
                        }
                    }
                }
                Code::RD_KAFKA_RESP_ERR__PARTITION_EOF => self.position = self.position.max(message.offset()),
                Code::RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET | Code::RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE => {
                    batch.advance();
                    break Read::OutOfRange;
                }
                _ => tracing::warn!(partition = self.id, "consume: {}", message.error_text()),
            }
            batch.advance();
        };
        if batch.peek().is_some() {
            let room = Batch::with_capacity(super::session::BATCH);
            self.held = Some(std::mem::replace(batch, room));
        } else {
            batch.clear();
        }
        if self.position > self.first && self.opened.is_none() {
            self.opened = Some(Instant::now());
        }
        metrics.consumed(&tally);
        read
    }

    /// One message into the columns, the dead letters or nowhere; `false` when
    /// the dead letters have no room.
    #[inline]
    fn take(
        &mut self,
        message: Message<'_>,
        decoder: &mut Decoder,
        letters: &DeadLetters,
        tally: &mut Tally,
    ) -> bool {
        let offset = message.offset();
        let timestamp_ms = message.timestamp_ms();
        match message.value() {
            None => {
                self.counts.filtered += 1;
                tally.filtered += 1;
            }
            Some(value) => {
                let id = RowId { offset, timestamp_ms };
                if let Err(reject) = decoder.decode(&mut self.columns, value, id) {
                    let detail = decoder.explain(&reject);
                    if !letters.send(message, self.id, reject.reason, &detail, self.ticket) {
                        return false;
                    }
                    self.counts.dead_letters += 1;
                    tally.rejected[reject.reason as usize] += 1;
                }
                tally.bytes += value.len() as u64;
            }
        }
        tally.messages += 1;
        let counts = &mut self.counts;
        counts.oldest_ms = Some(counts.oldest_ms.map_or(timestamp_ms, |oldest| oldest.min(timestamp_ms)));
        counts.newest_ms = Some(counts.newest_ms.map_or(timestamp_ms, |newest| newest.max(timestamp_ms)));
        self.newest_ms = counts.newest_ms.max(self.newest_ms);
        self.position = offset + 1;
        true
    }

    /// Kafka has deleted everything below `low`.
    pub fn skip_to(&mut self, low: i64) -> u64 {
        let lost = (low - self.position).max(0).unsigned_abs();
        match &mut self.replay {
            None => self.counts.gap += lost,
            Some(replay) => {
                replay.gap_behind = (low - replay.promise.next).max(0).unsigned_abs().min(lost);
                self.counts.gap += lost - replay.gap_behind;
            }
        }
        self.position = self.position.max(low);
        lost
    }

    /// When the open block has to go, if it holds anything.
    pub fn due(&self, limits: Limits) -> Option<Instant> {
        let waits = self.replay.is_none() && self.machine.takes_block() && !self.stopped;
        self.opened.filter(|_| waits).map(|opened| opened + limits.delay)
    }

    /// Whether the open block can be sealed and should be.
    pub fn ripe(&mut self, limits: Limits, now: Instant) -> bool {
        if self.stopped || !self.machine.takes_block() {
            return false;
        }
        match self.replay {
            Some(_) => self.replay_complete(),
            None => self.full(limits) || self.due(limits).is_some_and(|due| due <= now),
        }
    }

    /// Whether what a replay has built is what was promised (rule 12): fewer
    /// rows are survivors, none at all or more are not.
    pub fn mismatch(&self) -> Option<Mismatch> {
        let Replay { promise, stored, .. } = self.replay?;
        let found = self.columns.rows() as u64;
        if found > promise.rows {
            return Some(Mismatch::Grown { promised: promise.rows, found });
        }
        (found == 0 && promise.rows > 0 && !stored).then_some(Mismatch::Gone)
    }

    /// Seals the open block. `next_ticket` names the one after it.
    pub fn seal(&mut self, layout: &Layout, source: u64, nonce: u128, next_ticket: usize) {
        let replay = self.replay.take();
        let next = replay.map_or(self.position, |replay| replay.promise.next);
        self.position = self.position.max(next);
        let block = self.columns.seal(layout, source, self.id);
        let behind = Counts { gap: replay.map_or(0, |replay| replay.gap_behind), ..Counts::default() };
        let counts = std::mem::replace(&mut self.counts, behind);
        let promise = replay.map_or_else(
            || Promise {
                first: self.first,
                next,
                rows: block.rows() as u64,
                dead_letters: counts.dead_letters,
                nonce,
            },
            // Committed words stay as they are, whatever is left of the block.
            |replay| replay.promise,
        );
        let acknowledged = std::mem::take(&mut self.letters_acknowledged);
        let sealed = Sealed {
            promise,
            bytes: block.bytes(),
            block: Arc::new(block),
            ticket: self.ticket,
            letters_left: counts.dead_letters.saturating_sub(acknowledged),
            counts,
        };
        self.first = next;
        self.opened = None;
        self.ticket = next_ticket;
        if replay.is_some() {
            self.machine.rebuilt(promise);
            self.storing = Some(sealed);
        } else {
            self.machine.sealed(promise);
            self.waiting = Some(sealed);
        }
    }

    /// One dead letter of `ticket` is safe. `true`: that was the last of the
    /// block being stored.
    pub fn acknowledged(&mut self, ticket: usize) -> bool {
        if ticket == self.ticket {
            self.letters_acknowledged += 1;
            return false;
        }
        if let Some(sealed) = self.waiting.as_mut().filter(|sealed| sealed.ticket == ticket) {
            sealed.letters_left = sealed.letters_left.saturating_sub(1);
            return false;
        }
        let Some(sealed) = self.storing.as_mut().filter(|sealed| sealed.ticket == ticket) else {
            return false;
        };
        sealed.letters_left = sealed.letters_left.saturating_sub(1);
        sealed.letters_left == 0
    }

    /// All dead letters of the block being stored are safe.
    pub fn lettered(&self) -> bool {
        self.storing.as_ref().is_none_or(|sealed| sealed.letters_left == 0)
    }

    /// The ledger row of the block being stored.
    pub fn ledger_row(
        &self,
        promise: Promise,
        outcome: Outcome,
        revision: &str,
        high_watermark: i64,
    ) -> LedgerRow {
        let (rows, counts) = match &self.storing {
            Some(sealed) => (sealed.block.rows() as u64, sealed.counts),
            None => (promise.rows, Counts::default()),
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
            plan_revision: revision.to_owned(),
            outcome,
        }
    }

    /// Forgets everything that is not promised.
    pub fn stop_reading(&mut self, layout: &Layout) {
        self.held = None;
        self.columns.discard(layout);
        self.opened = None;
        self.counts = Counts::default();
        self.machine.forget_waiting();
        if self.machine.takes_block() {
            self.waiting = None;
        }
    }

    /// Gives the buffers of a finished block back.
    pub fn recycle(&mut self, sealed: Sealed) {
        if let Ok(block) = Arc::try_unwrap(sealed.block) {
            self.columns.recycle(block);
        }
    }

    pub fn state(&self, revision: &str) -> PartitionState {
        let open = self.machine.open().or(self.replay.map(|replay| replay.promise));
        let phase = match () {
            () if self.stopped => Phase::Stopped,
            () if self.trouble.is_some() => Phase::Waiting,
            () if self.not_before.is_some() => Phase::Starting,
            () if self.replay.is_some() => Phase::Replaying,
            () => Phase::Running,
        };
        PartitionState {
            partition: self.id,
            phase,
            trouble: self.trouble.clone(),
            committed_offset: self.machine.committed(),
            intent: open.map(|promise| OpenIntent {
                first: promise.first,
                next: promise.next,
                plan_revision: revision.to_owned(),
            }),
        }
    }
}
