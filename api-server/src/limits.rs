//! What the process takes on at once: queries, bytes of answers, connections.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Queries that run in ClickHouse at once.
pub const MAX_RUNNING: usize = 16;
/// Requests that wait for one of those; the next is shed.
pub const MAX_WAITING: usize = 32;
/// How long a request waits before it is shed.
pub const MAX_WAIT: Duration = Duration::from_millis(500);
/// Bytes of one answer's rows.
pub const MAX_ANSWER_BYTES: usize = 16 << 20;
/// Bytes of all answers that are being built or sent.
pub const MAX_ANSWERS_BYTES: usize = 64 << 20;
/// Bytes of a path and query string.
pub const MAX_URI_BYTES: usize = 8 << 10;
/// Bytes more when there is a cursor, so that a page that could be asked for
/// has a next one.
pub const MAX_CURSOR_BYTES: usize = 4 << 10;
/// Connections of clients; further ones wait to be accepted.
pub const MAX_CONNECTIONS: usize = 512;

/// More is asked than the process takes on.
#[derive(Debug, thiserror::Error)]
#[error("more is asked than this process takes on at once")]
pub struct Shed;

/// Lets a bounded number of queries run and a bounded number wait for a bounded
/// time: beyond that, waiting would only make every answer late.
#[derive(Debug)]
pub struct Gate {
    running: Arc<Semaphore>,
    waiting: Semaphore,
    wait: Duration,
}

impl Default for Gate {
    fn default() -> Self {
        Self::new(MAX_RUNNING, MAX_WAITING, MAX_WAIT)
    }
}

impl Gate {
    fn new(running: usize, waiting: usize, wait: Duration) -> Self {
        Self { running: Arc::new(Semaphore::new(running)), waiting: Semaphore::new(waiting), wait }
    }

    /// Waits for a place; it is held until the permit is dropped.
    pub async fn enter(&self) -> Result<OwnedSemaphorePermit, Shed> {
        if let Ok(permit) = Arc::clone(&self.running).try_acquire_owned() {
            return Ok(permit);
        }
        let _place = self.waiting.try_acquire().map_err(|_| Shed)?;
        let permit = tokio::time::timeout(self.wait, Arc::clone(&self.running).acquire_owned()).await;
        permit.map_err(|_| Shed)?.map_err(|_| Shed)
    }
}

/// Bytes set aside for answers, in steps, until an answer is sent.
#[derive(Clone, Debug)]
pub struct Budget(Arc<Semaphore>);

/// The unit of the budget: a small answer takes one.
const STEP: usize = 64 << 10;

impl Default for Budget {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(MAX_ANSWERS_BYTES / STEP)))
    }
}

impl Budget {
    /// Sees that `held` covers `bytes`.
    pub fn cover(&self, held: &mut Option<OwnedSemaphorePermit>, bytes: usize) -> Result<(), Shed> {
        let have = held.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let missing = bytes.div_ceil(STEP).saturating_sub(have);
        if missing == 0 {
            return Ok(());
        }
        let missing = u32::try_from(missing).map_err(|_| Shed)?;
        let more = Arc::clone(&self.0).try_acquire_many_owned(missing).map_err(|_| Shed)?;
        match held {
            Some(held) => held.merge(more),
            None => *held = Some(more),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn sheds_what_would_wait_too_long_or_in_too_long_a_queue() {
        let gate = Arc::new(Gate::new(1, 1, MAX_WAIT));
        let running = gate.enter().await.unwrap();
        let waiting = tokio::spawn({
            let gate = Arc::clone(&gate);
            async move { gate.enter().await.map(drop) }
        });
        tokio::task::yield_now().await;
        assert!(gate.enter().await.is_err(), "the queue is full");
        assert!(waiting.await.unwrap().is_err(), "nobody left in time");
        drop(running);
        assert!(gate.enter().await.is_ok());
    }

    #[test]
    fn answers_share_one_budget_and_give_it_back() {
        let budget = Budget::default();
        let (mut first, mut second) = (None, None);
        budget.cover(&mut first, MAX_ANSWERS_BYTES - STEP).unwrap();
        budget.cover(&mut second, 1).unwrap();
        budget.cover(&mut second, STEP).unwrap();
        assert!(budget.cover(&mut second, STEP + 1).is_err());
        drop(first);
        budget.cover(&mut second, STEP + 1).unwrap();
    }
}
