//! Where the examples run: the local stack, or the user's own cluster by its context.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, bail, ensure};
use caudal_testbed::{Options, Stack};
use rdkafka::ClientConfig;
use serde_json::Value;

use crate::Target;

/// The name of the demo's local stack.
const STACK: &str = "demo";

pub struct Cluster {
    place: Place,
    pub namespace: String,
}

enum Place {
    Local(Stack),
    Own { context: String, kafka_config: PathBuf },
}

/// An API's address; a port-forward, if it needs one, ends with it.
pub struct Base {
    pub url: String,
    forward: Option<Child>,
}

impl Drop for Base {
    fn drop(&mut self) {
        if let Some(forward) = &mut self.forward {
            // It may have ended by itself, and then there is nothing to end.
            let _ = forward.kill();
            let _ = forward.wait();
        }
    }
}

impl Cluster {
    /// `start`: bring the local stack up, else it must be there.
    pub fn open(target: &Target, start: bool) -> anyhow::Result<Self> {
        let place = match (&target.context, &target.kafka_config) {
            (Some(context), Some(kafka_config)) => {
                Place::Own { context: context.clone(), kafka_config: kafka_config.clone() }
            }
            _ if start => Place::Local(Stack::up(&Options::named(STACK))?),
            _ => Place::Local(Stack::attach(STACK).context("the demo is not up; start it with: make demo")?),
        };
        Ok(Self { place, namespace: target.namespace.clone() })
    }

    pub fn is_local(&self) -> bool {
        matches!(self.place, Place::Local(_))
    }

    /// kubectl in the namespace of the pipelines.
    pub fn kubectl(&self, arguments: &[&str], input: &str) -> anyhow::Result<String> {
        let mut all = vec!["--namespace", self.namespace.as_str()];
        all.extend_from_slice(arguments);
        match &self.place {
            Place::Local(stack) => stack.kubectl_stdin(&all, input),
            Place::Own { context, .. } => own_kubectl(context, &all, input),
        }
    }

    /// What the status resolved, if it did already.
    pub fn resolved(&self, pipeline: &str, what: &str) -> anyhow::Result<Option<String>> {
        let object = self.kubectl(&["get", "datapipeline", pipeline, "--output", "json"], "")?;
        let object: Value = serde_json::from_str(&object).context("read what kubectl printed")?;
        Ok(object["status"]["resolved"][what].as_str().map(ToOwned::to_owned))
    }

    /// Settings of a Kafka client on this machine.
    pub fn kafka(&self) -> anyhow::Result<ClientConfig> {
        match &self.place {
            Place::Local(stack) => {
                let mut config = ClientConfig::new();
                config.set("bootstrap.servers", stack.kafka().bootstrap_servers());
                Ok(config)
            }
            Place::Own { kafka_config, .. } => properties(kafka_config),
        }
    }

    /// The address of a pipeline's API, reachable from this machine.
    pub fn base(&self, pipeline: &str) -> anyhow::Result<Base> {
        let service = format!("{pipeline}-api");
        match &self.place {
            Place::Local(_) => {
                let address = self
                    .kubectl(&["get", "service", &service, "--output", "jsonpath={.spec.clusterIP}"], "")?;
                Ok(Base { url: format!("http://{}", address.trim()), forward: None })
            }
            Place::Own { context, .. } => port_forward(context, &self.namespace, &service),
        }
    }
}

fn own_kubectl(context: &str, arguments: &[&str], input: &str) -> anyhow::Result<String> {
    let mut child = Command::new("kubectl")
        .args(["--context", context])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("run kubectl; is it installed?")?;
    child.stdin.take().context("kubectl has an input")?.write_all(input.as_bytes())?;
    let output = child.wait_with_output()?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "kubectl {}: {}", arguments.join(" "), complaint.trim());
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// `kubectl port-forward` prints the port it chose.
fn port_forward(context: &str, namespace: &str, service: &str) -> anyhow::Result<Base> {
    let mut child = Command::new("kubectl")
        .args([
            "--context",
            context,
            "--namespace",
            namespace,
            "port-forward",
            &format!("service/{service}"),
            ":80",
        ])
        .stdout(Stdio::piped())
        .spawn()
        .context("run kubectl port-forward")?;
    let output = child.stdout.take().context("kubectl has an output")?;
    let mut base = Base { url: String::new(), forward: Some(child) };
    let mut line = String::new();
    BufReader::new(output).read_line(&mut line)?;
    let port = line.strip_prefix("Forwarding from 127.0.0.1:").and_then(|rest| rest.split(' ').next());
    let Some(port) = port else { bail!("forward a port to service {service:?}: kubectl said {line:?}") };
    base.url = format!("http://127.0.0.1:{port}");
    Ok(base)
}

/// `key=value` lines; `#` begins a comment.
fn properties(path: &Path) -> anyhow::Result<ClientConfig> {
    let text = std::fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
    let mut config = ClientConfig::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let (key, value) = line
            .split_once('=')
            .with_context(|| format!("{}: {line:?} is not of the form key=value", path.display()))?;
        config.set(key.trim(), value.trim());
    }
    ensure!(config.get("bootstrap.servers").is_some(), "{}: bootstrap.servers is missing", path.display());
    Ok(config)
}
