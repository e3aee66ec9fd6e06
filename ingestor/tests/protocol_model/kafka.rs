//! The coordinator: who owns the partition, what is committed, and commits that arrive late.
//!
//! Generations need no numbers. A commit of an old generation is refused, so a member that lost the partition
//! has no say, and a commit on its way ends with its generation, unless it waits in a client that joins the next
//! one and stamps it anew (`Rule::NoQueuedCommit` left out).

use crate::member;
use crate::protocol::{Protocol, Successors};
use crate::rules::Rule;
use crate::state::{Commit, Member, Metadata, Phase, State, Who};
use crate::step::Step;

pub fn steps(protocol: &Protocol, state: &State, into: &mut Successors) {
    match state.owner {
        None => unowned(protocol, state, into),
        Some(owner) => owned(protocol, state, owner, into),
    }
    if state.frozen.is_some() {
        into.add(Step::Forget, state, |next| {
            next.frozen = None;
            next.hand_over(Who::Frozen, Who::Nobody);
        });
    }
    if let Some(commit) = state.late {
        into.add(Step::LateCommit { offset: commit.offset }, state, |next| {
            next.late = None;
            next.committed = commit;
        });
    }
}

fn unowned(protocol: &Protocol, state: &State, into: &mut Successors) {
    let forget_late = protocol.rules.has(Rule::NoQueuedCommit);
    into.add(Step::Assign, state, |next| {
        next.owner = Some(Member::at(Phase::Start));
        if forget_late {
            next.late = None;
        }
    });
    // Kafka sets offsets from outside only while the group is empty.
    let mut outside = |step, commit| {
        into.add(step, state, |next| {
            next.committed = commit;
            if forget_late {
                next.late = None;
            }
        });
    };
    if protocol.world.resets {
        for offset in 0..=state.committed.offset {
            outside(Step::Reset { offset }, Commit { offset, metadata: Metadata::Foreign });
        }
        outside(Step::Delete, Commit { offset: 0, metadata: Metadata::Nothing });
    }
}

fn owned(protocol: &Protocol, state: &State, owner: Member, into: &mut Successors) {
    into.add(Step::Crash, state, |next| {
        next.owner = None;
        next.hand_over(Who::Owner, Who::Nobody);
    });
    if owner.unsure && protocol.rules.has(Rule::RejoinAfterUnknown) {
        into.add(Step::Rejoin, state, |next| {
            next.hand_over(Who::Owner, Who::Nobody);
            next.owner = Some(Member::at(Phase::Start));
            if protocol.rules.has(Rule::NoQueuedCommit) {
                next.late = None;
            }
        });
    }
    if protocol.world.freezes && state.frozen.is_none() {
        into.add(Step::Freeze, state, |next| {
            next.owner = None;
            next.frozen = Some(owner);
            next.hand_over(Who::Owner, Who::Frozen);
        });
    }
    if let Phase::Committing(commit) = owner.phase {
        commit_steps(protocol, state, commit, into);
    }
}

fn commit_steps(protocol: &Protocol, state: &State, commit: Commit, into: &mut Successors) {
    into.add(Step::CommitAnswered, state, |next| {
        next.committed = commit;
        member::committed(next, commit);
    });
    into.add(Step::CommitUnanswered, state, |next| {
        next.committed = commit;
        doubt(next);
    });
    into.add(Step::CommitLost, state, doubt);
    if state.late.is_none() {
        into.add(Step::CommitDelayed, state, |next| {
            next.late = Some(commit);
            doubt(next);
        });
    }
    // With the rule the same commit is sent again: the same state.
    if !protocol.rules.has(Rule::PartitionCode) {
        into.add(Step::CommitRefused, state, |next| member::committed(next, commit));
    }
}

/// The same commit again, but no other before the member has rejoined.
fn doubt(state: &mut State) {
    if let Some(owner) = &mut state.owner {
        owner.unsure = true;
    }
}
