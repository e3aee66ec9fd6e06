//! Waiting for conditions: never longer than a deadline, never shorter than the truth.

use std::time::{Duration, Instant};

use anyhow::bail;

const STEP: Duration = Duration::from_millis(200);

/// Asks `probe` until it gives a value. What it said last is in the error.
pub fn eventually<T>(
    what: &str,
    within: Duration,
    mut probe: impl FnMut() -> anyhow::Result<Result<T, String>>,
) -> anyhow::Result<T> {
    let deadline = Instant::now() + within;
    loop {
        let not_yet = match probe() {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(not_yet)) => not_yet,
            Err(error) => format!("{error:#}"),
        };
        if Instant::now() > deadline {
            bail!("{what}: not within {} s; the last was: {not_yet}", within.as_secs());
        }
        std::thread::sleep(STEP);
    }
}

/// Checks that `probe` stays without complaint for the whole time.
pub fn holds(
    what: &str,
    during: Duration,
    mut probe: impl FnMut() -> anyhow::Result<Result<(), String>>,
) -> anyhow::Result<()> {
    let end = Instant::now() + during;
    while Instant::now() < end {
        if let Err(complaint) = probe()? {
            bail!("{what}: {complaint}");
        }
        std::thread::sleep(STEP);
    }
    Ok(())
}
