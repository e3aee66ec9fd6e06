//! What every measurement starts from: a topic full of records, an empty table, a plan.

use std::path::Path;

use anyhow::{Context, anyhow};
use caudal_examples::publish::publish;
use caudal_model::Plan;
use caudal_model::ddl::{self, LedgerSpec, TableSpec};
use caudal_model::plan::{
    ClickHouseConnection, ClickHouseSink, DeadLetter, FORMAT_VERSION, Ingest, IsolationLevel,
    KafkaConnection, KafkaSource, PipelineId, SecurityProtocol, StartFrom,
};
use caudal_model::resource::Engine;
use caudal_testbed::clickhouse::ClickHouse;
use caudal_testbed::kafka::Kafka;
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};

use crate::records;

pub const PARTITIONS: i32 = 6;

/// One measured run.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub struct Sample {
    pub rows: u64,
    pub cpu_seconds: f64,
    pub wall_seconds: f64,
    pub peak_bytes: u64,
}

pub fn kafka_config(kafka: &Kafka) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", kafka.bootstrap_servers());
    config
}

/// Makes `topic` and its dead letters, and fills it.
pub fn fill_topic(kafka: &Kafka, topic: &str, messages: u64) -> anyhow::Result<()> {
    let config = kafka_config(kafka);
    let admin: AdminClient<_> = config.create()?;
    let letters = letters_of(topic);
    let topics = [
        NewTopic::new(topic, PARTITIONS, TopicReplication::Fixed(1)),
        NewTopic::new(&letters, 1, TopicReplication::Fixed(1)),
    ];
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    for made in runtime.block_on(admin.create_topics(&topics, &AdminOptions::new()))? {
        made.map_err(|(topic, code)| anyhow!("create topic {topic:?}: {code}"))?;
    }
    publish(&config, topic, (0..messages).map(records::record))?;
    Ok(())
}

fn letters_of(topic: &str) -> String {
    format!("{topic}.dead-letters")
}

/// An empty table with its ledger, and the plan that fills it from `topic` as consumer group `group`.
pub fn plan(kafka: &Kafka, clickhouse: &ClickHouse, topic: &str, table: &str) -> anyhow::Result<Plan> {
    let fields = records::fields();
    let spec = TableSpec {
        database: "bench".into(),
        table: table.into(),
        fields: fields.clone(),
        order_by: vec!["id".into()],
        partition_by: None,
        ttl: None,
        engine: Engine::MergeTree,
        comment: "caudal/bench/bench".into(),
        api_key: None,
        deduplication_window: ddl::DEDUPLICATION_WINDOW,
        existing: false,
    };
    let ledger_table = format!("{table}__ledger");
    let ledger =
        LedgerSpec { database: "bench".into(), table: ledger_table.clone(), comment: spec.comment.clone() };
    clickhouse.query(&ddl::create_database("bench"))?;
    clickhouse.query(&ddl::create_table(&spec))?;
    clickhouse.query(&ddl::create_ledger(&ledger))?;
    let uuid = clickhouse.query(&format!(
        "SELECT toString(uuid) FROM system.tables WHERE database = 'bench' AND name = {}",
        ddl::quote_string(table)
    ))?;
    Ok(Plan {
        format_version: FORMAT_VERSION,
        pipeline: PipelineId { namespace: "bench".into(), name: "bench".into() },
        source: KafkaSource {
            connection: KafkaConnection {
                bootstrap_servers: kafka.bootstrap_servers(),
                security_protocol: SecurityProtocol::Plaintext,
                sasl_mechanism: None,
            },
            topic: topic.into(),
            topic_id: "AAAAAAAAAAAAAAAAAAAAAQ".into(),
            cluster_id: "bench".into(),
            group: format!("caudal.bench.{table}"),
            start_from: StartFrom::Earliest,
            isolation_level: IsolationLevel::ReadCommitted,
            dead_letter: DeadLetter { topic: letters_of(topic) },
        },
        fields,
        sink: ClickHouseSink {
            connection: ClickHouseConnection { url: clickhouse.url() },
            database: "bench".into(),
            table: table.into(),
            table_uuid: uuid.trim().into(),
            ledger_table,
            order_by: vec!["id".into()],
        },
        ingest: Some(Ingest {
            max_rows: 200_000,
            max_bytes: 64 << 20,
            flush_delay_ms: 1_000,
            memory_limit_bytes: 512 << 20,
            freshness_within_ms: None,
        }),
        api: None,
    })
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
