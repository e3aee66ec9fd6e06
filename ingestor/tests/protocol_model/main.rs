//! The exactly-once protocol as a model, checked exhaustively.
mod clickhouse;
mod explorer;
mod kafka;
mod member;
mod protocol;
mod rules;
mod settle;
mod state;
mod step;

use explorer::explore;
use protocol::Protocol;
use rules::{Rule, Rules, World};

fn run(name: &str, world: World, rules: Rules) {
    let p = Protocol { world, rules };
    let t = std::time::Instant::now();
    let e = explore(&p);
    println!("{name}: {} states {} transitions depth {} in {:?}", e.count(), e.transitions, e.depth, t.elapsed());
    if let Some(c) = &e.counterexample {
        println!("  VIOLATION {} after {} steps", c.property, c.steps.len());
        for (s, _) in &c.steps { println!("    {s:?}"); }
    } else if std::env::var("STUCK").is_ok() {
        if let Some(w) = e.stuck(&p, |s| p.finished(s)) {
            println!("  STUCK after {} steps", w.len());
            for (s, st) in &w { println!("    {s:?}  {:?}", st.owner); }
        }
    }
}

#[test]
fn scratch() {
    let w = World { freezes: false, ..World::DEFAULT };
    let quiet = World { ghosts: false, erasure: false, power_cuts: false, resets: false, ..w };
    run("quiet", quiet, Rules::ALL);
    run("ghosts", World { ghosts: true, ..quiet }, Rules::ALL);
    run("ghosts+erasure", World { ghosts: true, erasure: true, ..quiet }, Rules::ALL);
    run("all 3", w, Rules::ALL);
    run("all 4", World { messages: 4, ..w }, Rules::ALL);
    run("all 3, window 2", World{window: 2, ..w}, Rules::ALL);
    run("all 3, 3 requests", World { requests: 3, ..w }, Rules::ALL);
    run("all 3, slow renames window 3", World { slow_renames: true, ..w }, Rules::ALL);
    run("all 3, slow renames window 4", World { slow_renames: true, window: 4, ..w }, Rules::ALL);
    run("all 2, freezes", World { messages: 2, freezes: true, ..w }, Rules::ALL);
    run("all 3, freezes", World { messages: 3, freezes: true, ..w }, Rules::ALL);
    run("all 2, units", World { messages: 2, units: 2, ..w }, Rules::ALL);
    run("all 3, units", World { messages: 3, units: 2, ..w }, Rules::ALL);
    run("all 3, malformed", World { malformed: 2, ..w }, Rules::ALL);
}
#[test]
fn rules() {
    use Rule::*;
    let w = World::DEFAULT;
    for r in [IntentFirst, PartitionCode, RejoinAfterUnknown, NoQueuedCommit, Lease, BoundedLife, ReadBack, SameConnection, FirstToken, VerifyAfter, GhostWait, FreshIntent, SameBlock, ReconcileWait, HeightAfterWait, CutAtStored, StartRow, Window, Fsync] {
        run(&format!("{r:?}"), w, Rules::ALL.without(r));
    }
    run("cut units", World{units: 2, ..w}, Rules::ALL.without(CutAtStored));
    run("dead", World{malformed: 2, ..w}, Rules::ALL.without(DeadLettersFirst));
}
