//! SETTLE: from an intent to rows that are stored once, whatever became of earlier requests.

use crate::protocol::{Protocol, Successors};
use crate::rules::Rule;
use crate::state::{Block, Commit, LAST_FIX, Member, Metadata, Phase, Request, State, Token, Who};
use crate::step::Step;

pub fn steps(protocol: &Protocol, state: &State, who: Who, member: Member, into: &mut Successors) {
    match member.phase {
        Phase::Insert(block) => {
            let rows = protocol.rows(block.first, block.next);
            send(protocol, state, who, &Sending { block, fix: 0, rows, first: true }, into);
        }
        Phase::Send { block, fix, missing, .. } => {
            send(protocol, state, who, &Sending { block, fix, rows: missing, first: false }, into);
        }
        Phase::Read { block, fix, after } => read_back(protocol, state, who, (block, fix, after), into),
        Phase::Ghost { block, fix, ticks: 2.. } => wait_over(protocol, state, who, (block, fix), into),
        Phase::Settled(block) => finish(protocol, state, who, block, into),
        _ => {}
    }
}

/// A member took over an intent.
pub fn replay(protocol: &Protocol, block: Block) -> Phase {
    let fix = u8::from(!protocol.rules.has(Rule::FixInOrder));
    again(protocol, block, fix)
}

/// A request with an unknown outcome, of this member or of an earlier one: (a), or without it (b).
fn again(protocol: &Protocol, block: Block, fix: u8) -> Phase {
    if protocol.rules.has(Rule::ReadBack) {
        Phase::Read { block, fix, after: false }
    } else {
        Phase::Send { block, fix, missing: protocol.rows(block.first, block.next), age: 0 }
    }
}

struct Sending {
    block: Block,
    fix: u8,
    rows: u8,
    first: bool,
}

fn send(protocol: &Protocol, state: &State, who: Who, sending: &Sending, into: &mut Successors) {
    let &Sending { block, fix, rows, first } = sending;
    if who != Who::Owner && protocol.rules.has(Rule::Lease) {
        return;
    }
    let nonce =
        if fix > 0 && !protocol.rules.has(Rule::SameFixNames) { state.fresh_nonce() } else { block.nonce };
    let tokenless = first && !protocol.rules.has(Rule::FirstToken);
    let token = (!tokenless).then_some(Token { nonce, fix });
    let phase = Phase::Waiting { block, fix, missing: rows, first };
    if rows == 0 {
        into.add(Step::Send { who, token, rows }, state, |next| set(next, who, Phase::Settled(block)));
    } else if let Some(slot) = state.requests[..protocol.world.requests].iter().position(Option::is_none) {
        into.add(Step::Send { who, token, rows }, state, |next| {
            next.requests[slot] = Some(Request { token, rows, age: 0, renaming: false, awaited_by: who });
            set(next, who, phase);
        });
    }
}

/// A clean answer: done if it was the only request, else (c).
pub fn answered(protocol: &Protocol, state: &mut State, who: Who) {
    let Some(Phase::Waiting { block, fix, first, .. }) = state.member(who).map(|member| member.phase) else {
        return;
    };
    let done = first || !protocol.rules.has(Rule::VerifyAfter);
    set(state, who, if done { Phase::Settled(block) } else { Phase::Read { block, fix, after: true } });
}

/// Anything but a clean answer.
pub fn unknown(protocol: &Protocol, state: &mut State, who: Who) {
    let Some(Phase::Waiting { block, fix, missing, first }) = state.member(who).map(|member| member.phase)
    else {
        return;
    };
    // As first written, (b) sends again "until a clean 200", however long that takes.
    let blindly = !first && !protocol.rules.has(Rule::SameConnection);
    let phase =
        if blindly { Phase::Send { block, fix, missing, age: 0 } } else { again(protocol, block, fix) };
    set(state, who, phase);
}

/// The connection of the last read-back is gone: idle for too long, or the server was restarted.
pub fn disconnected(protocol: &Protocol, state: &mut State, who: Who) {
    let Some(Phase::Send { block, fix, .. }) = state.member(who).map(|member| member.phase) else { return };
    if protocol.rules.has(Rule::SameConnection) {
        set(state, who, again(protocol, block, fix));
    }
}

/// (a) and (c): a unit with any stored row is stored.
fn read_back(protocol: &Protocol, state: &State, who: Who, at: (Block, u8, bool), into: &mut Successors) {
    let (block, fix, after) = at;
    let rows = protocol.rows(block.first, block.next);
    let is_stored = |unit: u8| {
        let mut offsets = protocol.offsets(rows & protocol.rows_of(unit));
        offsets.any(|offset| state.stored[usize::from(offset)] > 0)
    };
    let units = (0..protocol.world.units).filter(|&unit| !is_stored(unit));
    let missing = units.fold(0, |missing, unit| missing | rows & protocol.rows_of(unit));
    let phase = match (missing, after) {
        (0, _) => Phase::Settled(block),
        (_, false) => Phase::Send { block, fix, missing, age: 0 },
        (_, true) => leave_token(protocol, block, fix, missing),
    };
    into.add(Step::ReadBack { who, missing }, state, |next| set(next, who, phase));
}

/// A clean answer and no rows: the token was written, its rows never came, and it blocks every resend.
fn leave_token(protocol: &Protocol, block: Block, fix: u8, missing: u8) -> Phase {
    let wait = protocol.rules.has(Rule::GhostWait);
    if wait || protocol.rules.has(Rule::FreshIntent) {
        Phase::Ghost { block, fix, ticks: if wait { 0 } else { 2 } }
    } else if fix < LAST_FIX {
        Phase::Send { block, fix: fix + 1, missing, age: 0 }
    } else {
        Phase::Stopped
    }
}

/// Every request under the old token is executed or gone.
fn wait_over(protocol: &Protocol, state: &State, who: Who, at: (Block, u8), into: &mut Successors) {
    let (block, fix) = at;
    let Some(member) = state.member(who) else { return };
    let next_member = if !protocol.rules.has(Rule::FreshIntent) {
        let phase =
            if fix < LAST_FIX { Phase::Read { block, fix: fix + 1, after: false } } else { Phase::Stopped };
        Member { phase, ..member }
    } else if member.unsure && protocol.rules.has(Rule::RejoinAfterUnknown) {
        return;
    } else {
        let fresh = Block { nonce: state.fresh_nonce(), ..block };
        let phase = Phase::Committing(Commit { offset: block.first, metadata: Metadata::Intent(fresh) });
        Member { phase, floor: member.floor.max(block.next), ..member }
    };
    into.add(Step::WaitOver(who), state, |next| {
        if let Some(member) = next.member_mut(who) {
            *member = next_member;
        }
    });
}

/// Dead letters, then the ledger, then what comes next.
fn finish(protocol: &Protocol, state: &State, who: Who, block: Block, into: &mut Successors) {
    let range = (block.first..block.next).fold(0, |range, offset| range | 1 << offset);
    let dead = range & protocol.world.malformed;
    into.add(Step::DeadLetters(who), state, |next| next.dead |= dead);
    let owns = who == Who::Owner || !protocol.rules.has(Rule::LedgerLease);
    if owns && (state.dead & dead == dead || !protocol.rules.has(Rule::DeadLettersFirst)) {
        into.add(Step::Ledger(who), state, |next| {
            next.ledger = next.ledger.max(Some(block.next));
            set(next, who, Phase::Ready { at: block.next });
            if let Some(member) = next.member_mut(who) {
                member.floor = if member.floor > block.next { member.floor } else { 0 };
            }
        });
    }
}

fn set(state: &mut State, who: Who, phase: Phase) {
    if let Some(member) = state.member_mut(who) {
        member.phase = phase;
    }
}
