//! A pipeline's tables in ClickHouse, and an API server that serves them.

use std::io::{BufRead, BufReader};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use caudal_model::Plan;
use caudal_model::ddl::{LedgerSpec, TableSpec, create_database, create_ledger, create_table};
use caudal_testbed::User;
use caudal_testbed::clickhouse::{ClickHouse, READER};
use caudal_testbed::wait::until;
use reqwest::blocking::{Client, Response};
use serde_json::{Value, json};

/// How long anything may take that should come soon.
pub const SOON: Duration = Duration::from_secs(20);

/// The server that tests share which do not end it.
pub fn clickhouse() -> &'static ClickHouse {
    static SHARED: OnceLock<ClickHouse> = OnceLock::new();
    SHARED.get_or_init(|| ClickHouse::start().unwrap())
}

/// A table with its ledger, and the plan that names them.
pub struct Pipeline {
    pub plan: Plan,
}

impl Pipeline {
    /// Fields are `name: Type`, with `?` behind nullable ones; the key is the
    /// first of `order_by`. The alias `/data` has ten rows, `/old/rows` the
    /// default.
    pub fn create(clickhouse: &ClickHouse, fields: &[&str], order_by: &[&str]) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let plan = plan(&clickhouse.url(), &format!("api-test {number}"), fields, order_by);
        let sink = &plan.sink;
        let table = TableSpec {
            database: sink.database.clone(),
            table: sink.table.clone(),
            fields: plan.columns(),
            order_by: sink.order_by.clone(),
            partition_by: None,
            ttl: None,
            engine: caudal_model::resource::Engine::MergeTree,
            comment: "caudal/test/test".to_owned(),
            api_key: plan.api.as_ref().map(|api| api.key.clone()),
            deduplication_window: 100,
            existing: false,
        };
        let ledger = LedgerSpec {
            database: sink.database.clone(),
            table: sink.ledger_table.clone(),
            comment: "caudal/test/test".to_owned(),
        };
        for statement in [create_database(&sink.database), create_table(&table), create_ledger(&ledger)] {
            clickhouse.query(&statement).unwrap();
        }
        Self { plan }
    }

    /// Inserts rows as the ingestor would: `(partition, offset)` counts up from
    /// what `place` gives for the row's number.
    pub fn insert(&self, clickhouse: &ClickHouse, rows: &[Value], place: impl Fn(i64) -> (i32, i64)) {
        let source = self.plan.source.source_id();
        let mut text = String::new();
        for (number, row) in (0_i64..).zip(rows) {
            let (partition, offset) = place(number);
            let mut row = row.clone();
            row["_kafka_source"] = json!(source);
            row["_kafka_partition"] = json!(partition);
            row["_kafka_offset"] = json!(offset);
            let time = json!(format!("2024-01-01T00:00:{:02}.000Z", offset.rem_euclid(60)));
            row["_kafka_timestamp"] = row.get("_kafka_timestamp").cloned().unwrap_or(time);
            text += &row.to_string();
            text.push('\n');
        }
        let sink = &self.plan.sink;
        let insert = format!(
            "INSERT INTO `{}`.`{}` SETTINGS date_time_input_format = 'best_effort' FORMAT JSONEachRow\n{text}",
            sink.database, sink.table
        );
        clickhouse.query(&insert).unwrap();
    }

    pub fn insert_ledger(&self, clickhouse: &ClickHouse, values: &str) {
        let sink = &self.plan.sink;
        let source = self.plan.source.source_id();
        let insert = format!(
            "INSERT INTO `{}`.`{}` SELECT {source}, partition, first, next, next - first, 0, 0, 0, oldest, newest, \
             high, at, 'r', 'Clean' FROM VALUES('partition Int32, first Int64, next Int64, oldest \
             Nullable(DateTime64(3, \\'UTC\\')), newest Nullable(DateTime64(3, \\'UTC\\')), high Int64, at \
             DateTime64(3, \\'UTC\\')', {values})",
            sink.database, sink.ledger_table
        );
        clickhouse.query(&insert).unwrap();
    }
}

fn plan(url: &str, name: &str, fields: &[&str], order_by: &[&str]) -> Plan {
    let fields: Vec<_> = fields
        .iter()
        .map(|field| {
            let (name, column_type) = field.rsplit_once(": ").unwrap();
            let nullable = column_type.ends_with('?');
            json!({"name": name, "type": column_type.trim_end_matches('?'), "nullable": nullable})
        })
        .collect();
    let plan = json!({
        "formatVersion": 1,
        "pipeline": {"namespace": "test", "name": name},
        "source": {
            "connection": {"bootstrapServers": "127.0.0.1:1", "securityProtocol": "PLAINTEXT"},
            "topic": name, "topicId": name, "clusterId": "c", "group": name,
            "startFrom": {"position": "earliest"}, "isolationLevel": "ReadCommitted",
            "deadLetter": {"topic": "dead"},
        },
        "fields": fields,
        "sink": {
            "connection": {"url": url}, "database": name, "table": "the rows", "tableUuid": name,
            "ledgerTable": "the rows__ledger", "orderBy": order_by,
        },
        "api": {
            "key": order_by[0],
            "auth": {"mode": "None"},
            "aliases": [{"path": "/data", "limit": 10}, {"path": "/old/rows"}],
        },
    });
    Plan::from_json(&plan.to_string()).unwrap()
}

/// A running API server; it ends with this value.
pub struct Api {
    process: Child,
    pub address: String,
    pub admin_address: String,
    client: Client,
    _folder: tempfile::TempDir,
}

impl Api {
    pub fn serve(pipeline: &Pipeline) -> Self {
        Self::serve_plan(&pipeline.plan, Some(READER))
    }

    pub fn serve_plan(plan: &Plan, user: Option<User>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("plan.json"), plan.to_json()).unwrap();
        if let Some(User { name, password }) = user {
            std::fs::write(folder.path().join("clickhouse-username"), name).unwrap();
            std::fs::write(folder.path().join("clickhouse-password"), password).unwrap();
        }
        let admin_address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        let mut process = Command::new(env!("CARGO_BIN_EXE_caudal-api-server"))
            .arg("--plan")
            .arg(folder.path().join("plan.json"))
            .arg("--credentials")
            .arg(folder.path())
            .args(["--address", "127.0.0.1:0", "--admin-address", &admin_address, "--log-format", "json"])
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let address = served_address(&mut process);
        // The admin port opens by itself, perhaps later.
        until("the admin port", SOON, || Ok(TcpStream::connect(&admin_address).ok())).unwrap();
        let client = Client::builder().timeout(Duration::from_mins(1)).build().unwrap();
        Self { process, address, admin_address, client, _folder: folder }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub fn get(&self, path: &str) -> Response {
        self.client.get(self.url(path)).send().unwrap()
    }

    pub fn request(&self, method: &str, path: &str) -> reqwest::blocking::RequestBuilder {
        self.client.request(method.parse().unwrap(), self.url(path))
    }

    /// The body of an answer that must be 200.
    pub fn ok(&self, path: &str) -> Value {
        let response = self.get(path);
        let (status, text) = (response.status(), response.text().unwrap());
        assert_eq!(status, 200, "{path}: {text}");
        serde_json::from_str(&text).unwrap()
    }

    /// Status and body of any answer.
    pub fn json(&self, path: &str) -> (u16, Value) {
        let response = self.get(path);
        (response.status().as_u16(), response.json().unwrap())
    }

    /// The values of `field` in the rows of a page.
    pub fn column(&self, path: &str, field: &str) -> Vec<Value> {
        self.ok(path)["data"].as_array().unwrap().iter().map(|row| row[field].clone()).collect()
    }

    pub fn admin(&self, path: &str) -> (u16, String) {
        let response = self.client.get(format!("http://{}{path}", self.admin_address)).send().unwrap();
        (response.status().as_u16(), response.text().unwrap())
    }

    /// The value of a metric, by name and part of its labels.
    pub fn metric(&self, name: &str, labels: &str) -> Option<f64> {
        let (_, text) = self.admin("/metrics");
        let line =
            text.lines().find(|line| line.split(['{', ' ']).next() == Some(name) && line.contains(labels));
        line.and_then(|line| line.rsplit_once(' ')?.1.parse().ok())
    }

    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    pub fn terminate(&self) {
        let pid = self.process.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    }

    /// Waits for the process to end and tells whether it ended well.
    pub fn ended_well(&mut self) -> bool {
        let ended = until("the API server's end", SOON + SOON, || Ok(self.process.try_wait()?));
        ended.unwrap().success()
    }
}

impl Drop for Api {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Reads the log up to the line that tells the port; keeps draining it after.
fn served_address(process: &mut Child) -> String {
    let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
    let mut seen = Vec::new();
    let address = loop {
        let Some(Ok(line)) = lines.next() else { panic!("the API server ended:\n{}", seen.join("\n")) };
        let entry: Value = serde_json::from_str(&line).unwrap_or_default();
        if let Some(address) = entry["address"].as_str() {
            break address.to_owned();
        }
        seen.push(line);
    };
    std::thread::spawn(move || {
        for line in lines.map_while(Result::ok) {
            eprintln!("{line}");
        }
    });
    address
}

/// Percent-encodes everything that may not stand in a query or path segment.
pub fn encode(text: &str) -> String {
    use std::fmt::Write;
    text.bytes().fold(String::new(), |mut out, byte| {
        if byte.is_ascii_alphanumeric() {
            out.push(char::from(byte));
        } else {
            write!(out, "%{byte:02X}").unwrap();
        }
        out
    })
}
