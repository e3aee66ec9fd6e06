//! What others answer, and what `/state` and the metrics say.

use std::time::Instant;

use caudal_model::state::{IngestorState, Reason, Trouble};

use super::{End, Session};
use crate::sink::Class;
use crate::source::Event;
use crate::state;

/// What stands in everybody's way, by whom it will be cleared.
#[derive(Debug, Default)]
pub struct Troubles {
    pub kafka: Option<Trouble>,
    pub commits: Option<Trouble>,
    pub letters: Option<Trouble>,
    pub sink: Option<Trouble>,
}

impl Troubles {
    fn first(&self) -> Option<Trouble> {
        let Self { kafka, commits, letters, sink } = self;
        [kafka, commits, letters, sink].into_iter().flatten().next().cloned()
    }
}

impl Session<'_> {
    pub(super) fn events(&mut self) -> Result<(), End> {
        while let Ok((epoch, event)) = self.context.events.try_recv() {
            if epoch != self.epoch {
                continue;
            }
            match event {
                Event::Prepared { known } => self.begin(&known)?,
                Event::Stored { partition, outcome } => self.stored(partition, outcome),
                Event::TokenSpent { partition } => self.token_spent(partition),
                Event::Refused { partition, message } => self.refused(partition, message)?,
                Event::Recorded { rows, written } => self.recorded(rows, &written),
                Event::Failed { partition, class, refused, message } => {
                    self.failed(partition, class, refused, &message);
                }
                Event::Held { partition, message } => {
                    if let Some(one) = self.partitions.get_mut(&partition).filter(|one| !one.stopped) {
                        state::raise(&mut one.trouble, Reason::WindowExceeded, &message);
                    }
                }
                Event::Recovered { partition: None } => self.troubles.sink = None,
                Event::Recovered { partition: Some(partition) } => {
                    if let Some(one) = self.partitions.get_mut(&partition).filter(|one| !one.stopped) {
                        one.trouble = None;
                    }
                }
            }
        }
        Ok(())
    }

    fn failed(&mut self, partition: Option<i32>, class: Class, refused: bool, message: &str) {
        let reason = match class {
            _ if refused => Reason::BlockRefused,
            Class::Unreachable | Class::Overloaded | Class::Refused => Reason::ClickHouseUnreachable,
            Class::Unauthorized => Reason::AuthenticationFailed,
            Class::TableChanged => Reason::TableChanged,
        };
        let slot = match partition {
            None => &mut self.troubles.sink,
            Some(partition) => match self.partitions.get_mut(&partition) {
                // What stopped it says more than what else fails.
                Some(one) if !one.stopped => &mut one.trouble,
                _ => return,
            },
        };
        state::raise(slot, reason, message);
    }

    fn measure(&mut self) {
        let now_ms = state::now_ms();
        for one in self.partitions.values() {
            if let Some((_, high)) = self.consumer.known_ends(one.id) {
                let lag = (high - one.machine.committed()).max(0);
                let oldest = one.oldest_ms().filter(|_| lag > 0);
                let seconds = oldest.map_or(0, |oldest| now_ms.saturating_sub(oldest).max(0) / 1_000);
                self.context.metrics.lag(one.id, lag, seconds);
            }
        }
        let (limits, buffered) = (self.limits, self.bytes());
        let all = self.partitions.len();
        let read = self.partitions.values_mut().filter_map(|one| one.readable(limits).then_some(())).count();
        let paused = if buffered > self.budget { all } else { all - read };
        self.context.metrics.holds(paused, buffered, self.letters.limited());
    }

    pub(super) fn publish(&mut self) {
        self.published = Instant::now();
        match self.letters.trouble() {
            Some((reason, message)) => state::raise(&mut self.troubles.letters, reason, &message),
            None => self.troubles.letters = None,
        }
        self.measure();
        let mut partitions: Vec<_> =
            self.partitions.values().map(|one| one.state(self.context.origin())).collect();
        partitions.extend(self.not_begun());
        partitions.sort_by_key(|one| one.partition);
        let state = IngestorState {
            plan_revision: self.context.origin().plan.clone(),
            delivery: self.context.ingest.delivery,
            joined: self.joined,
            trouble: self.troubles.first(),
            partitions,
        };
        if let Ok(mut shared) = self.context.state.lock() {
            *shared = state;
        }
    }
}
