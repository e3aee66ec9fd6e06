//! Watches ClickHouse during one run: rows that arrive, CPU, memory, parts and merges until it is idle again.

use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use caudal_testbed::clickhouse::ClickHouse;

use crate::parts::DATABASE;
use crate::process;
use crate::sample::Server;

const POLL: Duration = Duration::from_millis(100);
/// A contestant that stores nothing for so long has failed.
const STALLED: Duration = Duration::from_mins(2);
/// Merges that take longer are not waited for.
const SETTLE: Duration = Duration::from_mins(3);
/// The server is idle when for so long nothing merged and no CPU was used.
const QUIET: Duration = Duration::from_millis(1_500);
/// CPU seconds per second above idle that still count as none.
const NEGLIGIBLE: f64 = 0.03;

/// A server that is being watched.
pub struct Watch<'a> {
    clickhouse: &'a ClickHouse,
    pid: u32,
    start: Instant,
    cpu: f64,
    /// CPU seconds per second of an idle server that is asked as often as we ask it.
    idle: f64,
    merges: Merges,
}

/// All rows are there.
#[derive(Clone, Copy, Debug)]
pub struct Stored {
    pub wall_seconds: f64,
    /// Without what it uses when idle.
    pub cpu_seconds: f64,
}

#[derive(Clone, Copy, Debug)]
struct Merges {
    count: u64,
    rows: u64,
}

impl<'a> Watch<'a> {
    /// Waits until the server is idle, and begins.
    pub fn begin(clickhouse: &'a ClickHouse) -> anyhow::Result<Self> {
        let pid = clickhouse.pid().context("ClickHouse runs")?;
        let idle = measure_idle(clickhouse, pid)?;
        process::reset_peak(pid)?;
        Ok(Self {
            clickhouse,
            pid,
            idle,
            merges: merges(clickhouse)?,
            cpu: process::cpu_seconds(pid)?,
            start: Instant::now(),
        })
    }

    /// Waits until `table` holds `rows` rows; `check` fails when the contestant has.
    pub fn wait_for_rows(
        &self,
        table: &str,
        rows: u64,
        mut check: impl FnMut() -> anyhow::Result<()>,
    ) -> anyhow::Result<Stored> {
        let (mut last, mut progress) = (0, Instant::now());
        loop {
            check()?;
            let stored = count(self.clickhouse, table)?;
            ensure!(stored <= rows, "{stored} rows of {rows} messages");
            if stored == rows {
                return Ok(Stored {
                    wall_seconds: self.start.elapsed().as_secs_f64(),
                    cpu_seconds: self.used()?,
                });
            }
            if stored > last {
                (last, progress) = (stored, Instant::now());
            }
            if progress.elapsed() > STALLED {
                bail!("{stored} of {rows} rows, and no more for {} s", STALLED.as_secs());
            }
            std::thread::sleep(POLL);
        }
    }

    /// Waits until the server has nothing to do any more, and says what all of it took.
    pub fn settle(self, stored: Stored) -> anyhow::Result<Server> {
        let deadline = Instant::now() + SETTLE;
        let (mut since, mut before, mut at_last_sign) = (Instant::now(), self.used()?, self.used()?);
        while since.elapsed() < QUIET && Instant::now() < deadline {
            std::thread::sleep(POLL);
            let (busy, now) = (busy(self.clickhouse)?, self.used()?);
            if busy || now - before > NEGLIGIBLE * POLL.as_secs_f64() * 3.0 {
                (since, at_last_sign) = (Instant::now(), now);
            }
            before = now;
        }
        let (merges, [parts, parts_left]) = (merges(self.clickhouse)?, parts(self.clickhouse)?);
        Ok(Server {
            cpu_seconds: stored.cpu_seconds,
            settled_cpu_seconds: at_last_sign.max(stored.cpu_seconds),
            peak_bytes: process::memory(self.pid, true)?,
            parts,
            parts_left,
            merges: merges.count - self.merges.count,
            merged_rows: merges.rows - self.merges.rows,
        })
    }

    fn used(&self) -> anyhow::Result<f64> {
        Ok(process::cpu_seconds(self.pid)? - self.cpu - self.idle * self.start.elapsed().as_secs_f64())
    }
}

/// Rows of a table of the contestant.
pub fn count(clickhouse: &ClickHouse, table: &str) -> anyhow::Result<u64> {
    Ok(clickhouse.query(&format!("SELECT count() FROM {DATABASE}.{table}"))?.trim().parse()?)
}

/// The lower of two seconds, of which at least one was without work of an earlier run.
fn measure_idle(clickhouse: &ClickHouse, pid: u32) -> anyhow::Result<f64> {
    let deadline = Instant::now() + SETTLE;
    let mut last = f64::INFINITY;
    loop {
        let (start, cpu, mut was_busy) = (Instant::now(), process::cpu_seconds(pid)?, false);
        while start.elapsed() < Duration::from_secs(1) {
            was_busy |= busy(clickhouse)?;
            std::thread::sleep(POLL);
        }
        let now = (process::cpu_seconds(pid)? - cpu) / start.elapsed().as_secs_f64();
        if !was_busy && (now - last).abs() < NEGLIGIBLE {
            return Ok(now.min(last));
        }
        ensure!(
            Instant::now() < deadline,
            "ClickHouse does not become idle: {now:.2} CPU-seconds per second"
        );
        last = if was_busy { f64::INFINITY } else { now };
    }
}

fn busy(clickhouse: &ClickHouse) -> anyhow::Result<bool> {
    let busy = clickhouse.query(
        "SELECT (SELECT count() FROM system.merges) + (SELECT count() FROM system.mutations WHERE NOT is_done)",
    )?;
    Ok(busy.trim() != "0")
}

fn merges(clickhouse: &ClickHouse) -> anyhow::Result<Merges> {
    let answer = clickhouse.query(
        "SELECT sumIf(value, event = 'Merge'), sumIf(value, event = 'MergedRows') FROM system.events",
    )?;
    let (count, rows) = answer.trim().split_once('\t').context("two numbers")?;
    Ok(Merges { count: count.parse()?, rows: rows.parse()? })
}

/// How many parts inserts made, and how many there are. Every insert takes the next block number of its table.
fn parts(clickhouse: &ClickHouse) -> anyhow::Result<[u64; 2]> {
    let answer = clickhouse.query(&format!(
        "SELECT sum(made), sum(there) FROM (SELECT max(max_block_number) AS made, countIf(active) AS there
         FROM system.parts WHERE database = '{DATABASE}' GROUP BY table)"
    ))?;
    let (made, there) = answer.trim().split_once('\t').context("two numbers")?;
    Ok([made.parse()?, there.parse()?])
}
