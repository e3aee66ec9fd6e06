//! Kafka's log under the ingestor: deleted messages, aborted transactions,
//! another topic, more partitions.

use caudal_model::plan::StartFrom;
use caudal_model::state::{Phase, Reason};
use rdkafka::producer::{DefaultProducerContext, Producer, ThreadedProducer};

use super::pipeline::{Ingestor, LIMIT, Pipeline, Spec};
use super::stack::{Sent, Stack, send, stack};

fn row(id: i64) -> Sent {
    Sent::value(0, format!(r#"{{"id":{id},"text":"{id}"}}"#))
}

fn with_open_intent(stack: &Stack, rows: i64) -> Pipeline {
    let pipeline = Pipeline::create(stack, Spec::default());
    stack.publish(pipeline.topic(), (0..rows).map(row));
    let mut dying = Ingestor::start(&pipeline, &[("CAUDAL_FAIL_POINT", "before_insert")]);
    assert!(!dying.wait_end(LIMIT).success());
    pipeline
}

#[test]
fn what_retention_left_of_an_intent_is_stored_and_the_rest_counted() {
    let stack = stack();
    let pipeline = with_open_intent(&stack, 100);
    stack.delete_before(pipeline.topic(), 0, 40);
    stack.publish(pipeline.topic(), (100..110).map(row));
    let ingestor = pipeline.start();
    pipeline.wait_committed(&stack, 0, 110);
    let rows = format!("SELECT count(), min(_kafka_offset), sum(id) FROM {}", pipeline.table());
    assert_eq!(stack.clickhouse.query(&rows).unwrap(), format!("70\t40\t{}", (40..110).sum::<i64>()));
    let gap = format!("SELECT sum(rows), sum(gap) FROM {} FINAL", pipeline.ledger());
    assert_eq!(stack.clickhouse.query(&gap).unwrap(), "70\t40");
    let metrics = ingestor.get("/metrics").unwrap().1;
    let lost = metrics.lines().find(|line| line.starts_with("caudal_ingestor_retention_gap_messages_total"));
    assert!(lost.unwrap().ends_with(" 40"), "{lost:?}");
}

#[test]
fn an_intent_of_which_nothing_is_left_stops_the_partition() {
    let stack = stack();
    let pipeline = with_open_intent(&stack, 50);
    stack.publish(pipeline.topic(), (50..60).map(row));
    stack.delete_before(pipeline.topic(), 0, 55);
    let ingestor = pipeline.start();
    let state = ingestor.wait_state("a stopped partition", |state| {
        state.partitions.iter().any(|one| one.phase == Phase::Stopped)
    });
    assert_eq!(state.partitions[0].trouble.as_ref().unwrap().reason, Reason::RetentionGap);
    assert_eq!(state.partitions[0].intent.as_ref().unwrap().next, 50);
    assert!(ingestor.terminate().success());
    let (offset, metadata) = stack.committed(&pipeline.plan.source.group, pipeline.topic(), 0).unwrap();
    assert!(offset == 0 && metadata.contains(" intent "), "{offset} {metadata}");
}

#[test]
fn a_compacted_tail_of_an_intent_is_not_waited_for() {
    let stack = stack();
    let topic: &[_] = &[
        ("cleanup.policy", "compact"),
        ("segment.ms", "100"),
        ("min.cleanable.dirty.ratio", "0.001"),
        ("max.compaction.lag.ms", "100"),
    ];
    let keyed = |id: i64, key: &str| Sent { key: Some(key.as_bytes().to_vec()), ..row(id) };
    let pipeline = Pipeline::create(&stack, Spec { topic, ..Spec::default() });
    stack.publish(pipeline.topic(), (0..100).map(|id| keyed(id, &format!("key {id}"))));
    let mut dying = Ingestor::start(&pipeline, &[("CAUDAL_FAIL_POINT", "before_insert")]);
    assert!(!dying.wait_end(LIMIT).success());
    // Newer messages of the last forty keys: what they replace is deleted,
    // once a further segment has begun.
    stack.publish(pipeline.topic(), (100..140).map(|id| keyed(id, &format!("key {}", id - 40))));
    let mut sent = 140;
    let ids = || -> Vec<i64> {
        let messages = stack.read_all(pipeline.topic());
        let text = |one: &Sent| String::from_utf8(one.key.clone().unwrap()).unwrap();
        let id = |one: &Sent| -> serde_json::Value {
            serde_json::from_slice(one.value.as_ref().unwrap()).unwrap()
        };
        messages
            .iter()
            .filter(|one| text(one) != "segment")
            .map(|one| id(one)["id"].as_i64().unwrap())
            .collect()
    };
    let kept: Vec<i64> = (0..60).chain(100..140).collect();
    caudal_testbed::wait::until("the compaction", LIMIT, || {
        stack.publish(pipeline.topic(), [keyed(sent, "segment")]);
        sent += 1;
        Ok((ids() == kept).then_some(()))
    })
    .unwrap();
    let _ingestor = pipeline.start();
    pipeline.wait_committed(&stack, 0, sent);
    let rows = format!(
        "SELECT groupArray(id) FROM (SELECT id FROM {} WHERE id < 140 ORDER BY id)",
        pipeline.table()
    );
    let stored: Vec<i64> = serde_json::from_str(&stack.clickhouse.query(&rows).unwrap()).unwrap();
    assert_eq!(stored, kept);
}

#[test]
fn aborted_transactions_leave_offsets_without_messages() {
    let stack = stack();
    let pipeline = Pipeline::create(&stack, Spec::default());
    let producer: ThreadedProducer<DefaultProducerContext> =
        stack.config().set("transactional.id", pipeline.topic()).create().unwrap();
    producer.init_transactions(LIMIT).unwrap();
    let transaction = |ids: std::ops::Range<i64>, commit: bool| {
        producer.begin_transaction().unwrap();
        ids.for_each(|id| send(&producer, pipeline.topic(), &row(id)));
        producer.flush(LIMIT).unwrap();
        if commit {
            producer.commit_transaction(LIMIT).unwrap();
        } else {
            producer.abort_transaction(LIMIT).unwrap();
        }
    };
    // Ten rows and a mark, ten aborted ones and a mark.
    transaction(0..10, true);
    transaction(100..110, false);
    let mut dying = Ingestor::start(&pipeline, &[("CAUDAL_FAIL_POINT", "before_insert")]);
    assert!(!dying.wait_end(LIMIT).success());
    let _ingestor = pipeline.start();
    pipeline.wait_committed(&stack, 0, 22);
    transaction(10..20, true);
    pipeline.wait_committed(&stack, 0, 33);
    let found = format!("SELECT count(), uniqExact(_kafka_offset), sum(id) FROM {}", pipeline.table());
    assert_eq!(stack.clickhouse.query(&found).unwrap(), format!("20\t20\t{}", (0..20).sum::<i64>()));
}

#[test]
fn a_topic_made_again_under_its_name_is_not_read_as_the_old_one() {
    let stack = stack();
    let mut pipeline = Pipeline::create(&stack, Spec::default());
    stack.publish(pipeline.topic(), (0..10).map(row));
    let ingestor = pipeline.start();
    pipeline.wait_committed(&stack, 0, 10);
    stack.delete_topic(pipeline.topic());
    stack.create_topic(pipeline.topic(), 1);
    stack.publish(pipeline.topic(), (1_000..1_030).map(row));
    ingestor.wait_state("another topic", |state| {
        state.trouble.as_ref().is_some_and(|trouble| trouble.reason == Reason::TopicChanged)
    });
    assert_eq!(pipeline.rows(&stack), 10);
    drop(ingestor);
    // With the plan for the new one it begins at 0.
    pipeline.plan.source.topic_id = stack.ids(pipeline.topic()).0;
    let _ingestor = pipeline.start();
    pipeline.wait_committed(&stack, 0, 30);
    assert_eq!(pipeline.rows(&stack), 40);
}

#[test]
fn partitions_added_while_it_runs_are_read_from_their_beginning() {
    let stack = stack();
    let pipeline = Pipeline::create(&stack, Spec { start_from: StartFrom::Latest, ..Spec::default() });
    stack.publish(pipeline.topic(), (0..5).map(row));
    let _ingestor = Ingestor::start(&pipeline, &[("CAUDAL_METADATA_REFRESH_MS", "1000")]);
    pipeline.wait_committed(&stack, 0, 5);
    stack.add_partitions(pipeline.topic(), 2);
    stack.publish(pipeline.topic(), [Sent { partition: 1, ..row(7) }]);
    pipeline.wait_committed(&stack, 1, 1);
    assert_eq!(pipeline.rows(&stack), 1);
}
