//! A condition and a deadline → the condition's value, or an error naming it.

use std::time::{Duration, Instant};

use anyhow::bail;

/// The first pause is short, since most conditions are soon true; later ones
/// leave the machine to what is waited for.
const PAUSES: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(500));

/// Calls `probe` until it gives a value. An error from it ends the wait at
/// once: use `Ok(None)` for "not yet".
pub fn until<T>(
    what: &str,
    limit: Duration,
    mut probe: impl FnMut() -> anyhow::Result<Option<T>>,
) -> anyhow::Result<T> {
    let deadline = Instant::now() + limit;
    let (mut pause, longest) = PAUSES;
    loop {
        if let Some(value) = probe()? {
            return Ok(value);
        }
        if Instant::now() >= deadline {
            bail!("wait for {what}: not so after {} s", limit.as_secs());
        }
        std::thread::sleep(pause);
        pause = (pause * 3 / 2).min(longest);
    }
}

/// Calls `probe` until it gives a value. An error from it means "not yet"; the
/// last one is told when the time is over.
pub fn eventually<T>(
    what: &str,
    limit: Duration,
    mut probe: impl FnMut() -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let mut complaint = None;
    until(what, limit, || Ok(probe().map_err(|error| complaint = Some(error)).ok())).map_err(|error| {
        match complaint.take() {
            Some(complaint) => complaint.context(format!("{error}; the last complaint")),
            None => error,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gives_the_first_value_and_names_what_never_came() {
        let mut calls = 0;
        let found = until("three", Duration::from_secs(5), || {
            calls += 1;
            Ok((calls == 3).then_some(calls))
        });
        assert_eq!(found.unwrap(), 3);
        let never = until("rain", Duration::ZERO, || Ok(None::<()>)).unwrap_err();
        assert_eq!(never.to_string(), "wait for rain: not so after 0 s");
    }

    #[test]
    fn survives_complaints_and_tells_the_last_one() {
        let mut calls = 0;
        let found = eventually("three", Duration::from_secs(5), || {
            calls += 1;
            if calls == 3 { Ok(calls) } else { bail!("only {calls}") }
        });
        assert_eq!(found.unwrap(), 3);
        let never = eventually("rain", Duration::ZERO, || bail!("a blue sky")).map(|(): ()| ());
        let text = format!("{:#}", never.unwrap_err());
        assert_eq!(text, "wait for rain: not so after 0 s; the last complaint: a blue sky");
    }
}
