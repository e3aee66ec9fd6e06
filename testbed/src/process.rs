//! A folder and commands → processes that end, and a folder that goes, with
//! this process: however it ends.
//!
//! A [`Keeper`] is a small shell in a session of its own that waits for the end
//! of a pipe whose other end is here. The kernel closes that end even when this
//! process is killed, and the shell then kills the process groups it was told
//! of and removes the folder. Each child tells its group itself, between fork
//! and exec, so that there is no moment in which a child is unknown. (The
//! kernel's own way, PR_SET_PDEATHSIG, depends on the *thread* that forked, and
//! would not remove folders.)

use std::fs::File;
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context as _;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use crate::progress;

/// Reads "started GROUP" and "ended GROUP"; the arguments are what to remove.
/// A cgroup's folders go only once the processes in it have gone.
const SCRIPT: &str = r#"
trap '' HUP INT TERM QUIT
groups=' '
while read -r act group; do
  case $act in
    started) groups="$groups$group " ;;
    ended) groups="${groups%% $group *} ${groups#* $group }" ;;
  esac
done
for group in $groups; do kill -s KILL -- "-$group" 2>/dev/null; done
remove() {
  case $1 in
    /sys/fs/cgroup/*) find "$1" -depth -type d -exec rmdir {} \; ;;
    *) rm -rf -- "$1" ;;
  esac
}
for path; do
  for try in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
    remove "$path"
    [ -e "$path" ] || break
    sleep 0.2
  done
done
"#;

pub struct Keeper {
    shell: Mutex<Child>,
    /// `None` only while dropping.
    pipe: Option<OwnedFd>,
}

impl Keeper {
    /// Keeps one folder.
    pub fn start(folder: &Path) -> anyhow::Result<Self> {
        Self::start_with(&[folder.to_owned()], Stdio::null())
    }

    /// Keeps processes only.
    pub fn of_processes() -> anyhow::Result<Self> {
        Self::start_with(&[], Stdio::null())
    }

    /// Keeps folders and cgroups. `held` stays open until all are removed: a
    /// locked file stays locked.
    pub fn start_with(paths: &[PathBuf], held: Stdio) -> anyhow::Result<Self> {
        let mut shell = Command::new("sh")
            .args(["-c", SCRIPT, "caudal-testbed-keeper"])
            .args(paths)
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(held)
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .context("start the keeper of temporary folders")?;
        let pipe = shell.stdin.take().map(OwnedFd::from);
        Ok(Self { shell: Mutex::new(shell), pipe })
    }

    fn tell_ended(&self, group: u32) {
        if let Some(pipe) = &self.pipe {
            let told = pipe.try_clone().map(File::from).and_then(|mut pipe| writeln!(pipe, "ended {group}"));
            // Without its keeper a child still ends when its owner drops it.
            drop(told);
        }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.pipe = None;
        let shell = self.shell.get_mut().unwrap_or_else(PoisonError::into_inner);
        drop(shell.wait());
    }
}

/// A child in a process group of its own, which ends with this value.
pub struct Group {
    child: Child,
    keeper: Arc<Keeper>,
}

impl Group {
    /// Starts `command`, whose outputs the caller has arranged, without an input.
    pub fn start(command: &mut Command, keeper: &Arc<Keeper>) -> io::Result<Self> {
        let pipe = keeper.pipe.as_ref().map(OwnedFd::as_raw_fd);
        let pipe = pipe.ok_or_else(|| io::Error::other("the keeper is gone"))?;
        command.stdin(Stdio::null()).process_group(0);
        // SAFETY: between fork and exec only async-signal-safe calls may be
        // made. This formats a number into the stack and calls getpid and write.
        unsafe { command.pre_exec(move || tell_started(pipe)) };
        Ok(Self { child: command.spawn()?, keeper: Arc::clone(keeper) })
    }

    pub fn ended(&mut self) -> io::Result<Option<ExitStatus>> {
        self.child.try_wait()
    }

    fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        let group = i32::try_from(self.child.id()).context("a process number")?;
        Ok(killpg(Pid::from_raw(group), signal)?)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // The group may be gone already; nothing can be done about the rest.
        drop(self.signal(Signal::SIGKILL));
        drop(self.child.wait());
        self.keeper.tell_ended(self.child.id());
    }
}

/// A running part: its process group, its output in a file.
pub struct Process {
    name: String,
    group: Group,
    log: PathBuf,
    /// Where this run's output starts in the log.
    log_start: u64,
}

impl Process {
    /// Starts `command`, appending its output to `log`.
    pub fn start(
        name: &str,
        command: &mut Command,
        log: &Path,
        keeper: &Arc<Keeper>,
    ) -> anyhow::Result<Self> {
        let mut output = File::options()
            .create(true)
            .append(true)
            .open(log)
            .with_context(|| format!("open {}", log.display()))?;
        let log_start = output.seek(io::SeekFrom::End(0))?;
        command.stdout(output.try_clone()?).stderr(output);
        let group = Group::start(command, keeper).with_context(|| format!("start {name}"))?;
        Ok(Self { name: name.to_owned(), group, log: log.to_owned(), log_start })
    }

    pub fn pid(&self) -> u32 {
        self.group.child.id()
    }

    /// Signals the whole process group.
    pub fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        self.group.signal(signal).with_context(|| format!("send {signal} to {}", self.name))
    }

    pub fn ended(&mut self) -> anyhow::Result<Option<ExitStatus>> {
        Ok(self.group.ended()?)
    }

    /// What this run wrote so far.
    pub fn output(&self) -> anyhow::Result<String> {
        let mut file = File::open(&self.log).with_context(|| format!("open {}", self.log.display()))?;
        file.seek(io::SeekFrom::Start(self.log_start))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// An error with the end of the output when the process has ended.
    pub fn check_runs(&mut self) -> anyhow::Result<()> {
        if let Some(status) = self.ended()? {
            let output = self.output()?;
            anyhow::bail!("{} ended: {status}\n{}", self.name, progress::tail(&output));
        }
        Ok(())
    }
}

fn tell_started(pipe: i32) -> io::Result<()> {
    let mut line = [0_u8; 32];
    let mut rest = &mut line[..];
    writeln!(rest, "started {}", std::process::id())?;
    let length = 32 - rest.len();
    // SAFETY: the buffer is valid for `length` bytes, and the descriptor stays
    // open until exec because the keeper outlives the call to spawn.
    let written = unsafe { libc::write(pipe, line.as_ptr().cast(), length) };
    if usize::try_from(written) == Ok(length) { Ok(()) } else { Err(io::Error::last_os_error()) }
}
