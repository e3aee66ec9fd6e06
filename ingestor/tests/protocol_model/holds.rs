//! With all rules: nothing is lost, nothing is doubled, nothing gets stuck.

use crate::rules::{Rules, World};
use crate::state::{Metadata, Phase, State, Who};
use crate::step::Step;
use crate::{check, print};

/// No reachable state breaks the promise, and from each of them the partition can be finished, even if nothing
/// unusual happens any more.
fn holds(world: World) {
    let (protocol, found) = check(world, Rules::ALL);
    assert!(found.counterexample.is_none(), "a counterexample with all rules");
    if let Some(steps) = found.stuck(&protocol, |state| protocol.finished(state), Step::is_ordinary) {
        print(&steps);
        panic!("from this state the partition cannot be finished");
    }
}

#[test]
fn four_messages() {
    holds(World { messages: 4, ..World::HARSH });
}

#[test]
fn blocks_of_two_units() {
    holds(World { messages: 4, units: 2, ..World::HARSH });
}

#[test]
fn three_requests_at_once() {
    holds(World { requests: 3, ..World::HARSH });
}

#[test]
fn a_malformed_message() {
    holds(World { malformed: 0b010, ..World::HARSH });
}

#[test]
fn a_frozen_member() {
    holds(World { messages: 2, freezes: true, ..World::CALM });
    let (_, found) = check(World { messages: 1, freezes: true, ..World::HARSH }, Rules::ALL);
    assert!(found.counterexample.is_none(), "a counterexample with all rules");
}

/// Replicated tables write the token to the keeper before the part is visible. That costs one more Z.
#[test]
fn rows_visible_later_than_their_token() {
    holds(World { slow_renames: true, window: 4, ..World::HARSH });
}

/// The model is not safe for lack of events.
#[test]
fn the_hard_cases_do_occur() {
    let (protocol, found) = check(World::HARSH, Rules::ALL);
    let occurs = |name: &str, holds: &dyn Fn(&State) -> bool| assert!(found.any(holds), "never: {name}");
    occurs("everything is stored and committed", &|state| protocol.finished(state));
    occurs("a token without rows", &|state| match state.committed.metadata {
        Metadata::Intent(block) => {
            let written = state.records.iter().flatten().any(|record| record.token.nonce == block.nonce);
            written && state.stored[usize::from(block.first)] == 0
        }
        _ => false,
    });
    occurs("twins", &|state| state.requests[0].is_some() && state.requests[0] == state.requests[1]);
    occurs("a request that outlives its sender", &|state| {
        state.owner.is_none()
            && state.requests.iter().flatten().any(|request| request.awaited_by == Who::Nobody)
    });
    occurs("a commit that may arrive late", &|state| state.late.is_some());
    occurs("a reconciled range", &|state| state.owner.is_some_and(|owner| owner.floor > 0));
    occurs("a second intent for one range", &|state| {
        let waits = |phase| matches!(phase, Phase::Ghost { ticks: 2, .. });
        state.owner.is_some_and(|owner| waits(owner.phase))
    });
}

/// What all of it is for: a request that comes late finds its token, or finds its rows missing.
#[test]
fn a_token_outlives_the_requests_that_it_must_stop() {
    let (protocol, found) = check(World::HARSH, Rules::ALL);
    let endangered = |state: &State| {
        state.requests.iter().flatten().any(|request| {
            let stored = protocol.offsets(request.rows).all(|offset| state.stored[usize::from(offset)] == 1);
            stored && request.token.is_some_and(|token| state.record_of(token, 0).is_none())
        })
    };
    assert!(!found.any(endangered));
}
