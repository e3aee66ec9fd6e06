//! A stack → what runs, where, and how much memory it takes, as text.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::processes::{self, Process};
use super::state::{Phase, State};
use super::{StackClickHouse, StackKafka};

/// Several lines for a person.
pub fn describe(state: &State) -> anyhow::Result<String> {
    let mut text = String::new();
    let phase = match &state.phase {
        Phase::Starting => "starting".to_owned(),
        Phase::Ready => "ready".to_owned(),
        Phase::Failed(error) => format!("failed: {error}"),
    };
    let network = state.network();
    writeln!(text, "stack {:?}: {phase}", state.name)?;
    writeln!(text, "  KUBECONFIG  {}", state.layout.kubeconfig().display())?;
    writeln!(text, "  node        {} (pods reach this machine at {})", network.node(), network.host())?;
    if state.phase == Phase::Ready {
        let (kafka, clickhouse) = (StackKafka::of(state), StackClickHouse::of(state));
        let running = |pid: Option<u32>| if pid.is_some() { "" } else { " (does not run)" };
        writeln!(text, "  Kafka       {}{}", kafka.bootstrap_servers(), running(kafka.pid()?))?;
        writeln!(text, "  ClickHouse  {}{}", clickhouse.url(), running(clickhouse.pid()?))?;
    }
    writeln!(text, "  data        {}", state.data().display())?;
    writeln!(text, "  memory in MiB:")?;
    let processes = processes::descendants(state.supervisor)?;
    for (name, (count, memory)) in by_name(&processes) {
        writeln!(
            text,
            "    {:>6}  {name}{}",
            memory >> 20,
            if count > 1 { format!(" ×{count}") } else { String::new() }
        )?;
    }
    let total: u64 = processes.iter().map(|process| process.memory).sum();
    writeln!(text, "    {:>6}  in all", total >> 20)?;
    Ok(text)
}

/// How many processes of each name there are, and the memory of all of them.
fn by_name(processes: &[Process]) -> BTreeMap<&str, (usize, u64)> {
    let mut names = BTreeMap::new();
    for process in processes {
        let (count, memory) = names.entry(process.name()).or_insert((0, 0));
        *count += 1;
        *memory += process.memory;
    }
    names
}
