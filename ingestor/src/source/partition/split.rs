//! A range that ClickHouse refuses for its values → smaller ranges, until the
//! messages at fault stand alone.
//!
//! Nothing of a refused unit is stored, and nothing of it can come any more:
//! so its range may be promised anew in pieces. The pieces end where it ended,
//! since a unit of it that was taken is stored as a whole.

use std::sync::Arc;

use super::found::{Older, Replay};
use super::{Counts, Partition};
use crate::block::Columns;
use crate::content::Contents;
use crate::decode::BadField;
use crate::protocol::Promise;

/// Blocks of so many offsets are bounded by their size only.
const WIDE: i64 = 1 << 20;
/// Refusals of a block before it is taken apart.
const BLOCK_ATTEMPTS: u32 = 3;

/// How carefully a partition goes on behind a refusal.
#[derive(Clone, Copy, Debug)]
pub(super) struct Split {
    /// Offsets of a block at most; twice as many after each that was taken.
    span: i64,
    /// The refused range ends here, and so does a block.
    until: i64,
}

impl Partition {
    /// After how many refusals of its values the block of `promise` is given
    /// up; `None`: never. `max_attempts`: the pipeline's, for one message.
    pub fn attempts(&self, promise: &Promise, max_attempts: Option<u32>) -> Option<u32> {
        let alone = promise.next - promise.first == 1;
        match max_attempts? {
            most if alone => Some(most),
            _ if self.split.is_some() => Some(1),
            _ => Some(BLOCK_ATTEMPTS),
        }
    }

    /// Whether somebody before us may have sent the block of `promise`.
    pub fn was_found(&self, promise: &Promise) -> bool {
        self.found.as_ref().is_some_and(|found| found.promise.nonce == promise.nonce)
    }

    /// The block being stored was refused for its values, with these words:
    /// goes back to its beginning, to build half of it, or the dead letter
    /// that its only message becomes. Its intent stays until then. `false`:
    /// there is no such block.
    pub fn take_apart(&mut self, contents: &Contents, refusal: String) -> Result<bool, BadField> {
        let Some(sealed) = self.storing.take() else { return Ok(false) };
        let Some(promise) = self.machine.reopened() else { return Ok(false) };
        let origin = self.origin(&promise, &contents.current().origin);
        let content = contents.find(&origin.content).filter(|found| !Arc::ptr_eq(found, contents.current()));
        let older = content.cloned();
        drop(sealed);
        self.stop_reading(&contents.current().layout);
        self.first = promise.first;
        self.position = promise.first;
        self.letters_acknowledged = 0;
        self.counts = Counts::default();
        self.assigned = false;
        if let Some(reconcile) = &mut self.reconcile {
            reconcile.begin_again();
        }
        if let Some(content) = older {
            self.columns = Columns::new(&content.layout);
            self.older = Some(Older { decoder: content.decoder()?, content });
        }
        let offsets = promise.next - promise.first;
        let until = self.split.map_or(promise.next, |split| split.until.max(promise.next));
        self.split = Some(Split { span: (offsets / 2).max(1), until });
        let part = if offsets > 1 {
            Promise { next: promise.first + offsets / 2, ..promise }
        } else {
            self.refusal = Some(refusal);
            Promise { rows: 0, dead_letters: 1, filtered: 0, ..promise }
        };
        self.replay = Some(Replay { promise: part, stored: false, gap_behind: 0, part: true });
        Ok(true)
    }

    /// Where the open block ends at the latest.
    pub(super) fn split_end(&self) -> Option<i64> {
        let Split { span, until } = self.split?;
        let end = self.first + span;
        Some(if self.first < until { end.min(until) } else { end })
    }

    /// A block was taken.
    pub(super) fn widen(&mut self, next: i64) {
        if let Some(Split { span, until }) = self.split {
            self.split = (span < WIDE || next < until).then_some(Split { span: (2 * span).min(WIDE), until });
        }
    }
}
