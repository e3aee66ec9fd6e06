//! What the process takes on at once: queries, bytes of answers, connections.

use std::sync::Arc;
use std::time::Duration;

use caudal_service::http::Bounds;
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
/// The part of these that is for small answers only, so that a few clients who
/// read large ones slowly keep nobody else from theirs.
const RESERVED_BYTES: usize = 16 << 20;
/// Bytes of a path and query string.
pub const MAX_URI_BYTES: usize = 8 << 10;
/// Bytes more when there is a cursor, so that a page that could be asked for
/// has a next one.
pub const MAX_CURSOR_BYTES: usize = 4 << 10;
/// The public port. After the signal to end it lingers: until then somebody may
/// not know yet.
pub const PORT: Bounds =
    Bounds { connections: 512, linger: Duration::from_secs(2), drain: Duration::from_secs(20) };

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
pub struct Budget {
    /// For answers of one step.
    reserved: Arc<Semaphore>,
    shared: Arc<Semaphore>,
}

/// The unit of the budget: a small answer takes one.
pub const STEP: usize = 64 << 10;

impl Default for Budget {
    fn default() -> Self {
        Self {
            reserved: Arc::new(Semaphore::new(RESERVED_BYTES / STEP)),
            shared: Arc::new(Semaphore::new((MAX_ANSWERS_BYTES - RESERVED_BYTES) / STEP)),
        }
    }
}

impl Budget {
    /// Sees that `held` covers `bytes`.
    pub fn cover(&self, held: &mut Option<OwnedSemaphorePermit>, bytes: usize) -> Result<(), Shed> {
        let steps = bytes.div_ceil(STEP);
        if held.as_ref().map_or(0, OwnedSemaphorePermit::num_permits) >= steps {
            return Ok(());
        }
        if steps == 1
            && let Ok(step) = Arc::clone(&self.reserved).try_acquire_owned()
        {
            *held = Some(step);
            return Ok(());
        }
        // What outgrows the reserved part leaves it.
        let shared = held.take_if(|held| Arc::ptr_eq(held.semaphore(), &self.shared));
        let have = shared.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let missing = u32::try_from(steps - have).map_err(|_| Shed)?;
        let mut all = Arc::clone(&self.shared).try_acquire_many_owned(missing).map_err(|_| Shed)?;
        if let Some(shared) = shared {
            all.merge(shared);
        }
        *held = Some(all);
        Ok(())
    }

    /// Gives back what `held` covers beyond `bytes`.
    pub fn trim(held: &mut Option<OwnedSemaphorePermit>, bytes: usize) {
        if let Some(held) = held {
            let beyond = held.num_permits().saturating_sub(bytes.div_ceil(STEP));
            drop(held.split(beyond));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn sheds_what_would_wait_too_long_or_in_too_long_a_queue() {
        let gate = Arc::new(Gate::new(1, 1, Duration::from_millis(50)));
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

    const SHARED_BYTES: usize = MAX_ANSWERS_BYTES - RESERVED_BYTES;

    #[test]
    fn answers_share_one_budget_and_give_it_back() {
        let budget = Budget::default();
        let (mut first, mut second) = (None, None);
        budget.cover(&mut first, SHARED_BYTES - 3 * STEP).unwrap();
        budget.cover(&mut second, 1).unwrap();
        budget.cover(&mut second, 2 * STEP).unwrap();
        budget.cover(&mut second, 3 * STEP).unwrap();
        assert!(budget.cover(&mut second.take(), 4 * STEP).is_err());
        drop(first);
        budget.cover(&mut second, SHARED_BYTES).unwrap();
        Budget::trim(&mut second, STEP);
        budget.cover(&mut None, SHARED_BYTES - STEP).unwrap();
        assert_eq!(budget.reserved.available_permits(), RESERVED_BYTES / STEP);
    }

    #[test]
    fn large_answers_leave_room_for_small_ones() {
        let budget = Budget::default();
        let mut large = None;
        budget.cover(&mut large, SHARED_BYTES).unwrap();
        let mut small = None;
        budget.cover(&mut small, STEP).unwrap();
        assert!(budget.cover(&mut None, STEP + 1).is_err());
        let many: Vec<_> = (0..RESERVED_BYTES / STEP - 1)
            .map(|_| {
                let mut held = None;
                budget.cover(&mut held, 1).unwrap();
                held
            })
            .collect();
        assert!(budget.cover(&mut None, 1).is_err());
        drop(large);
        budget.cover(&mut None, 1).unwrap();
        drop(many);
    }
}
