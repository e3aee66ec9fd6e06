//! The ingestor's throughput under memory limits, beside what it took.

use serde::Serialize;

use crate::compare::mebibytes;
use crate::contestants::ingestor;
use crate::parts::{PARTITIONS, Stage, Tuning};
use crate::records::Workload;
use crate::sample::{self, Sample, median_of};
use crate::table::Table;

const LIMITS_MIB: [u64; 3] = [128, 256, 512];

#[derive(Serialize)]
struct UnderLimit {
    workload: Workload,
    limit_mib: u64,
    samples: Vec<Sample>,
}

pub fn run(workloads: &[Workload], messages: u64, runs: usize) -> anyhow::Result<()> {
    let stage = Stage::start()?;
    let mut all = Vec::new();
    for &workload in workloads {
        println!("memory limits with {}; {messages} messages", workload.title());
        let topic = stage.topic(workload, messages, PARTITIONS)?;
        for limit_mib in LIMITS_MIB {
            let tuning = Tuning::under(limit_mib << 20);
            let samples = (0..runs)
                .map(|_| ingestor::measure(&stage, &topic, tuning, 1))
                .collect::<Result<Vec<_>, _>>()?;
            all.push(UnderLimit { workload, limit_mib, samples });
        }
        stage.drop_topic(&topic)?;
    }
    sample::keep("memory-limits", &all)?;
    let mut table =
        Table::new(&["workload", "limit MiB", "highest peak MiB", "rows/s", "rows per CPU-s, all", "parts"]);
    for UnderLimit { workload, limit_mib, samples } in &all {
        let peak = samples.iter().map(|sample| sample.consumer.unwrap_or_default().peak_bytes).max();
        let parts = samples.iter().map(|sample| sample.server.unwrap_or_default().parts).max();
        table.row([
            workload.name().into(),
            limit_mib.to_string(),
            format!("{:.0}", mebibytes(peak.unwrap_or_default())),
            format!("{:.0}", median_of(samples, Sample::throughput)),
            format!("{:.0}", median_of(samples, Sample::rate)),
            parts.unwrap_or_default().to_string(),
        ]);
    }
    table.print();
    Ok(())
}
