//! A scene: the stack, a namespace that goes with it, and its pipelines.

use std::sync::{LazyLock, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use anyhow::{Context, ensure};
use caudal_examples::collect::{self, DeadLetter};
use caudal_examples::publish::publish;
use caudal_examples::{Message, Outcome};
use caudal_testbed::Stack;
use rdkafka::ClientConfig;
use reqwest::blocking::{Client, Response};
use serde_json::{Map, Value};

use crate::ledger;
use crate::wait::eventually;

/// Generous: the machine may be busy, and a condition ends the wait at once.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// The namespace of the operator's release.
pub const SYSTEM: &str = "caudal-system";

static STACK: LazyLock<Stack> = LazyLock::new(|| {
    Stack::attach("e2e").unwrap_or_else(|error| {
        panic!("{error:#}; start it with: cargo run -p caudal-testbed --bin testbed -- up --name e2e")
    })
});

/// Scenes that break shared parts hold it alone; the others share it.
static WORLD: RwLock<()> = RwLock::new(());

enum Hold {
    Shared { _guard: RwLockReadGuard<'static, ()> },
    Alone { _guard: RwLockWriteGuard<'static, ()> },
}

/// One scenario's place. Its namespace is deleted when it is dropped.
pub struct Scene {
    pub namespace: String,
    pub http: Client,
    _hold: Hold,
}

impl Scene {
    /// Beside other scenes.
    pub fn new(namespace: &str) -> anyhow::Result<Self> {
        let guard = WORLD.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        Self::open(namespace, Hold::Shared { _guard: guard })
    }

    /// With no other scene at work, because it breaks what they share.
    pub fn alone(namespace: &str) -> anyhow::Result<Self> {
        let guard = WORLD.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        Self::open(namespace, Hold::Alone { _guard: guard })
    }

    fn open(namespace: &str, hold: Hold) -> anyhow::Result<Self> {
        let scene = Self { namespace: namespace.to_owned(), http: collect::http(), _hold: hold };
        scene.stack().kubectl(&["create", "namespace", namespace])?;
        Ok(scene)
    }

    pub fn stack(&self) -> &'static Stack {
        &STACK
    }

    /// kubectl in this scene's namespace.
    pub fn kubectl(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let mut all = vec!["--namespace", &self.namespace];
        all.extend_from_slice(arguments);
        self.stack().kubectl(&all)
    }

    /// `kubectl apply` of a manifest; what it printed.
    pub fn apply(&self, manifest: &Value) -> anyhow::Result<String> {
        self.apply_text(&manifest.to_string())
    }

    pub fn apply_text(&self, manifest: &str) -> anyhow::Result<String> {
        self.stack().kubectl_stdin(&["--namespace", &self.namespace, "apply", "-f", "-"], manifest)
    }

    /// The object, as the API server has it.
    pub fn object(&self, kind: &str, name: &str) -> anyhow::Result<Value> {
        Ok(serde_json::from_str(&self.kubectl(&["get", kind, name, "--output", "json"])?)?)
    }

    /// All objects of the kind that belong to pipeline `name`.
    pub fn owned(&self, kind: &str, name: &str) -> anyhow::Result<Vec<Value>> {
        let selector = format!("caudal.dev/pipeline={name}");
        let list: Value = serde_json::from_str(&self.kubectl(&[
            "get",
            kind,
            "--selector",
            &selector,
            "--output",
            "json",
        ])?)?;
        Ok(list["items"].as_array().cloned().unwrap_or_default())
    }

    /// `kubectl wait` for Ready.
    pub fn wait_ready(&self, name: &str) -> anyhow::Result<()> {
        self.kubectl(&["wait", "--for=condition=Ready", &format!("datapipeline/{name}"), "--timeout=180s"])
            .or_else(|error| {
            let status = self.object("datapipeline", name)?;
            Err(error.context(format!("status: {}", status["status"])))
        })?;
        Ok(())
    }

    /// Waits until condition `kind` has `status` and `reason`; its message.
    pub fn wait_condition(
        &self,
        name: &str,
        kind: &str,
        status: &str,
        reason: &str,
    ) -> anyhow::Result<String> {
        eventually(&format!("{kind}={status} {reason} on {name}"), PATIENCE, || {
            let object = self.object("datapipeline", name)?;
            let conditions = object["status"]["conditions"].as_array().cloned().unwrap_or_default();
            let found = conditions.iter().find(|condition| condition["type"] == kind);
            Ok(match found {
                Some(condition) if condition["status"] == status && condition["reason"] == reason => {
                    Ok(condition["message"].as_str().unwrap_or_default().to_owned())
                }
                other => Err(format!("{other:?} among {conditions:?}")),
            })
        })
    }

    /// What the status resolved: `topic`, `deadLetterTopic`, `table` …
    pub fn resolved(&self, name: &str, what: &str) -> anyhow::Result<String> {
        let object = self.object("datapipeline", name)?;
        let value = object["status"]["resolved"][what].as_str();
        value.map(ToOwned::to_owned).with_context(|| format!("status.resolved.{what} of {name} in {object}"))
    }

    /// Settings of a Kafka client on this machine.
    pub fn kafka(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", self.stack().kafka().bootstrap_servers());
        config
    }

    pub fn publish(&self, name: &str, messages: &[Message]) -> anyhow::Result<u64> {
        publish(&self.kafka(), &self.resolved(name, "topic")?, messages.iter().cloned())
    }

    /// The API's address, reachable from here.
    pub fn base(&self, name: &str) -> anyhow::Result<String> {
        let service = self.object("service", &format!("{name}-api"))?;
        let address = service["spec"]["clusterIP"].as_str().context("the API's service has no cluster IP")?;
        Ok(format!("http://{address}"))
    }

    pub fn get(&self, name: &str, path: &str) -> anyhow::Result<Response> {
        collect::get(&self.http, &format!("{}{path}", self.base(name)?))
    }

    pub fn rows(&self, name: &str) -> anyhow::Result<Vec<Map<String, Value>>> {
        collect::all_rows(&self.http, &self.base(name)?)
    }

    /// Waits until the API answers `count` rows or more; all of them.
    pub fn wait_rows(&self, name: &str, count: usize) -> anyhow::Result<Vec<Map<String, Value>>> {
        eventually(&format!("{count} rows of {name}"), PATIENCE, || {
            let rows = self.rows(name)?;
            Ok(if rows.len() >= count { Ok(rows) } else { Err(format!("{} rows", rows.len())) })
        })
    }

    pub fn dead_letters(&self, name: &str) -> anyhow::Result<Vec<DeadLetter>> {
        collect::dead_letters(&self.kafka(), &self.resolved(name, "deadLetterTopic")?)
    }

    /// Waits until all of `published` came out, and checks every field and every dead letter.
    pub fn wait_balance(&self, name: &str, key: &str, published: &[Message]) -> anyhow::Result<()> {
        let count = |wanted: fn(&Outcome) -> bool| published.iter().filter(|m| wanted(&m.outcome)).count();
        let rows = self.wait_rows(name, count(|outcome| matches!(outcome, Outcome::Row(_))))?;
        let wanted = count(|outcome| matches!(outcome, Outcome::DeadLetter(_)));
        let letters = eventually(&format!("{wanted} dead letters of {name}"), PATIENCE, || {
            let letters = self.dead_letters(name)?;
            Ok(if letters.len() >= wanted { Ok(letters) } else { Err(format!("{}", letters.len())) })
        })?;
        ledger::balance(key, published, &rows, &letters)?;
        self.wait_caught_up(name, published.len())
    }

    /// Waits until the watermark covers all `published` messages, whatever became of them.
    fn wait_caught_up(&self, name: &str, published: usize) -> anyhow::Result<()> {
        eventually(&format!("the watermark of {name} at {published} messages"), PATIENCE, || {
            let watermark: Value = self.get(name, "/v1/watermark")?.json()?;
            let partitions = watermark["partitions"].as_array().context("a watermark has partitions")?;
            let covered: u64 =
                partitions.iter().filter_map(|partition| partition["next_offset"].as_u64()).sum();
            Ok(if covered == published as u64 { Ok(()) } else { Err(watermark.to_string()) })
        })
    }

    /// Refused at apply, with this in the message.
    pub fn refused(&self, manifest: &Value, message: &str) -> anyhow::Result<()> {
        let Err(error) = self.apply(manifest) else { anyhow::bail!("it was accepted: {manifest}") };
        let text = format!("{error:#}");
        ensure!(text.contains(message), "refused, but without {message:?}: {text}");
        Ok(())
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        // A pipeline that waits for its deletion must not outlive a scene that failed.
        let everywhere =
            ["annotate", "datapipelines", "--all", "caudal.dev/abandon-external=true", "--overwrite"];
        let left = self
            .kubectl(&everywhere)
            .and_then(|_| self.stack().kubectl(&["delete", "namespace", &self.namespace, "--wait=false"]));
        if let Err(error) = left {
            eprintln!("delete namespace {}: {error:#}", self.namespace);
        }
    }
}
