//! A process that stands still longer than its group waits for it.

use super::pipeline::{Ingestor, Pipeline, Spec};
use super::stack::{Sent, Stack, stack};

fn row(id: i64) -> Sent {
    Sent::value(0, format!(r#"{{"id":{id},"text":"{id}"}}"#))
}

#[test]
fn a_member_that_wakes_up_too_late_changes_nothing() {
    let guard = stack();
    let stack: &Stack = &guard;
    // Between the look at its lease and the send; before a commit's answer;
    // before it hears that its ledger row is written.
    std::thread::scope(|scope| {
        for point in ["before_insert:2", "commit_sent:3", "recorded:2"] {
            scope.spawn(move || freeze(stack, point));
        }
    });
}

fn freeze(stack: &Stack, point: &str) {
    let spec = Spec { max_rows: 50, flush_delay_ms: 50, ..Spec::default() };
    let pipeline = Pipeline::create(stack, spec);
    stack.publish(pipeline.topic(), (0..200).map(row));
    let frozen = Ingestor::start(&pipeline, &[("CAUDAL_FREEZE_POINT", point)]);
    frozen.wait_stopped();
    let _second = pipeline.start();
    pipeline.wait_committed(stack, 0, 200);
    stack.publish(pipeline.topic(), (200..250).map(row));
    frozen.wake();
    pipeline.wait_committed(stack, 0, 250);
    // Whoever has the partition now goes on.
    stack.publish(pipeline.topic(), (250..300).map(row));
    pipeline.wait_committed(stack, 0, 300);
    pipeline.assert_exactly_once(stack, &[300]);
}
