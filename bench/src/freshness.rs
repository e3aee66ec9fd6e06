//! How old rows are when a SELECT first sees them, at a fixed moderate rate.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, ensure};
use rdkafka::ClientConfig;
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};
use serde::Serialize;

use crate::contestants::{Ingestors, kafka_engine, plain};
use crate::parts::{DATABASE, PARTITIONS, Stage, Topic, Tuning};
use crate::process::Running;
use crate::records::Workload;
use crate::table::Table;
use crate::{sample, server};

/// Everybody flushes this often.
const FLUSH_MS: u32 = 1_000;
const SECONDS: u64 = 30;
/// Messages before the clock starts, so that everybody has joined its group.
const WARM_UP: u64 = 600;
const POLL: Duration = Duration::from_millis(10);

/// Ages in milliseconds.
#[derive(Serialize)]
struct Ages {
    contestant: &'static str,
    /// Rows that were seen within a minute after the last message.
    rows: usize,
    wanted: usize,
    p50: i64,
    p99: i64,
    highest: i64,
}

/// What writes rows while we look.
enum Writer {
    KafkaEngine,
    Process(Running),
    Ingestors(Ingestors),
}

impl Writer {
    fn check(&mut self) -> anyhow::Result<()> {
        match self {
            Self::KafkaEngine => Ok(()),
            Self::Process(running) => running.check_runs(),
            Self::Ingestors(ingestors) => ingestors.check_runs(),
        }
    }
}

pub fn run(workload: Workload) -> anyhow::Result<()> {
    let rate = match workload {
        Workload::Flat => 5_000,
        Workload::Wide => 2_000,
    };
    let stage = Stage::start()?;
    println!(
        "freshness of {} records at {rate} a second for {SECONDS} s, flush every {FLUSH_MS} ms",
        workload.name()
    );
    let mut all = Vec::new();
    for contestant in ["Kafka engine, 1 consumer", "plain Rust sink, at least once", "Caudal, exactly once"] {
        let topic = stage.topic(workload, WARM_UP, PARTITIONS)?;
        let table = stage.table(workload)?;
        let mut writer = start(&stage, &topic, &table, contestant)?;
        all.push(measure(&stage, &topic, &table, &mut writer, rate, contestant)?);
        drop(writer);
        stage.drop_tables()?;
        stage.drop_topic(&topic)?;
    }
    sample::keep(&format!("freshness-{}", workload.name()), &all)?;
    let mut table = Table::new(&["", "rows", "p50 ms", "p99 ms", "highest ms"]);
    for ages in &all {
        table.row([
            ages.contestant.into(),
            format!("{} of {}", ages.rows, ages.wanted),
            ages.p50.to_string(),
            ages.p99.to_string(),
            ages.highest.to_string(),
        ]);
    }
    table.print();
    Ok(())
}

fn start(stage: &Stage, topic: &Topic, table: &str, contestant: &str) -> anyhow::Result<Writer> {
    Ok(match contestant.split(' ').next() {
        Some("Kafka") => {
            kafka_engine::start(stage, topic, table, 1, FLUSH_MS)?;
            Writer::KafkaEngine
        }
        Some("plain") => Writer::Process(plain::start(stage, topic, table, FLUSH_MS.into(), u64::MAX)?),
        _ => {
            let tuning = Tuning { flush_delay_ms: FLUSH_MS.into(), ..Tuning::default() };
            Writer::Ingestors(Ingestors::start(stage, topic, table, tuning, 1)?)
        }
    })
}

fn measure(
    stage: &Stage,
    topic: &Topic,
    table: &str,
    writer: &mut Writer,
    rate: u64,
    contestant: &'static str,
) -> anyhow::Result<Ages> {
    let warm = Instant::now();
    while server::count(&stage.clickhouse, table)? < WARM_UP {
        writer.check()?;
        ensure!(warm.elapsed() < Duration::from_mins(1), "{contestant} stores nothing for 60 s");
        std::thread::sleep(POLL);
    }
    let mut eye = Eye { next: BTreeMap::new(), ages: Vec::new() };
    eye.look(stage, table)?;
    eye.ages.clear();
    let (config, name, workload) = (stage.kafka_config(), topic.name.clone(), topic.workload);
    let producer = std::thread::spawn(move || produce(&config, &name, workload, rate));
    let wanted = usize::try_from(rate * SECONDS)?;
    let start = Instant::now();
    while eye.ages.len() < wanted {
        writer.check()?;
        if start.elapsed() > Duration::from_secs(SECONDS + 60) {
            println!("{contestant}: {} of {wanted} rows a minute after the last message", eye.ages.len());
            break;
        }
        eye.look(stage, table)?;
        std::thread::sleep(POLL);
    }
    producer.join().map_err(|_| anyhow::anyhow!("the producer panicked"))??;
    let mut ages = eye.ages;
    ensure!(!ages.is_empty(), "{contestant} stored nothing");
    ages.sort_unstable();
    let at = |percent: usize| ages[(ages.len() - 1) * percent / 100];
    Ok(Ages { contestant, rows: ages.len(), wanted, p50: at(50), p99: at(99), highest: at(100) })
}

/// Sees every row once.
struct Eye {
    /// By partition, the offset after the last one seen.
    next: BTreeMap<i32, i64>,
    ages: Vec<i64>,
}

impl Eye {
    fn look(&mut self, stage: &Stage, table: &str) -> anyhow::Result<()> {
        let mut seen = String::new();
        for (partition, next) in &self.next {
            write!(seen, " AND NOT (_kafka_partition = {partition} AND _kafka_offset < {next})")?;
        }
        let answer = stage.clickhouse.query(&format!(
            "SELECT _kafka_partition, max(_kafka_offset) + 1, groupArray(toUnixTimestamp64Milli(_kafka_timestamp))
             FROM {DATABASE}.{table} WHERE 1{seen} GROUP BY 1"
        ))?;
        let now = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis())?;
        for line in answer.lines() {
            let [partition, next, times] =
                line.split('\t').collect::<Vec<_>>().try_into().ok().context("three columns")?;
            self.next.insert(partition.parse()?, next.parse()?);
            for time in times.trim_matches(['[', ']']).split(',') {
                self.ages.push(now - time.parse::<i64>()?);
            }
        }
        Ok(())
    }
}

/// Publishes at a steady rate, in steps of ten milliseconds.
fn produce(config: &ClientConfig, topic: &str, workload: Workload, rate: u64) -> anyhow::Result<()> {
    let mut config = config.clone();
    config.set("linger.ms", "5").set("sticky.partitioning.linger.ms", "0");
    // It serves delivery reports by itself: there are more of them than steps.
    let producer: ThreadedProducer<DefaultProducerContext> = config.create()?;
    let start = Instant::now();
    let mut sent = 0;
    while sent < rate * SECONDS {
        let due = u64::try_from(start.elapsed().as_millis())? * rate / 1_000;
        while sent < due.min(rate * SECONDS) {
            let message = workload.record(WARM_UP + sent);
            let value = message.value.unwrap_or_default();
            producer
                .send(BaseRecord::<(), [u8]>::to(topic).payload(&value))
                .map_err(|(error, _)| error)
                .context("publish")?;
            sent += 1;
        }
        std::thread::sleep(POLL);
    }
    producer.flush(Duration::from_secs(30)).context("publish")
}
