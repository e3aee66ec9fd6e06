//! Everything that can go wrong, in an order made from a seed, for a while.
//! `make chaos SECONDS=600 SEED=7` runs it for long; here it runs for a short
//! one. The load and its checks know what became of every offset.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::pipeline::{Ingestor, LIMIT, Pipeline, Spec};
use super::stack::{Sent, Stack, send, stack};

const PARTITIONS: u64 = 3;
const MEMBERS: usize = 3;
/// Above the longest pause of the server, so that no request outlives it.
const LONGEST_REQUEST: (&str, &str) = ("CAUDAL_LONGEST_REQUEST_MS", "10000");
const LONGEST_PAUSE_MS: u64 = 3_000;
/// Longer than the group waits for a silent member.
const LONGEST_FREEZE_MS: u64 = 8_000;

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().map_or(default, |text| text.parse().expect("a number"))
}

/// One of twenty is malformed, one a tombstone.
fn message(id: u64) -> Sent {
    let partition = i32::try_from(id % PARTITIONS).unwrap();
    match id % 20 {
        13 => Sent { partition, key: Some(id.to_string().into_bytes()), ..Sent::default() },
        7 => Sent::value(partition, format!(r#"{{"id":{id}}}"#)),
        _ => Sent::value(partition, format!(r#"{{"id":{id},"text":"{}"}}"#, "x".repeat((id % 50) as usize))),
    }
}

#[derive(Clone, Copy, Debug)]
enum Act {
    KillMember,
    FreezeMember,
    AddMember,
    EndMember,
    KillClickHouse,
    PauseClickHouse,
    KillKafka,
    PauseKafka,
}

const ACTS: [Act; 8] = [
    Act::KillMember,
    Act::FreezeMember,
    Act::AddMember,
    Act::EndMember,
    Act::KillClickHouse,
    Act::PauseClickHouse,
    Act::KillKafka,
    Act::PauseKafka,
];

struct Chaos<'a> {
    stack: &'a Stack,
    pipeline: &'a Pipeline,
    members: Vec<Ingestor>,
    random: StdRng,
}

impl Chaos<'_> {
    fn pause(&mut self, at_most_ms: u64) {
        std::thread::sleep(Duration::from_millis(self.random.random_range(50..at_most_ms)));
    }

    fn add(&mut self) {
        self.members.push(Ingestor::start(self.pipeline, &[LONGEST_REQUEST]));
    }

    fn take(&mut self) -> Ingestor {
        let index = self.random.random_range(0..self.members.len());
        self.members.swap_remove(index)
    }

    fn act(&mut self, act: Act) {
        match act {
            Act::KillMember => {
                self.take().kill();
                self.add();
            }
            Act::FreezeMember => {
                let member = self.take();
                member.freeze();
                self.pause(LONGEST_FREEZE_MS);
                member.wake();
                self.members.push(member);
            }
            Act::AddMember if self.members.len() < MEMBERS => self.add(),
            Act::EndMember if self.members.len() > 1 => assert!(self.take().terminate().success()),
            Act::AddMember | Act::EndMember => {}
            Act::KillClickHouse => {
                self.stack.clickhouse.kill();
                self.stack.clickhouse.restart().unwrap();
            }
            Act::PauseClickHouse => {
                self.stack.clickhouse.pause().unwrap();
                self.pause(LONGEST_PAUSE_MS);
                self.stack.clickhouse.resume().unwrap();
            }
            Act::KillKafka => {
                self.stack.kafka.kill();
                self.stack.kafka.restart().unwrap();
            }
            Act::PauseKafka => {
                self.stack.kafka.pause().unwrap();
                self.pause(LONGEST_PAUSE_MS);
                self.stack.kafka.resume().unwrap();
            }
        }
    }
}

#[test]
fn whatever_happens_nothing_is_lost_or_repeated() {
    let seconds = setting("CAUDAL_CHAOS_SECONDS", 30);
    let seed = setting("CAUDAL_CHAOS_SEED", rand::random::<u32>().into());
    println!("seed {seed}, {seconds} s");
    let guard = stack();
    let stack: &Stack = &guard;
    let spec = Spec { partitions: 3, max_rows: 2_000, flush_delay_ms: 50, ..Spec::default() };
    let pipeline = Pipeline::create(stack, spec);
    let (stop, sent) = (AtomicBool::new(false), AtomicU64::new(0));
    let members = std::thread::scope(|scope| {
        scope.spawn(|| {
            let producer = stack.producer();
            while !stop.load(Ordering::Relaxed) {
                for _ in 0..200 {
                    send(&producer, pipeline.topic(), &message(sent.fetch_add(1, Ordering::Relaxed)));
                }
                std::thread::sleep(Duration::from_millis(50));
            }
            rdkafka::producer::Producer::flush(&producer, LIMIT).unwrap();
        });
        let mut chaos =
            Chaos { stack, pipeline: &pipeline, members: Vec::new(), random: StdRng::seed_from_u64(seed) };
        chaos.add();
        let begun = Instant::now();
        let mut acts = 0;
        while begun.elapsed() < Duration::from_secs(seconds) {
            let act = ACTS[chaos.random.random_range(0..ACTS.len())];
            println!("{:>4} s: {act:?}, {} members", begun.elapsed().as_secs(), chaos.members.len());
            chaos.act(act);
            acts += 1;
            chaos.pause(1_000);
        }
        stop.store(true, Ordering::Relaxed);
        println!("{acts} acts, {} messages", sent.load(Ordering::Relaxed));
        chaos.members
    });
    check(stack, &pipeline, sent.into_inner());
    drop(members);
}

/// Every offset is a row once, a dead letter at least once, or filtered.
fn check(stack: &Stack, pipeline: &Pipeline, sent: u64) {
    let ids = |partition: u64| (partition..sent).step_by(3);
    for partition in 0..PARTITIONS {
        let end = ids(partition).count();
        pipeline.wait_committed(stack, i32::try_from(partition).unwrap(), i64::try_from(end).unwrap());
    }
    let letters = stack.read_all(pipeline.dead_letter_topic());
    let header = |letter: &Sent, name: &str| {
        let value = letter.headers.iter().find(|(key, _)| key == name).and_then(|(_, value)| value.clone());
        String::from_utf8(value.unwrap()).unwrap().parse::<u64>().unwrap()
    };
    let letters: BTreeSet<(u64, u64)> =
        letters.iter().map(|one| (header(one, "caudal.partition"), header(one, "caudal.offset"))).collect();
    let malformed = (0..sent).filter(|id| id % 20 == 7).map(|id| (id % PARTITIONS, id / PARTITIONS));
    assert_eq!(letters, malformed.collect(), "dead letters");

    let good = || (0..sent).filter(|id| !matches!(id % 20, 7 | 13));
    let found = stack.clickhouse.query(&format!(
        "SELECT count(), uniqExact(_kafka_partition, _kafka_offset), sum(id), \
         countIf(id != _kafka_offset * {PARTITIONS} + _kafka_partition OR length(text) != id % 50) FROM {}",
        pipeline.table()
    ));
    let (rows, sum) = (good().count(), good().sum::<u64>());
    assert_eq!(found.unwrap().trim(), format!("{rows}\t{rows}\t{sum}\t0"), "rows");
    let tiled = stack.clickhouse.query(&format!(
        "SELECT sum(next_offset - first_offset), sum(rows), sum(dead_letters), sum(filtered) FROM {} FINAL",
        pipeline.ledger()
    ));
    let filtered = (0..sent).filter(|id| id % 20 == 13).count();
    assert_eq!(tiled.unwrap().trim(), format!("{sent}\t{rows}\t{}\t{filtered}", letters.len()), "ledger");
}
