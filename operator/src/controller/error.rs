//! What ends a reconcile early, and how soon any reconcile runs again: decided
//! here and nowhere else.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rand::RngExt as _;

use super::reason::{Problem, Reason, Retry};

/// How often a healthy pipeline is looked at, on average.
const RESYNC: Duration = Duration::from_mins(5);
/// The first pause of a back-off; it doubles from there.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// Talking to Kubernetes failed; everything else becomes a condition.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{act}")]
    Kubernetes { act: String, source: Box<kube::Error> },
    /// Somebody else's object has a name that the pipeline needs.
    #[error("{object} is there already and is not this DataPipeline's")]
    Foreign { object: String },
    /// The pipeline was deleted and made again faster than its objects went.
    #[error("{object} of the former DataPipeline of this name is still being removed")]
    Leaving { object: String },
    #[error("reconcile: not done within {} s", limit.as_secs())]
    Slow { limit: Duration },
}

impl Error {
    /// Names what was being done.
    pub fn kubernetes(act: impl Into<String>) -> impl FnOnce(kube::Error) -> Self {
        let act = act.into();
        move |source| Self::Kubernetes { act, source: Box::new(source) }
    }

    /// What the API server refuses for good, as a problem to show; the error
    /// itself when another try may help.
    pub fn refusal(self) -> Result<Problem, Self> {
        let message = match &self {
            Self::Kubernetes { act, source } => match &**source {
                kube::Error::Api(status)
                    if status.is_invalid() || status.is_forbidden() || status.code == 400 =>
                {
                    format!("{act}: the API server refuses: {}", status.message)
                }
                _ => return Err(self),
            },
            Self::Foreign { .. } => {
                format!("{self}; rename or delete it, or give the DataPipeline another name")
            }
            Self::Leaving { .. } | Self::Slow { .. } => return Err(self),
        };
        Ok(Problem::new(Reason::ObjectRefused, message))
    }

    /// Somebody wrote in between; the next look sees it.
    pub fn is_conflict(&self) -> bool {
        matches!(self, Self::Kubernetes { source, .. }
            if matches!(&**source, kube::Error::Api(status) if status.is_conflict()))
    }

    /// The value of the `reason` label.
    pub fn label(&self) -> &'static str {
        match self {
            _ if self.is_conflict() => "Conflict",
            Self::Kubernetes { .. } | Self::Leaving { .. } => "Kubernetes",
            Self::Foreign { .. } => Reason::ObjectRefused.as_str(),
            Self::Slow { .. } => "Slow",
        }
    }

    fn retry(&self) -> Retry {
        let cap = if self.is_conflict() { 2 } else { 60 };
        Retry::Backoff { cap: Duration::from_secs(cap) }
    }
}

/// Failures in a row, per object.
#[derive(Default)]
pub struct Backoff {
    failures: Mutex<HashMap<String, u32>>,
}

impl Backoff {
    /// When an object is looked at again after `problem`, or after none.
    pub fn after(&self, key: &str, problem: Option<Reason>) -> Duration {
        self.pause(key, problem.map_or(Retry::Resync, Reason::retry))
    }

    /// When an object is looked at again after an error.
    pub fn after_error(&self, key: &str, error: &Error) -> Duration {
        self.pause(key, error.retry())
    }

    /// The object is gone.
    pub fn forget(&self, key: &str) {
        self.lock().remove(key);
    }

    fn pause(&self, key: &str, retry: Retry) -> Duration {
        match retry {
            Retry::Resync => {
                self.forget(key);
                jittered(RESYNC)
            }
            Retry::Backoff { cap } => {
                let mut failures = self.lock();
                let count = failures.entry(key.to_owned()).or_default();
                let pause = FIRST_PAUSE.saturating_mul(1 << (*count).min(10)).min(cap);
                *count += 1;
                jittered(pause)
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, u32>> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// 80–100 % of a pause, so that pipelines that failed together don't come back
/// together.
fn jittered(pause: Duration) -> Duration {
    pause.mul_f64(rand::rng().random_range(0.8..=1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_up_to_their_cap_and_start_anew_after_success() {
        let backoff = Backoff::default();
        let seconds = |reason| backoff.after("shop/orders", reason).as_secs_f64();
        let unreachable = Some(Reason::KafkaUnreachable);
        assert!((0.8..=1.0).contains(&seconds(unreachable)));
        assert!((1.6..=2.0).contains(&seconds(unreachable)));
        for _ in 0..20 {
            assert!(seconds(unreachable) <= 15.0);
        }
        assert!((240.0..=300.0).contains(&seconds(None)));
        assert!(seconds(unreachable) <= 1.0);
        assert!(backoff.after("shop/other", unreachable).as_secs_f64() <= 1.0);
    }

    #[test]
    fn what_only_the_user_can_change_waits_for_the_user() {
        let backoff = Backoff::default();
        assert!(backoff.after("a", Some(Reason::InvalidSpec)).as_secs() >= 240);
        let mut last = Duration::ZERO;
        for _ in 0..10 {
            last = backoff.after("a", Some(Reason::SchemaIncompatible));
        }
        assert!((48..=60).contains(&last.as_secs()), "{last:?}");
    }
}
