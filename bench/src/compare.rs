//! The main table: everybody brings the same topic into equal tables of the same ClickHouse.

use crate::contestants::{Blocks, Contestant};
use crate::parts::{PARTITIONS, Stage};
use crate::records::Workload;
use crate::sample::{self, Sample, median_of};
use crate::table::Table;

pub fn run(workload: Workload, messages: u64, runs: usize, only: &[Contestant]) -> anyhow::Result<()> {
    let stage = Stage::start()?;
    println!("{}; {messages} messages in {PARTITIONS} partitions; median of {runs}", workload.title());
    let topic = stage.topic(workload, messages, PARTITIONS)?;
    let blocks =
        only.contains(&Contestant::Limit).then(|| Blocks::prepare(&stage, workload, messages)).transpose()?;
    let mut results: Vec<(Contestant, Vec<Sample>)> = only.iter().map(|one| (*one, Vec::new())).collect();
    for run in 1..=runs {
        for (contestant, samples) in &mut results {
            let sample = contestant.measure(&stage, &topic, blocks.as_ref())?;
            println!("run {run}: {:<34} {:>9.0} rows per CPU-second", contestant.title(), sample.rate());
            samples.push(sample);
        }
    }
    let raw: Vec<_> = results.iter().map(|(one, samples)| (one.title(), samples)).collect();
    sample::keep(&format!("compare-{}", workload.name()), &raw)?;
    print(&results);
    Ok(())
}

fn print(results: &[(Contestant, Vec<Sample>)]) {
    let first = results.first().map_or(f64::NAN, |(_, samples)| median_of(samples, Sample::rate));
    let mut table = Table::new(&[
        "",
        "rows per CPU-s, all",
        "ratio",
        "consumer µs/row",
        "server µs/row",
        "rows/s",
        "consumer MiB",
        "server MiB",
        "parts",
        "merged rows",
    ]);
    for (contestant, samples) in results {
        let rate = median_of(samples, Sample::rate);
        let consumer = samples.iter().all(|sample| sample.consumer.is_some());
        let server = samples.iter().all(|sample| sample.server.is_some());
        let of = |shown: bool, decimals: usize, figure: &dyn Fn(&Sample) -> f64| {
            if shown { format!("{:.decimals$}", median_of(samples, figure)) } else { "–".into() }
        };
        table.row([
            contestant.title().into(),
            format!("{rate:.0}"),
            format!("{:.2}", rate / first),
            of(consumer, 3, &|sample| sample.per_row(sample.consumer_cpu())),
            of(server, 3, &|sample| sample.per_row(sample.server_cpu())),
            of(true, 0, &Sample::throughput),
            of(consumer, 0, &|sample| mebibytes(sample.consumer.unwrap_or_default().peak_bytes)),
            of(server, 0, &|sample| mebibytes(sample.server.unwrap_or_default().peak_bytes)),
            of(server, 0, &|sample| count(sample.server.unwrap_or_default().parts)),
            of(server, 0, &|sample| count(sample.server.unwrap_or_default().merged_rows)),
        ]);
    }
    table.print();
}

pub fn mebibytes(bytes: u64) -> f64 {
    count(bytes) / f64::from(1 << 20)
}

#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^52")]
fn count(number: u64) -> f64 {
    number as f64
}
