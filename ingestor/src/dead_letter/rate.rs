//! How many dead letters a process sends: a topic that holds nothing else must
//! not become a flood for the broker.

use std::time::{Duration, Instant};

/// Bytes of letters per second.
pub const BYTES_PER_SECOND: u32 = 8 << 20;
/// A letter counts as so many bytes at least: its headers, and Kafka's work.
pub const LEAST_BYTES: u32 = 1 << 10;
/// Seconds' worth that may go at once after a quiet time.
const AT_ONCE: f64 = 2.0;
/// Nothing has been held back for so long: that is over.
const OVER: Duration = Duration::from_secs(2);

pub struct Rate {
    /// Bytes that may go now. A large letter takes more than there is, and the
    /// next ones wait for it.
    room: f64,
    filled: Instant,
    held: Option<Held>,
}

/// Letters have been held back.
#[derive(Clone, Copy)]
struct Held {
    since: Instant,
    last: Instant,
}

impl Rate {
    pub fn new(now: Instant) -> Self {
        Self { room: AT_ONCE * f64::from(BYTES_PER_SECOND), filled: now, held: None }
    }

    /// Whether a letter may go now.
    pub fn allows(&mut self, now: Instant) -> bool {
        let per_second = f64::from(BYTES_PER_SECOND);
        let passed = now.saturating_duration_since(self.filled).as_secs_f64();
        self.room = (self.room + passed * per_second).min(AT_ONCE * per_second);
        self.filled = now;
        if self.room > 0.0 {
            return true;
        }
        let since =
            self.held.filter(|held| now.duration_since(held.last) < OVER).map_or(now, |held| held.since);
        self.held = Some(Held { since, last: now });
        false
    }

    /// A letter of `bytes` has gone.
    pub fn took(&mut self, bytes: usize) {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX).max(LEAST_BYTES);
        self.room -= f64::from(bytes);
    }

    /// For how long letters have been held back without a break.
    pub fn held(&self, now: Instant) -> Option<Duration> {
        let Held { since, last } = self.held?;
        (now.saturating_duration_since(last) < OVER).then(|| now.saturating_duration_since(since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Letters that go in `seconds` if one is tried every 100 µs.
    fn sent(rate: &mut Rate, from: Instant, seconds: u32, bytes: usize) -> u32 {
        let tries = (0..seconds * 10_000).map(|n| from + Duration::from_micros(100) * n);
        let mut sent = 0;
        for now in tries {
            if rate.allows(now) {
                rate.took(bytes);
                sent += 1;
            }
        }
        sent
    }

    #[test]
    fn a_flood_is_bounded_by_bytes_and_small_letters_by_number() {
        let start = Instant::now();
        for (bytes, each, seconds) in [(10, LEAST_BYTES, 30), (100_000, 100_000, 10)] {
            let mut rate = Rate::new(start);
            let sent = sent(&mut rate, start, seconds, bytes);
            let most = (2 + seconds) * BYTES_PER_SECOND / each;
            assert!((most - most / 50..=most + 1).contains(&sent), "{sent} of {most}");
        }
    }

    #[test]
    fn a_letter_larger_than_a_seconds_worth_goes_and_is_paid_for() {
        let start = Instant::now();
        let mut rate = Rate::new(start);
        assert!(rate.allows(start));
        rate.took(100 << 20);
        assert!(!rate.allows(start + Duration::from_secs(10)));
        assert!(rate.allows(start + Duration::from_secs(11)));
    }

    #[test]
    fn holding_back_is_told_until_it_is_over() {
        let start = Instant::now();
        let mut rate = Rate::new(start);
        assert_eq!(rate.held(start), None);
        let flood = sent(&mut rate, start, 30, 10);
        assert!(flood > 0);
        let now = start + Duration::from_secs(30);
        assert!(rate.held(now).is_some_and(|held| held > Duration::from_secs(10)));
        assert_eq!(rate.held(now + OVER), None);
        assert!(rate.allows(now + OVER));
    }
}
