//! A position that is not in the log: what that means, and going on elsewhere.

use std::time::{Duration, Instant};

use caudal_model::state::Reason;

use super::{Misplaced, Partition};
use crate::kafka::{Consumer, KafkaError};
use crate::state;

/// How long one question may hold up the others.
const TIMEOUT: Duration = Duration::from_millis(500);
const ASK_AGAIN: Duration = Duration::from_secs(2);

/// Where a position is that Kafka calls out of range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Before everything that is left; so many offsets are gone.
    Deleted(u64),
    /// Nothing below the log's beginning is missing, so its end was cut off,
    /// whether or not it has grown again since.
    Truncated,
}

pub fn place(position: i64, low: i64) -> Place {
    match (low - position).try_into() {
        Ok(lost) if lost > 0 => Place::Deleted(lost),
        _ => Place::Truncated,
    }
}

/// What became of a misplaced partition.
pub enum Relocated {
    /// It has another position, from which it has to be assigned anew; so many
    /// messages are lost.
    Lost(u64),
    Truncated(String),
    /// Kafka did not say; it will be asked again.
    NotYet,
}

impl Partition {
    pub(super) fn out_of_range(&mut self, text: String) {
        let now = Instant::now();
        self.misplaced.get_or_insert(Misplaced { text, since: now, try_at: now });
    }

    /// Whether there is nothing to read at the position.
    pub fn misplaced(&self) -> bool {
        self.misplaced.is_some()
    }

    /// Since when the position is known not to be in the log, if it is time to
    /// look for another.
    pub fn misplaced_since(&self, now: Instant) -> Option<Instant> {
        let due = self.misplaced.as_ref().filter(|misplaced| misplaced.try_at <= now && !self.stopped);
        due.map(|misplaced| misplaced.since)
    }

    /// Rule 12: what Kafka has deleted is counted and told, never passed over
    /// in silence.
    pub fn relocate(&mut self, consumer: &Consumer) -> Relocated {
        match self.try_relocate(consumer) {
            Ok(relocated) => relocated,
            Err(error) => {
                let message = format!("find the position again after {}: {error}", self.position);
                tracing::warn!(partition = self.id, "{message}");
                state::raise(&mut self.read_trouble, Reason::KafkaUnreachable, &message);
                if let Some(misplaced) = &mut self.misplaced {
                    misplaced.try_at = Instant::now() + ASK_AGAIN;
                }
                Relocated::NotYet
            }
        }
    }

    fn try_relocate(&mut self, consumer: &Consumer) -> Result<Relocated, KafkaError> {
        let (low, high) = consumer.ends(self.id, TIMEOUT)?;
        let Some(Misplaced { text, .. }) = self.misplaced.take() else { return Ok(Relocated::NotYet) };
        if place(self.position, low) == Place::Truncated {
            return Ok(Relocated::Truncated(format!(
                "offset {} is not in the log, which has {low} to {high}: was it truncated? {text}",
                self.position
            )));
        }
        let (partition, position) = (self.id, self.position);
        tracing::error!(partition, position, low, "Kafka deleted messages before they were stored");
        self.read_trouble = None;
        Ok(Relocated::Lost(self.skip_to(low)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_deleted_is_told_from_what_was_cut_off() {
        assert_eq!(place(10, 25), Place::Deleted(15));
        // Behind the end, or within: the log was cut and has grown again.
        assert_eq!(place(10, 0), Place::Truncated);
        assert_eq!(place(10, 10), Place::Truncated);
    }
}
