//! What is published is stored, once, and the group says so.

use super::pipeline::{Pipeline, Spec};
use super::stack::{Sent, stack};

fn row(id: u64) -> String {
    format!(r#"{{"id":{id},"text":"message {id}"}}"#)
}

#[test]
fn messages_become_rows_and_are_committed() {
    let stack = stack();
    let pipeline = Pipeline::create(&stack, Spec { partitions: 3, ..Spec::default() });
    stack.publish(pipeline.topic(), (0..3_000).map(|id| Sent::value((id % 3) as i32, row(id))));
    let ingestor = pipeline.start();
    pipeline.wait_rows(&stack, 3_000);
    for partition in 0..3 {
        pipeline.wait_committed(&stack, partition, 1_000);
    }
    let sum = stack.number(&format!("SELECT sum(id) FROM {}", pipeline.table()));
    assert_eq!(sum, (0..3_000).sum::<u64>());
    assert_eq!(ingestor.get("/readyz").unwrap().0, 200);
    assert!(ingestor.terminate().success());
    pipeline.assert_exactly_once(&stack, &[1_000, 1_000, 1_000]);
}
