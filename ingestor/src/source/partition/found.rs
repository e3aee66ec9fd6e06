//! An intent that was found when the partition began, and the plan that made it.

use std::sync::Arc;

use super::Partition;
use crate::block::Columns;
use crate::content::Content;
use crate::decode::{BadField, Decoder};
use crate::protocol::{Origin, Promise};

/// An intent that was found, until it is complete.
pub(super) struct Found {
    pub promise: Promise,
    pub origin: Origin,
}

/// What builds the block of an older plan's intent.
pub(super) struct Older {
    pub content: Arc<Content>,
    pub decoder: Decoder,
}

/// An intent whose block is being built again.
#[derive(Clone, Copy, Debug)]
pub(super) struct Replay {
    pub promise: Promise,
    /// Its rows are all in the table.
    pub stored: bool,
    /// Messages behind it that Kafka has deleted as well.
    pub gap_behind: u64,
    /// A part of a range that was refused: it is promised anew.
    pub part: bool,
}

impl Replay {
    /// Whether the range is one message that decodes well and that ClickHouse
    /// does not take: nothing else has a dead letter in place of its row.
    pub fn refused(&self) -> bool {
        let Promise { first, next, rows, dead_letters, .. } = self.promise;
        next - first == 1 && rows == 0 && dead_letters == 1
    }
}

impl Partition {
    /// The committed intent and who made it.
    pub fn found(&mut self, promise: Promise, origin: Origin) {
        self.found = Some(Found { promise, origin });
    }

    /// Builds the block of the intent found again before anything else.
    /// `older`: by this plan, which is not the one that runs.
    pub fn replay(
        &mut self,
        promise: Promise,
        stored: bool,
        older: Option<Arc<Content>>,
    ) -> Result<(), BadField> {
        if let Some(content) = older {
            self.columns = Columns::new(&content.layout);
            self.older = Some(Older { decoder: content.decoder()?, content });
        }
        self.machine.found(promise);
        self.replay = Some(Replay { promise, stored, gap_behind: 0, part: false });
        Ok(())
    }

    /// Which plan made `promise`, if not `running`.
    pub fn origin<'a>(&'a self, promise: &Promise, running: &'a Origin) -> &'a Origin {
        let found = self.found.as_ref().filter(|found| found.promise.first == promise.first);
        found.map_or(running, |found| &found.origin)
    }

    pub fn replaying(&self) -> bool {
        self.replay.is_some()
    }
}
