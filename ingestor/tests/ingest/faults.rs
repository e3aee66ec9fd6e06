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
