//! Rows that decode well and that ClickHouse does not take: with
//! `maxAttempts` they become dead letters, and nothing else does.

use std::collections::BTreeSet;

use super::beginnings::SHORT_WAIT;
use super::letters::header;
use super::pipeline::{Ingestor, LIMIT, Pipeline, Spec};
use super::stack::{Sent, Stack, stack};

const MESSAGES: u64 = 2_000;

/// By what a message becomes: a row, a malformed one's letter, a refused one's.
#[derive(Clone, Copy, PartialEq)]
enum Becomes {
    Row,
    Malformed,
    Refused,
}

fn becomes(id: u64) -> Becomes {
    match id {
        _ if id % 500 == 17 => Becomes::Malformed,
        // Far apart, neighbours, and the last one.
        3 | 700 | 701 | 1_999 => Becomes::Refused,
        _ => Becomes::Row,
    }
}

fn message(id: u64) -> Sent {
    match becomes(id) {
        Becomes::Malformed => Sent::value(0, format!("{{\"id\":{id}")),
        Becomes::Row => Sent::value(0, format!(r#"{{"id":{id},"text":"good"}}"#)),
        Becomes::Refused => Sent::value(0, format!(r#"{{"id":{id},"text":"refused"}}"#)),
    }
}

fn offsets(kind: Becomes) -> BTreeSet<u64> {
    (0..MESSAGES).filter(|id| becomes(*id) == kind).collect()
}

/// A table with a constraint, a backlog, and `max_attempts`.
fn pipeline(stack: &Stack, max_attempts: u32) -> Pipeline {
    let spec = Spec { max_rows: 600, max_attempts: Some(max_attempts), ..Spec::default() };
    let pipeline = Pipeline::create(stack, spec);
    let constraint = format!("ALTER TABLE {} ADD CONSTRAINT good CHECK text = 'good'", pipeline.table());
    stack.clickhouse.query(&constraint).unwrap();
    stack.publish(pipeline.topic(), (0..MESSAGES).map(message));
    pipeline
}

fn check(stack: &Stack, pipeline: &Pipeline) {
    pipeline.wait_committed(stack, 0, MESSAGES.cast_signed());
    let rows = stack.clickhouse.query(&format!("SELECT _kafka_offset FROM {}", pipeline.table())).unwrap();
    let rows: Vec<u64> = rows.lines().map(|line| line.parse().unwrap()).collect();
    assert_eq!(rows.iter().copied().collect::<BTreeSet<_>>(), offsets(Becomes::Row), "stored");
    assert_eq!(rows.len(), offsets(Becomes::Row).len(), "once each");
    let letters = stack.read_all(pipeline.dead_letter_topic());
    let with = |reason: &str| -> BTreeSet<u64> {
        let letters = letters.iter().filter(|letter| header(letter, "caudal.reason") == Some(reason));
        letters.map(|letter| header(letter, "caudal.offset").unwrap().parse().unwrap()).collect()
    };
    assert_eq!(with("Refused"), offsets(Becomes::Refused));
    assert_eq!(with("InvalidJson"), offsets(Becomes::Malformed));
    let counts = format!(
        "SELECT sum(rows), sum(dead_letters), min(first_offset), max(next_offset), sum(next_offset - first_offset)
         FROM {} FINAL",
        pipeline.ledger()
    );
    let (rows, dead) = (rows.len(), usize::try_from(MESSAGES).unwrap() - rows.len());
    let ledger = stack.clickhouse.query(&counts).unwrap();
    assert_eq!(ledger.trim(), format!("{rows}\t{dead}\t0\t{MESSAGES}\t{MESSAGES}"));
}

#[test]
fn what_a_constraint_refuses_becomes_a_dead_letter_that_says_so() {
    let stack = stack();
    let pipeline = pipeline(&stack, 2);
    let ingestor = pipeline.start();
    check(&stack, &pipeline);
    let letters = stack.read_all(pipeline.dead_letter_topic());
    let refused = letters.iter().find(|letter| header(letter, "caudal.reason") == Some("Refused")).unwrap();
    assert!(header(refused, "caudal.detail").is_some_and(|text| text.contains("Constraint `good`")));
    assert_eq!(refused.value, message(3).value);
    ingestor.wait_state("no trouble", |state| state.partitions.iter().all(|one| one.trouble.is_none()));
}

#[test]
fn deaths_while_a_block_is_taken_apart_change_nothing() {
    let stack = stack();
    let pipeline = pipeline(&stack, 1);
    // In the middle of halving; with a refused message's intent open; behind it.
    for point in ["before_resend:3", "letter_sent:2", "intent_committed:9"] {
        let mut dying = Ingestor::start(&pipeline, &[("CAUDAL_FAIL_POINT", point), SHORT_WAIT]);
        assert!(!dying.wait_end(LIMIT).success(), "{point}");
    }
    let _ingestor = Ingestor::start(&pipeline, &[SHORT_WAIT]);
    check(&stack, &pipeline);
}

#[test]
fn an_outage_is_no_refusal() {
    let stack = stack();
    let pipeline = pipeline(&stack, 1);
    stack.clickhouse.kill();
    let ingestor = Ingestor::start(&pipeline, &[SHORT_WAIT]);
    ingestor.wait_state("trouble", |state| state.trouble.is_some());
    stack.clickhouse.restart().unwrap();
    check(&stack, &pipeline);
}
