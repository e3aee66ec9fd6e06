//! A name → a local stack: a node that runs pods, Kafka and ClickHouse that
//! pods and this machine reach, and Caudal installed from its chart.
//!
//! A stack lives in a supervisor of its own, not in the process that started
//! it, until it is ended; several stacks live side by side.

mod control;
mod instance;
mod lifecycle;
mod logs;
mod parts;
mod processes;
mod programs;
mod release;
mod state;
mod status;
pub(crate) mod supervisor;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, bail, ensure};

use crate::image::{self, Image};
use crate::kubernetes::Client;
use crate::preflight;
use crate::process::Keeper;
use crate::progress::{self, say};
use state::{Phase, State};

pub use lifecycle::down;
pub use parts::{StackClickHouse, StackKafka};

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
        preflight::check(&options.name)?;
        lifecycle::prepare()?;
        if !options.caudal {
            return Self::start(&options.name, &programs::own()?);
        }
        let programs = programs::build()?;
        let stack = Self::start(&options.name, &programs.testbed)?;
        stack.deploy(&programs.in_pods)?;
        Ok(stack)
    }

    fn start(name: &str, program: &Path) -> anyhow::Result<Self> {
        let stack = Self::ready(lifecycle::start_or_find(name, program)?)?;
        stack.client.kubectl_apply(&release::objects(&stack.state))?;
        Ok(stack)
    }

    /// Finds a stack that runs.
    pub fn attach(name: &str) -> anyhow::Result<Self> {
        let state =
            lifecycle::find(name)?.with_context(|| format!("find stack {name:?}: it does not run"))?;
        Self::ready(state)
    }

    fn ready(state: State) -> anyhow::Result<Self> {
        let name = &state.name;
        match &state.phase {
            Phase::Ready => Ok(Self { client: state.layout.client(), state }),
            Phase::Starting => bail!("attach to stack {name:?}: it is still starting"),
            Phase::Failed(error) => bail!("attach to stack {name:?}: it has failed: {error}"),
        }
    }

    /// Ends the stack and waits until nothing of it is left.
    pub fn down(&self) -> anyhow::Result<()> {
        down(&self.state.name).map(drop)
    }

    /// Kills the process that the stack lives in, as a crash would, and waits
    /// for nothing.
    pub fn kill_supervisor(&self) -> anyhow::Result<()> {
        processes::kill_supervisor(self.state.supervisor)
    }

    /// The folder with the stack's data and logs.
    pub fn data(&self) -> &Path {
        self.state.data()
    }

    /// The administrator's kubeconfig file.
    pub fn kubeconfig(&self) -> PathBuf {
        self.state.layout.kubeconfig()
    }

    /// kubectl and Helm for this stack.
    pub fn client(&self) -> &Client {
        &self.client
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
            &Arc::new(Keeper::of_processes()?),
        )?;
        let mark = self.mark_file();
        fs::write(&mark, self.mark()?).with_context(|| format!("write {}", mark.display()))
    }

    /// Writes an archive with logs and objects into `folder`; gives its path.
    pub fn logs(&self, folder: &Path) -> anyhow::Result<PathBuf> {
        logs::bundle(&self.state, folder)
    }

    fn deploy(&self, programs: &[PathBuf]) -> anyhow::Result<()> {
        let folder = tempfile::tempdir_in(self.data()).context("make a folder for the image")?;
        let image = image::of_programs(image::NAME, programs, folder.path())?;
        let (file, values) = (self.values_file(), release::values(&image));
        let same = |file: &Path, text: &str| fs::read_to_string(file).is_ok_and(|found| found == text);
        if same(&file, &values) && same(&self.mark_file(), &self.mark()?) {
            say("everything runs already, and nothing has changed");
            return Ok(());
        }
        say(format_args!("import {}", image.reference));
        self.import(&image)?;
        fs::write(&file, values).with_context(|| format!("write {}", file.display()))?;
        self.install_chart()
    }

    /// What is installed: the chart with these values, and the release as Helm
    /// knows it, which a user may have changed or uninstalled since.
    fn mark(&self) -> anyhow::Result<String> {
        let file = self.values_file();
        let values = fs::read_to_string(&file).with_context(|| format!("read {}", file.display()))?;
        let fingerprint = release::fingerprint(&values, &release::chart())?;
        let release = self.client.helm(&["list", "--namespace", release::SYSTEM, "--output=json"])?;
        Ok(format!("{fingerprint}\n{release}"))
    }

    fn mark_file(&self) -> PathBuf {
        self.state.layout.run.join("installed")
    }

    fn values_file(&self) -> PathBuf {
        self.state.layout.run.join("values.json")
    }
}

/// Descriptions of all stacks, or of one.
pub fn describe(name: Option<&str>) -> anyhow::Result<Vec<String>> {
    let states = state::living()?;
    let wanted = states.iter().filter(|state| name.is_none_or(|name| name == state.name));
    wanted.map(status::describe).collect()
}

/// Writes an archive with the logs of a stack in any state; gives its path.
pub fn collect_logs(name: &str, folder: &Path) -> anyhow::Result<PathBuf> {
    let state = lifecycle::find(name)?.with_context(|| format!("find stack {name:?}: it does not run"))?;
    logs::bundle(&state, folder)
}

/// Whether there is a stack of this name, in any state but failed.
pub(crate) fn runs(name: &str) -> anyhow::Result<bool> {
    Ok(lifecycle::find(name)?.is_some_and(|state| !state.phase.has_failed()))
}

/// The stack's name in tests, so that two clones can test side by side:
/// `$CAUDAL_STACK`, else `e2e`.
pub fn name_in_tests() -> String {
    std::env::var("CAUDAL_STACK").ok().filter(|name| !name.is_empty()).unwrap_or_else(|| "e2e".to_owned())
}

/// Checks whether a stack of this name can run here, and gets everything into the
/// cache that it is made of, without starting it.
pub fn prepare(name: &str) -> anyhow::Result<()> {
    preflight::check(name)?;
    lifecycle::prepare()
}

/// Where a stack has links to its tools.
fn programs_folder(run: &Path) -> PathBuf {
    run.join("bin")
}
