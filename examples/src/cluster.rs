//! Where the examples run: the local stack, or the user's own cluster by its context.

use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;

use anyhow::{Context, bail, ensure};
use caudal_testbed::kubernetes::Client;
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
    Local(Box<Stack>),
    Own { client: Client, kafka_config: PathBuf },
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
                Place::Own { client: Client::of_context(context), kafka_config: kafka_config.clone() }
            }
            _ if start => Place::Local(Box::new(Stack::up(&Options::named(STACK))?)),
            _ => Place::Local(Box::new(
                Stack::attach(STACK).context("the demo is not up; start it with: make demo")?,
            )),
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
        let client = match &self.place {
            Place::Local(stack) => stack.client(),
            Place::Own { client, .. } => client,
        };
        client.kubectl_stdin(&all, input)
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
            Place::Own { client, .. } => {
                let namespace = ["--namespace", &self.namespace];
                let mut kubectl = client.command("kubectl");
                kubectl.args(namespace).args(["port-forward", &format!("service/{service}"), ":80"]);
                forward(&mut kubectl).with_context(|| format!("forward a port to service {service:?}"))
            }
        }
    }
}

/// `kubectl port-forward` prints the port it chose.
fn forward(kubectl: &mut Command) -> anyhow::Result<Base> {
    let child = kubectl.stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
    let mut child = child.context("run kubectl; is it installed?")?;
    let mut output = BufReader::new(child.stdout.take().context("kubectl has an output")?);
    let mut base = Base { url: String::new(), forward: Some(child) };
    let mut line = String::new();
    output.read_line(&mut line)?;
    let port = line.strip_prefix("Forwarding from 127.0.0.1:").and_then(|rest| rest.split(' ').next());
    let Some(port) = port else { bail!("kubectl said {line:?}") };
    base.url = format!("http://127.0.0.1:{port}");
    // kubectl tells of every connection, and dies if nobody listens.
    thread::spawn(move || io::copy(&mut output, &mut io::sink()));
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use caudal_testbed::wait::until;

    use super::*;

    #[test]
    fn a_forwarded_port_outlives_what_kubectl_tells_of_its_connections() {
        let folder = tempfile::tempdir().unwrap();
        let mark = folder.path().join("mark");
        let script = "echo 'Forwarding from 127.0.0.1:4711 -> 80'
            for number in $(seq 10000); do echo Handling connection for 4711; done; touch \"$1\"; sleep 100";
        let base = forward(Command::new("sh").args(["-c", script, "kubectl"]).arg(&mark)).unwrap();
        assert_eq!(base.url, "http://127.0.0.1:4711");
        until("all to be told", Duration::from_secs(20), || Ok(mark.exists().then_some(()))).unwrap();
    }

    #[test]
    fn what_kubectl_says_instead_of_a_port_is_told() {
        let error = forward(Command::new("echo").arg("no such service")).map(drop).unwrap_err();
        assert_eq!(error.to_string(), "kubectl said \"no such service\\n\"");
    }
}
