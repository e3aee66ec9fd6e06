//! Named points at which tests let the process die.
//!
//! `CAUDAL_FAIL_POINT=<name>[:<nth>]` aborts the process when the point is
//! reached for the nth time. Without the variable nothing happens.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

struct Wanted {
    name: String,
    left: AtomicU64,
}

fn wanted() -> Option<&'static Wanted> {
    static WANTED: OnceLock<Option<Wanted>> = OnceLock::new();
    let read = || {
        let text = std::env::var("CAUDAL_FAIL_POINT").ok()?;
        let (name, nth) = text.split_once(':').unwrap_or((&text, "1"));
        Some(Wanted { name: name.to_owned(), left: AtomicU64::new(nth.parse().ok()?) })
    };
    WANTED.get_or_init(read).as_ref()
}

/// How long a request can run, if a test can't wait that long:
/// `CAUDAL_LONGEST_REQUEST_MS`.
pub fn longest_request() -> Option<Duration> {
    let text = std::env::var("CAUDAL_LONGEST_REQUEST_MS").ok()?;
    text.parse().ok().map(Duration::from_millis)
}

/// Dies here, if that is wanted.
pub fn point(name: &str) {
    if let Some(wanted) = wanted().filter(|wanted| wanted.name == name)
        && wanted.left.fetch_sub(1, Ordering::Relaxed) == 1
    {
        tracing::error!(name, "fail point");
        std::process::abort();
    }
}
