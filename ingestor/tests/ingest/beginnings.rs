//! Where a group begins, and how it goes on when its offsets were touched.

use std::time::Duration;

use caudal_model::ddl::PartitionBy;
use caudal_model::plan::{Field, StartFrom};
use caudal_model::resource::PartitionUnit;
use caudal_model::state::{Phase, Reason};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::{Offset, TopicPartitionList};

use super::pipeline::{Ingestor, LIMIT, Pipeline, Spec, field};
use super::stack::{Sent, Stack, stack};

/// RECONCILE waits so long in these tests.
pub const SHORT_WAIT: (&str, &str) = ("CAUDAL_LONGEST_REQUEST_MS", "1500");

fn row(id: i64) -> Sent {
    Sent::value(0, format!(r#"{{"id":{id},"text":"{id}"}}"#))
}

fn commit(stack: &Stack, pipeline: &Pipeline, offset: i64, metadata: &str) {
    let source = &pipeline.plan.source;
    let consumer: BaseConsumer = stack.config().set("group.id", &source.group).create().unwrap();
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(&source.topic, 0, Offset::Offset(offset)).unwrap();
    list.find_partition(&source.topic, 0).unwrap().set_metadata(metadata);
    // The group may still have the member that has just left.
    caudal_testbed::wait::until("the commit", LIMIT, || Ok(consumer.commit(&list, CommitMode::Sync).ok()))
        .unwrap();
}

#[test]
fn a_new_group_begins_where_the_plan_says() {
    let stack = stack();
    let latest = Pipeline::create(&stack, Spec { start_from: StartFrom::Latest, ..Spec::default() });
    stack.publish(latest.topic(), (0..5).map(row));
    let ingestor = latest.start();
    // Committed before anything is consumed.
    latest.wait_committed(&stack, 0, 5);
    stack.publish(latest.topic(), (5..8).map(row));
    latest.wait_rows(&stack, 3);
    drop(ingestor);

    stack.publish(latest.topic(), [row(8)]);
    std::thread::sleep(Duration::from_millis(20));
    let moment = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis();
    std::thread::sleep(Duration::from_millis(20));
    stack.publish(latest.topic(), (9..11).map(row));
    let start_from = StartFrom::Timestamp { timestamp_ms: i64::try_from(moment).unwrap() };
    let mut later = Pipeline::create(&stack, Spec { start_from, ..Spec::default() });
    later.reads_from(&latest);
    let _ingestor = later.start();
    later.wait_rows(&stack, 2);
    let first = stack.number(&format!("SELECT min(_kafka_offset) FROM {}", later.table()));
    assert_eq!(first, 9);
}

#[test]
fn offsets_set_back_by_hand_repeat_nothing() {
    let stack = stack();
    let pipeline = Pipeline::create(&stack, Spec { max_rows: 7, ..Spec::default() });
    // Messages 10, 20, … are dead letters: offsets without rows.
    let messages = |range: std::ops::Range<i64>| {
        range.map(|id| if id % 10 == 0 && id > 0 { Sent::value(0, "no json") } else { row(id) })
    };
    stack.publish(pipeline.topic(), messages(0..50));
    let ingestor = pipeline.start();
    pipeline.wait_committed(&stack, 0, 50);
    assert!(ingestor.terminate().success());
    // Somebody takes rows away, too: they come back, the others stay alone.
    let delete = format!("DELETE FROM {} WHERE _kafka_offset BETWEEN 23 AND 31", pipeline.table());
    stack.clickhouse.query(&delete).unwrap();

    commit(&stack, &pipeline, 12, "");
    stack.publish(pipeline.topic(), messages(50..80));
    // What is stored is looked up in pieces, which end anywhere.
    let ingestor = Ingestor::start(&pipeline, &[SHORT_WAIT, ("CAUDAL_RUNS_WINDOW", "13")]);
    ingestor.wait_state("the wait", |state| state.partitions.iter().any(|one| one.phase == Phase::Starting));
    pipeline.wait_committed(&stack, 0, 80);
    let found = stack
        .clickhouse
        .query(&format!("SELECT count(), uniqExact(_kafka_offset), sum(id) FROM {}", pipeline.table()))
        .unwrap();
    let sum: i64 = (0..80).filter(|id| id % 10 != 0).sum();
    assert_eq!(found, format!("73\t73\t{sum}"));
}

#[test]
fn deleted_offsets_repeat_nothing() {
    let stack = stack();
    let pipeline = Pipeline::create(&stack, Spec::default());
    stack.publish(pipeline.topic(), (0..20).map(row));
    let ingestor = pipeline.start();
    pipeline.wait_committed(&stack, 0, 20);
    assert!(ingestor.terminate().success());
    stack.publish(pipeline.topic(), (20..30).map(row));
    // As if the group had expired: a group that nobody knows.
    let mut pipeline = pipeline;
    pipeline.plan.source.group.push_str(".new");
    let _ingestor = Ingestor::start(&pipeline, &[SHORT_WAIT]);
    pipeline.wait_committed(&stack, 0, 30);
    pipeline.assert_exactly_once(&stack, &[30]);
}

#[test]
fn what_is_not_ours_is_left_alone() {
    let stack = stack();
    let pipeline = Pipeline::create(&stack, Spec::default());
    stack.publish(pipeline.topic(), (0..5).map(row));
    let source = &pipeline.plan.source;
    let ours = format!("topic={} pipeline=tests/{}", source.topic_id, pipeline.plan.pipeline.name);
    for (metadata, said) in [
        (
            format!(
                "caudal/1 idle topic={} pipeline=other/one table=u plan=r content=c born=1",
                source.topic_id
            ),
            "other/one",
        ),
        (format!("caudal/1 idle {ours} table=another plan=r content=c born=1"), "table another"),
        ("caudal/2 whatever".to_owned(), "newer version"),
    ] {
        commit(&stack, &pipeline, 0, &metadata);
        let ingestor = pipeline.start();
        let state = ingestor.wait_state("a stopped partition", |state| {
            state.partitions.iter().any(|one| one.phase == Phase::Stopped)
        });
        let trouble = state.partitions[0].trouble.clone().unwrap();
        assert_eq!(trouble.reason, Reason::IntentForeign);
        assert!(trouble.message.contains(said), "{}", trouble.message);
        assert!(ingestor.terminate().success());
        assert_eq!(stack.committed(&source.group, pipeline.topic(), 0).unwrap(), (0, metadata));
    }
    assert_eq!(pipeline.rows(&stack), 0);
}

#[test]
fn only_the_missing_parts_of_a_block_are_sent() {
    let stack = stack();
    let fields = vec![field("id", "Int64"), field("day", "Date")];
    let day = caudal_model::ColumnType::Date;
    let partition_by = Some(PartitionBy { field: "day".into(), column_type: day, by: PartitionUnit::Month });
    let pipeline = Pipeline::create(&stack, Spec { fields, partition_by, ..Spec::default() });
    let message = |id: i64| Sent::value(0, format!(r#"{{"id":{id},"day":"2026-{:02}-03"}}"#, id % 5 + 1));
    stack.publish(pipeline.topic(), (0..100).map(message));
    let mut dying = Ingestor::start(&pipeline, &[("CAUDAL_FAIL_POINT", "before_insert")]);
    assert!(!dying.wait_end(LIMIT).success());
    // Two of the block's five parts arrived, and their tokens were lost.
    let (_, metadata) = stack.committed(&pipeline.plan.source.group, pipeline.topic(), 0).unwrap();
    assert!(metadata.contains(" intent "), "{metadata}");
    let insert = format!(
        "INSERT INTO {} SELECT number, toDate('2026-01-03') + INTERVAL number % 5 MONTH, {}, 0, number, 0 \
         FROM numbers(100) WHERE number % 5 IN (1, 3)",
        pipeline.table(),
        pipeline.plan.source.source_id()
    );
    stack.clickhouse.query(&insert).unwrap();
    let _ingestor = pipeline.start();
    pipeline.wait_committed(&stack, 0, 100);
    pipeline.assert_exactly_once(&stack, &[100]);
}

#[test]
fn a_table_of_the_same_name_is_another_table() {
    let stack = stack();
    let mut pipeline = Pipeline::create(&stack, Spec::default());
    pipeline.plan.sink.table_uuid = "00000000-0000-0000-0000-000000000001".into();
    stack.publish(pipeline.topic(), [row(1)]);
    let ingestor = pipeline.start();
    let changed = |wanted| {
        ingestor.wait_state("a changed table", move |state| {
            state.trouble.as_ref().is_some_and(|trouble| trouble.reason == wanted)
        })
    };
    let state = changed(Reason::TableChanged);
    assert!(state.trouble.unwrap().message.contains("another one than the plan's"));

    // A column of another type is as bad.
    let mut pipeline = Pipeline::create(&stack, Spec::default());
    pipeline.plan.fields[1] = Field { nullable: true, ..pipeline.plan.fields[1].clone() };
    let ingestor = pipeline.start();
    let state = ingestor.wait_state("a wrong column", |state| state.trouble.is_some());
    let trouble = state.trouble.unwrap();
    assert_eq!(trouble.reason, Reason::TableChanged);
    assert!(trouble.message.contains("column text"), "{}", trouble.message);
}

#[test]
fn a_topic_of_the_same_name_is_another_topic() {
    let stack = stack();
    let mut pipeline = Pipeline::create(&stack, Spec::default());
    pipeline.plan.source.topic_id = "AAAAAAAAAAAAAAAAAAAAAA".into();
    let ingestor = pipeline.start();
    ingestor.wait_state("another topic", |state| {
        state.trouble.as_ref().is_some_and(|trouble| trouble.reason == Reason::TopicChanged)
    });
}

#[test]
fn a_plan_that_makes_no_sense_ends_the_program() {
    let stack = stack();
    let mut pipeline = Pipeline::create(&stack, Spec::default());
    pipeline.plan.fields[0].default = Some(serde_json::json!("text"));
    assert_eq!(pipeline.start().wait_end(LIMIT).code(), Some(1));
    pipeline.plan.fields[0].default = None;
    pipeline.plan.sink.connection.url = "clickhouse".into();
    assert_eq!(pipeline.start().wait_end(LIMIT).code(), Some(1));
}
