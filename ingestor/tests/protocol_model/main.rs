//! The exactly-once protocol as a model: every order of steps within the bounds is tried.
//!
//! `holds` says what is true with all rules, `broken` that each rule is needed: without it the model loses or
//! doubles a row. What is modelled, what is left out and what was found: `docs/protocol-model.md`.

mod broken;
mod clickhouse;
mod explorer;
mod holds;
mod kafka;
mod member;
mod protocol;
mod rules;
mod settle;
mod state;
mod step;

use explorer::{Exploration, explore};
use protocol::Protocol;
use rules::{Rules, World};
use state::State;
use step::Step;

/// Explores a world under some rules, and prints what was found under the name of the test.
fn check(world: World, rules: Rules) -> (Protocol, Exploration<Protocol>) {
    let protocol = Protocol { world, rules };
    let found = explore(&protocol);
    let test = std::thread::current().name().unwrap_or_default().to_owned();
    let (states, transitions, depth) = (found.count(), found.transitions, found.depth);
    println!("{test}: {states} states, {transitions} transitions, depth {depth}");
    if let Some(counterexample) = &found.counterexample {
        println!("{test}: {} after {} steps", counterexample.property, counterexample.steps.len());
        print(&counterexample.steps);
    }
    (protocol, found)
}

fn print(steps: &[(Step, State)]) {
    for (step, _) in steps {
        println!("    {step:?}");
    }
}
