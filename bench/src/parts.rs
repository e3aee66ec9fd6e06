//! What every measurement starts from: a topic full of records, an empty table, a plan.

use std::cell::Cell;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, anyhow};
use caudal_examples::publish::publish;
use caudal_ingestor::kafka::Consumer;
use caudal_model::Plan;
use caudal_model::ddl::{self, LedgerSpec, TableSpec};
use caudal_model::plan::{
    ClickHouseConnection, ClickHouseSink, DeadLetter, FORMAT_VERSION, Ingest, IsolationLevel,
    KafkaConnection, KafkaSource, PipelineId, SecurityProtocol, StartFrom,
};
use caudal_model::resolve::{counted_memory, largest_block};
use caudal_model::resource::{Delivery, Engine, UnknownFields};
use caudal_testbed::clickhouse::ClickHouse;
use caudal_testbed::kafka::Kafka;
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};

use crate::records::Workload;

pub const PARTITIONS: i32 = 6;
/// Rows per block, for everybody who can choose.
pub const BLOCK_ROWS: u64 = 500_000;
/// Bytes per block, likewise.
const BLOCK_BYTES: u64 = 64 << 20;
/// The database of the contestant that is measured now.
pub const DATABASE: &str = "bench";

/// A broker and a server, for one measurement after the other.
pub struct Stage {
    pub kafka: Kafka,
    pub clickhouse: ClickHouse,
    given: Cell<u32>,
}

/// A topic and what is in it.
pub struct Topic {
    pub name: String,
    pub workload: Workload,
    pub messages: u64,
    id: String,
    cluster_id: String,
}

/// How the ingestor is set up, where it differs from one measurement to the next.
#[derive(Clone, Copy, Debug)]
pub struct Tuning {
    pub memory_limit_bytes: u64,
    pub flush_delay_ms: u64,
    pub max_rows: u64,
    pub max_bytes: u64,
}

impl Tuning {
    /// What the operator gives pods with this memory limit.
    pub fn under(memory_limit: u64) -> Self {
        Self {
            memory_limit_bytes: counted_memory(memory_limit),
            flush_delay_ms: 1_000,
            max_rows: BLOCK_ROWS,
            max_bytes: BLOCK_BYTES.min(largest_block(memory_limit)),
        }
    }
}

impl Default for Tuning {
    /// The default memory limit of a pipeline's pods.
    fn default() -> Self {
        Self::under(512 << 20)
    }
}

impl Stage {
    pub fn start() -> anyhow::Result<Self> {
        Ok(Self { kafka: Kafka::start()?, clickhouse: ClickHouse::start()?, given: Cell::new(0) })
    }

    /// A name given to nobody else, beginning with `what`.
    pub fn name(&self, what: &str) -> String {
        self.given.set(self.given.get() + 1);
        format!("{what}_{}", self.given.get())
    }

    pub fn kafka_config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", self.kafka.bootstrap_servers());
        config
    }

    /// Makes a topic and its dead letters, and fills it.
    pub fn topic(&self, workload: Workload, messages: u64, partitions: i32) -> anyhow::Result<Topic> {
        let name = self.name(workload.name());
        let config = self.kafka_config();
        let admin: AdminClient<_> = config.create()?;
        let letters = letters_of(&name);
        let topics = [
            NewTopic::new(&name, partitions, TopicReplication::Fixed(1)),
            NewTopic::new(&letters, 1, TopicReplication::Fixed(1)),
        ];
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        for made in runtime.block_on(admin.create_topics(&topics, &AdminOptions::new()))? {
            made.map_err(|(topic, code)| anyhow!("create topic {topic:?}: {code}"))?;
        }
        let (id, cluster_id) = self.identity(&name)?;
        publish(&config, &name, (0..messages).map(|id| workload.record(id)))?;
        Ok(Topic { name, workload, messages, id, cluster_id })
    }

    /// Forgets a topic and frees its disk.
    pub fn drop_topic(&self, topic: &Topic) -> anyhow::Result<()> {
        let admin: AdminClient<_> = self.kafka_config().create()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(admin.delete_topics(&[&topic.name], &AdminOptions::new()))?;
        Ok(())
    }

    /// Kafka's ids of the topic and of the cluster.
    fn identity(&self, topic: &str) -> anyhow::Result<(String, String)> {
        const TIMEOUT: Duration = Duration::from_secs(10);
        let mut config = self.kafka_config();
        config.set("group.id", self.name("ids"));
        let consumer = Consumer::new(&config, topic, std::thread::current())?;
        let cluster_id = consumer.cluster_id(TIMEOUT).context("ask for the cluster's id")?;
        let (id, _) =
            consumer.describe_topic(TIMEOUT).with_context(|| format!("describe topic {topic:?}"))?;
        Ok((id, cluster_id))
    }

    /// An empty table for `workload`, equal for all contestants, in an otherwise empty database.
    pub fn table(&self, workload: Workload) -> anyhow::Result<String> {
        let name = self.name("rows");
        self.drop_tables()?;
        self.clickhouse.query(&ddl::create_database(DATABASE))?;
        self.clickhouse.query(&ddl::create_table(&TableSpec {
            database: DATABASE.into(),
            table: name.clone(),
            fields: workload.fields(),
            order_by: vec!["id".into()],
            partition_by: None,
            ttl: None,
            engine: Engine::MergeTree,
            comment: "caudal/bench/bench".into(),
            api_key: None,
            deduplication_window: ddl::DEDUPLICATION_WINDOW,
            existing: false,
        }))?;
        Ok(name)
    }

    pub fn drop_tables(&self) -> anyhow::Result<()> {
        self.clickhouse.query(&format!("DROP DATABASE IF EXISTS {DATABASE} SYNC")).map(drop)
    }

    /// A ledger for `table`, and the plan that fills both from `topic`.
    pub fn plan(&self, topic: &Topic, table: &str, tuning: Tuning) -> anyhow::Result<Plan> {
        let ledger_table = format!("{table}__ledger");
        self.clickhouse.query(&ddl::create_ledger(&LedgerSpec {
            database: DATABASE.into(),
            table: ledger_table.clone(),
            comment: "caudal/bench/bench".into(),
        }))?;
        let uuid = self.clickhouse.query(&format!(
            "SELECT toString(uuid) FROM system.tables WHERE database = '{DATABASE}' AND name = {}",
            ddl::quote_string(table)
        ))?;
        Ok(Plan {
            format_version: FORMAT_VERSION,
            pipeline: PipelineId { namespace: "bench".into(), name: "bench".into() },
            source: KafkaSource {
                connection: KafkaConnection {
                    bootstrap_servers: self.kafka.bootstrap_servers(),
                    security_protocol: SecurityProtocol::Plaintext,
                    sasl_mechanism: None,
                },
                topic: topic.name.clone(),
                topic_id: topic.id.clone(),
                cluster_id: topic.cluster_id.clone(),
                group: format!("caudal.{table}"),
                start_from: StartFrom::Earliest,
                isolation_level: IsolationLevel::ReadCommitted,
                dead_letter: DeadLetter { topic: letters_of(&topic.name), max_attempts: None },
            },
            fields: topic.workload.fields(),
            unknown_fields: UnknownFields::Ignore,
            sink: ClickHouseSink {
                connection: ClickHouseConnection { url: self.clickhouse.url() },
                database: DATABASE.into(),
                table: table.into(),
                table_uuid: uuid.trim().into(),
                ledger_table,
                order_by: vec!["id".into()],
            },
            ingest: Some(Ingest {
                delivery: Delivery::ExactlyOnce,
                max_rows: tuning.max_rows,
                max_bytes: tuning.max_bytes,
                flush_delay_ms: tuning.flush_delay_ms,
                memory_limit_bytes: tuning.memory_limit_bytes,
                freshness_within_ms: None,
            }),
            api: None,
        })
    }
}

fn letters_of(topic: &str) -> String {
    format!("{topic}.dead-letters")
}

/// Writes what a pod would mount: the plan and the ingestor's credentials.
pub fn write_mounts(plan: &Plan, folder: &Path) -> anyhow::Result<()> {
    let user = caudal_testbed::clickhouse::INGEST;
    for (name, text) in [
        ("plan.json", plan.to_json()),
        ("clickhouse-username", user.name.into()),
        ("clickhouse-password", user.password.into()),
    ] {
        let path = folder.join(name);
        std::fs::write(&path, text).with_context(|| format!("write {}", path.display()))?;
    }
    Ok(())
}
