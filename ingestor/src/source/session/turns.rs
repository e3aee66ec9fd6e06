//! Which partition is read next, and how much memory that may take.

use std::time::{Duration, Instant};

use super::Session;
use crate::block::Buffers;
use crate::kafka::Consumer;
use crate::source::partition::{Partition, Read};

/// How long one partition is read before the others get a turn.
const SLICE: Duration = Duration::from_millis(200);
/// Messages behind the end of the log from which on blocks become full before
/// they are due.
const BEHIND: i64 = 10_000;

/// Memory of blocks that are done with, for the next ones.
#[derive(Default)]
pub struct Spare(Vec<Buffers>);

impl Spare {
    const MOST: usize = 2;

    pub fn keep(&mut self, buffers: Option<Buffers>) {
        if self.0.len() < Self::MOST {
            self.0.extend(buffers);
        }
    }

    fn bytes(&self) -> usize {
        self.0.iter().map(Buffers::capacity).sum()
    }
}

impl Session<'_> {
    /// Reads one batch of one partition; stays with a partition as long as it
    /// has whole batches, so that blocks become large in catch-up. After such
    /// a stay everybody else is read once: who has little to say does not wait
    /// for all who have much.
    pub(super) fn read(&mut self) -> bool {
        if self.bytes() > self.budget {
            self.spare.0.clear();
            self.sweep.clear();
            let replay = self.replay_under_pressure().and_then(|id| self.read_one(id));
            return !matches!(replay, None | Some(Read::Nothing | Read::LettersFull));
        }
        while let Some(id) = self.sweep.pop() {
            if !matches!(self.read_one(id), None | Some(Read::Nothing | Read::LettersFull)) {
                return true;
            }
        }
        let ids = self.partitions.range(self.turn..).chain(self.partitions.range(..self.turn));
        let ids: Vec<i32> = ids.map(|(id, _)| *id).collect();
        for id in &ids {
            match self.read_one(*id) {
                // An acknowledgement wakes us when there is room again.
                None | Some(Read::Nothing | Read::LettersFull) => continue,
                Some(Read::More) if self.turn != *id => self.take_turn(*id),
                // Stay, for a large block, but not for ever.
                Some(Read::More) if self.slice.elapsed() < SLICE => {}
                Some(Read::More | Read::Full) => {
                    self.take_turn(*id + 1);
                    self.sweep.extend(ids.iter().filter(|other| *other != id));
                }
                Some(Read::Drained) => self.take_turn(*id + 1),
            }
            return true;
        }
        false
    }

    /// Beyond the budget everybody waits until blocks are stored, but for one
    /// replay: its block can't be sealed before it is whole. No other begins
    /// while blocks that only storing can free take all the room.
    fn replay_under_pressure(&mut self) -> Option<i32> {
        let sealed: usize = self.partitions.values().map(Partition::sealed_bytes).sum();
        let limits = self.limits;
        let mut replays: Vec<&mut Partition> =
            self.partitions.values_mut().filter(|one| one.replaying()).collect();
        replays.retain_mut(|one| one.readable(limits));
        let furthest = replays.iter().max_by_key(|one| one.open_bytes()).map(|one| one.id);
        furthest.filter(|_| sealed <= self.budget)
    }

    /// Reads one batch of partition `id`, if that may be read now.
    fn read_one(&mut self, id: i32) -> Option<Read> {
        let one = self.partitions.get_mut(&id)?;
        if !one.readable(self.limits) {
            return None;
        }
        one.behind = one.behind || lag(&self.consumer, one) > BEHIND;
        if one.behind && !one.open() && !one.replaying() && !self.make_room(id) {
            return None;
        }
        let one = self.partitions.get_mut(&id)?;
        let metrics = &self.context.metrics;
        let read = one.read(&mut self.scratch, &mut self.decoder, self.letters, self.limits, metrics);
        // Until everything is read: a block that is nearly whole leaves no rest.
        one.behind = lag(&self.consumer, one) > BEHIND || one.behind && read == Read::More;
        if !one.open() && !one.bare() {
            self.spare.keep(Some(one.take_buffers()));
        }
        Some(read)
    }

    /// Whether a block of partition `id` that will be full may begin. Rather
    /// some large blocks than many small ones: unless none is being filled, it
    /// begins when there is room for all of it.
    fn make_room(&mut self, id: i32) -> bool {
        let limits = self.limits;
        let (mut filling, mut held) = (false, 0);
        for other in self.partitions.values_mut() {
            let growing = other.behind && other.open() && other.readable(limits);
            filling |= growing;
            held += other.bytes() + if growing { limits.bytes.saturating_sub(other.open_bytes()) } else { 0 };
        }
        if filling && held + limits.bytes > self.budget {
            return false;
        }
        if let Some(one) = self.partitions.get_mut(&id).filter(|one| one.bare()) {
            self.spare.0.pop().into_iter().for_each(|buffers| one.reuse(buffers));
        }
        true
    }

    fn take_turn(&mut self, id: i32) {
        self.turn = id;
        self.slice = Instant::now();
    }

    pub(super) fn bytes(&self) -> usize {
        self.partitions.values().map(Partition::bytes).sum::<usize>() + self.spare.bytes()
    }
}

/// Messages between what was read and the end of the log, as far as known.
fn lag(consumer: &Consumer, partition: &Partition) -> i64 {
    consumer.known_ends(partition.id).map_or(0, |(_, high)| high - partition.position())
}
