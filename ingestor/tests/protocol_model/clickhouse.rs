//! The table: requests executed at any time, tokens written before rows, tokens forgotten, power cuts.
//!
//! A request outlives its sender, and a server process that dies (pessimistic: its connections break). It does
//! not outlive a power cut, nor Z.

use crate::protocol::{Protocol, Successors};
use crate::rules::Rule;
use crate::state::{REQUESTS, Record, Request, State, Token, Who};
use crate::step::{Lost, Outcome, Step};
use crate::{member, settle};

pub fn steps(protocol: &Protocol, state: &State, into: &mut Successors) {
    for (index, request) in state.requests.iter().enumerate() {
        let again = index > 0 && *request == state.requests[index - 1];
        if let (Some(request), false) = (*request, again) {
            executions(protocol, state, index, request, into);
        }
    }
    into.add(Step::Tick, state, |next| tick(protocol, next));
    if protocol.world.erasure {
        let age = if protocol.rules.has(Rule::Window) { protocol.world.window } else { 0 };
        for (index, record) in state.records.iter().enumerate() {
            if let Some(Record { token, unit, .. }) = record.filter(|record| record.age >= age) {
                into.add(Step::Erase { token, unit }, state, |next| next.records[index] = None);
            }
        }
    }
    if protocol.world.power_cuts {
        power_cuts(protocol, state, into);
    }
}

fn executions(protocol: &Protocol, state: &State, index: usize, request: Request, into: &mut Successors) {
    let Request { token, rows, awaited_by, renaming, .. } = request;
    if let (Some(token), true, false) = (token, protocol.world.slow_renames, renaming) {
        into.add(Step::Renaming { token }, state, |next| write_tokens(protocol, next, index, token));
    }
    let mut execute = |outcome| {
        into.add(Step::Executed { token, rows, outcome }, state, |next| {
            perform(protocol, next, index, outcome);
            match outcome {
                Outcome::Answered => settle::answered(protocol, next, awaited_by),
                _ => settle::unknown(protocol, next, awaited_by),
            }
        });
    };
    if awaited_by != Who::Nobody {
        execute(Outcome::Answered);
    }
    execute(Outcome::Unanswered);
    for unit in (0..protocol.world.units).filter(|&unit| rows & protocol.rows_of(unit) != 0) {
        let known = token.is_some_and(|token| state.record_of(token, unit).is_some());
        if (renaming || !known) && rows & protocol.rows_of(unit) != rows {
            execute(Outcome::FailedAt(unit));
        }
        if (renaming || !known && token.is_some()) && protocol.world.ghosts {
            execute(Outcome::GhostAt(unit));
        }
    }
    if awaited_by != Who::Nobody {
        into.add(Step::Refused(awaited_by), state, |next| {
            next.requests[index] = None;
            settle::unknown(protocol, next, awaited_by);
        });
        into.add(Step::GiveUp(awaited_by), state, |next| {
            let request = next.requests[index].as_mut().expect("the request at hand");
            request.awaited_by = Who::Nobody;
            settle::unknown(protocol, next, awaited_by);
        });
    }
}

/// Units that are stored or being stored already are left out of the request.
fn write_tokens(protocol: &Protocol, state: &mut State, index: usize, token: Token) {
    let mut request = state.requests[index].expect("the request at hand");
    for unit in 0..protocol.world.units {
        if request.rows & protocol.rows_of(unit) == 0 {
            continue;
        }
        if state.record_of(token, unit).is_some() {
            request.rows &= !protocol.rows_of(unit);
        } else {
            state.add_record(token, unit);
        }
    }
    if request.rows != 0 {
        request.renaming = true;
        state.requests[index] = Some(request);
    }
}

/// Stores unit after unit, up to the outcome.
fn perform(protocol: &Protocol, state: &mut State, index: usize, outcome: Outcome) {
    let Request { token, rows, renaming, .. } = state.requests[index].expect("the request at hand");
    if protocol.rules.has(Rule::BoundedLife) {
        state.requests[index] = None;
    } else if let Some(request) = &mut state.requests[index] {
        request.awaited_by = Who::Nobody;
    }
    for unit in (0..protocol.world.units).filter(|&unit| rows & protocol.rows_of(unit) != 0) {
        if outcome == Outcome::FailedAt(unit) {
            return;
        }
        if let (Some(token), false) = (token, renaming) {
            if state.record_of(token, unit).is_some() {
                continue;
            }
            state.add_record(token, unit);
        }
        if outcome == Outcome::GhostAt(unit) {
            return;
        }
        let part = rows & protocol.rows_of(unit);
        for offset in protocol.offsets(part) {
            let times = &mut state.stored[usize::from(offset)];
            *times = (*times + 1).min(2);
        }
        if !protocol.rules.has(Rule::Fsync) {
            state.newest = part;
        }
    }
}

fn tick(protocol: &Protocol, state: &mut State) {
    for record in state.records.iter_mut().flatten() {
        record.age = (record.age + 1).min(protocol.world.window);
    }
    for index in 0..state.requests.len() {
        let Some(request) = &mut state.requests[index] else { continue };
        let awaited_by = request.awaited_by;
        if request.age == 0 {
            request.age = 1;
        } else if protocol.rules.has(Rule::BoundedLife) {
            state.requests[index] = None;
            settle::unknown(protocol, state, awaited_by);
        }
    }
    for who in [Who::Owner, Who::Frozen] {
        member::tick(protocol, state, who);
    }
}

fn power_cuts(protocol: &Protocol, state: &State, into: &mut Successors) {
    let mut cut = |lost| {
        into.add(Step::PowerCut { lost }, state, |next| {
            next.requests = [None; REQUESTS];
            for who in [Who::Owner, Who::Frozen] {
                settle::unknown(protocol, next, who);
                settle::disconnected(protocol, next, who);
            }
            lose(protocol, next, lost);
        });
    };
    cut(Lost::Nothing);
    if state.newest != 0 {
        cut(Lost::NewestPart);
    }
    let mut records = state.records.iter().flatten();
    if let (Some(_), Some(_)) = (records.next(), records.next()) {
        cut(Lost::AllTokens);
    }
    for record in state.records.iter().flatten() {
        cut(Lost::OneToken(record.token, record.unit));
    }
}

/// The deduplication log is not synced by the settings that sync parts, so tokens go even with rule 7.
fn lose(protocol: &Protocol, state: &mut State, lost: Lost) {
    match lost {
        Lost::Nothing => {}
        Lost::NewestPart => {
            for offset in protocol.offsets(state.newest) {
                state.stored[usize::from(offset)] -= 1;
            }
        }
        Lost::AllTokens => state.records = Default::default(),
        Lost::OneToken(token, unit) => {
            for slot in &mut state.records {
                if slot.is_some_and(|record| record.token == token && record.unit == unit) {
                    *slot = None;
                }
            }
        }
    }
    state.newest = 0;
}
