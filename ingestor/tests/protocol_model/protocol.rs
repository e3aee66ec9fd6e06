//! A world and its rules → the system that the explorer walks, and the promise it checks.

use crate::explorer::System;
use crate::rules::{Rules, World};
use crate::state::{Commit, Metadata, OFFSETS, RECORDS, REQUESTS, State};
use crate::step::Step;
use crate::{clickhouse, kafka, member};

pub const STORED_TWICE: &str = "an offset is stored twice";
pub const COMMITTED_NOT_STORED: &str = "an offset below the committed one is not stored";
pub const LEDGER_NOT_STORED: &str = "the ledger claims an offset that is not stored";

#[derive(Clone, Copy)]
pub struct Protocol {
    pub world: World,
    pub rules: Rules,
}

impl Protocol {
    /// Offsets of one ClickHouse partition, as a bit mask.
    pub fn rows_of(&self, unit: u8) -> u8 {
        (0..self.world.messages)
            .filter(|offset| offset % self.world.units == unit)
            .fold(0, |rows, offset| rows | 1 << offset)
    }

    /// Offsets of a range that become rows, as a bit mask.
    pub fn rows(&self, first: u8, next: u8) -> u8 {
        (first..next).fold(0, |rows, offset| rows | 1 << offset) & !self.world.malformed
    }

    pub fn offsets(&self, rows: u8) -> impl Iterator<Item = u8> + use<> {
        (0..self.world.messages).filter(move |offset| rows & (1 << offset) != 0)
    }

    /// Every message is below the committed offset.
    pub fn finished(&self, state: &State) -> bool {
        state.committed.offset == self.world.messages
    }
}

fn all_kept(state: &State, next: u8) -> bool {
    (0..next).all(|offset| state.stored[usize::from(offset)] == 1 || state.dead & (1 << offset) != 0)
}

impl System for Protocol {
    type State = State;
    type Step = Step;

    fn initial(&self) -> State {
        State {
            committed: Commit { offset: 0, metadata: Metadata::Nothing },
            late: None,
            stored: [0; OFFSETS],
            newest: 0,
            dead: 0,
            ledger: None,
            records: [None; RECORDS],
            requests: [None; REQUESTS],
            owner: None,
            frozen: None,
        }
    }

    fn successors(&self, state: &State, into: &mut Vec<(Step, State)>) {
        let mut successors = Successors(into);
        kafka::steps(self, state, &mut successors);
        clickhouse::steps(self, state, &mut successors);
        member::steps(self, state, &mut successors);
    }

    fn violation(&self, state: &State) -> Option<&'static str> {
        if state.stored.iter().any(|&times| times > 1) {
            return Some(STORED_TWICE);
        }
        if !all_kept(state, state.committed.offset) {
            return Some(COMMITTED_NOT_STORED);
        }
        (!all_kept(state, state.ledger.unwrap_or(0))).then_some(LEDGER_NOT_STORED)
    }
}

/// Collects steps; a step that changes nothing is none.
pub struct Successors<'a>(&'a mut Vec<(Step, State)>);

impl Successors<'_> {
    pub fn add(&mut self, step: Step, state: &State, change: impl FnOnce(&mut State)) {
        let mut next = *state;
        change(&mut next);
        let next = next.normalized();
        if next != *state {
            self.0.push((step, next));
        }
    }
}
