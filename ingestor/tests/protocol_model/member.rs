//! A consumer group member that moves the partition: what it does next, and what answers make of it.

use crate::protocol::{Protocol, Successors};
use crate::rules::Rule;
use crate::settle;
use crate::state::{Block, Commit, Member, Metadata, Phase, State, Who};
use crate::step::Step;

pub fn steps(protocol: &Protocol, state: &State, into: &mut Successors) {
    if let Some(owner) = state.owner {
        match owner.phase {
            Phase::Start => read_committed(protocol, state, into),
            Phase::Reconciling { ticks: 2.. } => {
                into.add(Step::WaitOver(Who::Owner), state, |next| {
                    let floor =
                        if protocol.rules.has(Rule::HeightAfterWait) { next.height() } else { owner.floor };
                    resume(protocol, next, floor);
                });
            }
            Phase::Ready { at } => choose(protocol, state, owner, at, into),
            _ => {}
        }
    }
    for who in [Who::Owner, Who::Frozen] {
        if let Some(member) = state.member(who) {
            settle::steps(protocol, state, who, member, into);
        }
    }
}

/// On assignment: what the committed metadata says.
fn read_committed(protocol: &Protocol, state: &State, into: &mut Successors) {
    let found = state.committed.metadata;
    let step = Step::ReadCommitted { found };
    let known_until = match found {
        Metadata::Nothing if state.ledger.is_none() => return begin(protocol, state, into),
        Metadata::Nothing | Metadata::Foreign => 0,
        Metadata::Idle => state.committed.offset,
        Metadata::Intent(block) => block.next,
    };
    let certain = matches!(found, Metadata::Idle | Metadata::Intent(_)) && state.height() <= known_until;
    if certain || !protocol.rules.has(Rule::ReconcileWait) {
        let floor = if certain { 0 } else { state.height() };
        into.add(step, state, |next| resume(protocol, next, floor));
    } else {
        into.add(step, state, |next| {
            let mut member = Member::at(Phase::Reconciling { ticks: 0 });
            if !protocol.rules.has(Rule::HeightAfterWait) {
                member.floor = next.height();
            }
            next.owner = Some(member);
        });
    }
    if let (Metadata::Intent(block), false) = (found, protocol.rules.has(Rule::SameBlock)) {
        let shorter = (block.next - block.first > 1).then(|| block.next - 1);
        let longer = (block.next < protocol.world.messages).then_some(block.next + 1);
        for other in shorter.into_iter().chain(longer) {
            into.add(step, state, |next| {
                next.owner = Some(Member::at(settle::replay(protocol, Block { next: other, ..block })));
            });
        }
    }
}

/// A pipeline that nobody knows yet: the start is committed before anything is consumed.
fn begin(protocol: &Protocol, state: &State, into: &mut Successors) {
    let start = Commit { offset: 0, metadata: Metadata::Idle };
    into.add(Step::StartRow, state, |next| {
        if protocol.rules.has(Rule::StartRow) {
            next.ledger = Some(0);
        }
        next.owner = Some(Member::at(Phase::Committing(start)));
    });
}

/// Goes on from the committed offset; ranges below `floor` begin with a read-back.
fn resume(protocol: &Protocol, state: &mut State, floor: u8) {
    let at = state.committed.offset;
    let phase = match state.committed.metadata {
        Metadata::Nothing => Phase::Ready { at: state.ledger.unwrap_or(0) },
        Metadata::Foreign | Metadata::Idle => Phase::Ready { at },
        Metadata::Intent(block) => settle::replay(protocol, block),
    };
    if protocol.rules.has(Rule::StartRow) {
        state.ledger = state.ledger.max(Some(at));
    }
    state.owner = Some(Member { floor, ..Member::at(phase) });
}

/// The next commit: completion of what is settled, with the next intent or none.
fn choose(protocol: &Protocol, state: &State, owner: Member, at: u8, into: &mut Successors) {
    if owner.unsure && protocol.rules.has(Rule::RejoinAfterUnknown) {
        return;
    }
    let idle = Commit { offset: at, metadata: Metadata::Idle };
    if state.committed != idle {
        propose(state, owner, idle, into);
    }
    let ends = (at + 1..=protocol.world.messages.min(at + 2))
        .filter(|&end| allowed(protocol, state, owner, at, end));
    let blocks = ends.map(|end| Block { first: at, next: end, nonce: state.fresh_nonce() });
    for block in blocks {
        if protocol.rules.has(Rule::IntentFirst) {
            propose(state, owner, Commit { offset: at, metadata: Metadata::Intent(block) }, into);
        } else if state.committed == idle {
            into.add(Step::Choose { offset: at, metadata: Metadata::Intent(block) }, state, |next| {
                next.owner = Some(Member { phase: Phase::Insert(block), ..owner });
            });
        }
    }
}

fn propose(state: &State, owner: Member, commit: Commit, into: &mut Successors) {
    into.add(Step::Choose { offset: commit.offset, metadata: commit.metadata }, state, |next| {
        next.owner = Some(Member { phase: Phase::Committing(commit), ..owner });
    });
}

/// RECONCILE: a range is stored as a whole or missing as a whole.
fn allowed(protocol: &Protocol, state: &State, owner: Member, at: u8, end: u8) -> bool {
    if at >= owner.floor || !protocol.rules.has(Rule::CutAtStored) {
        return true;
    }
    let rows = protocol.rows(at, end);
    let stored = protocol.offsets(rows).filter(|&offset| state.stored[usize::from(offset)] > 0).count();
    stored == 0 || stored == rows.count_ones() as usize
}

/// The coordinator accepted the owner's commit, or the owner believes so.
pub fn committed(state: &mut State, commit: Commit) {
    let Some(owner) = &mut state.owner else { return };
    owner.phase = match commit.metadata {
        Metadata::Intent(block) if block.first < owner.floor => Phase::Read { block, fix: 0, after: false },
        Metadata::Intent(block) => Phase::Insert(block),
        Metadata::Nothing | Metadata::Foreign | Metadata::Idle => Phase::Ready { at: commit.offset },
    };
}

/// Z passes for a member.
pub fn tick(protocol: &Protocol, state: &mut State, who: Who) {
    let Some(member) = state.member_mut(who) else { return };
    match &mut member.phase {
        Phase::Reconciling { ticks } | Phase::Ghost { ticks, .. } => *ticks = (*ticks + 1).min(2),
        Phase::Send { age: age @ 0, .. } => *age = 1,
        Phase::Send { .. } => settle::disconnected(protocol, state, who),
        _ => {}
    }
}
