//! An open intent and a plan that has changed meanwhile.

use std::collections::BTreeSet;

use caudal_model::plan::Field;
use caudal_model::state::{Phase, Reason};

use super::letters::header;
use super::pipeline::{Ingestor, LIMIT, Pipeline, Spec, field};
use super::stack::{Sent, Stack, stack};

/// A pipeline whose ingestor died between intent and insert.
fn with_open_intent(stack: &Stack) -> Pipeline {
    let pipeline = Pipeline::create(stack, Spec::default());
    let message = |id: i64| match id % 10 {
        9 => Sent::value(0, "no json"),
        _ => Sent::value(0, format!(r#"{{"id":{id},"text":"{id}","more":{id}}}"#)),
    };
    stack.publish(pipeline.topic(), (0..100).map(message));
    let mut dying = Ingestor::start(&pipeline, &[("CAUDAL_FAIL_POINT", "before_insert")]);
    assert!(!dying.wait_end(LIMIT).success());
    pipeline
}

fn add_field(stack: &Stack, pipeline: &mut Pipeline) {
    let alter = format!("ALTER TABLE {} ADD COLUMN more Nullable(Int64) AFTER text", pipeline.table());
    stack.clickhouse.query(&alter).unwrap();
    pipeline.plan.fields.push(Field { nullable: true, ..field("more", "Int64") });
}

fn assert_stored(stack: &Stack, pipeline: &Pipeline) {
    let found = stack
        .clickhouse
        .query(&format!("SELECT count(), uniqExact(_kafka_offset), sum(id) FROM {}", pipeline.table()))
        .unwrap();
    let sum: i64 = (0..100).filter(|id| id % 10 != 9).sum();
    assert_eq!(found, format!("90\t90\t{sum}"));
    // Those that died had sent some of them, too.
    let letters = stack.read_all(pipeline.dead_letter_topic());
    let offsets = letters.iter().filter_map(|one| header(one, "caudal.offset"));
    let offsets: BTreeSet<&str> = offsets.collect();
    assert_eq!(offsets.len(), 10, "{} letters", letters.len());
}

#[test]
fn another_delay_replays_the_intent() {
    let stack = stack();
    let mut pipeline = with_open_intent(&stack);
    let before = pipeline.plan.for_ingestor().revision();
    let ingest = pipeline.plan.ingest.as_mut().unwrap();
    ingest.flush_delay_ms = 33;
    ingest.memory_limit_bytes = 128 << 20;
    assert_ne!(pipeline.plan.for_ingestor().revision(), before);
    let _ingestor = pipeline.start();
    pipeline.wait_committed(&stack, 0, 100);
    assert_stored(&stack, &pipeline);
    // The ledger names the plan that decided the block.
    let plans = stack.clickhouse.query(&format!(
        "SELECT groupUniqArray(plan_revision) FROM {} FINAL WHERE rows > 0",
        pipeline.ledger()
    ));
    assert_eq!(plans.unwrap(), format!("['{before}']"));
}

#[test]
fn another_schema_replays_the_intent_with_the_plan_that_made_it() {
    let stack = stack();
    let mut pipeline = with_open_intent(&stack);
    pipeline.keep_plan();
    add_field(&stack, &mut pipeline);
    stack.publish(pipeline.topic(), [Sent::value(0, r#"{"id":0,"text":"","more":7}"#)]);
    // It dies once more, with the replayed intent in its own words.
    let mut dying = Ingestor::start(&pipeline, &[("CAUDAL_FAIL_POINT", "before_resend")]);
    assert!(!dying.wait_end(LIMIT).success());
    let _ingestor = pipeline.start();
    pipeline.wait_committed(&stack, 0, 101);
    let more = format!("SELECT count(more), sum(more), count() FROM {}", pipeline.table());
    assert_eq!(stack.clickhouse.query(&more).unwrap(), "1\t7\t91");
}

#[test]
fn without_the_plan_that_made_it_the_partition_stops_and_names_it() {
    let stack = stack();
    let mut pipeline = with_open_intent(&stack);
    let before = pipeline.plan.for_ingestor().revision();
    let committed = stack.committed(&pipeline.plan.source.group, pipeline.topic(), 0);
    pipeline.keep_plan();
    let kept = pipeline.plan.clone();
    add_field(&stack, &mut pipeline);
    let mut lost = Pipeline::create(&stack, Spec::default());
    std::mem::swap(&mut lost.plan, &mut pipeline.plan);
    let ingestor = lost.start();
    let state = ingestor.wait_state("a stopped partition", |state| {
        state.partitions.iter().any(|one| one.phase == Phase::Stopped)
    });
    let one = &state.partitions[0];
    assert_eq!(one.trouble.as_ref().unwrap().reason, Reason::PlanRevisionMissing);
    let intent = one.intent.clone().unwrap();
    assert_eq!((intent.first, intent.next, intent.plan_revision), (0, 100, before));
    assert!(ingestor.terminate().success());
    assert_eq!(stack.committed(&kept.source.group, &kept.source.topic, 0), committed);
}

#[test]
fn replays_larger_than_the_memory_come_one_after_the_other() {
    let stack = stack();
    let mut pipeline = Pipeline::create(&stack, Spec { partitions: 4, ..Spec::default() });
    pipeline.plan.ingest.as_mut().unwrap().max_bytes = 3 << 20;
    let text = "x".repeat(10_000);
    let message = |id: i32| Sent::value(id % 4, format!(r#"{{"id":{id},"text":"{text}"}}"#));
    let ingestor = pipeline.start();
    ingestor.wait_state("partitions", |state| {
        state.partitions.len() == 4 && state.partitions.iter().all(|one| one.phase == Phase::Running)
    });
    for partition in 0..4 {
        pipeline.wait_committed(&stack, partition, 0);
    }
    stack.clickhouse.kill();
    stack.publish(pipeline.topic(), (0..1_600).map(message));
    ingestor.wait_state("intents", |state| {
        state.partitions.iter().filter(|one| one.intent.is_some()).count() == 4
    });
    ingestor.kill();
    stack.clickhouse.restart().unwrap();
    // Half of it is for blocks: less than the intents need at once.
    pipeline.plan.ingest.as_mut().unwrap().memory_limit_bytes = 4 << 20;
    let _ingestor = pipeline.start();
    pipeline.wait_rows(&stack, 1_600);
    for partition in 0..4 {
        pipeline.wait_committed(&stack, partition, 400);
    }
    pipeline.assert_exactly_once(&stack, &[400; 4]);
}
