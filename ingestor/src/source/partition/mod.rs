//! One partition: messages read in order → columns → sealed blocks.

mod found;
mod misplaced;
mod read;
mod reconcile;
mod seal;
mod split;

use std::sync::Arc;
use std::time::{Duration, Instant};

use caudal_model::state::{OpenIntent, PartitionState, Phase, Reason, Trouble};

use found::{Found, Older, Replay};
pub use misplaced::Relocated;
pub use read::Read;
pub use reconcile::Reconcile;
pub use seal::{Mismatch, Sealed};

use crate::block::{Buffers, Columns, Layout};
use crate::kafka::{Batch, PartitionQueue};
use crate::protocol::{Machine, Origin, Promise};
use crate::sink::Lease;
use crate::state;
use split::Split;

/// Limits of a block.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub rows: usize,
    pub bytes: usize,
    pub delay: Duration,
}

impl Limits {
    /// Who is far behind is late already: there, large blocks are worth more
    /// than the delay. Rows still come every few seconds.
    fn delay_in_catch_up(self) -> Duration {
        (8 * self.delay).min(Duration::from_secs(10)).max(self.delay)
    }
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

/// The position is not in the log.
struct Misplaced {
    /// What librdkafka said.
    text: String,
    since: Instant,
    try_at: Instant,
}

#[allow(clippy::struct_excessive_bools, reason = "they are facts of their own, not one state")]
pub struct Partition {
    pub id: i32,
    pub machine: Machine,
    pub lease: Arc<Lease>,
    /// With storing, or for good.
    pub trouble: Option<Trouble>,
    /// With reading.
    read_trouble: Option<Trouble>,
    /// Nothing new is begun until a hand has helped; what is promised goes on.
    pub stopped: bool,
    misplaced: Option<Misplaced>,
    /// It has been read from its beginning on.
    pub assigned: bool,
    queue: PartitionQueue,
    /// A batch that was not used up.
    held: Option<Batch>,
    columns: Columns,
    /// Bytes of `columns`, as counted after the last read.
    open_bytes: usize,
    /// So much is in the log that the next blocks will be full.
    pub behind: bool,
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
    found: Option<Found>,
    replay: Option<Replay>,
    older: Option<Older>,
    /// Offsets at which blocks begin and end, with the leader's epoch of the
    /// message before.
    epochs: Vec<(i64, Option<i32>)>,
    /// The offset behind the last message read, and that message's epoch.
    epoch: Option<(i64, i32)>,
    /// Stored offsets that no commit accounts for.
    reconcile: Option<Reconcile>,
    /// ClickHouse has refused values.
    split: Option<Split>,
    /// What it said of the message that becomes a dead letter.
    refusal: Option<String>,
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
            read_trouble: None,
            stopped: false,
            misplaced: None,
            assigned: false,
            queue,
            held: None,
            columns: Columns::new(layout),
            open_bytes: 0,
            behind: false,
            first: position,
            position,
            newest_ms: None,
            opened: None,
            cut: false,
            counts: Counts::default(),
            letters_acknowledged: 0,
            ticket,
            found: None,
            replay: None,
            older: None,
            epochs: Vec::new(),
            epoch: None,
            reconcile: None,
            split: None,
            refusal: None,
            waiting: None,
            storing: None,
            committed_at: Instant::now(),
        }
    }

    /// The leader's epoch of the message before `offset`, where one was committed.
    pub fn epoch_at(&self, offset: i64) -> Option<i32> {
        self.epochs.iter().find(|(at, _)| *at == offset).and_then(|(_, epoch)| *epoch)
    }

    pub fn set_epoch(&mut self, offset: i64, epoch: Option<i32>) {
        self.epochs.push((offset, epoch));
    }

    /// When the blocks that are not stored were sealed last.
    pub fn sealed_at(&self) -> Option<Instant> {
        [&self.waiting, &self.storing].into_iter().flatten().map(|sealed| sealed.at).max()
    }

    /// Ends ranges where stored and missing offsets meet.
    pub fn reconcile(&mut self, reconcile: Reconcile) {
        self.reconcile = Some(reconcile);
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
        self.open_bytes + sealed(&self.waiting) + sealed(&self.storing)
    }

    /// Bytes that only storing can free.
    pub fn sealed_bytes(&self) -> usize {
        self.bytes() - self.open_bytes
    }

    pub fn open_bytes(&self) -> usize {
        self.open_bytes
    }

    /// Whether the block that begins next has no memory yet.
    pub fn bare(&self) -> bool {
        self.columns.bare()
    }

    /// Memory that no row came for.
    pub fn take_buffers(&mut self) -> Buffers {
        self.columns.take_buffers()
    }

    /// Memory for the block that begins next.
    pub fn reuse(&mut self, buffers: Buffers) {
        self.columns.reuse(buffers);
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
        self.open_bytes = 0;
        self.opened = None;
        self.cut = false;
        self.counts = Counts::default();
        self.machine.forget_waiting();
        if self.machine.takes_block() {
            self.waiting = None;
        }
    }

    /// Begins nothing new. What is promised is finished.
    pub fn stop(&mut self, layout: &Layout, reason: Reason, message: &str) {
        tracing::error!(partition = self.id, ?reason, "{message}");
        self.stopped = true;
        self.misplaced = None;
        self.read_trouble = None;
        self.stop_reading(layout);
        state::raise(&mut self.trouble, reason, message);
    }

    /// Whether no intent has given a lease for what is being stored, which its
    /// ledger row needs.
    pub fn needs_lease(&self) -> bool {
        self.machine.open().is_some() && self.machine.intent().is_none() && !self.lease.holds()
    }

    /// Whether anything is under way that can still be finished.
    pub fn at_rest(&self) -> bool {
        if self.stopped { self.storing.is_none() } else { self.replaying() || self.machine.at_rest() }
    }

    /// The range is complete: gives the memory of its block back, if nobody
    /// else reads it.
    pub fn completed(&mut self, promise: Promise) -> Option<Buffers> {
        self.found.take_if(|found| found.promise.first == promise.first);
        self.epochs.retain(|(offset, _)| *offset >= promise.next);
        self.widen(promise.next);
        self.storing.take().and_then(Sealed::into_buffers)
    }

    pub fn state(&self, running: &Origin) -> PartitionState {
        let open = self.machine.intent().or(self.found.as_ref().map(|found| found.promise));
        let trouble = self.trouble.as_ref().or(self.read_trouble.as_ref());
        let phase = match () {
            () if self.stopped => Phase::Stopped,
            () if trouble.is_some() => Phase::Waiting,
            () if self.replay.is_some() => Phase::Replaying,
            () => Phase::Running,
        };
        PartitionState {
            partition: self.id,
            phase,
            trouble: trouble.cloned(),
            committed_offset: self.machine.committed(),
            intent: open.map(|promise| OpenIntent {
                first: promise.first,
                next: promise.next,
                plan_revision: self.origin(&promise, running).plan.clone(),
            }),
        }
    }
}
