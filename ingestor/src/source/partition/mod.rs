//! One partition: messages read in order → columns → sealed blocks.

mod read;
mod reconcile;
mod seal;

use std::sync::Arc;
use std::time::{Duration, Instant};

use caudal_model::state::{OpenIntent, PartitionState, Phase, Trouble};

pub use read::Read;
pub use reconcile::Reconcile;
pub use seal::{Mismatch, Sealed};

use crate::block::{Columns, Layout};
use crate::kafka::{Batch, PartitionQueue};
use crate::protocol::{Machine, Promise};
use crate::sink::Lease;

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

/// An intent that was found.
#[derive(Clone, Copy, Debug)]
struct Replay {
    promise: Promise,
    /// Its rows are all in the table.
    stored: bool,
    /// Messages behind it that Kafka has deleted as well.
    gap_behind: u64,
}

pub struct Partition {
    pub id: i32,
    pub machine: Machine,
    pub lease: Arc<Lease>,
    pub trouble: Option<Trouble>,
    /// Nothing more is done for it until a hand has helped.
    pub stopped: bool,
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
    /// The open block ends here, whatever its size.
    cut: bool,
    counts: Counts,
    letters_acknowledged: u64,
    /// Names the open block in acknowledgements of dead letters.
    ticket: usize,
    /// The intent whose block is being built again.
    replay: Option<Replay>,
    /// Stored offsets that no commit accounts for.
    reconcile: Option<Reconcile>,
    /// Sealed, its intent not yet committed.
    pub waiting: Option<Sealed>,
    /// Promised, on its way into the table.
    pub storing: Option<Sealed>,
    /// When its last commit was sent that was accepted.
    pub committed_at: Instant,
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
            queue,
            held: None,
            columns: Columns::new(layout),
            first: position,
            position,
            newest_ms: None,
            opened: None,
            cut: false,
            counts: Counts::default(),
            letters_acknowledged: 0,
            ticket,
            replay: None,
            reconcile: None,
            waiting: None,
            storing: None,
            committed_at: Instant::now(),
        }
    }

    /// Builds the block of an intent again before anything else.
    pub fn replay(&mut self, promise: Promise, stored: bool) {
        self.replay = Some(Replay { promise, stored, gap_behind: 0 });
    }

    /// Ends ranges where stored and missing offsets meet.
    pub fn reconcile(&mut self, reconcile: Reconcile) {
        self.reconcile = Some(reconcile);
    }

    pub fn replaying(&self) -> bool {
        self.replay.is_some()
    }

    pub fn position(&self) -> i64 {
        self.position
    }

    /// Kafka's time of the oldest message that is not completed, as far as it
    /// is known: of what is not read yet, no message is older than the newest
    /// one read.
    pub fn oldest_ms(&self) -> Option<i64> {
        let sealed = [&self.storing, &self.waiting].into_iter().flatten();
        let oldest = sealed.filter_map(Sealed::oldest_ms).chain(self.counts.oldest_ms).min();
        oldest.or(self.newest_ms)
    }

    /// Bytes in columns and blocks.
    pub fn bytes(&self) -> usize {
        let sealed = |sealed: &Option<Sealed>| sealed.as_ref().map_or(0, |sealed| sealed.bytes);
        self.columns.bytes() + sealed(&self.waiting) + sealed(&self.storing)
    }

    pub fn open_bytes(&self) -> usize {
        self.columns.bytes()
    }

    /// One dead letter of the block named `ticket` is safe. `true`: that was
    /// the last of the block being stored.
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

    /// Forgets everything that is not promised.
    pub fn stop_reading(&mut self, layout: &Layout) {
        self.held = None;
        self.columns.discard(layout);
        self.opened = None;
        self.cut = false;
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
