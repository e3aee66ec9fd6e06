//! Bad input and much of it: memory stays where it is, nobody starves, and the
//! broker is not flooded.

use std::fmt::Write as _;

use caudal_model::state::Reason;

use super::pipeline::{Pipeline, Spec};
use super::stack::{Sent, stack};

/// What the plan gives an ingestor of these tests.
const MEMORY: u64 = 256 << 20;

#[test]
fn a_flood_of_malformed_messages_is_slowed_down_and_told() {
    const MESSAGES: u64 = 130_000;
    let stack = stack();
    let pipeline = Pipeline::create(&stack, Spec { partitions: 2, ..Spec::default() });
    let message = |id: u64| Sent::value(i32::try_from(id % 2).unwrap(), id.to_string());
    stack.publish(pipeline.topic(), (0..MESSAGES).map(message));
    let ingestor = pipeline.start();
    let state = ingestor.wait_state("letters that are held back", |state| {
        state.trouble.as_ref().is_some_and(|trouble| trouble.reason == Reason::DeadLettersLimited)
    });
    assert!(state.trouble.unwrap().message.ends_with("the last reason is NotAnObject"));
    assert!(
        ingestor.get("/metrics").unwrap().1.lines().any(|line| {
            line.starts_with("caudal_ingestor_dead_letters_limited{") && line.ends_with(" 1")
        })
    );
    for partition in 0..2 {
        pipeline.wait_committed(&stack, partition, MESSAGES.cast_signed() / 2);
    }
    let letters = stack.read_all(pipeline.dead_letter_topic());
    let mut ids: Vec<u64> = letters
        .iter()
        .map(|one| String::from_utf8_lossy(one.value.as_ref().unwrap()).parse().unwrap())
        .collect();
    ids.sort_unstable();
    assert!(ids.iter().copied().eq(0..MESSAGES), "each once, since nothing died");
    ingestor.wait_state("no trouble", |state| state.trouble.is_none());
    assert!(ingestor.peak_memory() < MEMORY, "{} bytes", ingestor.peak_memory());
}

#[test]
fn messages_of_one_byte_and_of_ten_million_pass() {
    const LARGE: usize = 10_000_000;
    let stack = stack();
    let topic: &[_] = &[("max.message.bytes", "11000000")];
    let pipeline = Pipeline::create(&stack, Spec { topic, ..Spec::default() });
    let sizes = [0, 1, 1_000, 100_000, 1_000_000, 5_000_000, LARGE];
    let good = (0..).zip(sizes).map(|(id, size)| format!(r#"{{"id":{id},"text":"{}"}}"#, "x".repeat(size)));
    let mut unknown = String::from(r#"{"id":7,"text":"""#);
    for key in 0..300_000 {
        let _ = write!(unknown, r#","key {key}":[{key}]"#);
    }
    unknown.push('}');
    let good: Vec<String> = good.chain([unknown]).collect();
    let bad = ["1".to_owned(), "[".repeat(LARGE), format!("\"{}", "x".repeat(LARGE)), "{".repeat(LARGE)];
    let messages = good.iter().chain(&bad).map(|text| Sent::value(0, text.as_bytes()));
    stack.publish(pipeline.topic(), messages);
    let ingestor = pipeline.start();
    pipeline.wait_committed(&stack, 0, i64::try_from(good.len() + bad.len()).unwrap());
    let lengths = format!("SELECT length(text) FROM {} ORDER BY id", pipeline.table());
    let stored = stack.clickhouse.query(&lengths).unwrap();
    let expected: Vec<String> = sizes.iter().chain(&[0]).map(ToString::to_string).collect();
    assert_eq!(stored.lines().collect::<Vec<_>>(), expected);
    let letters = stack.read_all(pipeline.dead_letter_topic());
    let values: Vec<&[u8]> = letters.iter().map(|letter| letter.value.as_deref().unwrap()).collect();
    assert!(values.iter().copied().eq(bad.iter().map(String::as_bytes)), "whole, and in their order");
    assert!(ingestor.peak_memory() < MEMORY, "{} bytes", ingestor.peak_memory());
}

#[test]
fn a_backlog_takes_no_more_memory_and_starves_nobody() {
    const MANY: u64 = 600_000;
    let stack = stack();
    let pipeline = Pipeline::create(&stack, Spec { partitions: 3, ..Spec::default() });
    let row = |partition: i32, id: u64| {
        Sent::value(partition, format!(r#"{{"id":{id},"text":"{:0200}"}}"#, id * id))
    };
    stack.publish(pipeline.topic(), (0..MANY).map(|id| row(0, id)));
    stack.publish(pipeline.topic(), [row(1, 1), row(2, 2)]);
    let ingestor = pipeline.start();
    pipeline.wait_rows(&stack, MANY + 2);
    let small_are_early = format!(
        "SELECT maxIf(inserted_at, partition > 0 AND rows > 0) < maxIf(inserted_at, partition = 0) FROM {} FINAL",
        pipeline.ledger()
    );
    pipeline.wait_committed(&stack, 0, MANY.cast_signed());
    assert_eq!(stack.number(&small_are_early), 1, "who has little to say does not wait for who has much");
    pipeline.assert_exactly_once(&stack, &[MANY, 1, 1]);
    assert!(ingestor.peak_memory() < MEMORY, "{} bytes", ingestor.peak_memory());
}
