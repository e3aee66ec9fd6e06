//! The ingestor: the same topic, all of it, into a table, exactly once.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use caudal_testbed::clickhouse::ClickHouse;
use caudal_testbed::kafka::Kafka;

use crate::parts::{self, Sample};
use crate::process;

/// Ends the program with the measurement.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself, and then there is nothing to end.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The ingestor's sample, and the CPU seconds that ClickHouse spent meanwhile.
pub fn measure(
    kafka: &Kafka,
    clickhouse: &ClickHouse,
    topic: &str,
    table: &str,
    messages: u64,
) -> anyhow::Result<(Sample, f64)> {
    let plan = parts::plan(kafka, clickhouse, topic, table)?;
    let folder = tempfile::tempdir()?;
    parts::write_mounts(&plan, folder.path())?;
    let server = clickhouse.pid().context("ClickHouse runs")?;
    let server_before = process::cpu_seconds(server)?;
    let start = Instant::now();
    let mut running = Running(spawn("caudal-ingestor", folder.path())?);
    let pid = running.0.id();
    loop {
        if let Some(status) = running.0.try_wait()? {
            anyhow::bail!("the ingestor ended: {status}");
        }
        let stored: u64 = clickhouse.query(&format!("SELECT count() FROM bench.{table}"))?.trim().parse()?;
        ensure!(stored <= messages, "{stored} rows of {messages} messages");
        if stored == messages {
            break;
        }
        ensure!(start.elapsed() < Duration::from_secs(300), "{stored} of {messages} rows after five minutes");
        std::thread::sleep(Duration::from_millis(100));
    }
    let sample = Sample {
        rows: messages,
        cpu_seconds: process::cpu_seconds(pid)?,
        wall_seconds: start.elapsed().as_secs_f64(),
        peak_bytes: process::memory(pid, true)?,
    };
    Ok((sample, process::cpu_seconds(server)? - server_before))
}

/// One of our programs, built beside this one.
fn spawn(program: &str, mounts: &std::path::Path) -> anyhow::Result<Child> {
    let path = std::env::current_exe()?.with_file_name(program);
    Command::new(&path)
        .arg("--plan")
        .arg(mounts.join("plan.json"))
        .arg("--credentials")
        .arg(mounts)
        .args(["--admin-address", "127.0.0.1:0"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .with_context(|| format!("run {}", path.display()))
}
