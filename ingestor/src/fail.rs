//! Named points at which tests let the process die or freeze.
//!
//! `CAUDAL_FAIL_POINT=<name>[:<nth>]` aborts the process when the point is
//! reached for the nth time; `CAUDAL_FREEZE_POINT` stops it as SIGSTOP does.
//! Without the variables nothing happens.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

struct Wanted {
    name: String,
    left: AtomicU64,
}

impl Wanted {
    fn from_environment(variable: &str) -> Option<Self> {
        let text = std::env::var(variable).ok()?;
        let (name, nth) = text.split_once(':').unwrap_or((&text, "1"));
        Some(Self { name: name.to_owned(), left: AtomicU64::new(nth.parse().ok()?) })
    }

    fn now(&self, name: &str) -> bool {
        self.name == name && self.left.fetch_sub(1, Ordering::Relaxed) == 1
    }
}

/// A limit that tests make smaller, in place of `usual`:
/// `CAUDAL_LONGEST_REQUEST_MS`, `CAUDAL_RUNS_WINDOW`,
/// `CAUDAL_METADATA_REFRESH_MS`.
pub fn limit(variable: &str, usual: u64) -> u64 {
    let text = std::env::var(variable).ok();
    text.and_then(|text| text.parse().ok()).unwrap_or(usual)
}

/// Dies or freezes here, if that is wanted.
pub fn point(name: &str) {
    static DEATH: OnceLock<Option<Wanted>> = OnceLock::new();
    static FREEZE: OnceLock<Option<Wanted>> = OnceLock::new();
    let wanted = |cell: &'static OnceLock<Option<Wanted>>, variable| {
        cell.get_or_init(|| Wanted::from_environment(variable)).as_ref()
    };
    if wanted(&DEATH, "CAUDAL_FAIL_POINT").is_some_and(|wanted| wanted.now(name)) {
        tracing::error!(name, "fail point");
        std::process::abort();
    }
    if wanted(&FREEZE, "CAUDAL_FREEZE_POINT").is_some_and(|wanted| wanted.now(name)) {
        tracing::error!(name, "freeze point");
        // SAFETY: stops this process until somebody continues it.
        unsafe { libc::raise(libc::SIGSTOP) };
    }
}
