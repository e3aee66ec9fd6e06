//! What others answer, and what `/state` and the metrics say.

use std::time::Instant;

use caudal_model::state::{IngestorState, Reason};

use super::Session;
use crate::sink::Class;
use crate::source::Event;
use crate::state;

impl Session<'_> {
    pub(super) fn events(&mut self) {
        while let Ok((epoch, event)) = self.context.events.try_recv() {
            if epoch != self.epoch {
                continue;
            }
            match event {
                Event::Prepared { facts, known } => self.begin(facts, &known),
                Event::Stored { partition, outcome } => self.stored(partition, outcome),
                Event::TokenSpent { partition } => self.token_spent(partition),
                Event::Recorded { rows } => self.recorded(&rows),
                Event::Failed { partition, class, refused, message } => {
                    self.failed(partition, class, refused, &message);
                }
                Event::Recovered { partition: None } => self.trouble = None,
                Event::Recovered { partition: Some(partition) } => {
                    if let Some(one) = self.partitions.get_mut(&partition).filter(|one| !one.stopped) {
                        one.trouble = None;
                    }
                }
            }
        }
    }

    fn failed(&mut self, partition: Option<i32>, class: Class, refused: bool, message: &str) {
        self.context.metrics.failed(class);
        let reason = match class {
            _ if refused => Reason::BlockRefused,
            Class::Unreachable | Class::Overloaded | Class::Refused => Reason::ClickHouseUnreachable,
            Class::Unauthorized => Reason::AuthenticationFailed,
            Class::TableChanged => Reason::TableChanged,
        };
        let slot = match partition {
            None => &mut self.trouble,
            Some(partition) => match self.partitions.get_mut(&partition) {
                Some(one) => &mut one.trouble,
                None => return,
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
        self.context.metrics.holds(paused, buffered);
    }

    pub(super) fn publish(&mut self) {
        self.published = Instant::now();
        if let Some(error) = self.letters.trouble {
            let message = format!("write a dead letter: {error}");
            state::raise(&mut self.trouble, Reason::DeadLettersBlocked, &message);
        } else {
            state::clear(&mut self.trouble, Reason::DeadLettersBlocked);
        }
        self.measure();
        let mut partitions: Vec<_> =
            self.partitions.values().map(|one| one.state(&self.context.revision)).collect();
        partitions.extend(self.not_begun());
        partitions.sort_by_key(|one| one.partition);
        let state = IngestorState {
            plan_revision: self.context.revision.clone(),
            joined: self.joined,
            trouble: self.trouble.clone(),
            partitions,
        };
        if let Ok(mut shared) = self.context.state.lock() {
            *shared = state;
        }
    }
}
