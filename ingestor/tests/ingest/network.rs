//! A network between ingestor and ClickHouse that cuts, slows and freezes, and
//! a ClickHouse that refuses.

use std::time::Duration;

use caudal_model::state::{Phase, Reason};
use caudal_testbed::wait;

use super::pipeline::{Ingestor, LIMIT, Pipeline, Spec};
use super::proxy::{Mode, Proxy};
use super::stack::{Sent, Stack, stack};

fn row(id: u64) -> Sent {
    let partition = i32::try_from(id % 3).unwrap();
    Sent::value(partition, format!(r#"{{"id":{id},"text":"{}"}}"#, "x".repeat(50)))
}

/// A pipeline of three partitions that reaches ClickHouse through a proxy.
fn through_proxy(stack: &Stack) -> (Pipeline, Proxy) {
    let proxy = Proxy::start(stack.clickhouse.http_port());
    let spec = Spec { partitions: 3, max_rows: 100, flush_delay_ms: 50, ..Spec::default() };
    let mut pipeline = Pipeline::create(stack, spec);
    pipeline.plan.sink.connection.url = proxy.url();
    (pipeline, proxy)
}

fn wait_faults(proxy: &Proxy, faults: u32) {
    wait::until("faults", LIMIT, || Ok((proxy.faults() >= faults).then_some(()))).unwrap();
}

fn finish(stack: &Stack, pipeline: &Pipeline, each: u64) {
    pipeline.wait_rows(stack, 3 * each);
    for partition in 0..3 {
        pipeline.wait_committed(stack, partition, each.cast_signed());
    }
    pipeline.assert_exactly_once(stack, &[each; 3]);
}

fn metric(ingestor: &Ingestor, name: &str) -> f64 {
    let text = ingestor.get("/metrics").unwrap().1;
    let line = text.lines().find(|line| line.starts_with(name) && !line.starts_with('#'));
    line.and_then(|line| line.rsplit_once(' ')?.1.parse().ok()).unwrap_or_else(|| panic!("{name} in {text}"))
}

#[test]
fn answers_that_break_off_lose_and_repeat_nothing() {
    let stack = stack();
    let (pipeline, proxy) = through_proxy(&stack);
    proxy.set(Mode::CutAnswers);
    let ingestor = pipeline.start();
    stack.publish(pipeline.topic(), (0..1_500).map(row));
    wait_faults(&proxy, 8);
    proxy.set(Mode::CutBeforeAnswers);
    wait_faults(&proxy, 14);
    proxy.set(Mode::Pass);
    finish(&stack, &pipeline, 500);
    assert!(metric(&ingestor, "caudal_ingestor_blocks_settled_total") > 0.0);
}

#[test]
fn a_slow_network_and_one_that_stands_still_lose_and_repeat_nothing() {
    let stack = stack();
    let (pipeline, proxy) = through_proxy(&stack);
    proxy.set(Mode::Slow);
    let _ingestor = pipeline.start();
    stack.publish(pipeline.topic(), (0..900).map(row));
    wait::until("rows", LIMIT, || Ok((pipeline.rows(&stack) > 0).then_some(()))).unwrap();
    proxy.set(Mode::Frozen);
    stack.publish(pipeline.topic(), (900..1_200).map(row));
    std::thread::sleep(Duration::from_secs(1));
    proxy.set(Mode::Pass);
    finish(&stack, &pipeline, 400);
}

#[test]
fn a_server_that_refuses_for_now_is_waited_for() {
    let stack = stack();
    // What a real server can't be brought to say here: a replica that is
    // read-only, a timeout.
    for code in [242, 159] {
        let (pipeline, proxy) = through_proxy(&stack);
        proxy.set(Mode::Refuse(code));
        let ingestor = pipeline.start();
        stack.publish(pipeline.topic(), (0..300).map(row));
        wait_faults(&proxy, 4);
        let state = ingestor.wait_state("a waiting partition", |state| {
            state.partitions.iter().any(|one| one.phase == Phase::Waiting)
        });
        let trouble = state.partitions.iter().find_map(|one| one.trouble.clone()).unwrap();
        assert_eq!(trouble.reason, Reason::ClickHouseUnreachable, "{}", trouble.message);
        proxy.set(Mode::Pass);
        finish(&stack, &pipeline, 100);
        assert!(stack.read_all(pipeline.dead_letter_topic()).is_empty());
    }
}

#[test]
fn a_server_that_refuses_a_block_for_good_holds_up_its_partition_only() {
    let stack = stack();
    let pipeline = Pipeline::create(&stack, Spec { partitions: 6, flush_delay_ms: 50, ..Spec::default() });
    let alter = |what: &str| {
        stack.clickhouse.query(&format!("ALTER TABLE {} {what}", pipeline.table())).unwrap();
    };
    alter("ADD CONSTRAINT small CHECK id < 1000");
    let message = |partition: i32, id: u64| Sent::value(partition, format!(r#"{{"id":{id},"text":""}}"#));
    // More blocks without an end than may be sent at the same time.
    stack.publish(pipeline.topic(), (0..5).map(|partition| message(partition, 5_000)));
    let ingestor = pipeline.start();
    ingestor.wait_state("refused blocks", |state| {
        let refused = |reason| reason == Reason::BlockRefused;
        state
            .partitions
            .iter()
            .filter(|one| one.trouble.as_ref().is_some_and(|it| refused(it.reason)))
            .count()
            == 5
    });
    stack.publish(pipeline.topic(), [message(5, 1)]);
    pipeline.wait_committed(&stack, 5, 1);
    alter("DROP CONSTRAINT small");
    pipeline.wait_rows(&stack, 6);
    pipeline.assert_exactly_once(&stack, &[1; 6]);
}
