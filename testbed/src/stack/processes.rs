//! `/proc` → which processes belong to a stack.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use nix::errno::Errno;
use nix::sys::signal::Signal;
use nix::unistd::Pid;

use crate::wait;

const END: Duration = Duration::from_secs(20);

/// Programs that are started outside of pods. The end of `unshare` ends a node.
const PARTS: [&str; 3] = ["unshare", "java", "clickhouse"];

pub struct Process {
    pub pid: i32,
    pub parent: i32,
    pub arguments: Vec<String>,
    /// Resident memory in bytes.
    pub memory: u64,
}

impl Process {
    /// The name of the program, or of the component of a program with several.
    pub fn name(&self) -> &str {
        let name =
            |index: usize| self.arguments.get(index).map(|path| path.rsplit('/').next().unwrap_or(path));
        match name(0) {
            Some("kubernetes") => name(1),
            other => other,
        }
        .unwrap_or_default()
    }

    /// Whether the command line or the environment has this text.
    pub fn mentions(&self, text: &str) -> bool {
        let environment = || fs::read(format!("/proc/{}/environ", self.pid)).unwrap_or_default();
        self.arguments.iter().any(|argument| argument.contains(text))
            || String::from_utf8_lossy(&environment()).contains(text)
    }
}

/// All processes below one, whatever namespaces they are in.
pub fn descendants(root: u32) -> anyhow::Result<Vec<Process>> {
    let root = i32::try_from(root).context("a process number")?;
    let mut children: HashMap<i32, Vec<Process>> = HashMap::new();
    for process in all()? {
        children.entry(process.parent).or_default().push(process);
    }
    let mut found = children.remove(&root).unwrap_or_default();
    let mut next = 0;
    while let Some(process) = found.get(next) {
        found.extend(children.remove(&process.pid).unwrap_or_default());
        next += 1;
    }
    Ok(found)
}

/// Ends the parts of a stack whose keeper was killed, too: those with one of the
/// stack's folders in their command line. Returns when they have ended.
pub fn kill_parts_in(folders: &[&Path]) -> anyhow::Result<()> {
    let prefixes: Vec<String> = folders.iter().map(|folder| format!("{}/", folder.display())).collect();
    let mentions = |process: &Process| {
        process.arguments.iter().any(|argument| prefixes.iter().any(|prefix| argument.contains(prefix)))
    };
    wait::until("the parts of a dead stack to end", END, || {
        let all = all()?.into_iter();
        let parts: Vec<Process> =
            all.filter(|process| PARTS.contains(&process.name()) && mentions(process)).collect();
        parts.iter().try_for_each(|process| kill(process.pid))?;
        Ok(parts.is_empty().then_some(()))
    })
}

/// Ends a supervisor, if it is one still.
pub fn kill_supervisor(pid: u32) -> anyhow::Result<()> {
    let pid = i32::try_from(pid).context("a process number")?;
    let is_supervisor =
        |process: &Process| process.arguments.get(1).is_some_and(|argument| argument == "supervise");
    if read(pid).is_some_and(|process| is_supervisor(&process)) { kill(pid) } else { Ok(()) }
}

/// A process that has ended by itself is no error.
fn kill(pid: i32) -> anyhow::Result<()> {
    match nix::sys::signal::kill(Pid::from_raw(pid), Signal::SIGKILL) {
        Ok(()) | Err(Errno::ESRCH) => Ok(()),
        Err(error) => Err(error).with_context(|| format!("end process {pid}")),
    }
}

fn all() -> anyhow::Result<Vec<Process>> {
    let entries = fs::read_dir("/proc").context("list processes")?;
    let numbers = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    // A process that has ended meanwhile is none of ours.
    Ok(numbers.filter_map(read).collect())
}

fn read(pid: i32) -> Option<Process> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    let arguments = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let arguments = String::from_utf8_lossy(&arguments);
    let kibibytes = field("VmRSS:").and_then(|text| text.split(' ').next()?.parse::<u64>().ok());
    Some(Process {
        pid,
        parent: field("PPid:")?.parse().ok()?,
        arguments: arguments.split_terminator('\0').map(ToOwned::to_owned).collect(),
        memory: kibibytes.unwrap_or(0) << 10,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_a_child_by_its_parent_and_its_arguments() {
        let mut child = std::process::Command::new("sleep").arg("30").spawn().unwrap();
        let found = descendants(std::process::id()).unwrap();
        let found = found.iter().find(|process| process.pid.unsigned_abs() == child.id()).unwrap();
        wait::until("sleep to be sleep", Duration::from_secs(5), || {
            Ok(read(found.pid).filter(|process| process.name() == "sleep"))
        })
        .unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
