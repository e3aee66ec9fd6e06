//! At least once, and going over from one delivery to the other; and the
//! deduplication window, which exactly once must not outrun.

use caudal_model::resource::Delivery;
use caudal_model::state::{Phase, Reason};

use super::beginnings::SHORT_WAIT;
use super::pipeline::{Ingestor, LIMIT, Pipeline, Spec};
use super::proxy::{Mode, Proxy};
use super::stack::{Sent, Stack, stack};

/// Whoever waits so long does not begin within a test.
const NEVER: (&str, &str) = ("CAUDAL_LONGEST_REQUEST_MS", "86400000");

fn row(partition: i32, id: u64) -> Sent {
    Sent::value(partition, format!(r#"{{"id":{id},"text":"{id}"}}"#))
}

fn at_least_once() -> Spec {
    Spec { delivery: Delivery::AtLeastOnce, ..Spec::default() }
}

/// The pipeline, with another delivery from now on.
fn switch(pipeline: &mut Pipeline, delivery: Delivery) {
    pipeline.plan.ingest.as_mut().unwrap().delivery = delivery;
}

/// Waits until the group has committed `offset` without an open intent.
fn wait_committed(stack: &Stack, pipeline: &Pipeline, partition: i32, offset: i64) {
    caudal_testbed::wait::until(&format!("offset {offset} committed"), LIMIT, || {
        let committed = stack.committed(&pipeline.plan.source.group, pipeline.topic(), partition);
        Ok(committed.filter(|(at, metadata)| *at == offset && !metadata.contains(" intent ")).map(drop))
    })
    .unwrap();
}

/// Rows, and how many offsets they have.
fn stored(stack: &Stack, pipeline: &Pipeline) -> (u64, u64) {
    let count = |what: &str| stack.number(&format!("SELECT {what} FROM {}", pipeline.table()));
    (count("count()"), count("uniqExact(_kafka_partition, _kafka_offset)"))
}

/// Inserts that the table has taken, whatever was merged since.
fn inserts(stack: &Stack, pipeline: &Pipeline) -> u64 {
    stack.number(&format!(
        "SELECT sum(max_block_number - min_block_number + 1) FROM system.parts \
         WHERE active AND database = 'tests' AND table = '{}'",
        pipeline.plan.sink.table
    ))
}

/// The ledger's ranges of a partition tile from 0 to `end`.
fn assert_tiles(stack: &Stack, pipeline: &Pipeline, partition: i32, end: u64) {
    let sql = format!(
        "SELECT min(first_offset), max(next_offset), sum(next_offset - first_offset) FROM {} FINAL \
         WHERE partition = {partition}",
        pipeline.ledger()
    );
    assert_eq!(stack.clickhouse.query(&sql).unwrap(), format!("0\t{end}\t{end}"));
}

#[test]
fn quiet_partitions_share_a_part() {
    const PARTITIONS: i32 = 48;
    let stack = stack();
    let spec = Spec { partitions: PARTITIONS, flush_delay_ms: 1_000, ..at_least_once() };
    let pipeline = Pipeline::create(&stack, spec);
    let ingestor = pipeline.start();
    for partition in 0..PARTITIONS {
        wait_committed(&stack, &pipeline, partition, 0);
    }
    for flush in 1..=3_u64 {
        stack.publish(pipeline.topic(), (0..PARTITIONS).map(|partition| row(partition, flush)));
        pipeline.wait_rows(&stack, flush * 48);
        assert_eq!(inserts(&stack, &pipeline), flush, "one part each time");
        for partition in 0..PARTITIONS {
            wait_committed(&stack, &pipeline, partition, flush.cast_signed());
        }
    }
    assert_eq!(ingestor.state().unwrap().delivery, Delivery::AtLeastOnce);
    let (_, metrics) = ingestor.get("/metrics").unwrap();
    let told = |line: &str| {
        line.starts_with("caudal_ingestor_delivery{")
            && line.contains("delivery=\"AtLeastOnce\"")
            && line.ends_with(" 1")
    };
    assert!(metrics.lines().any(told), "{metrics}");
    assert!(ingestor.terminate().success());
    assert_tiles(&stack, &pipeline, 7, 3);
}

#[test]
fn a_death_at_any_step_loses_nothing() {
    let stack = stack();
    let pipeline = Pipeline::create(&stack, Spec { partitions: 3, max_rows: 20, ..at_least_once() });
    // Every tenth is a dead letter.
    let message = |id: u64| {
        let partition = i32::try_from(id % 3).unwrap();
        if id % 10 == 9 { Sent::value(partition, "no json") } else { row(partition, id) }
    };
    let mut published = 0;
    for point in ["before_send", "after_send", "recorded", "commit_sent:3", "completed", "after_send:2"] {
        stack.publish(pipeline.topic(), (published..published + 300).map(message));
        published += 300;
        let mut dying = Ingestor::start(&pipeline, &[("CAUDAL_FAIL_POINT", point), NEVER]);
        assert!(!dying.wait_end(LIMIT).success(), "{point}");
    }
    // It does not wait, whatever was under way.
    let _ingestor = Ingestor::start(&pipeline, &[NEVER]);
    for partition in 0..3 {
        wait_committed(&stack, &pipeline, partition, (published / 3).cast_signed());
        assert_tiles(&stack, &pipeline, partition, published / 3);
    }
    let (rows, offsets) = stored(&stack, &pipeline);
    assert_eq!(offsets, published / 10 * 9);
    assert!(rows > offsets, "those that died had stored some already");
}

#[test]
fn an_open_intent_is_settled_before_at_least_once_goes_on() {
    let stack = stack();
    for point in ["before_insert", "after_insert", "recorded:2"] {
        let mut pipeline = Pipeline::create(&stack, Spec { max_rows: 40, ..Spec::default() });
        stack.publish(pipeline.topic(), (0..100).map(|id| row(0, id)));
        let mut dying = Ingestor::start(&pipeline, &[("CAUDAL_FAIL_POINT", point)]);
        assert!(!dying.wait_end(LIMIT).success());
        let (_, metadata) = stack.committed(&pipeline.plan.source.group, pipeline.topic(), 0).unwrap();
        assert!(metadata.contains(" intent "), "{metadata}");
        switch(&mut pipeline, Delivery::AtLeastOnce);
        let ingestor = Ingestor::start(&pipeline, &[NEVER]);
        wait_committed(&stack, &pipeline, 0, 100);
        assert!(ingestor.terminate().success());
        pipeline.assert_exactly_once(&stack, &[100]);
    }
}

#[test]
fn exactly_once_repeats_nothing_more_after_at_least_once() {
    let stack = stack();
    let mut pipeline = Pipeline::create(&stack, Spec { max_rows: 40, ..at_least_once() });
    stack.publish(pipeline.topic(), (0..100).map(|id| row(0, id)));
    for _ in 0..2 {
        let mut dying = Ingestor::start(&pipeline, &[("CAUDAL_FAIL_POINT", "after_send")]);
        assert!(!dying.wait_end(LIMIT).success());
    }
    let twice = stored(&stack, &pipeline);
    assert!(twice.0 > twice.1, "{twice:?}");
    switch(&mut pipeline, Delivery::ExactlyOnce);
    stack.publish(pipeline.topic(), (100..150).map(|id| row(0, id)));
    let ingestor = Ingestor::start(&pipeline, &[SHORT_WAIT]);
    ingestor.wait_state("the wait", |state| state.partitions.iter().any(|one| one.phase == Phase::Starting));
    pipeline.wait_committed(&stack, 0, 150);
    assert_eq!(stored(&stack, &pipeline), (150 + twice.0 - twice.1, 150));
    assert_tiles(&stack, &pipeline, 0, 150);
}

#[test]
fn exactly_once_waits_for_what_at_least_once_has_under_way() {
    let stack = stack();
    let mut pipeline = Pipeline::create(&stack, at_least_once());
    let proxy = Proxy::start(stack.clickhouse.http_port());
    let direct = std::mem::replace(&mut pipeline.plan.sink.connection.url, proxy.url());
    let ingestor = pipeline.start();
    wait_committed(&stack, &pipeline, 0, 0);
    // The server gets the request when its sender is long gone.
    proxy.set(Mode::Frozen);
    stack.publish(pipeline.topic(), (0..10).map(|id| row(0, id)));
    let on_its_way = || Ok((proxy.frozen() > 0).then_some(()));
    caudal_testbed::wait::until("a request on its way", LIMIT, on_its_way).unwrap();
    ingestor.kill();
    pipeline.plan.sink.connection.url = direct;
    switch(&mut pipeline, Delivery::ExactlyOnce);
    let ingestor = Ingestor::start(&pipeline, &[("CAUDAL_LONGEST_REQUEST_MS", "5000")]);
    let waits =
        |line: &str| line.starts_with("caudal_ingestor_reconciled_partitions_total{") && line.ends_with(" 1");
    caudal_testbed::wait::until("the wait", LIMIT, || {
        Ok(ingestor.get("/metrics").filter(|(_, text)| text.lines().any(waits)).map(drop))
    })
    .unwrap();
    proxy.set(Mode::Pass);
    pipeline.wait_committed(&stack, 0, 10);
    pipeline.assert_exactly_once(&stack, &[10]);
}

#[test]
fn a_block_that_is_refused_does_not_hold_up_others() {
    let stack = stack();
    let pipeline = Pipeline::create(&stack, Spec { partitions: 3, ..at_least_once() });
    let table = pipeline.table();
    stack.clickhouse.query(&format!("ALTER TABLE {table} ADD CONSTRAINT small CHECK id < 100")).unwrap();
    stack.publish(pipeline.topic(), [row(0, 1), row(1, 100), row(2, 3)]);
    let ingestor = pipeline.start();
    let state = ingestor.wait_state("a refusal", |state| {
        let reason = |id: usize| state.partitions.get(id)?.trouble.as_ref().map(|trouble| trouble.reason);
        reason(1) == Some(Reason::BlockRefused) && reason(0).is_none() && reason(2).is_none()
    });
    assert_eq!(state.partitions[1].intent, None, "nothing is promised");
    for partition in [0, 2] {
        wait_committed(&stack, &pipeline, partition, 1);
    }
    stack.clickhouse.query(&format!("ALTER TABLE {table} DROP CONSTRAINT small")).unwrap();
    wait_committed(&stack, &pipeline, 1, 1);
    assert_eq!(stored(&stack, &pipeline), (3, 3));
}

#[test]
fn a_row_that_is_refused_becomes_a_dead_letter() {
    let stack = stack();
    let mut pipeline = Pipeline::create(&stack, Spec { partitions: 2, ..at_least_once() });
    pipeline.plan.source.dead_letter.max_attempts = Some(2);
    let table = pipeline.table();
    stack.clickhouse.query(&format!("ALTER TABLE {table} ADD CONSTRAINT small CHECK id != 37")).unwrap();
    stack.publish(pipeline.topic(), (0..100).map(|id| row(i32::from(id >= 50), id)));
    let _ingestor = pipeline.start();
    for partition in 0..2 {
        wait_committed(&stack, &pipeline, partition, 50);
        assert_tiles(&stack, &pipeline, partition, 50);
    }
    assert_eq!(stored(&stack, &pipeline).1, 99);
    assert_eq!(stack.read_all(pipeline.dead_letter_topic()).len(), 1);
}

#[test]
fn tables_of_other_engines_take_rows() {
    let stack = stack();
    for engine in ["Null", "ReplacingMergeTree ORDER BY id", "Buffer(tests, behind, 1, 1, 1, 1, 1, 1, 1)"] {
        let mut pipeline = Pipeline::create(&stack, at_least_once());
        let (table, name) = (pipeline.table(), pipeline.plan.sink.table.clone());
        stack.clickhouse.query(&format!("CREATE TABLE IF NOT EXISTS tests.behind AS {table}")).unwrap();
        for sql in [
            format!("CREATE TABLE {table}_other AS {table} ENGINE = {engine}"),
            format!("EXCHANGE TABLES {table} AND {table}_other"),
        ] {
            stack.clickhouse.query(&sql).unwrap();
        }
        let uuid = format!("SELECT uuid FROM system.tables WHERE database = 'tests' AND name = '{name}'");
        pipeline.plan.sink.table_uuid = stack.clickhouse.query(&uuid).unwrap();
        stack.publish(pipeline.topic(), (0..30).map(|id| row(0, id)));
        let ingestor = Ingestor::start(&pipeline, &[NEVER]);
        wait_committed(&stack, &pipeline, 0, 30);
        assert!(ingestor.terminate().success());
        assert_tiles(&stack, &pipeline, 0, 30);
    }
}

#[test]
fn inserts_are_held_back_where_the_table_would_forget_their_tokens() {
    let stack = stack();
    let pipeline = Pipeline::create(&stack, Spec { max_rows: 1, ..Spec::default() });
    let window = "MODIFY SETTING non_replicated_deduplication_window = 8";
    stack.clickhouse.query(&format!("ALTER TABLE {} {window}", pipeline.table())).unwrap();
    stack.publish(pipeline.topic(), (0..20).map(|id| row(0, id)));
    // Four within three seconds, and twenty in all.
    let ingestor = Ingestor::start(&pipeline, &[("CAUDAL_LONGEST_REQUEST_MS", "3000")]);
    let state = ingestor.wait_state("a held block", |state| {
        state
            .partitions
            .iter()
            .any(|one| one.trouble.as_ref().is_some_and(|trouble| trouble.reason == Reason::WindowExceeded))
    });
    let message = &state.partitions[0].trouble.as_ref().unwrap().message;
    assert!(message.contains("remembers 8 insert tokens") && message.contains("may use 4"), "{message}");
    pipeline.wait_committed(&stack, 0, 20);
    pipeline.assert_exactly_once(&stack, &[20]);
    let (_, metrics) = ingestor.get("/metrics").unwrap();
    let held = metrics.lines().find_map(|line| line.strip_prefix("caudal_ingestor_inserts_held_total{"));
    assert!(held.is_some_and(|rest| !rest.ends_with(" 0")), "{metrics}");
}
