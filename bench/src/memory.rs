//! Idle memory of every program, in real pods, with the four examples.

use std::time::Duration;

use anyhow::Context;
use caudal_examples::System;
use caudal_testbed::{Options, Stack};

use crate::process;

/// A program, how many of it run, and the largest resident memory among them in bytes.
pub struct Idle {
    pub program: &'static str,
    pub processes: usize,
    pub bytes: u64,
    /// What we mean to stay below, in bytes.
    pub aim: u64,
}

pub fn measure() -> anyhow::Result<Vec<Idle>> {
    let stack = Stack::up(&Options::named("bench"))?;
    let measured = in_stack(&stack);
    let down = stack.down();
    let measured = measured?;
    down?;
    Ok(measured)
}

fn in_stack(stack: &Stack) -> anyhow::Result<Vec<Idle>> {
    for system in System::ALL {
        stack.client().kubectl_stdin(&["apply", "-f", "-"], system.manifest())?;
    }
    stack.client().kubectl(&["wait", "--for=condition=Ready", "datapipelines", "--all", "--timeout=180s"])?;
    // Idle means: caches filled, every timer of the first minute has fired.
    std::thread::sleep(Duration::from_mins(1));
    let programs = [("caudal-ingestor", 40), ("caudal-api-server", 20), ("caudal-operator", 60)];
    programs
        .into_iter()
        .map(|(program, aim)| {
            let pids = stack.pids_in_node(program, "")?;
            let bytes = pids
                .iter()
                .map(|pid| process::memory(pid.unsigned_abs(), false))
                .collect::<Result<Vec<_>, _>>()?;
            let most = bytes.iter().max().with_context(|| format!("no {program} runs"))?;
            Ok(Idle { program, processes: bytes.len(), bytes: *most, aim: aim << 20 })
        })
        .collect()
}
