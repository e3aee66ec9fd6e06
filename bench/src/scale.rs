//! What a row costs the ingestor with more messages, more partitions, and in two processes.

use serde::Serialize;

use crate::compare::mebibytes;
use crate::contestants::ingestor;
use crate::parts::{PARTITIONS, Stage, Tuning};
use crate::records::Workload;
use crate::sample::{self, Sample, median_of};
use crate::table::Table;

const SMALL: u64 = 100_000;
const HUGE: u64 = 10_000_000;
const PARTITION_COUNTS: [i32; 5] = [1, 6, 12, 24, 48];

#[derive(Clone, Copy, Serialize)]
struct Case {
    messages: u64,
    partitions: i32,
    processes: usize,
}

#[derive(Serialize)]
struct Result {
    case: Case,
    samples: Vec<Sample>,
}

pub fn run(messages: u64, runs: usize, huge: bool) -> anyhow::Result<()> {
    let stage = Stage::start()?;
    let mut cases = vec![Case { messages: SMALL, partitions: PARTITIONS, processes: 1 }];
    cases.extend(PARTITION_COUNTS.map(|partitions| Case { messages, partitions, processes: 1 }));
    cases.push(Case { messages, partitions: PARTITIONS, processes: 2 });
    if huge {
        cases.push(Case { messages: HUGE, partitions: PARTITIONS, processes: 1 });
    }
    let mut all = Vec::new();
    for case in cases {
        println!(
            "{} flat records, {} partitions, {} processes",
            case.messages, case.partitions, case.processes
        );
        let topic = stage.topic(Workload::Flat, case.messages, case.partitions)?;
        let samples = (0..runs)
            .map(|_| ingestor::measure(&stage, &topic, Tuning::default(), case.processes))
            .collect::<anyhow::Result<Vec<_>>>()?;
        stage.drop_topic(&topic)?;
        all.push(Result { case, samples });
    }
    sample::keep("scale", &all)?;
    print(&all, messages);
    Ok(())
}

fn print(all: &[Result], messages: u64) {
    let reference = all
        .iter()
        .find(|one| (one.case.messages, one.case.partitions, one.case.processes) == (messages, PARTITIONS, 1))
        .map_or(f64::NAN, |one| median_of(&one.samples, Sample::rate));
    let mut table = Table::new(&[
        "messages",
        "partitions",
        "processes",
        "consumer µs/row",
        "server µs/row",
        "rows per CPU-s, all",
        "of the third line's",
        "rows/s",
        "peak MiB",
        "parts",
    ]);
    for Result { case, samples } in all {
        let rate = median_of(samples, Sample::rate);
        let parts = samples.iter().map(|sample| sample.server.unwrap_or_default().parts).max();
        table.row([
            case.messages.to_string(),
            case.partitions.to_string(),
            case.processes.to_string(),
            format!("{:.3}", median_of(samples, |sample| sample.per_row(sample.consumer_cpu()))),
            format!("{:.3}", median_of(samples, |sample| sample.per_row(sample.server_cpu()))),
            format!("{rate:.0}"),
            format!("{:.2}", rate / reference),
            format!("{:.0}", median_of(samples, Sample::throughput)),
            format!(
                "{:.0}",
                median_of(samples, |sample| mebibytes(sample.consumer.unwrap_or_default().peak_bytes))
            ),
            parts.unwrap_or_default().to_string(),
        ]);
    }
    table.print();
}
