//! What must not happen, looked for during a while.

use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, bail};

const STEP: Duration = Duration::from_millis(200);

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
