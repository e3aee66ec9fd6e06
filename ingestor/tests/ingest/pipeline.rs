//! A pipeline under test: topics, tables, plan and running ingestors.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use caudal_model::ddl::{self, LedgerSpec, PartitionBy, TableSpec};
use caudal_model::plan::{
    self, ClickHouseConnection, ClickHouseSink, DeadLetter, FORMAT_VERSION, Field, Ingest, IsolationLevel,
    KafkaConnection, KafkaSource, PipelineId, Plan, SecurityProtocol, StartFrom,
};
use caudal_model::resource::{Delivery, Engine, UnknownFields};
use caudal_model::state::IngestorState;
use caudal_testbed::clickhouse::INGEST;
use caudal_testbed::wait;

use super::stack::Stack;

pub const DATABASE: &str = "tests";
/// How long anything may take before a test gives up.
pub const LIMIT: Duration = Duration::from_mins(2);

pub struct Pipeline {
    pub plan: Plan,
    folder: tempfile::TempDir,
}

/// What differs between tests.
pub struct Spec {
    pub fields: Vec<Field>,
    pub delivery: Delivery,
    pub unknown_fields: UnknownFields,
    pub partitions: i32,
    pub partition_by: Option<PartitionBy>,
    pub start_from: StartFrom,
    pub max_rows: u64,
    pub flush_delay_ms: u64,
    pub max_attempts: Option<u32>,
    /// Configuration of both topics.
    pub topic: &'static [(&'static str, &'static str)],
}

impl Default for Spec {
    fn default() -> Self {
        Self {
            fields: vec![field("id", "Int64"), field("text", "String")],
            delivery: Delivery::ExactlyOnce,
            unknown_fields: UnknownFields::Ignore,
            partitions: 1,
            partition_by: None,
            start_from: StartFrom::Earliest,
            max_rows: 10_000,
            flush_delay_ms: 100,
            max_attempts: None,
            topic: &[],
        }
    }
}

pub fn field(name: &str, column_type: &str) -> Field {
    Field::new(name, column_type.parse().unwrap())
}

impl Pipeline {
    /// Creates topic, dead-letter topic, table and ledger under a new name.
    pub fn create(stack: &Stack, spec: Spec) -> Self {
        static COUNTER: AtomicU32 = AtomicU32::new(0);
        let name = format!("p{}", COUNTER.fetch_add(1, Ordering::Relaxed));
        let topic = format!("tests.{name}");
        let dead_letters = format!("{topic}.dead-letters");
        stack.create_topic_with(&topic, spec.partitions, spec.topic);
        stack.create_topic_with(&dead_letters, 1, spec.topic);
        let (topic_id, cluster_id) = stack.ids(&topic);
        create_tables(stack, &name, &spec);
        let table_uuid = stack
            .clickhouse
            .query(&format!(
                "SELECT uuid FROM system.tables WHERE database = '{DATABASE}' AND name = '{name}'"
            ))
            .unwrap();
        let plan = Plan {
            format_version: FORMAT_VERSION,
            pipeline: PipelineId { namespace: "tests".into(), name: name.clone() },
            source: KafkaSource {
                connection: KafkaConnection {
                    bootstrap_servers: stack.kafka.bootstrap_servers(),
                    security_protocol: SecurityProtocol::Plaintext,
                    sasl_mechanism: None,
                },
                topic,
                topic_id,
                cluster_id,
                group: format!("caudal.tests.{name}"),
                start_from: spec.start_from,
                isolation_level: IsolationLevel::ReadCommitted,
                dead_letter: DeadLetter { topic: dead_letters, max_attempts: spec.max_attempts },
            },
            fields: spec.fields,
            unknown_fields: spec.unknown_fields,
            sink: ClickHouseSink {
                connection: ClickHouseConnection { url: stack.clickhouse.url() },
                database: DATABASE.into(),
                table: name.clone(),
                table_uuid: table_uuid.trim().to_owned(),
                ledger_table: format!("{name}__ledger"),
                order_by: Vec::new(),
            },
            ingest: Some(Ingest {
                delivery: spec.delivery,
                max_rows: spec.max_rows,
                max_bytes: 32 << 20,
                flush_delay_ms: spec.flush_delay_ms,
                memory_limit_bytes: 256 << 20,
                freshness_within_ms: Some(10_000),
            }),
            api: None,
        };
        let pipeline = Self { plan, folder: tempfile::tempdir().unwrap() };
        pipeline.credential("clickhouse-username", INGEST.name);
        pipeline.credential("clickhouse-password", INGEST.password);
        pipeline
    }

    /// Writes a file into the directory of credentials.
    pub fn credential(&self, name: &str, content: &str) {
        std::fs::write(self.folder.path().join(name), content).unwrap();
    }

    /// Keeps the plan as it is now for ingestors that start later.
    pub fn keep_plan(&self) {
        let plans = self.folder.path().join("plans");
        std::fs::create_dir_all(&plans).unwrap();
        let plan = self.plan.for_ingestor();
        std::fs::write(plans.join(format!("{}.json", plan.revision())), plan.to_json()).unwrap();
    }

    /// Reads the topic of another pipeline, with a group of its own.
    pub fn reads_from(&mut self, other: &Self) {
        let source = &other.plan.source;
        self.plan.source.topic.clone_from(&source.topic);
        self.plan.source.topic_id.clone_from(&source.topic_id);
    }

    pub fn table(&self) -> String {
        format!("{DATABASE}.{}", self.plan.sink.table)
    }

    pub fn ledger(&self) -> String {
        format!("{DATABASE}.{}", self.plan.sink.ledger_table)
    }

    pub fn topic(&self) -> &str {
        &self.plan.source.topic
    }

    pub fn dead_letter_topic(&self) -> &str {
        &self.plan.source.dead_letter.topic
    }

    pub fn rows(&self, stack: &Stack) -> u64 {
        stack.number(&format!("SELECT count() FROM {}", self.table()))
    }

    /// Waits until the table has this many rows.
    pub fn wait_rows(&self, stack: &Stack, rows: u64) {
        wait::until(&format!("{rows} rows"), LIMIT, || Ok((self.rows(stack) >= rows).then_some(())))
            .unwrap_or_else(|error| panic!("{error:#}: {} rows", self.rows(stack)));
        assert_eq!(self.rows(stack), rows);
    }

    /// Waits until the group has committed `offset` for the partition, idle.
    pub fn wait_committed(&self, stack: &Stack, partition: i32, offset: i64) {
        let group = &self.plan.source.group;
        wait::until(&format!("offset {offset} committed"), LIMIT, || {
            let committed = stack.committed(group, self.topic(), partition);
            Ok(committed.filter(|(at, metadata)| *at == offset && metadata.contains(" idle ")).map(drop))
        })
        .unwrap_or_else(|error| panic!("{error:#}: {:?}", stack.committed(group, self.topic(), partition)));
    }

    /// Every (partition, offset) from 0 to the given ends exactly once, and the
    /// ledger tiles the same ranges.
    pub fn assert_exactly_once(&self, stack: &Stack, ends: &[u64]) {
        let query = |sql: &str| stack.clickhouse.query(sql).unwrap();
        for (partition, end) in ends.iter().enumerate() {
            let found = query(&format!(
                "SELECT count(), uniqExact(_kafka_offset), min(_kafka_offset), max(_kafka_offset) + 1 FROM {} \
                 WHERE _kafka_partition = {partition}",
                self.table()
            ));
            assert_eq!(found.trim(), format!("{end}\t{end}\t0\t{end}"), "partition {partition}");
            let tiles = query(&format!(
                "SELECT min(first_offset), max(next_offset), sum(next_offset - first_offset), sum(rows) FROM {} FINAL \
                 WHERE partition = {partition}",
                self.ledger()
            ));
            assert_eq!(tiles.trim(), format!("0\t{end}\t{end}\t{end}"), "ledger of partition {partition}");
        }
    }

    pub fn start(&self) -> Ingestor {
        Ingestor::start(self, &[])
    }
}

fn create_tables(stack: &Stack, name: &str, spec: &Spec) {
    let table = TableSpec {
        database: DATABASE.into(),
        table: name.into(),
        fields: plan::columns(&spec.fields, spec.unknown_fields),
        order_by: Vec::new(),
        partition_by: spec.partition_by.clone(),
        ttl: None,
        engine: Engine::MergeTree,
        comment: format!("tests/tests/{name}"),
        api_key: None,
        deduplication_window: ddl::DEDUPLICATION_WINDOW,
        existing: false,
    };
    let ledger = LedgerSpec {
        database: DATABASE.into(),
        table: format!("{name}__ledger"),
        comment: table.comment.clone(),
    };
    for sql in [ddl::create_database(DATABASE), ddl::create_table(&table), ddl::create_ledger(&ledger)] {
        stack.clickhouse.query(&sql).unwrap();
    }
}

/// The real program, running.
pub struct Ingestor {
    child: Child,
    port: u16,
    _plan: tempfile::TempPath,
}

impl Ingestor {
    pub fn start(pipeline: &Pipeline, environment: &[(&str, &str)]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let folder = pipeline.folder.path();
        let mut plan = tempfile::NamedTempFile::new_in(folder).unwrap();
        plan.write_all(pipeline.plan.to_json().as_bytes()).unwrap();
        let plan = plan.into_temp_path();
        let mut command = Command::new(env!("CARGO_BIN_EXE_caudal-ingestor"));
        let plans = folder.join("plans");
        if plans.exists() {
            command.arg("--plans").arg(plans);
        }
        let child = command
            .arg("--plan")
            .arg(&plan)
            .arg("--credentials")
            .arg(folder)
            .args(["--admin-address", &format!("127.0.0.1:{port}"), "--log-format", "text"])
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        Self { child, port, _plan: plan }
    }

    /// Waits until the program ends by itself.
    pub fn wait_end(&mut self, limit: Duration) -> ExitStatus {
        let child = &mut self.child;
        wait::until("the ingestor's end", limit, || Ok(child.try_wait()?)).unwrap()
    }

    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// The most memory it has had, in bytes.
    pub fn peak_memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
    }

    fn signal(&self, signal: i32) {
        // SAFETY: a signal to our own child, which has not been waited for.
        unsafe { libc::kill(self.child.id().cast_signed(), signal) };
    }

    /// Waits until the program has frozen itself.
    pub fn wait_stopped(&self) {
        let stat = format!("/proc/{}/stat", self.child.id());
        wait::until("the freeze", LIMIT, || {
            let text = std::fs::read_to_string(&stat)?;
            Ok(text.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('T')).then_some(()))
        })
        .unwrap();
    }

    pub fn freeze(&self) {
        self.signal(libc::SIGSTOP);
    }

    pub fn wake(&self) {
        self.signal(libc::SIGCONT);
    }

    /// SIGTERM, and how it ended within 20 seconds.
    pub fn terminate(mut self) -> ExitStatus {
        self.signal(libc::SIGTERM);
        let child = &mut self.child;
        wait::until("the ingestor's end", Duration::from_secs(20), || Ok(child.try_wait()?)).unwrap()
    }

    /// The answer's status and body.
    pub fn get(&self, path: &str) -> Option<(u16, String)> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").ok()?;
        let mut text = String::new();
        stream.read_to_string(&mut text).ok()?;
        let (head, body) = text.split_once("\r\n\r\n")?;
        Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned()))
    }

    pub fn state(&self) -> Option<IngestorState> {
        serde_json::from_str(&self.get("/state")?.1).ok()
    }

    /// Waits until `/state` is as wanted.
    pub fn wait_state(&self, what: &str, wanted: impl Fn(&IngestorState) -> bool) -> IngestorState {
        wait::until(what, LIMIT, || Ok(self.state().filter(|state| wanted(state))))
            .unwrap_or_else(|error| panic!("{error:#}: {:?}", self.state()))
    }
}

impl Drop for Ingestor {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
