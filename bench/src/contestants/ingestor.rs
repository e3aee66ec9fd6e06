//! The ingestor: the real binary, beside this one.

use std::path::Path;

use crate::parts::{self, Stage, Topic, Tuning};
use crate::process::{self, Running};
use crate::sample::{Sample, Used};
use crate::server::Watch;

/// Some ingestors of one pipeline.
pub struct Ingestors {
    running: Vec<Running>,
    _mounts: tempfile::TempDir,
}

impl Ingestors {
    pub fn start(
        stage: &Stage,
        topic: &Topic,
        table: &str,
        tuning: Tuning,
        processes: usize,
    ) -> anyhow::Result<Self> {
        let mounts = tempfile::tempdir()?;
        parts::write_mounts(&stage.plan(topic, table, tuning)?, mounts.path())?;
        let running = (0..processes).map(|_| start(mounts.path())).collect::<Result<_, _>>()?;
        Ok(Self { running, _mounts: mounts })
    }

    pub fn check_runs(&mut self) -> anyhow::Result<()> {
        self.running.iter_mut().try_for_each(Running::check_runs)
    }

    fn used(&self) -> anyhow::Result<Used> {
        self.running.iter().try_fold(Used::default(), |sum, one| {
            Ok(Used {
                cpu_seconds: sum.cpu_seconds + process::cpu_seconds(one.pid())?,
                peak_bytes: sum.peak_bytes.max(process::memory(one.pid(), true)?),
            })
        })
    }
}

fn start(mounts: &Path) -> anyhow::Result<Running> {
    let mounts = mounts.to_string_lossy();
    let plan = format!("{mounts}/plan.json");
    let arguments =
        ["--plan", &plan, "--credentials", &mounts, "--admin-address", "127.0.0.1:0", "--log-format", "text"];
    Running::start("caudal-ingestor", &arguments)
}

pub fn measure(stage: &Stage, topic: &Topic, tuning: Tuning, processes: usize) -> anyhow::Result<Sample> {
    let table = stage.table(topic.workload)?;
    let watch = Watch::begin(&stage.clickhouse)?;
    let mut ingestors = Ingestors::start(stage, topic, &table, tuning, processes)?;
    let stored = watch.wait_for_rows(&table, topic.messages, || ingestors.check_runs())?;
    // Ledger and last commits come after the rows.
    let server = watch.settle(stored)?;
    Ok(Sample {
        rows: topic.messages,
        wall_seconds: stored.wall_seconds,
        consumer: Some(ingestors.used()?),
        server: Some(server),
    })
}
