//! ClickHouse killed in the moments that matter: as soon as its deduplication
//! log grows, when the token is there and its rows may not be.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::pipeline::{Ingestor, Pipeline, Spec};
use super::stack::{Sent, Stack, stack};

/// How many kills; `make crashes` asks for more.
fn kills() -> u32 {
    std::env::var("CAUDAL_TEST_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(30)
}

fn row(id: u64) -> Sent {
    Sent::value(0, format!(r#"{{"id":{id},"text":"{}"}}"#, "x".repeat((id % 50) as usize)))
}

/// Where the table's deduplication log is.
fn log_of(stack: &Stack, pipeline: &Pipeline) -> PathBuf {
    let table = &pipeline.plan.sink.table;
    let sql =
        format!("SELECT data_paths[1] FROM system.tables WHERE database = 'tests' AND name = '{table}'");
    PathBuf::from(stack.clickhouse.query(&sql).unwrap()).join("deduplication_logs")
}

fn size(folder: &Path) -> u64 {
    let files = std::fs::read_dir(folder).into_iter().flatten().flatten();
    files.filter_map(|file| Some(file.metadata().ok()?.len())).sum()
}

/// Kills the server as soon as the folder grows; `false`: it did not in time.
fn kill_at_growth(pid: u32, folder: &Path) -> bool {
    let (before, deadline) = (size(folder), Instant::now() + Duration::from_secs(5));
    while size(folder) <= before {
        if Instant::now() > deadline {
            return false;
        }
        std::hint::spin_loop();
    }
    // SAFETY: a signal to the server of this test's stack.
    unsafe { libc::kill(pid.cast_signed(), libc::SIGKILL) };
    true
}

#[test]
fn kills_between_token_and_rows_lose_and_repeat_nothing() {
    let stack = stack();
    let pipeline = Pipeline::create(&stack, Spec { max_rows: 300, flush_delay_ms: 50, ..Spec::default() });
    // After a kill nothing older runs, so the wait may be short.
    let _ingestor = Ingestor::start(&pipeline, &[("CAUDAL_LONGEST_REQUEST_MS", "500")]);
    stack.publish(pipeline.topic(), (0..300).map(row));
    pipeline.wait_rows(&stack, 300);
    let folder = log_of(&stack, &pipeline);
    let (mut sent, mut aimed) = (300, 0);
    for _ in 0..kills() {
        let pid = stack.clickhouse.pid().expect("it runs");
        let killer = {
            let folder = folder.clone();
            std::thread::spawn(move || kill_at_growth(pid, &folder))
        };
        stack.publish(pipeline.topic(), (sent..sent + 900).map(row));
        sent += 900;
        aimed += u32::from(killer.join().unwrap());
        stack.clickhouse.restart().unwrap();
    }
    pipeline.wait_rows(&stack, sent);
    pipeline.wait_committed(&stack, 0, sent.cast_signed());
    pipeline.assert_exactly_once(&stack, &[sent]);
    println!("{} kills, {aimed} of them as the log grew; {sent} rows", kills());
    assert!(aimed >= kills() / 2, "{aimed} kills hit");
}
