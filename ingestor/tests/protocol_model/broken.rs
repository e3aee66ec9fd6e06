//! Without a rule: the shortest way to a lost or doubled row. Each world is the calmest in which it shows.

use crate::check;
use crate::protocol::{COMMITTED_NOT_STORED, LEDGER_NOT_STORED, STORED_TWICE};
use crate::rules::{Rule, Rules, World};

const AGEING: World = World { erasure: true, ..World::CALM };
const DYING: World = World { ghosts: true, ..World::CALM };
const RESETTING: World = World { resets: true, ..World::CALM };
/// SETTLE as first written: fix tokens, not committed, at once.
const FIX_TOKENS: Rules = Rules::ALL.without(Rule::GhostWait).without(Rule::FreshIntent);

fn breaks(world: World, rules: Rules, properties: &[&str]) {
    let (_, found) = check(world, rules);
    let counterexample = found.counterexample.expect("a counterexample");
    assert!(properties.contains(&counterexample.property), "{}", counterexample.property);
}

fn doubles(world: World, without: Rule) {
    breaks(world, Rules::ALL.without(without), &[STORED_TWICE]);
}

fn loses(world: World, without: Rule) {
    breaks(world, Rules::ALL.without(without), &[COMMITTED_NOT_STORED, LEDGER_NOT_STORED]);
}

/// The same world and rules, and nothing to find: what was left out is what broke it.
fn is_sound(world: World, rules: Rules) {
    assert!(check(world, rules).1.counterexample.is_none());
}

#[test]
fn insert_before_its_intent() {
    doubles(World::CALM, Rule::IntentFirst);
}

#[test]
fn another_partitions_success_taken_for_ours() {
    doubles(World::CALM, Rule::PartitionCode);
}

#[test]
fn another_commit_after_an_unknown_one() {
    doubles(World::CALM, Rule::RejoinAfterUnknown);
}

#[test]
fn a_queued_commit_stamped_with_the_next_generation() {
    loses(World::CALM, Rule::NoQueuedCommit);
}

#[test]
fn a_send_without_asking_who_owns() {
    doubles(World { freezes: true, ..AGEING }, Rule::Lease);
}

/// A frozen member's first request is answered cleanly because the new owner's has written the token.
#[test]
fn a_ledger_row_without_asking_who_owns() {
    loses(World { freezes: true, ..DYING }, Rule::LedgerLease);
}

#[test]
fn a_request_repeated_on_its_way() {
    doubles(AGEING, Rule::BoundedLife);
}

#[test]
fn a_resend_without_reading_back() {
    doubles(AGEING, Rule::ReadBack);
}

#[test]
fn a_resend_long_after_reading_back() {
    doubles(AGEING, Rule::SameConnection);
}

#[test]
fn a_resend_after_a_restart_that_forgot_tokens() {
    doubles(World { power_cuts: true, ..World::CALM }, Rule::SameConnection);
}

#[test]
fn a_first_insert_without_token() {
    doubles(World::CALM, Rule::FirstToken);
}

#[test]
fn a_clean_answer_taken_for_rows() {
    loses(DYING, Rule::VerifyAfter);
}

#[test]
fn another_block_on_replay() {
    loses(World::CALM, Rule::SameBlock);
}

#[test]
fn reconcile_without_waiting() {
    doubles(RESETTING, Rule::ReconcileWait);
}

#[test]
fn reconcile_with_a_height_from_before_the_wait() {
    doubles(RESETTING, Rule::HeightAfterWait);
}

#[test]
fn reconcile_ranges_across_stored_and_missing_offsets() {
    loses(RESETTING, Rule::CutAtStored);
}

#[test]
fn deleted_offsets_taken_for_a_new_pipeline() {
    doubles(RESETTING, Rule::StartRow);
}

#[test]
fn a_small_window() {
    doubles(AGEING, Rule::Window);
    let one_z = World { window: 2, ..AGEING };
    breaks(one_z, Rules::ALL, &[STORED_TWICE]);
    is_sound(AGEING, Rules::ALL);
}

#[test]
fn a_window_of_two_z_where_rows_are_visible_later_than_their_token() {
    breaks(World { slow_renames: true, ..AGEING }, Rules::ALL, &[STORED_TWICE]);
}

#[test]
fn parts_lost_in_a_power_cut() {
    loses(World { power_cuts: true, ..World::CALM }, Rule::Fsync);
}

#[test]
fn a_commit_before_its_dead_letters() {
    loses(World { malformed: 0b001, ..World::CALM }, Rule::DeadLettersFirst);
}

#[test]
fn leaving_a_token_at_once() {
    let world = World { erasure: true, ..DYING };
    doubles(world, Rule::GhostWait);
    is_sound(DYING, Rules::ALL.without(Rule::GhostWait));
}

#[test]
fn a_second_token_that_is_not_committed() {
    doubles(World { erasure: true, ..DYING }, Rule::FreshIntent);
}

#[test]
fn fix_tokens_with_a_window_that_passes() {
    breaks(World { erasure: true, ..DYING }, FIX_TOKENS, &[STORED_TWICE]);
}

#[test]
fn fix_tokens_with_a_restart_that_forgets() {
    breaks(World { power_cuts: true, ..DYING }, FIX_TOKENS, &[STORED_TWICE]);
}

#[test]
fn fix_tokens_with_rows_visible_later_than_their_token() {
    breaks(World { slow_renames: true, ..World::CALM }, FIX_TOKENS, &[STORED_TWICE]);
}

/// Where tokens are never forgotten, fix tokens are enough, if all members walk the same ones in order.
#[test]
fn fix_tokens_of_other_names_or_in_another_order() {
    is_sound(DYING, FIX_TOKENS);
    breaks(DYING, FIX_TOKENS.without(Rule::SameFixNames), &[STORED_TWICE]);
    breaks(DYING, FIX_TOKENS.without(Rule::FixInOrder), &[STORED_TWICE]);
}
