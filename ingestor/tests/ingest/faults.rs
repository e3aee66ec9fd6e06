//! Whatever dies, every (partition, offset) is in the table exactly once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use caudal_model::state::{Phase, Reason};

use super::beginnings::SHORT_WAIT;
use super::pipeline::{Ingestor, LIMIT, Pipeline, Spec};
use super::stack::{Sent, Stack, send, stack};

const PARTITIONS: i32 = 3;

fn row(id: u64) -> Sent {
    let partition = i32::try_from(id % 3).unwrap();
    Sent::value(partition, format!(r#"{{"id":{id},"text":"{}"}}"#, "x".repeat((id % 50) as usize)))
}

/// Publishes at a steady rate until told to stop.
struct Load {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<u64>,
}

impl Load {
    fn start(stack: &Stack, pipeline: &Pipeline) -> Self {
        let producer = stack.producer();
        let topic = pipeline.topic().to_owned();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = std::thread::spawn(move || {
            let sent = AtomicU64::new(0);
            while !stopped.load(Ordering::Relaxed) {
                for _ in 0..300 {
                    send(&producer, &topic, &row(sent.fetch_add(1, Ordering::Relaxed)));
                }
                std::thread::sleep(Duration::from_millis(20));
            }
            rdkafka::producer::Producer::flush(&producer, LIMIT).unwrap();
            sent.into_inner()
        });
        Self { stop, thread }
    }

    fn finish(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}

fn spec() -> Spec {
    Spec { partitions: PARTITIONS, max_rows: 400, flush_delay_ms: 50, ..Spec::default() }
}

/// Waits until everything sent is stored and committed, and checks it.
fn settle(stack: &Stack, pipeline: &Pipeline, sent: u64) {
    pipeline.wait_rows(stack, sent);
    let ends = [0, 1, 2].map(|partition| (sent + 2 - partition) / 3);
    for (partition, end) in ends.iter().enumerate() {
        pipeline.wait_committed(stack, i32::try_from(partition).unwrap(), i64::try_from(*end).unwrap());
    }
    pipeline.assert_exactly_once(stack, &ends);
    let sum = stack.number(&format!("SELECT sum(id) FROM {}", pipeline.table()));
    assert_eq!(sum, (0..sent).sum::<u64>(), "values");
}

#[test]
fn a_killed_ingestor_loses_and_repeats_nothing() {
    let stack = stack();
    let pipeline = Pipeline::create(&stack, spec());
    let load = Load::start(&stack, &pipeline);
    for _ in 0..2 {
        let before = pipeline.rows(&stack);
        let ingestor = pipeline.start();
        pipeline_moves(&stack, &pipeline, before);
        ingestor.kill();
    }
    let _ingestor = pipeline.start();
    let sent = load.finish();
    settle(&stack, &pipeline, sent);
}

fn pipeline_moves(stack: &Stack, pipeline: &Pipeline, before: u64) {
    caudal_testbed::wait::until("rows to arrive", LIMIT, || {
        Ok((pipeline.rows(stack) > before + 1_000).then_some(()))
    })
    .unwrap();
}

/// Deaths at one place after the other: around intent, insert, ledger and
/// completion; and, with the intent that the first one leaves open, around the
/// steps of SETTLE.
const DEATHS: [&[&str]; 9] = [
    &["commit_sent:2"],
    &["intent_committed"],
    &["before_insert", "before_read_back"],
    &["before_insert", "after_read_back"],
    &["before_insert", "before_resend"],
    &["before_insert", "after_resend"],
    &["after_insert"],
    &["recorded"],
    &["completed"],
];

#[test]
fn a_death_at_any_step_is_recovered() {
    let guard = stack();
    let stack: &Stack = &guard;
    // At the same time: each waits for sessions to end, and for the longest life
    // of a request after a death before the first commit.
    std::thread::scope(|scope| {
        for points in DEATHS {
            scope.spawn(move || {
                let pipeline = Pipeline::create(stack, spec());
                stack.publish(pipeline.topic(), (0..1_800).map(row));
                for point in points {
                    let mut dying = Ingestor::start(&pipeline, &[("CAUDAL_FAIL_POINT", point), SHORT_WAIT]);
                    assert!(!dying.wait_end(LIMIT).success(), "{point}");
                }
                let _ingestor = Ingestor::start(&pipeline, &[SHORT_WAIT]);
                settle(stack, &pipeline, 1_800);
            });
        }
    });
}

#[test]
fn a_killed_clickhouse_loses_and_repeats_nothing() {
    let stack = stack();
    let pipeline = Pipeline::create(&stack, spec());
    let load = Load::start(&stack, &pipeline);
    let _ingestor = pipeline.start();
    for _ in 0..3 {
        pipeline_moves(&stack, &pipeline, pipeline.rows(&stack));
        stack.clickhouse.kill();
        stack.clickhouse.restart().unwrap();
    }
    let sent = load.finish();
    settle(&stack, &pipeline, sent);
}

#[test]
fn a_restarted_broker_loses_and_repeats_nothing() {
    let stack = stack();
    let pipeline = Pipeline::create(&stack, spec());
    let load = Load::start(&stack, &pipeline);
    let ingestor = pipeline.start();
    pipeline_moves(&stack, &pipeline, 0);
    stack.kafka.restart().unwrap();
    let before = pipeline.rows(&stack);
    pipeline_moves(&stack, &pipeline, before);
    let sent = load.finish();
    settle(&stack, &pipeline, sent);
    ingestor.wait_state("no trouble", |state| state.trouble.is_none());
}

#[test]
fn a_terminated_ingestor_leaves_nothing_open() {
    let stack = stack();
    let pipeline = Pipeline::create(&stack, spec());
    let load = Load::start(&stack, &pipeline);
    let ingestor = pipeline.start();
    pipeline_moves(&stack, &pipeline, 0);
    assert!(ingestor.terminate().success());
    for partition in 0..PARTITIONS {
        let (_, metadata) =
            stack.committed(&pipeline.plan.source.group, pipeline.topic(), partition).unwrap();
        assert!(metadata.contains(" idle "), "{metadata}");
    }
    let sent = load.finish();
    let _ingestor = pipeline.start();
    settle(&stack, &pipeline, sent);
}

#[test]
fn members_that_come_and_go_lose_and_repeat_nothing() {
    let stack = stack();
    let pipeline = Pipeline::create(&stack, spec());
    let load = Load::start(&stack, &pipeline);
    let first = pipeline.start();
    pipeline_moves(&stack, &pipeline, 0);
    let second = pipeline.start();
    second.wait_state("a share", |state| !state.partitions.is_empty());
    let held = first.wait_state("a share left", |state| state.partitions.len() < 3).partitions.len();
    assert_eq!(held + second.state().unwrap().partitions.len(), 3);
    pipeline_moves(&stack, &pipeline, pipeline.rows(&stack));
    assert!(first.terminate().success());
    second.wait_state("everything", |state| state.partitions.len() == 3);
    let third = pipeline.start();
    pipeline_moves(&stack, &pipeline, pipeline.rows(&stack));
    second.kill();
    third.wait_state("everything", |state| state.partitions.len() == 3);
    let sent = load.finish();
    settle(&stack, &pipeline, sent);
}

#[test]
fn an_outage_of_clickhouse_shows_and_passes() {
    let stack = stack();
    let pipeline = Pipeline::create(&stack, spec());
    let ingestor = pipeline.start();
    stack.publish(pipeline.topic(), (0..300).map(row));
    pipeline.wait_rows(&stack, 300);
    // With a ledger row under way, the partitions would not be those that wait.
    (0..PARTITIONS).for_each(|partition| pipeline.wait_committed(&stack, partition, 100));
    stack.clickhouse.kill();
    stack.publish(pipeline.topic(), (300..30_000).map(row));
    let state = ingestor.wait_state("a waiting partition", |state| {
        state.partitions.iter().any(|one| one.phase == Phase::Waiting)
    });
    let trouble = state.partitions.iter().find_map(|one| one.trouble.clone()).unwrap();
    assert_eq!(trouble.reason, Reason::ClickHouseUnreachable);
    assert_eq!(ingestor.get("/readyz").unwrap().0, 200, "an outage locks no rollout");
    assert!(state.partitions.iter().any(|one| one.intent.is_some()));
    // Somebody who starts now waits as well.
    let second = pipeline.start();
    second.wait_state("trouble", |state| {
        state.joined
            && state.trouble.as_ref().is_some_and(|trouble| trouble.reason == Reason::ClickHouseUnreachable)
    });
    stack.clickhouse.restart().unwrap();
    settle(&stack, &pipeline, 30_000);
    for ingestor in [ingestor, second] {
        ingestor.wait_state("no trouble", |state| {
            state.trouble.is_none() && state.partitions.iter().all(|one| one.phase == Phase::Running)
        });
    }
}

/// Waits for a partition that waits, and its reason.
fn trouble_of(ingestor: &Ingestor) -> Reason {
    let state = ingestor.wait_state("a waiting partition", |state| {
        state.partitions.iter().any(|one| one.phase == Phase::Waiting && one.trouble.is_some())
    });
    state.partitions.iter().find_map(|one| one.trouble.clone()).unwrap().reason
}

#[test]
fn a_table_that_takes_nothing_for_now_is_waited_for() {
    let stack = stack();
    let read_only = ["MODIFY SETTING table_readonly = 1", "MODIFY SETTING table_readonly = 0"];
    let too_many_parts = [
        "MODIFY SETTING parts_to_delay_insert = 1, parts_to_throw_insert = 1",
        "RESET SETTING parts_to_delay_insert, parts_to_throw_insert",
    ];
    for [break_it, mend_it] in [read_only, too_many_parts] {
        let pipeline = Pipeline::create(&stack, spec());
        let query = |sql: String| stack.clickhouse.query(&sql).unwrap();
        query(format!("SYSTEM STOP MERGES {}", pipeline.table()));
        let ingestor = pipeline.start();
        stack.publish(pipeline.topic(), (0..300).map(row));
        pipeline.wait_rows(&stack, 300);
        query(format!("ALTER TABLE {} {break_it}", pipeline.table()));
        stack.publish(pipeline.topic(), (300..3_000).map(row));
        assert_eq!(trouble_of(&ingestor), Reason::ClickHouseUnreachable, "{break_it}");
        query(format!("ALTER TABLE {} {mend_it}", pipeline.table()));
        settle(&stack, &pipeline, 3_000);
        assert!(stack.read_all(pipeline.dead_letter_topic()).is_empty());
    }
}

#[test]
fn a_memory_limit_that_is_too_small_is_waited_for() {
    let stack = stack();
    let pipeline = Pipeline::create(&stack, spec());
    let users = stack.clickhouse.log().with_file_name("users.xml");
    let text = std::fs::read_to_string(&users).unwrap();
    let (others, ingest) = text.split_once("<ingest>").expect("the ingestor's account");
    let ingest = ingest.replacen("<profile>default</profile>", "<profile>small</profile>", 1);
    let small = "<profiles><small><max_memory_usage>100000</max_memory_usage>\
                 <max_untracked_memory>1000</max_untracked_memory></small>";
    let ingest = ingest.replacen("<profiles>", small, 1);
    std::fs::write(&users, format!("{others}<ingest>{ingest}")).unwrap();
    stack.clickhouse.restart().unwrap();
    stack.publish(pipeline.topic(), (0..3_000).map(row));
    let ingestor = pipeline.start();
    let state = ingestor.wait_state("trouble", |state| {
        let troubles = state.partitions.iter().filter_map(|one| one.trouble.as_ref()).chain(&state.trouble);
        troubles.map(|trouble| &trouble.message).any(|message| message.contains("code 241"))
    });
    assert!(state.partitions.iter().all(|one| one.phase != Phase::Stopped), "{state:?}");
    std::fs::write(&users, text).unwrap();
    stack.clickhouse.restart().unwrap();
    settle(&stack, &pipeline, 3_000);
}

#[test]
fn a_death_while_partitions_are_given_back_is_recovered() {
    let stack = stack();
    // Sessions end slowly: much is waiting at the end.
    let pipeline = Pipeline::create(&stack, Spec { max_rows: 5_000, ..spec() });
    let load = Load::start(&stack, &pipeline);
    for point in ["revoked", "given_back"] {
        let mut dying = Ingestor::start(&pipeline, &[("CAUDAL_FAIL_POINT", point)]);
        dying.wait_state("everything", |state| state.partitions.len() == 3);
        pipeline_moves(&stack, &pipeline, pipeline.rows(&stack));
        // Somebody else comes, so it gives back.
        let other = pipeline.start();
        assert!(!dying.wait_end(LIMIT).success(), "{point}");
        other.wait_state("everything", |state| state.partitions.len() == 3);
        other.kill();
    }
    let _ingestor = pipeline.start();
    let sent = load.finish();
    settle(&stack, &pipeline, sent);
}
