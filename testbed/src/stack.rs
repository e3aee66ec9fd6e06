//! A name → a local stack: a node that runs pods, Kafka and ClickHouse that
//! pods and this machine reach, and Caudal installed from its chart.
//!
//! A stack lives in a supervisor of its own, not in the process that started
//! it, until it is ended; several stacks live side by side.

mod control;
mod instance;
mod logs;
mod parts;
mod processes;
mod programs;
mod release;
mod state;
mod status;
pub(crate) mod supervisor;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};

use crate::image::{self, Image};
use crate::kubernetes::{self, Client};
use crate::progress::{self, Heartbeat, say};
use crate::{clickhouse, debian, kafka, preflight, wait};
use instance::Instance;
use state::{Phase, State};

pub use parts::{StackClickHouse, StackKafka};

const START: Duration = Duration::from_mins(5);
const END: Duration = Duration::from_mins(1);

/// Which stack to bring up.
#[derive(Clone, Debug)]
pub struct Options {
    name: String,
    caudal: bool,
}

impl Options {
    pub fn named(name: &str) -> Self {
        Self { name: name.to_owned(), caudal: true }
    }

    /// Kubernetes, Kafka and ClickHouse without Caudal.
    pub fn parts_only(name: &str) -> Self {
        Self { name: name.to_owned(), caudal: false }
    }
}

/// A stack that runs. Dropping it ends nothing: see [`Stack::down`].
pub struct Stack {
    state: State,
    client: Client,
}

impl Stack {
    /// Brings the stack into the state of this repository: starts what does not
    /// run, builds the programs, and installs the chart if anything changed.
    pub fn up(options: &Options) -> anyhow::Result<Self> {
        preflight::check()?;
        prepare()?;
        if !options.caudal {
            return Self::start_or_find(&options.name, &programs::own()?);
        }
        let programs = programs::build()?;
        let stack = Self::start_or_find(&options.name, &programs.testbed)?;
        let image = image::of_programs(image::NAME, &programs.in_pods, &stack.state.layout.run)?;
        stack.install(&image)?;
        Ok(stack)
    }

    fn start_or_find(name: &str, program: &Path) -> anyhow::Result<Self> {
        match find(name)? {
            Some(state) => Self::ready(state),
            None => Self::start(name, program),
        }
    }

    /// Finds a stack that runs.
    pub fn attach(name: &str) -> anyhow::Result<Self> {
        let state = find(name)?.with_context(|| format!("find stack {name:?}: it does not run"))?;
        Self::ready(state)
    }

    fn start(name: &str, program: &Path) -> anyhow::Result<Self> {
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
        let mut heartbeat = Heartbeat::new("the parts are starting");
        let state = wait::until("the parts of the stack", START, || {
            heartbeat.beat();
            if let Some(status) = supervisor.try_wait()? {
                let text = fs::read_to_string(&log_path).unwrap_or_default();
                bail!("the stack's supervisor ended: {status}\n{}", progress::tail(&text));
            }
            Ok(State::read(number)?.filter(|state| state.phase != Phase::Starting))
        })?;
        let stack = Self::ready(state)?;
        stack.client.kubectl_apply(&release::objects(&stack.state))?;
        Ok(stack)
    }

    fn ready(state: State) -> anyhow::Result<Self> {
        let name = &state.name;
        match &state.phase {
            Phase::Ready => Ok(Self { client: state.layout.client(), state }),
            Phase::Starting => bail!("attach to stack {name:?}: it is still starting"),
            Phase::Failed(error) => bail!("attach to stack {name:?}: it has failed; end it first\n{error}"),
        }
    }

    /// Ends the stack and waits until nothing of it is left.
    pub fn down(&self) -> anyhow::Result<()> {
        down(&self.state.name).map(drop)
    }

    /// Kills the process that the stack lives in, as a crash would, and waits
    /// for nothing.
    pub fn kill_supervisor(&self) -> anyhow::Result<()> {
        processes::kill(i32::try_from(self.state.supervisor).context("a process number")?)
    }

    /// The folder with the stack's data and logs.
    pub fn data(&self) -> &Path {
        &self.state.layout.data
    }

    /// The administrator's kubeconfig file.
    pub fn kubeconfig(&self) -> PathBuf {
        self.client.kubeconfig().to_owned()
    }

    /// kubectl and Helm for this stack.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Runs kubectl and gives what it printed.
    pub fn kubectl(&self, arguments: &[&str]) -> anyhow::Result<String> {
        self.client.kubectl(arguments)
    }

    /// Runs kubectl with an input and gives what it printed.
    pub fn kubectl_stdin(&self, arguments: &[&str], input: &str) -> anyhow::Result<String> {
        self.client.kubectl_stdin(arguments, input)
    }

    /// Applies manifests, as `kubectl apply --server-side`.
    pub fn kubectl_apply(&self, yaml: &str) -> anyhow::Result<String> {
        self.client.kubectl_apply(yaml)
    }

    /// Runs Helm and gives what it printed.
    pub fn helm(&self, arguments: &[&str]) -> anyhow::Result<String> {
        self.client.helm(arguments)
    }

    /// A folder with kubectl and Helm, for a shell's PATH.
    pub fn programs(&self) -> PathBuf {
        programs_folder(&self.state.layout.run)
    }

    pub fn kafka(&self) -> StackKafka {
        StackKafka::of(&self.state)
    }

    pub fn clickhouse(&self) -> StackClickHouse {
        StackClickHouse::of(&self.state)
    }

    /// The processes of a program in the node's pods, as this machine numbers
    /// them, whose command line or environment has `containing` in it (a pod's
    /// name is in its environment as HOSTNAME).
    pub fn pids_in_node(&self, program: &str, containing: &str) -> anyhow::Result<Vec<i32>> {
        let node = self.state.node.context("find the node's process")?;
        let processes = processes::descendants(node)?.into_iter();
        let wanted = processes.filter(|process| process.name() == program && process.mentions(containing));
        Ok(wanted.map(|process| process.pid).collect())
    }

    /// Makes an image known to the node.
    pub fn import(&self, image: &Image) -> anyhow::Result<()> {
        self.state.layout.import(image)
    }

    /// Installs or upgrades Caudal from the chart, with the image of the last `up`.
    pub fn install_chart(&self) -> anyhow::Result<()> {
        let values = self.values_file();
        ensure!(values.exists(), "install the chart: no image was brought in; run `testbed up` first");
        progress::run(
            "install the chart",
            self.client
                .command("helm")
                .args(["upgrade", "--install", release::RELEASE])
                .arg(release::chart())
                .args(["--namespace", release::SYSTEM, "--wait", "--timeout=3m", "--values"])
                .arg(values),
        )
        .map(drop)
    }

    /// Writes an archive with logs and objects into `folder`; gives its path.
    pub fn logs(&self, folder: &Path) -> anyhow::Result<PathBuf> {
        logs::bundle(&self.state, folder)
    }

    fn install(&self, image: &Image) -> anyhow::Result<()> {
        let values = release::values(image);
        let wanted = release::fingerprint(&values, &release::chart())?;
        let installed = self.state.layout.run.join("installed");
        if fs::read_to_string(&installed).is_ok_and(|fingerprint| fingerprint == wanted) {
            say("everything runs already, and nothing has changed");
            return Ok(());
        }
        say(format_args!("import {}", image.reference));
        self.import(image)?;
        let file = self.values_file();
        fs::write(&file, values).with_context(|| format!("write {}", file.display()))?;
        self.install_chart()?;
        fs::write(&installed, wanted).with_context(|| format!("write {}", installed.display()))
    }

    fn values_file(&self) -> PathBuf {
        self.state.layout.run.join("values.json")
    }
}

/// Ends a stack, whatever state it is in, and clears up after dead ones. Says
/// whether there was one of this name.
pub fn down(name: &str) -> anyhow::Result<bool> {
    let found = find(name)?;
    if let Some(state) = &found {
        // The keeper of the stack's processes and folders does the rest.
        processes::kill(i32::try_from(state.supervisor).context("a process number")?)?;
        let number = state.network().instance;
        wait::until("the stack to end", END, || state::lock(number))?;
    }
    instance::clear_dead()?;
    Ok(found.is_some())
}

/// Descriptions of all stacks, or of one.
pub fn describe(name: Option<&str>) -> anyhow::Result<Vec<String>> {
    let states = state::living()?;
    let wanted = states.iter().filter(|state| name.is_none_or(|name| name == state.name));
    wanted.map(status::describe).collect()
}

/// Writes an archive with the logs of a stack in any state; gives its path.
pub fn collect_logs(name: &str, folder: &Path) -> anyhow::Result<PathBuf> {
    let state = find(name)?.with_context(|| format!("find stack {name:?}: it does not run"))?;
    logs::bundle(&state, folder)
}

/// Where a stack has links to its tools.
fn programs_folder(run: &Path) -> PathBuf {
    run.join("bin")
}

fn find(name: &str) -> anyhow::Result<Option<State>> {
    Ok(state::living()?.into_iter().find(|state| state.name == name))
}

/// Gets every part into the cache: downloads beside the one long compilation.
fn prepare() -> anyhow::Result<()> {
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
