//! Messages of one read → columns, dead letters or nowhere.

use std::time::Instant;

use super::found::Replay;
use super::{Limits, Partition};
use crate::block::RowId;
use crate::dead_letter::DeadLetters;
use crate::decode::{Decoder, Reason};
use crate::kafka::{Batch, Code, Message};
use crate::metrics::{Metrics, Tally};
use crate::source::BATCH;
use crate::state::{self, kafka_reason};

/// Why a read ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Read {
    /// There was nothing.
    Nothing,
    /// Everything there was.
    Drained,
    /// A whole batch; there may be more.
    More,
    /// The block ends here; the rest of the batch waits.
    Full,
    /// The dead letters take no more for now; the rest of the batch waits.
    LettersFull,
}

/// What became of one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Taken {
    Yes,
    /// It belongs into the next block.
    NextBlock,
    /// It is a dead letter, for which there is no room.
    LettersFull,
}

impl Partition {
    /// Whether reading can get anywhere now.
    pub fn readable(&mut self, limits: Limits) -> bool {
        !self.stopped
            && self.misplaced.is_none()
            && match self.replay {
                Some(_) => !self.replay_complete(),
                None => !self.full(limits) && !self.window_ended(),
            }
    }

    /// Whether everything that was asked about is read: what comes next may be
    /// stored already.
    pub fn window_ended(&self) -> bool {
        self.reconcile.as_ref().is_some_and(|reconcile| reconcile.beyond(self.position).is_some())
    }

    /// Reads once, and decodes.
    pub fn read(
        &mut self,
        scratch: &mut Batch,
        decoder: &mut Decoder,
        letters: &mut DeadLetters,
        limits: Limits,
        metrics: &Metrics,
    ) -> Read {
        let mut held = self.held.take();
        let batch = held.as_mut().unwrap_or(scratch);
        if batch.peek().is_none() {
            self.queue.read(batch);
        }
        let mut older = self.older.take_if(|_| self.replay.is_some());
        let decoder = older.as_mut().map_or(decoder, |older| &mut older.decoder);
        let mut tally = Tally::default();
        let read = self.consume(batch, decoder, letters, limits, &mut tally);
        self.older = older;
        if let Some(last) = batch.last_taken() {
            self.epoch = last.epoch().map(|epoch| (last.offset() + 1, epoch));
            self.read_trouble = None;
        }
        if batch.peek().is_some() {
            let room = Batch::with_capacity(BATCH);
            self.held = Some(std::mem::replace(batch, room));
        } else {
            batch.clear();
        }
        if self.open() && self.opened.is_none() {
            self.opened = Some(Instant::now());
        }
        self.open_bytes = self.columns.bytes();
        metrics.consumed(&tally);
        read
    }

    fn consume(
        &mut self,
        batch: &mut Batch,
        decoder: &mut Decoder,
        letters: &mut DeadLetters,
        limits: Limits,
        tally: &mut Tally,
    ) -> Read {
        loop {
            let Some(message) = batch.peek() else {
                return match batch.size() {
                    0 => Read::Nothing,
                    _ if batch.drained() => Read::Drained,
                    _ => Read::More,
                };
            };
            match message.code() {
                // What was read before a seek or an assignment comes again.
                Code::RD_KAFKA_RESP_ERR_NO_ERROR if message.offset() < self.position => {}
                Code::RD_KAFKA_RESP_ERR_NO_ERROR => {
                    if self.ends_before(message.offset(), limits) {
                        return Read::Full;
                    }
                    match self.take(message, decoder, letters, tally) {
                        Taken::Yes => {}
                        Taken::NextBlock => {
                            self.cut = true;
                            return Read::Full;
                        }
                        Taken::LettersFull => return Read::LettersFull,
                    }
                }
                // Behind the last message there may be offsets that hold none:
                // compacted, aborted, or marks of transactions.
                Code::RD_KAFKA_RESP_ERR__PARTITION_EOF => {
                    self.position = self.position.max(message.offset());
                    self.read_trouble = None;
                }
                Code::RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET | Code::RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE
                    // An answer about a position that was left comes too late.
                    if message.offset() >= self.position =>
                {
                    self.out_of_range(message.error_text());
                    batch.advance();
                    return Read::Full;
                }
                code => {
                    let text = format!("read partition {}: {}", self.id, message.error_text());
                    tracing::warn!("{text}");
                    state::raise(&mut self.read_trouble, kafka_reason(code), &text);
                }
            }
            batch.advance();
        }
    }

    /// Whether the open block has no place for a message at `offset`.
    #[inline]
    fn ends_before(&mut self, offset: i64, limits: Limits) -> bool {
        if let Some(replay) = self.replay {
            offset >= replay.promise.next
        } else {
            let beyond = self.reconcile.as_ref().and_then(|reconcile| reconcile.beyond(offset));
            let split = self.split_end().filter(|end| offset >= *end);
            if let Some(until) = [beyond, split].into_iter().flatten().min() {
                // Between the position and `until` there is no message.
                self.position = self.position.max(until);
                self.cut = true;
            }
            self.full(limits)
        }
    }

    #[inline]
    fn take(
        &mut self,
        message: Message<'_>,
        decoder: &mut Decoder,
        letters: &mut DeadLetters,
        tally: &mut Tally,
    ) -> Taken {
        let offset = message.offset();
        let timestamp_ms = message.timestamp_ms();
        match message.value() {
            None => {
                self.counts.filtered += 1;
                tally.filtered += 1;
            }
            Some(value) => {
                let id = RowId { offset, timestamp_ms };
                let rejected = decoder.decode(&mut self.columns, value, id);
                let rejected = rejected.map_err(|reject| (reject.reason, decoder.explain(&reject, value)));
                if let Err((reason, detail)) = rejected.and_then(|()| self.not_refused()) {
                    if !letters.send(message, self.id, reason, &detail, self.ticket) {
                        return Taken::LettersFull;
                    }
                    self.counts.dead_letters += 1;
                    tally.rejected[reason as usize] += 1;
                } else if self.replay.is_none()
                    && self.reconcile.as_mut().is_some_and(|reconcile| !reconcile.joins(offset))
                {
                    self.columns.undo_row();
                    return Taken::NextBlock;
                }
                tally.bytes += value.len() as u64;
            }
        }
        tally.messages += 1;
        let counts = &mut self.counts;
        counts.oldest_ms = Some(counts.oldest_ms.map_or(timestamp_ms, |oldest| oldest.min(timestamp_ms)));
        counts.newest_ms = counts.newest_ms.max(Some(timestamp_ms));
        self.newest_ms = counts.newest_ms.max(self.newest_ms);
        self.position = offset + 1;
        Taken::Yes
    }

    /// Takes the row back that ClickHouse refuses, and says what it said.
    #[inline]
    fn not_refused(&mut self) -> Result<(), (Reason, String)> {
        if !self.replay.as_ref().is_some_and(Replay::refused) {
            return Ok(());
        }
        self.columns.undo_row();
        let words = self.refusal.clone();
        Err((
            Reason::Refused,
            words.unwrap_or_else(|| "ClickHouse refused the row again and again".to_owned()),
        ))
    }

    /// Kafka has deleted everything below `low`; so many messages are lost.
    pub(super) fn skip_to(&mut self, low: i64) -> u64 {
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
}
