//! A scene: the stack, a namespace that goes with it, and its pipelines.

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, SystemTime};

use anyhow::{Context, ensure};
use caudal_examples::Message;
use caudal_examples::collect::{self, DeadLetter};
use caudal_examples::publish::publish;
use caudal_testbed::wait::eventually;
use caudal_testbed::{Stack, stack};
use rdkafka::ClientConfig;
use reqwest::blocking::{Client, Response};
use serde_json::{Map, Value};

use crate::ledger;

/// Generous: the machine may be busy, and a condition ends the wait at once.
pub const PATIENCE: Duration = Duration::from_mins(4);

/// The namespace of the operator's release.
pub const SYSTEM: &str = "caudal-system";

static STACK: LazyLock<Stack> = LazyLock::new(|| {
    let name = stack::name_in_tests();
    Stack::attach(&name).unwrap_or_else(|error| {
        panic!("{error:#}; start it with: cargo run --bin testbed -- up --name {name}")
    })
});

/// Scenes that break shared parts hold it alone; the others share it.
static WORLD: RwLock<()> = RwLock::new(());

/// Ends the namespaces of this run: what a pipeline retains outlives its
/// namespace, and must not be met by the next run on the same stack.
static RUN: LazyLock<String> = LazyLock::new(|| {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("it is after 1970");
    format!("{:x}", now.as_secs())
});

enum Hold {
    Shared {
        _guard: RwLockReadGuard<'static, ()>,
    },
    Alone {
        _guard: RwLockWriteGuard<'static, ()>,
    },
    /// Another scene's hold covers it.
    Within,
}

/// One scenario's place. Its namespace is deleted when it is dropped.
pub struct Scene {
    pub namespace: String,
    pub http: Client,
    /// Addresses of APIs and names of topics, asked of kubectl once.
    known: Mutex<HashMap<String, String>>,
    _hold: Hold,
}

impl Scene {
    /// Beside other scenes.
    pub fn new(namespace: &str) -> anyhow::Result<Self> {
        let guard = WORLD.read().unwrap_or_else(PoisonError::into_inner);
        Self::open(namespace, Hold::Shared { _guard: guard })
    }

    /// With no other scene at work, because it breaks what they share.
    pub fn alone(namespace: &str) -> anyhow::Result<Self> {
        let guard = WORLD.write().unwrap_or_else(PoisonError::into_inner);
        Self::open(namespace, Hold::Alone { _guard: guard })
    }

    /// A second namespace for this scene.
    pub fn beside(&self, namespace: &str) -> anyhow::Result<Self> {
        Self::open(namespace, Hold::Within)
    }

    fn open(namespace: &str, hold: Hold) -> anyhow::Result<Self> {
        let namespace = format!("{namespace}-{}", *RUN);
        let scene = Self { namespace, http: collect::http(), known: Mutex::default(), _hold: hold };
        scene.stack().client().kubectl(&["create", "namespace", &scene.namespace])?;
        Ok(scene)
    }

    pub fn stack(&self) -> &'static Stack {
        &STACK
    }

    /// kubectl in this scene's namespace.
    pub fn kubectl(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let mut all = vec!["--namespace", &self.namespace];
        all.extend_from_slice(arguments);
        self.stack().client().kubectl(&all)
    }

    /// `kubectl apply` of a manifest; what it printed.
    pub fn apply(&self, manifest: &Value) -> anyhow::Result<String> {
        self.apply_text(&manifest.to_string())
    }

    pub fn apply_text(&self, manifest: &str) -> anyhow::Result<String> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.stack().client().kubectl_stdin(&["--namespace", &self.namespace, "apply", "-f", "-"], manifest)
    }

    /// The object, as the API server has it.
    pub fn object(&self, kind: &str, name: &str) -> anyhow::Result<Value> {
        Ok(serde_json::from_str(&self.kubectl(&["get", kind, name, "--output", "json"])?)?)
    }

    /// All objects of the kinds (`pod,service`) that belong to pipeline `name`.
    pub fn owned(&self, kinds: &str, name: &str) -> anyhow::Result<Vec<Value>> {
        let selector = format!("caudal.dev/pipeline={name}");
        let list = self.kubectl(&["get", kinds, "--selector", &selector, "--output", "json"])?;
        let list: Value = serde_json::from_str(&list)?;
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
            let found = found.with_context(|| format!("only {conditions:?}"))?;
            ensure!(found["status"] == status && found["reason"] == reason, "{found} among {conditions:?}");
            Ok(found["message"].as_str().unwrap_or_default().to_owned())
        })
    }

    /// What the status resolved: `topic`, `deadLetterTopic`, `table` …
    pub fn resolved(&self, name: &str, what: &str) -> anyhow::Result<String> {
        self.once(&format!("{name} {what}"), || {
            let object = self.object("datapipeline", name)?;
            let value = object["status"]["resolved"][what].as_str();
            value
                .map(ToOwned::to_owned)
                .with_context(|| format!("status.resolved.{what} of {name} in {object}"))
        })
    }

    /// What `ask` says, asked once until the next apply: waiting for rows must
    /// not start a kubectl for each look.
    fn once(&self, what: &str, ask: impl FnOnce() -> anyhow::Result<String>) -> anyhow::Result<String> {
        let known = || self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(answer) = known().get(what) {
            return Ok(answer.clone());
        }
        let answer = ask()?;
        known().insert(what.to_owned(), answer.clone());
        Ok(answer)
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
        self.once(&format!("{name} address"), || {
            let service = self.object("service", &format!("{name}-api"))?;
            let address = service["spec"]["clusterIP"].as_str();
            Ok(format!("http://{}", address.context("the API's service has no cluster IP")?))
        })
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
            let watermark = self.watermark(name)?;
            ensure!(watermark.rows >= count as u64, "{watermark:?}");
            Ok(())
        })?;
        let rows = self.rows(name)?;
        ensure!(rows.len() >= count, "{} rows where the watermark promised {count}", rows.len());
        Ok(rows)
    }

    /// What `/v1/watermark` says became of all messages.
    pub fn watermark(&self, name: &str) -> anyhow::Result<Watermark> {
        let response = self.get(name, "/v1/watermark")?;
        ensure!(response.status().is_success(), "GET /v1/watermark: {}", response.status());
        let answer: Value = response.json()?;
        let partitions = answer["partitions"].as_array().context("a watermark has partitions")?;
        let sum = |what: &str| partitions.iter().filter_map(|partition| partition[what].as_u64()).sum();
        Ok(Watermark { messages: sum("next_offset"), rows: sum("rows") })
    }

    pub fn dead_letters(&self, name: &str) -> anyhow::Result<Vec<DeadLetter>> {
        collect::dead_letters(&self.kafka(), &self.resolved(name, "deadLetterTopic")?)
    }

    /// Waits until the watermark covers all of `published`, then checks every
    /// field of every row and every dead letter.
    pub fn wait_balance(&self, name: &str, key: &str, published: &[Message]) -> anyhow::Result<()> {
        let wanted = published.len() as u64;
        eventually(&format!("the watermark of {name} at {wanted} messages"), PATIENCE, || {
            let watermark = self.watermark(name)?;
            ensure!(watermark.messages == wanted, "{watermark:?}");
            Ok(())
        })?;
        ledger::balance(key, published, &self.rows(name)?, &self.dead_letters(name)?)
    }

    /// Refused at apply, with this in the message.
    pub fn refused(&self, manifest: &Value, message: &str) -> anyhow::Result<()> {
        let Err(error) = self.apply(manifest) else { anyhow::bail!("it was accepted: {manifest}") };
        let text = format!("{error:#}");
        ensure!(text.contains(message), "refused, but without {message:?}: {text}");
        Ok(())
    }
}

/// Sums over all partitions of a pipeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Watermark {
    /// Offsets below which everything is stored, dead-lettered or filtered.
    pub messages: u64,
    pub rows: u64,
}

impl Drop for Scene {
    fn drop(&mut self) {
        // A pipeline that waits for its deletion must not outlive a scene that failed.
        let everywhere =
            ["annotate", "datapipelines", "--all", "caudal.dev/abandon-external=true", "--overwrite"];
        let left = self.kubectl(&everywhere).and_then(|_| {
            self.stack().client().kubectl(&["delete", "namespace", &self.namespace, "--wait=false"])
        });
        if let Err(error) = left {
            eprintln!("delete namespace {}: {error:#}", self.namespace);
        }
    }
}
