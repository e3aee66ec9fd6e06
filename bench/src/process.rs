//! What a process used, from /proc.

use anyhow::Context;

/// CPU seconds (user + system) of process `pid` and its threads so far.
pub fn cpu_seconds(pid: u32) -> anyhow::Result<f64> {
    let path = format!("/proc/{pid}/stat");
    let stat = std::fs::read_to_string(&path).with_context(|| format!("read {path}"))?;
    // Fields 14 and 15, counted behind the parenthesised name, which may hold spaces.
    let rest = stat.rsplit_once(')').context("a stat line names its program")?.1;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let ticks: f64 = fields[11].parse::<f64>()? + fields[12].parse::<f64>()?;
    Ok(ticks / ticks_per_second())
}

fn ticks_per_second() -> f64 {
    // Linux reports these times in USER_HZ, which is 100 on every architecture Caudal runs on.
    100.0
}

/// Resident memory of process `pid` in bytes: now, or at its highest.
pub fn memory(pid: u32, peak: bool) -> anyhow::Result<u64> {
    let path = format!("/proc/{pid}/status");
    let status = std::fs::read_to_string(&path).with_context(|| format!("read {path}"))?;
    let name = if peak { "VmHWM:" } else { "VmRSS:" };
    let line =
        status.lines().find(|line| line.starts_with(name)).with_context(|| format!("{name} in {path}"))?;
    let kibibytes: u64 = line.split_whitespace().nth(1).context("a number")?.parse()?;
    Ok(kibibytes * 1024)
}
