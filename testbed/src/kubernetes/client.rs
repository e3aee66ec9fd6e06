//! kubectl and Helm, the ones compiled together with the cluster.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use anyhow::{Context as _, bail};

/// A way to talk to one cluster as its administrator.
#[derive(Clone, Debug)]
pub struct Client {
    pub(crate) binary: PathBuf,
    pub(crate) kubeconfig: PathBuf,
}

impl Client {
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// Runs kubectl and gives what it printed.
    pub fn kubectl(&self, arguments: &[&str]) -> anyhow::Result<String> {
        self.run("kubectl", arguments, "")
    }

    /// Runs kubectl with an input and gives what it printed.
    pub fn kubectl_stdin(&self, arguments: &[&str], input: &str) -> anyhow::Result<String> {
        self.run("kubectl", arguments, input)
    }

    /// Applies manifests, as `kubectl apply --server-side`.
    pub fn kubectl_apply(&self, yaml: &str) -> anyhow::Result<String> {
        self.run("kubectl", &["apply", "--server-side", "-f", "-"], yaml)
    }

    /// Runs Helm and gives what it printed.
    pub fn helm(&self, arguments: &[&str]) -> anyhow::Result<String> {
        self.run("helm", arguments, "")
    }

    /// `kubectl` or `helm` as a command for this cluster, to run as one likes.
    pub fn command(&self, tool: &str) -> Command {
        let mut command = Command::new(&self.binary);
        command.arg(tool).env("KUBECONFIG", &self.kubeconfig);
        command
    }

    fn run(&self, tool: &str, arguments: &[&str], input: &str) -> anyhow::Result<String> {
        let act = || format!("{tool} {}", arguments.join(" "));
        let output = pipe(self.command(tool).args(arguments), input).with_context(act)?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        if !output.status.success() {
            bail!("{}: {}\n{}{text}", act(), output.status, String::from_utf8_lossy(&output.stderr));
        }
        Ok(text)
    }
}

fn pipe(command: &mut Command, input: &str) -> anyhow::Result<Output> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().context("start")?;
    let stdin = child.stdin.take();
    // A manifest may be larger than the pipe; the tools read it before they print.
    if let Some(mut stdin) = stdin {
        stdin.write_all(input.as_bytes()).context("send the input")?;
    }
    child.wait_with_output().context("read the output")
}
