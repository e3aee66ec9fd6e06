//! One partition's life: sealed block → intent → insert → record → completion.

use caudal_model::resource::Delivery;

use super::Outcome;
use super::metadata::Promise;

/// A commit the partition wants; its offset is everything below.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Commit {
    pub offset: i64,
    /// The intent it carries; none is idle.
    pub promise: Option<Promise>,
}

/// What the caller does next for the partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Insert under token 0; anything but a clean answer → SETTLE.
    Insert(Promise),
    /// Begin with reading back.
    Settle(Promise),
    /// Send until the answer is clean, with whatever else goes now.
    Send(Promise),
    /// Everything is stored and dead-lettered: write the ledger row.
    Record(Promise, Outcome),
    /// The range is complete.
    Completed(Promise),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Nothing is promised.
    Free,
    /// Promised before our time; its block is being built again.
    Found { promise: Promise },
    /// Its intent is being committed, or will be.
    Promising { promise: Promise, settle: bool },
    /// The sink has it. `stored` and `lettered` are what is still awaited.
    Storing { promise: Promise, stored: Option<Outcome>, lettered: bool },
    /// Its ledger row is being written.
    Recording { promise: Promise },
    /// Complete but for the commit.
    Recorded { promise: Promise },
}

/// A partition's protocol state. Rules 1 and 11 live here.
#[derive(Clone, Debug)]
pub struct Machine {
    committed: i64,
    /// Something is committed at `committed` that needs no first commit.
    settled_start: bool,
    stage: Stage,
    waiting: Option<Promise>,
    in_flight: Option<Commit>,
    /// Ranges that begin below are settled from the start.
    reconcile_below: i64,
    /// The ledger does not know the partition yet: its row comes first, so that
    /// offsets deleted later are not taken for a new pipeline.
    row_awaited: bool,
    delivery: Delivery,
    /// The open block is sent without an intent.
    unguarded: bool,
}

impl Machine {
    /// Begins at `position`; `commit_first` when that is not yet committed.
    /// `reconcile_below`: ranges that begin below may be stored already.
    pub fn at(position: i64, commit_first: bool, reconcile_below: i64) -> Self {
        Self {
            committed: position,
            settled_start: !commit_first,
            stage: Stage::Free,
            waiting: None,
            in_flight: None,
            reconcile_below,
            row_awaited: false,
            delivery: Delivery::ExactlyOnce,
            unguarded: false,
        }
    }

    /// At least once, blocks need no intent.
    #[must_use]
    pub fn delivering(self, delivery: Delivery) -> Self {
        Self { delivery, ..self }
    }

    /// Commits nothing until the ledger has a first row.
    pub fn await_row(&mut self) {
        self.row_awaited = true;
    }

    /// The ledger has its first row.
    pub fn row_written(&mut self) {
        self.row_awaited = false;
    }

    pub fn committed(&self) -> i64 {
        self.committed
    }

    /// The block promised, or sent without that, and not completed.
    pub fn open(&self) -> Option<Promise> {
        match self.stage {
            Stage::Free => None,
            Stage::Found { promise }
            | Stage::Promising { promise, .. }
            | Stage::Storing { promise, .. }
            | Stage::Recording { promise }
            | Stage::Recorded { promise } => Some(promise),
        }
    }

    /// The open block, if it is written down.
    pub fn intent(&self) -> Option<Promise> {
        self.open().filter(|_| !self.unguarded)
    }

    /// Whether nothing is under way that could still be finished.
    pub fn at_rest(&self) -> bool {
        let idle = self.stage == Stage::Free && self.waiting.is_none() && self.in_flight.is_none();
        self.row_awaited || idle && self.settled_start
    }

    /// Whether another block can be sealed.
    pub fn takes_block(&self) -> bool {
        self.waiting.is_none()
    }

    /// A new block, behind everything sealed before.
    pub fn sealed(&mut self, promise: Promise) {
        debug_assert!(self.waiting.is_none());
        self.waiting = Some(promise);
    }

    /// Nothing new is promised any more; what is promised, or may be by the
    /// commit on its way, goes on.
    pub fn forget_waiting(&mut self) {
        let promised = self.in_flight.and_then(|commit| commit.promise);
        self.waiting.take_if(|waiting| promised != Some(*waiting));
    }

    /// The commit on its way did not happen, and will not.
    pub fn commit_refused(&mut self) {
        self.in_flight = None;
    }

    /// The intent found is not finished. Until its block is built again, no
    /// commit may say anything else.
    pub fn found(&mut self, promise: Promise) {
        debug_assert_eq!(self.stage, Stage::Free);
        self.stage = Stage::Found { promise };
    }

    /// The block being stored was refused for good, and will not come: it is
    /// taken apart. Until its first part is built, its intent stays; its other
    /// parts may hold units that were taken.
    pub fn reopened(&mut self) -> Option<Promise> {
        let Stage::Storing { promise, stored: None, .. } = self.stage else { return None };
        self.stage = Stage::Found { promise };
        // Its parts are promised, whatever was before.
        self.unguarded = false;
        self.reconcile_below = self.reconcile_below.max(promise.next);
        Some(promise)
    }

    /// The block of the intent found, or the first part of it, built again.
    pub fn rebuilt(&mut self, promise: Promise) {
        debug_assert!(matches!(self.stage, Stage::Found { promise: found }
            if found.first == promise.first && promise.next <= found.next));
        self.stage = Stage::Promising { promise, settle: true };
    }

    /// The block of an intent that was found stored: only its completion is
    /// missing, and its ledger row unless it is `recorded`.
    pub fn found_stored(&mut self, promise: Promise, recorded: bool) -> Option<Action> {
        if recorded {
            self.stage = Stage::Recorded { promise };
            return None;
        }
        self.stage = Stage::Recording { promise };
        Some(Action::Record(promise, Outcome::Settled))
    }

    /// The commit this partition wants now. It stays wanted until
    /// [`Machine::begin`] says that it is on its way. `verified`: what was sealed
    /// is of the right topic.
    pub fn wanted(&self, verified: bool) -> Option<Commit> {
        if self.in_flight.is_some() || self.row_awaited {
            return None;
        }
        let waiting = self.waiting.filter(|_| verified && self.delivery == Delivery::ExactlyOnce);
        match self.stage {
            Stage::Promising { promise, .. } if verified => {
                Some(Commit { offset: promise.first, promise: Some(promise) })
            }
            Stage::Recorded { promise } => Some(Commit { offset: promise.next, promise: waiting }),
            Stage::Free if waiting.is_some() || !self.settled_start => {
                Some(Commit { offset: self.committed, promise: waiting })
            }
            _ => None,
        }
    }

    /// The block that goes now without an intent, if there is one.
    pub fn unguarded(&mut self, verified: bool) -> Option<Action> {
        let free = self.stage == Stage::Free && self.settled_start && !self.row_awaited;
        let goes = free && verified && self.delivery == Delivery::AtLeastOnce;
        let promise = self.waiting.take_if(|_| goes)?;
        self.unguarded = true;
        self.store(promise, promise.dead_letters == 0);
        Some(Action::Send(promise))
    }

    /// What is committed, said once more: keeps the group's offsets from
    /// expiring, and proves that the partition is still ours.
    pub fn repeated(&self) -> Option<Commit> {
        if self.in_flight.is_some() || self.row_awaited {
            return None;
        }
        match self.stage {
            Stage::Free => Some(Commit { offset: self.committed, promise: None }),
            Stage::Found { promise } | Stage::Storing { promise, .. } | Stage::Recording { promise } => {
                Some(Commit { offset: promise.first, promise: Some(promise).filter(|_| !self.unguarded) })
            }
            Stage::Promising { .. } | Stage::Recorded { .. } => None,
        }
    }

    /// `commit` is on its way.
    pub fn begin(&mut self, commit: Commit) {
        debug_assert!(self.in_flight.is_none());
        self.in_flight = Some(commit);
    }

    /// This partition's own code in the commit's answer was 0.
    pub fn commit_answered(&mut self) -> Vec<Action> {
        let Some(commit) = self.in_flight.take() else { return Vec::new() };
        self.settled_start = true;
        let mut actions = Vec::new();
        match self.stage {
            Stage::Recorded { promise } if commit.offset == promise.next => {
                self.committed = commit.offset;
                self.stage = Stage::Free;
                self.unguarded = false;
                actions.push(Action::Completed(promise));
                if commit.promise.is_some() {
                    actions.extend(self.promised());
                }
            }
            Stage::Free if commit.promise.is_some() => actions.extend(self.promised()),
            Stage::Promising { promise, settle } if commit.promise == Some(promise) => {
                actions.push(self.send(promise, settle));
            }
            _ => {}
        }
        actions
    }

    fn promised(&mut self) -> Option<Action> {
        let promise = self.waiting.take()?;
        Some(self.send(promise, promise.first < self.reconcile_below))
    }

    fn send(&mut self, promise: Promise, settle: bool) -> Action {
        // How many dead letters a settled block has, its words may not tell.
        self.store(promise, !settle && promise.dead_letters == 0);
        if settle { Action::Settle(promise) } else { Action::Insert(promise) }
    }

    fn store(&mut self, promise: Promise, lettered: bool) {
        self.stage = Stage::Storing { promise, stored: None, lettered };
    }

    /// The rows of the open block are in the table.
    pub fn stored(&mut self, outcome: Outcome) -> Option<Action> {
        if let Stage::Storing { stored, .. } = &mut self.stage {
            *stored = Some(outcome);
        }
        self.record()
    }

    /// The dead letters of the open block are all acknowledged. Say it of a
    /// settled block without any, too.
    pub fn lettered(&mut self) -> Option<Action> {
        if let Stage::Storing { lettered, .. } = &mut self.stage {
            *lettered = true;
        }
        self.record()
    }

    fn record(&mut self) -> Option<Action> {
        let Stage::Storing { promise, stored: Some(outcome), lettered: true } = self.stage else {
            return None;
        };
        self.stage = Stage::Recording { promise };
        Some(Action::Record(promise, outcome))
    }

    /// The token of the block being stored is spent and its rows never came:
    /// the same range is promised anew, under another nonce.
    pub fn renewed(&mut self, nonce: u128) {
        if let Stage::Storing { promise, stored: None, .. } = self.stage {
            self.stage = Stage::Promising { promise: Promise { nonce, ..promise }, settle: true };
        }
    }

    /// The ledger has the open block's row.
    pub fn recorded(&mut self) {
        if let Stage::Recording { promise } = self.stage {
            self.stage = Stage::Recorded { promise };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::metadata::{Identity, Metadata, Origin};
    use super::super::start::{Known, Start, start};
    use super::*;

    fn block(first: i64, next: i64, dead_letters: u64) -> Promise {
        let nonce = u128::from(first.unsigned_abs()) + 1;
        Promise {
            first,
            next,
            rows: (next - first).unsigned_abs() - dead_letters,
            dead_letters,
            filtered: 0,
            nonce,
        }
    }

    fn commit(machine: &mut Machine) -> Commit {
        let commit = machine.wanted(true).expect("wants a commit");
        machine.begin(commit);
        commit
    }

    #[test]
    fn nothing_is_inserted_before_its_intent_is_committed() {
        let mut machine = Machine::at(0, false, 0);
        assert_eq!(machine.wanted(true), None);
        let a = block(0, 10, 0);
        machine.sealed(a);
        assert_eq!(commit(&mut machine), Commit { offset: 0, promise: Some(a) });
        assert_eq!(machine.wanted(true), None, "one commit at a time");
        assert_eq!(machine.commit_answered(), vec![Action::Insert(a)]);
    }

    #[test]
    fn completion_and_the_next_intent_are_one_commit() {
        let mut machine = Machine::at(0, false, 0);
        let (a, b) = (block(0, 10, 0), block(10, 15, 0));
        machine.sealed(a);
        commit(&mut machine);
        machine.commit_answered();
        machine.sealed(b);
        assert!(!machine.takes_block());
        assert_eq!(machine.wanted(true), None, "a is not stored yet");
        assert_eq!(machine.stored(Outcome::Clean), Some(Action::Record(a, Outcome::Clean)));
        assert_eq!(machine.wanted(true), None, "a is not in the ledger yet");
        machine.recorded();
        assert_eq!(commit(&mut machine), Commit { offset: 10, promise: Some(b) });
        assert_eq!(machine.commit_answered(), vec![Action::Completed(a), Action::Insert(b)]);
        machine.stored(Outcome::Settled);
        machine.recorded();
        assert_eq!(commit(&mut machine), Commit { offset: 15, promise: None });
        // A block sealed while the idle commit is out waits for the next one.
        let c = block(15, 16, 0);
        machine.sealed(c);
        assert_eq!(machine.commit_answered(), vec![Action::Completed(b)]);
        assert_eq!(commit(&mut machine), Commit { offset: 15, promise: Some(c) });
        assert_eq!(machine.commit_answered(), vec![Action::Insert(c)]);
    }

    #[test]
    fn dead_letters_are_acknowledged_before_completion() {
        let mut machine = Machine::at(0, false, 0);
        let a = block(0, 10, 2);
        machine.sealed(a);
        commit(&mut machine);
        machine.commit_answered();
        assert_eq!(machine.stored(Outcome::Clean), None);
        assert_eq!(machine.lettered(), Some(Action::Record(a, Outcome::Clean)));
    }

    #[test]
    fn a_first_position_is_committed_before_anything() {
        let mut machine = Machine::at(7, true, 0);
        assert!(!machine.at_rest());
        assert_eq!(commit(&mut machine), Commit { offset: 7, promise: None });
        assert_eq!(machine.commit_answered(), vec![]);
        assert!(machine.at_rest());
        assert_eq!(machine.repeated(), Some(Commit { offset: 7, promise: None }));
    }

    #[test]
    fn what_may_be_stored_already_is_read_back_first() {
        let mut machine = Machine::at(0, false, 12);
        for (promise, expected) in
            [(block(0, 10, 0), true), (block(10, 20, 0), true), (block(20, 30, 0), false)]
        {
            machine.sealed(promise);
            commit(&mut machine);
            let action = *machine.commit_answered().last().unwrap();
            assert_eq!(action == Action::Settle(promise), expected, "{promise:?}");
            machine.stored(Outcome::Settled);
            machine.lettered();
            machine.recorded();
            commit(&mut machine);
            machine.commit_answered();
        }
    }

    #[test]
    fn a_spent_token_is_left_by_a_fresh_intent() {
        let mut machine = Machine::at(0, false, 0);
        let a = block(0, 10, 1);
        machine.sealed(a);
        commit(&mut machine);
        assert_eq!(machine.commit_answered(), vec![Action::Insert(a)]);
        // A repeated commit of the old intent is out when the token is left.
        machine.begin(machine.repeated().unwrap());
        machine.renewed(99);
        assert_eq!(machine.commit_answered(), vec![], "that was the old intent");
        let fresh = Promise { nonce: 99, ..a };
        assert_eq!(commit(&mut machine), Commit { offset: 0, promise: Some(fresh) });
        assert_eq!(machine.commit_answered(), vec![Action::Settle(fresh)]);
        machine.stored(Outcome::Settled);
        assert_eq!(machine.lettered(), Some(Action::Record(fresh, Outcome::Settled)));
    }

    #[test]
    fn a_refused_block_is_promised_anew_in_parts_that_are_read_back() {
        let mut machine = Machine::at(0, false, 0);
        machine.sealed(block(0, 10, 0));
        commit(&mut machine);
        machine.commit_answered();
        machine.sealed(block(10, 20, 0));
        assert_eq!(machine.reopened(), Some(block(0, 10, 0)));
        machine.forget_waiting();
        assert_eq!(machine.wanted(true), None, "the old intent stays until a part is built");
        assert_eq!(machine.repeated(), Some(Commit { offset: 0, promise: Some(block(0, 10, 0)) }));
        let part = Promise { nonce: 99, ..block(0, 5, 0) };
        machine.rebuilt(part);
        assert_eq!(commit(&mut machine), Commit { offset: 0, promise: Some(part) });
        assert_eq!(machine.commit_answered(), vec![Action::Settle(part)]);
        machine.stored(Outcome::Settled);
        machine.lettered();
        machine.recorded();
        // The rest may hold a unit that was taken.
        machine.sealed(block(5, 10, 0));
        assert_eq!(commit(&mut machine), Commit { offset: 5, promise: Some(block(5, 10, 0)) });
        assert_eq!(machine.commit_answered().last(), Some(&Action::Settle(block(5, 10, 0))));
        assert_eq!(machine.reopened(), Some(block(5, 10, 0)), "and is taken apart again");
    }

    #[test]
    fn the_ledger_knows_the_partition_before_the_first_commit() {
        let mut machine = Machine::at(0, true, 0);
        machine.await_row();
        assert_eq!((machine.wanted(true), machine.repeated()), (None, None));
        machine.row_written();
        assert_eq!(machine.wanted(true), Some(Commit { offset: 0, promise: None }));
    }

    #[test]
    fn an_intent_found_is_never_overwritten() {
        let a = block(0, 10, 0);
        let mut machine = Machine::at(0, false, 0);
        machine.found(a);
        assert_eq!(machine.wanted(true), None);
        // Even when Kafka was away, or an hour has passed.
        assert_eq!(machine.repeated(), Some(Commit { offset: 0, promise: Some(a) }));
        assert_eq!(machine.open(), Some(a));
        machine.rebuilt(a);
        assert_eq!(machine.wanted(false), None, "its messages may be another topic's");
        assert_eq!(commit(&mut machine), Commit { offset: 0, promise: Some(a) });
    }

    #[test]
    fn a_block_that_is_not_verified_is_not_promised() {
        let mut machine = Machine::at(0, false, 0);
        let (a, b) = (block(0, 10, 0), block(10, 15, 0));
        machine.sealed(a);
        assert_eq!(machine.wanted(false), None);
        commit(&mut machine);
        machine.commit_answered();
        machine.sealed(b);
        machine.stored(Outcome::Clean);
        machine.recorded();
        assert_eq!(machine.wanted(false), Some(Commit { offset: 10, promise: None }));
        assert_eq!(machine.wanted(true), Some(Commit { offset: 10, promise: Some(b) }));
    }

    #[test]
    fn what_only_waits_is_forgotten() {
        let mut machine = Machine::at(0, false, 0);
        let (a, b) = (block(0, 10, 0), block(10, 15, 0));
        machine.sealed(a);
        commit(&mut machine);
        machine.forget_waiting();
        assert!(!machine.takes_block(), "a is being promised");
        machine.commit_answered();
        machine.sealed(b);
        machine.begin(machine.repeated().unwrap());
        machine.forget_waiting();
        assert!(machine.takes_block(), "the commit on its way is about a");
    }

    fn at_least_once() -> Machine {
        Machine::at(0, false, 0).delivering(Delivery::AtLeastOnce)
    }

    #[test]
    fn at_least_once_commits_an_offset_only_behind_rows_letters_and_ledger() {
        let mut machine = at_least_once();
        let (a, b) = (block(0, 10, 1), block(10, 15, 0));
        machine.sealed(a);
        assert_eq!(machine.wanted(true), None, "no intent");
        assert_eq!(machine.unguarded(false), None, "its messages may be another topic's");
        assert_eq!(machine.unguarded(true), Some(Action::Send(a)));
        machine.sealed(b);
        assert_eq!(machine.unguarded(true), None, "one at a time");
        let idle = |offset| Some(Commit { offset, promise: None });
        assert_eq!((machine.intent(), machine.repeated()), (None, idle(0)));
        assert_eq!(machine.stored(Outcome::Clean), None);
        assert_eq!(machine.lettered(), Some(Action::Record(a, Outcome::Clean)));
        assert_eq!(machine.wanted(true), None);
        machine.recorded();
        assert_eq!(Some(commit(&mut machine)), idle(10));
        assert_eq!(machine.commit_answered(), vec![Action::Completed(a)]);
        assert_eq!(machine.unguarded(true), Some(Action::Send(b)));
    }

    #[test]
    fn at_least_once_settles_an_intent_it_finds_and_goes_on_without() {
        let (a, b) = (block(0, 10, 0), block(10, 15, 0));
        let mut machine = at_least_once();
        machine.found(a);
        machine.rebuilt(a);
        machine.sealed(b);
        assert_eq!(machine.unguarded(true), None);
        assert_eq!(commit(&mut machine), Commit { offset: 0, promise: Some(a) });
        assert_eq!(machine.commit_answered(), vec![Action::Settle(a)]);
        machine.stored(Outcome::Settled);
        machine.lettered();
        machine.recorded();
        assert_eq!(commit(&mut machine), Commit { offset: 10, promise: None });
        assert_eq!(machine.commit_answered(), vec![Action::Completed(a)]);
        assert_eq!(machine.unguarded(true), Some(Action::Send(b)));
    }

    #[test]
    fn at_least_once_sends_nothing_before_its_beginning_is_written_down() {
        let a = block(7, 10, 0);
        let mut machine = Machine::at(7, true, 0).delivering(Delivery::AtLeastOnce);
        machine.await_row();
        machine.sealed(a);
        assert_eq!(machine.unguarded(true), None, "the ledger comes first");
        machine.row_written();
        assert_eq!(machine.unguarded(true), None, "then the position");
        assert_eq!(commit(&mut machine), Commit { offset: 7, promise: None });
        machine.commit_answered();
        assert_eq!(machine.unguarded(true), Some(Action::Send(a)));
    }

    /// Crashes after every step of one block and starts again from what the
    /// outside kept: commit, table, ledger. The block must end up complete, and
    /// an insert may happen only under a committed intent.
    #[test]
    fn a_crash_at_any_step_is_recovered() {
        let identity = Identity { topic_id: "t".into(), pipeline: "n/p".into(), table_uuid: "u".into() };
        let a = block(0, 10, 0);
        for crash_after in 0..6 {
            let mut outside = Outside::default();
            let mut steps = 0;
            let mut alive = || {
                steps += 1;
                steps <= crash_after
            };
            // A pipeline that has begun: the ledger has its first row.
            outside.ledger = Some(0);
            outside.committed = Some(Commit { offset: 0, promise: None });
            let mut machine = Machine::at(0, false, 0);
            machine.sealed(a);
            // Each line is one step that may be the last.
            let _ = alive()
                && outside.commit(&mut machine)
                && alive()
                && outside.insert(&mut machine)
                && alive()
                && outside.record(&mut machine)
                && alive()
                && outside.commit(&mut machine);

            let encoded = |promise: Option<Promise>| {
                let origin = Origin { plan: "p".into(), content: "c".into() };
                Metadata { identity: identity.clone(), origin, born: 1, word: promise.into() }
                    .encode()
                    .into_bytes()
            };
            let known = Known {
                committed: outside.committed.map(|commit| (commit.offset, encoded(commit.promise))),
                ledger: outside.ledger,
                stored: outside.stored.then_some(a.next),
                stored_of_intent: if outside.stored { a.rows } else { 0 },
                waited: false,
            };
            match start(&known, &identity, |_| true).unwrap() {
                start @ (Start::Fresh | Start::Wait) => panic!("{start:?} after {crash_after} steps"),
                Start::Resume { position, commit, .. } => {
                    assert_eq!(position, if outside.stored { 10 } else { 0 }, "{crash_after}");
                    assert!(!commit);
                }
                Start::Replay { promise, .. } => {
                    assert_eq!((promise, outside.stored), (a, false));
                    let mut machine = Machine::at(0, false, 0);
                    machine.found(promise);
                    machine.rebuilt(promise);
                    commit(&mut machine);
                    assert_eq!(machine.commit_answered(), vec![Action::Settle(a)]);
                    assert_eq!(machine.stored(Outcome::Settled), None);
                    assert_eq!(machine.lettered(), Some(Action::Record(a, Outcome::Settled)));
                    machine.recorded();
                    assert_eq!(commit(&mut machine).offset, 10);
                }
                Start::Complete { promise, recorded, .. } => {
                    assert!(outside.stored);
                    assert_eq!(recorded, outside.ledger == Some(10));
                    let mut machine = Machine::at(0, false, 0);
                    let action = machine.found_stored(promise, recorded);
                    assert_eq!(action, (!recorded).then_some(Action::Record(a, Outcome::Settled)));
                    machine.recorded();
                    assert_eq!(commit(&mut machine), Commit { offset: 10, promise: None });
                }
            }
        }
    }

    #[derive(Default)]
    struct Outside {
        committed: Option<Commit>,
        stored: bool,
        ledger: Option<i64>,
    }

    impl Outside {
        fn commit(&mut self, machine: &mut Machine) -> bool {
            self.committed = Some(commit(machine));
            machine.commit_answered();
            true
        }

        fn insert(&mut self, machine: &mut Machine) -> bool {
            assert!(self.committed.is_some_and(|commit| commit.promise.is_some()));
            self.stored = true;
            machine.stored(Outcome::Clean);
            true
        }

        fn record(&mut self, machine: &mut Machine) -> bool {
            self.ledger = machine.open().map(|promise| promise.next);
            machine.recorded();
            true
        }
    }
}
