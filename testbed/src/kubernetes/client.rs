//! kubectl and Helm: the ones compiled together with a cluster, or the user's own.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use anyhow::{Context as _, bail};

/// Variables that tell the tools where to keep what they remember.
const FOLDERS: [(&str, &str); 4] = [
    ("KUBECACHEDIR", "kubectl-cache"),
    ("HELM_CACHE_HOME", "helm-cache"),
    ("HELM_CONFIG_HOME", "helm-config"),
    ("HELM_DATA_HOME", "helm-data"),
];

/// A way to talk to one cluster.
#[derive(Clone, Debug)]
pub struct Client {
    access: Access,
}

#[derive(Clone, Debug)]
enum Access {
    /// As the administrator of a cluster of ours.
    Ours { binary: PathBuf, kubeconfig: PathBuf },
    /// With the user's tools, as the user's kubeconfig says for this context.
    Own { context: String },
}

impl Client {
    /// The administrator of a cluster that was started with this program.
    pub(crate) fn of_cluster(binary: &Path, kubeconfig: &Path) -> Self {
        Self { access: Access::Ours { binary: binary.to_owned(), kubeconfig: kubeconfig.to_owned() } }
    }

    /// The user's own kubectl and Helm with a context of the user's kubeconfig.
    pub fn of_context(context: &str) -> Self {
        Self { access: Access::Own { context: context.to_owned() } }
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
        match &self.access {
            Access::Ours { binary, kubeconfig } => {
                let mut command = Command::new(binary);
                command.arg(tool).env("KUBECONFIG", kubeconfig);
                // What the tools keep goes with the cluster, not into the home folder.
                for (variable, folder) in FOLDERS {
                    command.env(variable, kubeconfig.with_file_name(folder));
                }
                command
            }
            Access::Own { context } => {
                let mut command = Command::new(tool);
                command.arg(if tool == "helm" { "--kube-context" } else { "--context" }).arg(context);
                command
            }
        }
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
