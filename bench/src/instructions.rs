//! Machine instructions per row, from message to sealed block, counted by valgrind: the same on every run, whatever
//! else the machine does. What noise cannot hide, a test can hold.

use std::process::Command;

use anyhow::{Context, bail, ensure};
use caudal_ingestor::block::{Columns, Layout, RowId};
use caudal_ingestor::decode::Decoder;
use caudal_model::resource::UnknownFields;

use crate::records::Workload;
use crate::table::Table;

/// Records of a pass.
const ROWS: u64 = 1_000;

/// What a row may cost; more by a tenth is a regression. Builds of `release` and of `dev` (what tests run) differ.
fn budget(workload: Workload, nested: bool) -> u64 {
    match (workload, nested, cfg!(debug_assertions)) {
        (Workload::Flat, false, false) => 3_000,
        (Workload::Flat, true, false) => 3_300,
        (Workload::Wide, _, false) => 8_500,
        (Workload::Flat, false, true) => 4_600,
        (Workload::Flat, true, true) => 5_000,
        (Workload::Wide, _, true) => 13_000,
    }
}

/// Counts, prints, and fails when a row has become dearer.
pub fn run(workloads: &[Workload]) -> anyhow::Result<()> {
    let mut table = Table::new(&["decode and seal", "instructions per row", "budget", "ratio"]);
    let mut exceeded = false;
    let nested = workloads.contains(&Workload::Flat).then_some((Workload::Flat, true));
    for (workload, nested) in workloads.iter().map(|&one| (one, false)).chain(nested) {
        let passes = |passes: u64| count(workload, nested, passes);
        let per_row = (passes(3)? - passes(1)?) / (2 * ROWS);
        let budget = budget(workload, nested);
        let name = format!("{}{}", workload.name(), if nested { ", nested" } else { "" });
        exceeded |= per_row * 10 > budget * 11;
        #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^52")]
        let ratio = per_row as f64 / budget as f64;
        table.row([name, per_row.to_string(), budget.to_string(), format!("{ratio:.2}")]);
    }
    table.print();
    ensure!(!exceeded, "decoding costs over a tenth more instructions than its budget");
    Ok(())
}

/// Instructions of a process that decodes so many passes.
fn count(workload: Workload, nested: bool, passes: u64) -> anyhow::Result<u64> {
    let program = std::env::current_exe()?;
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(program)
        .args(["decode", "--workload", workload.name(), &passes.to_string()])
        .args(nested.then_some("--nested"))
        .output()
        .context("run valgrind (apt-get install valgrind)")?;
    let told = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        bail!("count the instructions of {}: {told}", workload.name());
    }
    let collected = told.lines().find_map(|line| line.split_once("Collected : "));
    let (_, count) = collected.with_context(|| format!("valgrind tells no count: {told}"))?;
    count.trim().parse().with_context(|| format!("read the count {count:?}"))
}

/// What is counted: the same records again and again, each pass into one block.
pub fn decode(workload: Workload, nested: bool, passes: u64) -> anyhow::Result<()> {
    let mut messages: Vec<Vec<u8>> = (0..ROWS).filter_map(|id| workload.record(id).value).collect();
    let mut fields = workload.fields();
    if nested {
        messages = messages.into_iter().map(nest).collect::<Result<_, _>>()?;
        for field in &mut fields {
            field.path = path(&field.name);
        }
    }
    let layout = Layout::new(&fields);
    let mut decoder = Decoder::new(&fields, UnknownFields::Ignore, 1 << 20)?;
    let mut columns = Columns::new(&layout);
    for _ in 0..passes {
        for (offset, message) in (0..).zip(&messages) {
            let id = RowId { offset, timestamp_ms: 1_795_352_400_000 };
            let outcome = decoder.decode(&mut columns, message, id);
            outcome.map_err(|reject| anyhow::anyhow!("record {offset}: {reject:?}"))?;
        }
        let block = columns.seal(&layout, 1, 0);
        ensure!(block.rows() == messages.len(), "a row of {} was lost", workload.name());
        columns.reuse(block.into_buffers());
    }
    Ok(())
}

/// A flat record with most of its members in objects, one in the other.
fn nest(message: Vec<u8>) -> anyhow::Result<Vec<u8>> {
    let text = String::from_utf8(message)?;
    let ways = [
        (r#","country":"#, r#","event":{"country":"#),
        (r#","n":"#, r#","detail":{"n":"#),
        (r#","price":"#, r#"},"price":"#),
        (r#","text":"#, r#"},"text":"#),
    ];
    Ok(ways.iter().fold(text, |text, (flat, nested)| text.replace(flat, nested)).into_bytes())
}

/// Where [`nest`] puts a member.
fn path(name: &str) -> Vec<String> {
    let objects: &[&str] = match name {
        "country" | "user" | "value" | "price" => &["event"],
        "n" | "ok" | "ref" => &["event", "detail"],
        _ => &[],
    };
    objects.iter().chain([&name]).map(|key| (*key).to_owned()).collect()
}
