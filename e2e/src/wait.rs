//! Waiting for conditions: never longer than a deadline, never shorter than the truth.

use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, bail};

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

/// Checks that `probe` stays without complaint for the whole time. A look that
/// fails says nothing; at least one must succeed.
pub fn holds(
    what: &str,
    during: Duration,
    mut probe: impl FnMut() -> anyhow::Result<Result<(), String>>,
) -> anyhow::Result<()> {
    let end = Instant::now() + during;
    let mut looks = Err(anyhow!("no look"));
    while Instant::now() < end {
        match probe() {
            Ok(Ok(())) => looks = Ok(()),
            Ok(Err(complaint)) => bail!("{what}: {complaint}"),
            Err(error) if looks.is_err() => looks = Err(error),
            Err(_) => {}
        }
        std::thread::sleep(STEP);
    }
    looks.with_context(|| format!("{what}: every look failed"))
}
