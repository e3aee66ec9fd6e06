//! What a run measured → rates, medians and the file of raw figures.

use std::path::PathBuf;

use anyhow::Context;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::machine;

/// What one consuming process used.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Used {
    pub cpu_seconds: f64,
    pub peak_bytes: u64,
}

/// What ClickHouse used meanwhile.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Server {
    /// Until the last row was visible, without what it uses when idle.
    pub cpu_seconds: f64,
    /// Until it was idle again, merges included.
    pub settled_cpu_seconds: f64,
    pub peak_bytes: u64,
    /// Parts that inserts made, in all tables of the contestant.
    pub parts: u64,
    pub parts_left: u64,
    pub merges: u64,
    pub merged_rows: u64,
}

/// One run of one contestant.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Sample {
    pub rows: u64,
    /// Until the last row was visible.
    pub wall_seconds: f64,
    /// Several processes are added up; the peak is the largest one's. Absent when ClickHouse itself consumes.
    pub consumer: Option<Used>,
    /// Absent when nothing is stored.
    pub server: Option<Server>,
}

impl Sample {
    pub fn consumer_cpu(&self) -> f64 {
        self.consumer.map_or(0.0, |used| used.cpu_seconds)
    }

    pub fn server_cpu(&self) -> f64 {
        self.server.map_or(0.0, |server| server.settled_cpu_seconds)
    }

    /// Rows per CPU-second, consumer and server until idle.
    pub fn rate(&self) -> f64 {
        self.rows_f64() / (self.consumer_cpu() + self.server_cpu())
    }

    /// Rows per second of wall time.
    pub fn throughput(&self) -> f64 {
        self.rows_f64() / self.wall_seconds
    }

    /// Microseconds per row.
    pub fn per_row(&self, cpu_seconds: f64) -> f64 {
        cpu_seconds * 1e6 / self.rows_f64()
    }

    #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^52")]
    fn rows_f64(&self) -> f64 {
        self.rows as f64
    }
}

pub fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => f64::NAN,
        count if count % 2 == 1 => values[count / 2],
        count => f64::midpoint(values[count / 2 - 1], values[count / 2]),
    }
}

/// The median of one figure over several runs.
pub fn median_of(samples: &[Sample], figure: impl Fn(&Sample) -> f64) -> f64 {
    median(samples.iter().map(figure))
}

/// Keeps raw figures as `target/bench/<name>.json`, with the machine they are from.
pub fn keep(name: &str, figures: &impl Serialize) -> anyhow::Result<()> {
    let folder: PathBuf = std::env::current_exe()?
        .ancestors()
        .nth(2)
        .context("the program lies in the target folder")?
        .join("bench");
    std::fs::create_dir_all(&folder).with_context(|| format!("make {}", folder.display()))?;
    let path = folder.join(format!("{name}.json"));
    let text = serde_json::to_string_pretty(&json!({"machine": machine::describe(), "figures": figures}))?;
    std::fs::write(&path, text).with_context(|| format!("write {}", path.display()))?;
    println!("raw figures: {}\n", path.display());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_or_between_the_two_middles() {
        assert!((median([3.0, 1.0, 2.0].into_iter()) - 2.0).abs() < f64::EPSILON);
        assert!((median([4.0, 1.0, 2.0, 3.0].into_iter()) - 2.5).abs() < f64::EPSILON);
        assert!(median(std::iter::empty()).is_nan());
    }

    #[test]
    fn a_rate_counts_consumer_and_server_until_idle() {
        let sample = Sample {
            rows: 300,
            wall_seconds: 2.0,
            consumer: Some(Used { cpu_seconds: 1.0, peak_bytes: 0 }),
            server: Some(Server { cpu_seconds: 1.0, settled_cpu_seconds: 2.0, ..Server::default() }),
        };
        assert!((sample.rate() - 100.0).abs() < 1e-9);
        assert!((sample.throughput() - 150.0).abs() < 1e-9);
    }
}
