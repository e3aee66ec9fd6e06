//! Rule 5: within Z, a table is given no more tokens than half of what it
//! remembers; each member keeps to its share of that. A token that is forgotten
//! while a request under it may still run would store its rows twice.

use std::collections::{HashSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, Datelike};

use super::{Form, TableFacts};
use crate::block::Block;

const SECONDS_PER_DAY: i64 = 86_400;

/// Tokens this process has given the table within Z.
pub struct Window {
    longest_request: Duration,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// How many tokens the table remembers, if it says so.
    remembered: Option<u64>,
    partition_key: String,
    /// Partitions of the topic that are ours, and all.
    share: (u64, u64),
    /// When, and how many.
    given: VecDeque<(Instant, u64)>,
}

/// No room for a block's tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Full {
    /// When there may be room.
    pub wait: Duration,
    pub message: String,
}

impl Window {
    pub fn new(longest_request: Duration) -> Self {
        Self { longest_request, state: Mutex::default() }
    }

    /// What the table says of itself.
    pub fn learn(&self, facts: &TableFacts) {
        let mut state = self.lock();
        state.remembered = facts.window;
        state.partition_key.clone_from(&facts.partition_key);
    }

    /// `owned` of the topic's partitions are read here.
    pub fn share(&self, owned: usize, all: usize) {
        self.lock().share = (owned as u64, all.max(owned) as u64);
    }

    /// At most so many tokens the block takes: one for each of the table's
    /// partitions it has rows in.
    pub fn tokens(&self, form: &Form, block: &Block) -> u64 {
        let key = self.lock().partition_key.clone();
        if key.is_empty() { 1 } else { units(&key, form, block).unwrap_or(block.rows() as u64) }
    }

    /// Takes room for `tokens` that are given at `now`.
    pub fn take(&self, tokens: u64, now: Instant) -> Result<(), Full> {
        let mut state = self.lock();
        let begin = now.checked_sub(self.longest_request);
        state.given.retain(|(at, _)| begin.is_none_or(|begin| *at > begin));
        if let Some(remembered) = state.remembered {
            let (owned, all) = state.share;
            let share = remembered * owned.max(1) / all.max(1);
            let given: u64 = state.given.iter().map(|(_, tokens)| tokens).sum();
            // A large block may have all of the share, if nothing else does.
            let room = if given == 0 { share } else { (share / 2).saturating_sub(given) };
            if tokens > room {
                let oldest = state.given.front().map(|(at, _)| *at + self.longest_request);
                let wait = oldest.map_or(self.longest_request, |end| end.saturating_duration_since(now));
                return Err(Full {
                    wait,
                    message: message(remembered, share / 2, given, tokens, self.longest_request),
                });
            }
        }
        state.given.push_back((now, tokens));
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn message(remembered: u64, room: u64, given: u64, tokens: u64, within: Duration) -> String {
    format!(
        "the table remembers {remembered} insert tokens, of which this process may use {room} within {} s: {given} are \
         used, and {tokens} more are needed; raise the table's non_replicated_deduplication_window, or let blocks grow \
         (a longer slo.freshness.within, fewer partitions, rows of fewer days in one block)",
        within.as_secs_f64()
    )
}

/// In how many partitions of the table a block has rows, at most. The key is one
/// of those that the operator makes; `None`: it is another.
fn units(key: &str, form: &Form, block: &Block) -> Option<u64> {
    let (function, arguments) = key.strip_suffix(')')?.split_once('(')?;
    let (field, in_utc) = arguments.strip_suffix(", 'UTC'").map_or((arguments, false), |field| (field, true));
    let index = form.columns.iter().position(|(name, _)| *name == field.trim_matches('`'))?;
    let native = form.columns[index].1.as_str();
    let ticks_per_day = match native.strip_prefix("DateTime64(") {
        None if native == "Date" => 1,
        None => return None,
        Some(rest) => {
            let digits = rest.split([',', ')']).next()?.trim().parse().ok()?;
            SECONDS_PER_DAY.checked_mul(10_i64.checked_pow(digits)?)?
        }
    };
    let mut days: HashSet<i64> = HashSet::new();
    let mut last = None;
    for ticks in block.numbers(index)? {
        let day = ticks.div_euclid(ticks_per_day);
        if last.replace(day) != Some(day) {
            days.insert(day);
        }
    }
    let date = |day: i64| DateTime::from_timestamp(day.checked_mul(SECONDS_PER_DAY)?, 0);
    let units: HashSet<i64> = match function {
        "toYYYYMMDD" => days,
        "toYYYYMM" => days
            .into_iter()
            .map(|day| date(day).map(|at| i64::from(at.year() * 12) + i64::from(at.month())))
            .collect::<Option<_>>()?,
        "toYear" => {
            days.into_iter().map(|day| date(day).map(|at| i64::from(at.year()))).collect::<Option<_>>()?
        }
        _ => return None,
    };
    // A day of UTC is in at most two days of another zone.
    let zones = if in_utc || native == "Date" { 1 } else { 2 };
    Some(units.len() as u64 * zones)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::block::{Columns, RowId};
    use crate::content::Content;
    use crate::content::tests::plan;

    const Z: Duration = Duration::from_mins(2);

    fn window(remembered: u64, owned: usize, all: usize) -> Window {
        let window = Window::new(Z);
        window.learn(&TableFacts { partition_key: String::new(), ttl: None, window: Some(remembered) });
        window.share(owned, all);
        window
    }

    #[test]
    fn half_of_the_window_lasts_for_the_longest_request() {
        let window = window(20, 1, 1);
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        for second in 0..10 {
            assert_eq!(window.take(1, at(second)), Ok(()));
        }
        let full = window.take(1, at(20)).unwrap_err();
        assert_eq!(full.wait, Duration::from_secs(100), "until the first is old enough");
        assert!(
            full.message.contains("remembers 20") && full.message.contains("may use 10"),
            "{}",
            full.message
        );
        assert!(window.take(1, at(119)).is_err());
        assert_eq!(window.take(1, at(120)), Ok(()));
        assert!(window.take(1, at(120)).is_err(), "one has gone, one has come");
    }

    #[test]
    fn members_share_by_partitions() {
        let window = window(40, 2, 8);
        let now = Instant::now();
        assert_eq!(window.take(5, now), Ok(()));
        assert!(window.take(1, now).is_err());
        window.share(8, 8);
        assert_eq!(window.take(15, now), Ok(()));
    }

    #[test]
    fn a_large_block_goes_alone_and_one_too_large_never() {
        let window = window(20, 1, 1);
        let now = Instant::now();
        assert!(window.take(21, now).is_err());
        assert_eq!(window.take(20, now), Ok(()));
        assert!(window.take(1, now + Z / 2).is_err());
        assert_eq!(window.take(1, now + Z), Ok(()));
    }

    #[test]
    fn a_table_that_says_nothing_is_not_held_to_anything() {
        let window = Window::new(Z);
        assert!((0..1_000).all(|_| window.take(1_000, Instant::now()).is_ok()));
    }

    #[test]
    fn tokens_are_counted_by_partition_of_the_table() {
        let fields = r#"{"name":"day","type":"Date"},{"name":"at","type":"DateTime64(3)"}"#;
        let content = Content::new(&plan(fields, 100)).unwrap();
        let (mut columns, mut decoder) = (Columns::new(&content.layout), content.decoder().unwrap());
        for (offset, day) in (0..).zip(["2026-01-01", "2026-01-31", "2026-02-01", "2027-02-01", "2026-01-01"])
        {
            let text = format!(r#"{{"day":"{day}","at":"{day}T01:00:00Z"}}"#);
            decoder.decode(&mut columns, text.as_bytes(), RowId { offset, timestamp_ms: 0 }).unwrap();
        }
        let block = columns.seal(&content.layout, 1, 0);
        let count = |key: &str| {
            let window = Window::new(Z);
            window.learn(&TableFacts { partition_key: key.into(), ttl: None, window: None });
            window.tokens(&content.form, &block)
        };
        let counted =
            ["", "toYYYYMMDD(day)", "toYYYYMM(day)", "toYear(day)", "toYYYYMM(at, 'UTC')"].map(count);
        assert_eq!(counted, [1, 4, 3, 2, 3]);
        assert_eq!(count("toYear(at)"), 4, "in whatever zone");
        assert_eq!(count("cityHash64(day)"), 5, "by rows, where nothing is known");
    }
}
