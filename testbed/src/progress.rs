//! Long work → lines that tell a person what goes on, at least one a minute.

use std::fs::File;
use std::io::{Read as _, Seek as _};
use std::process::{Command, ExitStatus};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

use crate::process::{Group, Keeper};

const HEARTBEAT: Duration = Duration::from_secs(30);
const TAIL: usize = 4000;

/// Prints one line with the time since the first one.
pub fn say(line: impl std::fmt::Display) {
    static START: OnceLock<Instant> = OnceLock::new();
    let seconds = START.get_or_init(Instant::now).elapsed().as_secs();
    eprintln!("[{:>2}:{:02}] {line}", seconds / 60, seconds % 60);
}

/// Tells that `what` still goes on, whenever asked after half a minute more.
pub struct Heartbeat<'a> {
    what: &'a str,
    start: Instant,
    beats: u32,
}

impl<'a> Heartbeat<'a> {
    pub fn new(what: &'a str) -> Self {
        Self { what, start: Instant::now(), beats: 1 }
    }

    pub fn beat(&mut self) {
        let elapsed = self.start.elapsed();
        if elapsed >= HEARTBEAT * self.beats {
            self.beats += 1;
            say(format_args!("{} … {} s", self.what, elapsed.as_secs()));
        }
    }
}

/// Runs a command to its end, telling that it does, and gives what it printed.
/// `what` is an act and its object ("compile Kubernetes"); an error carries the
/// end of the output. The command ends with the keeper's owner.
pub(crate) fn run(what: &str, command: &mut Command, keeper: &Arc<Keeper>) -> anyhow::Result<String> {
    say(what);
    let (mut output, mut errors) = (tempfile::tempfile()?, tempfile::tempfile()?);
    command.stdout(output.try_clone()?).stderr(errors.try_clone()?);
    let status = finish(what, command, keeper)?;
    let output = read(&mut output).with_context(|| format!("{what}: read its output"))?;
    if status.success() {
        return Ok(output);
    }
    let errors = read(&mut errors).with_context(|| format!("{what}: read its errors"))?;
    bail!("{what}: {status}\n{}\n{}", tail(&output), tail(&errors))
}

fn read(file: &mut File) -> std::io::Result<String> {
    let mut bytes = Vec::new();
    file.rewind()?;
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn finish(what: &str, command: &mut Command, keeper: &Arc<Keeper>) -> anyhow::Result<ExitStatus> {
    let program = command.get_program().to_string_lossy().into_owned();
    let mut group = Group::start(command, keeper).with_context(|| format!("{what}: start {program}"))?;
    let mut heartbeat = Heartbeat::new(what);
    loop {
        if let Some(status) = group.ended()? {
            return Ok(status);
        }
        heartbeat.beat();
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// The last lines of a text, as much as an error should carry.
pub fn tail(text: &str) -> &str {
    let mut start = text.len().saturating_sub(TAIL);
    while !text.is_char_boundary(start) {
        start += 1;
    }
    text[start..].trim()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_the_act_and_shows_the_output() {
        let keeper = Arc::new(Keeper::of_processes().unwrap());
        let mut shell = Command::new("sh");
        let error = run("build it", shell.args(["-c", "echo no disk >&2; exit 3"]), &keeper).unwrap_err();
        assert_eq!(error.to_string(), "build it: exit status: 3\n\nno disk");
        let missing = run("build it", &mut Command::new("no-such-tool"), &keeper).unwrap_err();
        assert_eq!(missing.to_string(), "build it: start no-such-tool");
    }

    #[test]
    fn a_tail_is_cut_at_characters() {
        let text = "é".repeat(TAIL);
        assert_eq!(tail(&text).len(), TAIL);
        assert_eq!(tail(&text[..2]), "é");
    }
}
