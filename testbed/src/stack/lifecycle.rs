//! Beginning and end of a stack: everything in the cache, a supervisor started,
//! or one killed and nothing left.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, bail};

use super::instance::{self, Instance};
use super::state::{self, Phase, State};
use super::{logs, processes};
use crate::progress::{self, Heartbeat, say};
use crate::{clickhouse, debian, image, kafka, kubernetes, wait};

const START: Duration = Duration::from_mins(5);
const END: Duration = Duration::from_mins(1);

/// Gets every part into the cache: downloads beside the one long compilation.
pub fn prepare() -> anyhow::Result<()> {
    thread::scope(|scope| {
        let downloads = scope.spawn(|| {
            clickhouse::prepare()?;
            kafka::prepare()?;
            debian::tools()?;
            image::pause()
        });
        kubernetes::prepare()?;
        downloads.join().map_err(|_| anyhow::anyhow!("a thread panicked"))?.map(drop)
    })
}

/// The state of a stack, which is started if it does not run, when it is no
/// longer starting.
pub fn start_or_find(name: &str, program: &Path) -> anyhow::Result<State> {
    let number = {
        let _all = state::lock_all()?;
        match find(name)? {
            Some(state) if state.phase.has_failed() => {
                clear_failed(&state)?;
                start(name, program)?
            }
            Some(state) => state.network().instance,
            None => start(name, program)?,
        }
    };
    let mut heartbeat = Heartbeat::new("the parts are starting");
    wait::until("the parts of the stack", START, || {
        heartbeat.beat();
        let state = State::read(number)?.with_context(|| format!("start stack {name:?}: it was ended"))?;
        Ok((state.phase != Phase::Starting).then_some(state))
    })
}

/// Ends a stack that never was ready, keeping its logs for whoever looks for the
/// cause. One that failed later has data which only its user may give up.
fn clear_failed(state: &State) -> anyhow::Result<()> {
    let (name, Phase::Failed(error)) = (&state.name, &state.phase) else { return Ok(()) };
    if state.was_ready() {
        bail!(
            "stack {name:?} has failed, but what its Kafka and ClickHouse hold is still there; to give that up \
             and start anew, first run: testbed down --name {name} (for the demo: make demo-down)\n{error}"
        );
    }
    let logs = logs::bundle(state, &std::env::temp_dir())?;
    say(format_args!("stack {name:?} had failed and is started anew; its logs are in {}", logs.display()));
    end(state)
}

/// Starts a supervisor, waits until it has told its first state, and gives the
/// stack's number.
fn start(name: &str, program: &Path) -> anyhow::Result<u8> {
    let instance = Instance::take()?;
    let number = instance.network.instance;
    say(format_args!("start Kubernetes, Kafka and ClickHouse as stack {name:?}"));
    let log_path = state::supervisor_log(&state::folder(number));
    let log = File::create(&log_path).with_context(|| format!("create {}", log_path.display()))?;
    let mut supervisor = Command::new(program)
        .args(["supervise", name, &number.to_string()])
        .current_dir("/")
        .stdin(Stdio::from(instance.lock))
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()
        .context("start the stack's supervisor")?;
    wait::until("the stack's supervisor", START, || {
        if let Some(status) = supervisor.try_wait()? {
            let text = fs::read_to_string(&log_path).unwrap_or_default();
            bail!("the stack's supervisor ended: {status}\n{}", progress::tail(&text));
        }
        State::read(number)
    })?;
    Ok(number)
}

/// Ends a stack, whatever state it is in, and clears up after dead ones. Says
/// whether there was one of this name.
pub fn down(name: &str) -> anyhow::Result<bool> {
    let found = find(name)?;
    if let Some(state) = &found {
        end(state)?;
    }
    instance::clear_dead()?;
    Ok(found.is_some())
}

fn end(state: &State) -> anyhow::Result<()> {
    // The keeper of the stack's processes and folders does the rest.
    processes::kill_supervisor(state.supervisor)?;
    let number = state.network().instance;
    wait::until("the stack to end", END, || state::lock(number)).map(drop)
}

/// The state of a stack that lives.
pub fn find(name: &str) -> anyhow::Result<Option<State>> {
    Ok(state::living()?.into_iter().find(|state| state.name == name))
}
