//! Whether a partition is still ours, as far as anyone here can know.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Given by the last commit that was accepted for a partition, for as long as
/// the group's session lasts; taken back by a revoke.
pub struct Lease {
    origin: Instant,
    until_ms: AtomicU64,
    revoked: AtomicBool,
}

/// The partition is somebody else's now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Revoked;

impl Default for Lease {
    fn default() -> Self {
        Self { origin: Instant::now(), until_ms: AtomicU64::new(0), revoked: AtomicBool::new(false) }
    }
}

impl Lease {
    /// A commit sent at `sent` was accepted.
    pub fn renew(&self, sent: Instant, session: Duration) {
        let until = (sent + session).saturating_duration_since(self.origin).as_millis();
        self.until_ms.fetch_max(u64::try_from(until).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    pub fn revoke(&self) {
        self.revoked.store(true, Ordering::Relaxed);
    }

    pub fn revoked(&self) -> bool {
        self.revoked.load(Ordering::Relaxed)
    }

    pub fn holds(&self) -> bool {
        let now = u64::try_from(self.origin.elapsed().as_millis()).unwrap_or(u64::MAX);
        !self.revoked() && now < self.until_ms.load(Ordering::Relaxed)
    }

    /// Waits until the lease holds: the consumer says the intent's commit again
    /// in the meantime.
    pub async fn held(&self) -> Result<(), Revoked> {
        while !self.holds() {
            if self.revoked() {
                return Err(Revoked);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// Sleeps unless the partition is lost meanwhile.
    pub async fn sleep(&self, time: Duration) -> Result<(), Revoked> {
        let until = Instant::now() + time;
        while !self.revoked() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            tokio::time::sleep(left.min(Duration::from_millis(100))).await;
        }
        Err(Revoked)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_for_a_session_after_an_accepted_commit() {
        let lease = Lease::default();
        assert!(!lease.holds());
        lease.renew(Instant::now(), Duration::from_mins(1));
        assert!(lease.holds());
        lease.revoke();
        assert!(!lease.holds() && lease.revoked());
    }

    #[test]
    fn an_old_commit_proves_nothing() {
        let lease = Lease::default();
        let Some(long_ago) = Instant::now().checked_sub(Duration::from_secs(30)) else { return };
        lease.renew(long_ago, Duration::from_secs(6));
        assert!(!lease.holds());
    }
}
