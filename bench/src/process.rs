//! A process → the CPU time and memory it used; programs of ours that end with a measurement.

use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, bail};
use nix::sys::time::TimeValLike;
use nix::time::{ClockId, clock_getcpuclockid};
use nix::unistd::Pid;

/// CPU seconds (user and system) of process `pid` and all its threads so far, ended ones included.
pub fn cpu_seconds(pid: u32) -> anyhow::Result<f64> {
    let read = || -> nix::Result<_> { clock_getcpuclockid(Pid::from_raw(pid.cast_signed()))?.now() };
    let spent = read().with_context(|| format!("read the CPU time of process {pid}"))?;
    #[expect(clippy::cast_precision_loss, reason = "a measurement")]
    Ok(spent.num_nanoseconds() as f64 / 1e9)
}

/// CPU seconds of this process.
pub fn own_cpu_seconds() -> anyhow::Result<f64> {
    let spent = ClockId::CLOCK_PROCESS_CPUTIME_ID.now().context("read the CPU time of this process")?;
    #[expect(clippy::cast_precision_loss, reason = "a measurement")]
    Ok(spent.num_nanoseconds() as f64 / 1e9)
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

/// Lets the highest resident memory of process `pid` begin anew.
pub fn reset_peak(pid: u32) -> anyhow::Result<()> {
    let path = format!("/proc/{pid}/clear_refs");
    std::fs::write(&path, "5").with_context(|| format!("write {path}"))
}

/// A program that ends with the measurement.
pub struct Running {
    child: Child,
    name: String,
    output: tempfile::NamedTempFile,
}

impl Running {
    /// One of our programs, built beside this one.
    pub fn start(program: &str, arguments: &[&str]) -> anyhow::Result<Self> {
        let path = std::env::current_exe()?.with_file_name(program);
        Self::spawn(&path, arguments)
    }

    /// This program, as something else.
    pub fn own(arguments: &[&str]) -> anyhow::Result<Self> {
        Self::spawn(&std::env::current_exe()?, arguments)
    }

    fn spawn(path: &Path, arguments: &[&str]) -> anyhow::Result<Self> {
        let output = tempfile::NamedTempFile::new()?;
        let errors = File::options().append(true).open(output.path())?;
        let child = Command::new(path)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(errors.try_clone()?)
            .stderr(errors)
            .spawn()
            .with_context(|| format!("run {}", path.display()))?;
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Self { child, name, output })
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it printed so far.
    pub fn printed(&self) -> anyhow::Result<String> {
        std::fs::read_to_string(self.output.path()).context("read what a program printed")
    }

    /// Fails if it has ended.
    pub fn check_runs(&mut self) -> anyhow::Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => bail!("{} ended: {status}\n{}", self.name, self.last_printed()),
        }
    }

    /// Fails if it has ended badly.
    pub fn check_not_failed(&mut self) -> anyhow::Result<()> {
        match self.child.try_wait()? {
            Some(status) if !status.success() => {
                bail!("{} failed: {status}\n{}", self.name, self.last_printed())
            }
            _ => Ok(()),
        }
    }

    /// Waits for its end; its last line is JSON.
    pub fn answer<T: serde::de::DeserializeOwned>(&mut self) -> anyhow::Result<T> {
        self.child.wait()?;
        self.check_not_failed()?;
        let printed = self.printed()?;
        let line = printed.lines().last().with_context(|| format!("{} printed nothing", self.name))?;
        serde_json::from_str(line).with_context(|| format!("read what {} measured: {line}", self.name))
    }

    fn last_printed(&self) -> String {
        let printed = self.printed().unwrap_or_default();
        let lines: Vec<&str> = printed.lines().rev().take(20).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("\n")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself, and then there is nothing to end.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
