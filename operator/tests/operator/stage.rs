//! The parts, started once for all tests, with the operator under test.
//!
//! Tests run at the same time in namespaces of their own. Those that take a part
//! away hold the stage alone.

use std::fmt::Debug;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};

use caudal_model::resource::{DataPipeline, Resolved};
use caudal_model::{Fleet, Plan};
use caudal_operator::args::Settings;
use caudal_testbed::clickhouse::{self, ClickHouse};
use caudal_testbed::kafka::{self, Kafka};
use caudal_testbed::kubernetes::ControlPlane;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Secret};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config, Resource};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

/// How long anything may take that should come about.
const LIMIT: Duration = Duration::from_mins(1);
pub const OPERATOR_NAMESPACE: &str = "caudal-system";

pub struct Stage {
    runtime: Runtime,
    client: Client,
    pub kafka: Kafka,
    pub clickhouse: ClickHouse,
    _control_plane: ControlPlane,
}

/// Held by every test; alone by those that take a part away.
static PARTS: RwLock<()> = RwLock::new(());

pub fn stage() -> &'static Stage {
    static STAGE: OnceLock<Stage> = OnceLock::new();
    STAGE.get_or_init(|| Stage::start().expect("start the parts"))
}

/// The whole stage, with no other test on it.
pub fn alone() -> (&'static Stage, RwLockWriteGuard<'static, ()>) {
    let guard = PARTS.write().unwrap_or_else(PoisonError::into_inner);
    (stage(), guard)
}

impl Stage {
    fn start() -> anyhow::Result<Self> {
        let (control_plane, kafka, clickhouse) = std::thread::scope(|scope| {
            let control_plane = scope.spawn(ControlPlane::start);
            let kafka = scope.spawn(Kafka::start);
            let clickhouse = scope.spawn(ClickHouse::start);
            let end = "a part's start does not panic";
            anyhow::Ok((
                control_plane.join().expect(end)?,
                kafka.join().expect(end)?,
                clickhouse.join().expect(end)?,
            ))
        })?;
        control_plane.client().kubectl_apply(include_str!("../../../crds/datapipelines.caudal.dev.yaml"))?;
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let client = runtime.block_on(async {
            let kubeconfig = Kubeconfig::read_from(control_plane.kubeconfig())?;
            let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
            anyhow::Ok(Client::try_from(config)?)
        })?;
        let stage = Self { runtime, client, kafka, clickhouse, _control_plane: control_plane };
        stage.create_namespace(OPERATOR_NAMESPACE);
        stage.create_secret(OPERATOR_NAMESPACE, "caudal-kafka", None, &kafka_logins());
        stage.create_secret(OPERATOR_NAMESPACE, "caudal-clickhouse", None, &clickhouse_logins());
        stage.runtime.spawn(caudal_operator::run(
            stage.settings("operator-0"),
            stage.client(),
            CancellationToken::new(),
        ));
        Ok(stage)
    }

    /// Settings for an operator of this stage.
    pub fn settings(&self, pod: &str) -> Settings {
        Settings {
            fleet: self.fleet(),
            admin_address: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            log_format: caudal_service::logging::Format::Text,
            pod_name: pod.to_owned(),
            pod_namespace: OPERATOR_NAMESPACE.to_owned(),
        }
    }

    fn fleet(&self) -> Fleet {
        let fleet = json!({
            "installation": "caudal",
            "image": {"name": "localhost/caudal", "tag": "test"},
            "connections": {
                "kafka": {"default": {
                    "namespaces": ["*"],
                    "bootstrapServers": self.kafka.sasl_bootstrap_servers(),
                    "securityProtocol": "SASL_PLAINTEXT",
                    "saslMechanism": "SCRAM-SHA-512",
                    "secretName": "caudal-kafka",
                }},
                "clickhouse": {"default": {
                    "namespaces": ["*"], "url": self.clickhouse.url(), "secretName": "caudal-clickhouse",
                }},
            },
            "defaults": {"topic": {"partitions": 2, "replicationFactor": 1}},
        });
        Fleet::from_yaml(&fleet.to_string()).expect("the fleet is right")
    }

    pub fn client(&self) -> Client {
        self.client.clone()
    }

    pub fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    pub fn spawn<T: Send + 'static>(
        &self,
        future: impl Future<Output = T> + Send + 'static,
    ) -> tokio::task::JoinHandle<T> {
        self.runtime.spawn(future)
    }

    fn create_namespace(&self, name: &str) {
        let namespaces: Api<Namespace> = Api::all(self.client());
        let namespace = object(json!({"metadata": {"name": name}}));
        self.block_on(namespaces.create(&PostParams::default(), &namespace)).expect("create a namespace");
    }

    pub fn create_secret(&self, namespace: &str, name: &str, label: Option<&str>, values: &[(&str, &str)]) {
        let secrets: Api<Secret> = Api::namespaced(self.client(), namespace);
        let labels: Value =
            label.map(|label| ("caudal.dev/connection".to_owned(), json!(label))).into_iter().collect();
        let values: Value = values.iter().map(|(key, value)| ((*key).to_owned(), json!(value))).collect();
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret",
            "metadata": {"name": name, "labels": labels}, "stringData": values,
        });
        let parameters = PatchParams::apply("test").force();
        self.block_on(secrets.patch(name, &parameters, &Patch::Apply(&secret))).expect("apply a Secret");
    }

    /// Names of all topics.
    pub fn topics(&self) -> Vec<String> {
        let metadata = self.consumer().fetch_metadata(None, LIMIT).expect("list the topics");
        metadata.topics().iter().map(|topic| topic.name().to_owned()).collect()
    }

    pub fn partitions(&self, topic: &str) -> usize {
        let metadata = self.consumer().fetch_metadata(Some(topic), LIMIT).expect("describe the topic");
        metadata.topics()[0].partitions().len()
    }

    /// A setting of a topic.
    pub fn topic_setting(&self, topic: &str, key: &str) -> Option<String> {
        let resource = ResourceSpecifier::Topic(topic);
        let found = self.block_on(self.admin().describe_configs([&resource], &AdminOptions::new()));
        let config = found.expect("describe the topic").remove(0).expect("the topic has settings");
        config.get(key)?.value.clone()
    }

    /// Deletes a topic and makes another of its name.
    pub fn replace_topic(&self, topic: &str) {
        let admin = self.admin();
        let options = AdminOptions::new();
        self.block_on(admin.delete_topics(&[topic], &options)).expect("delete the topic");
        let deadline = Instant::now() + LIMIT;
        let new = NewTopic::new(topic, 1, TopicReplication::Fixed(1));
        while self.block_on(admin.create_topics([&new], &options)).expect("create the topic")[0].is_err() {
            assert!(Instant::now() < deadline, "topic {topic:?} can't be made anew in time");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    fn admin(&self) -> AdminClient<DefaultClientContext> {
        let servers = self.kafka.bootstrap_servers();
        ClientConfig::new().set("bootstrap.servers", servers).create().expect("make a Kafka client")
    }

    fn consumer(&self) -> BaseConsumer {
        let servers = self.kafka.bootstrap_servers();
        ClientConfig::new().set("bootstrap.servers", servers).create().expect("make a Kafka client")
    }

    /// Whether ClickHouse has the table.
    pub fn has_table(&self, table: &str) -> bool {
        self.clickhouse.query(&format!("EXISTS TABLE {table}")).expect("query ClickHouse") == "1"
    }
}

fn kafka_logins() -> [(&'static str, &'static str); 4] {
    [
        ("admin-username", kafka::ADMIN.name),
        ("admin-password", kafka::ADMIN.password),
        ("username", kafka::DATA.name),
        ("password", kafka::DATA.password),
    ]
}

pub fn clickhouse_logins() -> [(&'static str, &'static str); 6] {
    [
        ("admin-username", clickhouse::ADMIN.name),
        ("admin-password", clickhouse::ADMIN.password),
        ("username", clickhouse::INGEST.name),
        ("password", clickhouse::INGEST.password),
        ("reader-username", clickhouse::READER.name),
        ("reader-password", clickhouse::READER.password),
    ]
}

fn object<K: DeserializeOwned>(value: Value) -> K {
    serde_json::from_value(value).expect("the object is right")
}

/// One test's namespace.
pub struct Scene {
    pub stage: &'static Stage,
    pub namespace: String,
    _parts: Option<RwLockReadGuard<'static, ()>>,
}

impl Scene {
    pub fn new(namespace: &str) -> Self {
        let parts = PARTS.read().unwrap_or_else(PoisonError::into_inner);
        Self { _parts: Some(parts), ..Self::held(stage(), namespace) }
    }

    /// For a test that holds the stage alone, or a second namespace of a test.
    pub fn held(stage: &'static Stage, namespace: &str) -> Self {
        stage.create_namespace(namespace);
        Self { stage, namespace: namespace.to_owned(), _parts: None }
    }

    pub fn api<K>(&self) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.stage.client(), &self.namespace)
    }

    /// Applies a pipeline, as `kubectl apply --server-side` does.
    pub fn apply(&self, name: &str, spec: &Value) -> DataPipeline {
        let pipeline = json!({
            "apiVersion": "caudal.dev/v1alpha1", "kind": "DataPipeline",
            "metadata": {"name": name}, "spec": spec,
        });
        let parameters = PatchParams::apply("test").force();
        let patch = Patch::Apply(&pipeline);
        self.stage.block_on(self.api().patch(name, &parameters, &patch)).expect("apply the pipeline")
    }

    /// An object that no pipeline owns.
    pub fn create<K>(&self, object: &Value)
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
            + Clone
            + Debug
            + Serialize
            + DeserializeOwned,
    {
        let object: K = serde_json::from_value(object.clone()).expect("the object is right");
        let created = self.stage.block_on(self.api::<K>().create(&PostParams::default(), &object));
        created.expect("create an object");
    }

    /// Waits until a reconcile of the pipeline that began after this has ended:
    /// reconciles of one pipeline follow each other, so the second pause comes
    /// after it.
    pub fn settle(&self, name: &str) {
        for _ in 0..2 {
            self.annotate(name, "caudal.dev/pause-reconciliation", Some("true"));
            self.until("the pause is seen", || self.condition(name, "ReconciliationPaused"));
            self.annotate(name, "caudal.dev/pause-reconciliation", None);
            self.until("the pause is over", || {
                self.condition(name, "ReconciliationPaused").is_none().then_some(())
            });
        }
    }

    pub fn annotate(&self, name: &str, annotation: &str, value: Option<&str>) {
        let patch = json!({"metadata": {"annotations": {annotation: value}}});
        self.merge::<DataPipeline>(name, &patch);
    }

    /// A hand edit.
    pub fn merge<K>(&self, name: &str, patch: &Value)
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + Debug + DeserializeOwned,
    {
        let api = self.api::<K>();
        let patched = self.stage.block_on(api.patch(name, &PatchParams::default(), &Patch::Merge(patch)));
        patched.expect("edit by hand");
    }

    pub fn delete(&self, name: &str) {
        self.remove::<DataPipeline>(name);
    }

    pub fn get<K>(&self, name: &str) -> Option<K>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + Debug + DeserializeOwned,
    {
        self.stage.block_on(self.api::<K>().get_opt(name)).expect("get an object")
    }

    /// Waits until `found` gives a value.
    pub fn until<T>(&self, what: &str, mut found: impl FnMut() -> Option<T>) -> T {
        let deadline = Instant::now() + LIMIT;
        loop {
            if let Some(value) = found() {
                return value;
            }
            if Instant::now() > deadline {
                let all = self.stage.block_on(self.api::<DataPipeline>().list(&ListParams::default()));
                panic!("not so in time: {what}\n{}", show(&all.expect("list the pipelines").items));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Waits until a condition of the pipeline's present generation has this
    /// status and reason.
    pub fn until_condition(&self, name: &str, condition: &str, status: &str, reason: &str) -> Condition {
        let what = format!("{name}: {condition} is {status} because of {reason}");
        self.until(&what, || {
            let pipeline: DataPipeline = self.get(name)?;
            let generation = pipeline.metadata.generation;
            let found = pipeline.status?.conditions.into_iter().find(|found| found.type_ == condition)?;
            let wanted =
                found.status == status && found.reason == reason && found.observed_generation == generation;
            wanted.then_some(found)
        })
    }

    /// Waits until the workloads of the pipeline's present generation are there.
    pub fn until_applied(&self, name: &str) -> Resolved {
        self.until_condition(name, "TableReady", "True", "Reconciled");
        self.until_condition(name, "TopicReady", "True", "Reconciled");
        self.until_condition(name, "ConsumersReady", "False", "RolloutInProgress");
        let pipeline: DataPipeline = self.get(name).expect("the pipeline is there");
        pipeline.status.and_then(|status| status.resolved).expect("the identity is recorded")
    }

    pub fn condition(&self, name: &str, condition: &str) -> Option<Condition> {
        let pipeline: DataPipeline = self.get(name)?;
        pipeline.status?.conditions.into_iter().find(|found| found.type_ == condition)
    }

    pub fn ingestor(&self, name: &str) -> Option<Deployment> {
        self.get(&format!("{name}-ingestor"))
    }

    pub fn remove<K>(&self, name: &str)
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + Debug + DeserializeOwned,
    {
        let deleted = self.stage.block_on(self.api::<K>().delete(name, &DeleteParams::default()));
        deleted.expect("delete an object");
    }

    /// Name of the ConfigMap with the plan that a workload mounts.
    pub fn mounted_plan(&self, workload: &str) -> String {
        let deployment: Deployment = self.get(workload).expect("the workload is there");
        let pod = deployment.spec.and_then(|spec| spec.template.spec).expect("a template");
        let volumes = pod.volumes.unwrap_or_default();
        volumes.into_iter().find_map(|volume| volume.config_map).expect("a plan is mounted").name
    }

    /// The plan the ingestor mounts.
    pub fn plan(&self, name: &str) -> Plan {
        let map: ConfigMap =
            self.get(&self.mounted_plan(&format!("{name}-ingestor"))).expect("the plan is there");
        Plan::from_json(&map.data.expect("the plan has data")["plan.json"]).expect("the plan is right")
    }
}

fn show(pipelines: &[impl Serialize]) -> String {
    serde_json::to_string_pretty(pipelines).unwrap_or_default()
}

/// The spec of a small pipeline; edit it with [`with`].
pub fn spec() -> Value {
    json!({
        "schema": {"fields": [{"name": "id", "type": "UInt64"}, {"name": "name", "type": "String"}]},
        "sink": {"clickhouse": {"orderBy": ["id"]}},
        "api": {"key": "id", "auth": {"mode": "None"}},
    })
}

/// A spec with the value at a JSON pointer's place set.
pub fn with(mut spec: Value, pointer: &str, value: Value) -> Value {
    let mut place = &mut spec;
    for part in pointer.trim_start_matches('/').split('/') {
        place = &mut place[part];
    }
    *place = value;
    spec
}
