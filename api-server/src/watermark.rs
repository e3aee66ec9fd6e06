//! The ledger → up to where everything is stored.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use chrono::{DateTime, SecondsFormat};
use serde::Serialize;
use tokio::sync::Mutex;

use crate::app::App;
use crate::limits::{MAX_WAIT, Shed};
use crate::query;
use crate::store::StoreError;

/// A watermark of this age is an answer still: it is an earlier, still true
/// one, and many who ask at once share it.
const MAX_AGE: Duration = Duration::from_secs(1);
/// How long an answer's rows wait for a newer watermark.
const PATIENCE: Duration = Duration::from_secs(1);
/// How often it is asked for when no client does.
const PERIOD: Duration = Duration::from_secs(15);

/// What `/v1/watermark` answers.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Watermark {
    #[serde(flatten)]
    pub overall: Mark,
    pub partitions: Vec<PartitionMark>,
}

/// Up to where everything is stored, and how late the last of it was.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Mark {
    /// Of the partitions that had lag at their last completed range, the
    /// newest stored message of the one furthest behind; without lag the newest
    /// stored message at all. RFC 3339.
    pub message_time: Option<String>,
    /// When the last range was completed. RFC 3339.
    pub stored_at: Option<String>,
    /// Messages in Kafka and not yet stored, as of then.
    pub lag: i64,
    /// Of the last range: from its oldest message's time until stored.
    pub freshness_seconds: Option<f64>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PartitionMark {
    pub partition: i32,
    /// Everything below this offset is stored, dead-lettered or filtered.
    pub next_offset: i64,
    #[serde(flatten)]
    pub mark: Mark,
    #[serde(flatten)]
    pub account: Account,
}

/// What became of messages of a partition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Account {
    pub rows: i64,
    pub dead_letters: i64,
    /// Tombstones.
    pub filtered: i64,
    /// Deleted by Kafka before they were read.
    pub gap: i64,
}

impl Account {
    fn plus(self, other: Self) -> Self {
        Self {
            rows: self.rows + other.rows,
            dead_letters: self.dead_letters + other.dead_letters,
            filtered: self.filtered + other.filtered,
            gap: self.gap + other.gap,
        }
    }

    fn minus(self, other: Self) -> Self {
        let Self { rows, dead_letters, filtered, gap } = other;
        self.plus(Self { rows: -rows, dead_letters: -dead_letters, filtered: -filtered, gap: -gap })
    }
}

/// The last range of a partition. Times are milliseconds since 1970.
#[derive(Clone, Debug, PartialEq)]
struct Range {
    first_offset: i64,
    next_offset: i64,
    high_watermark: i64,
    newest_message: Option<i64>,
    oldest_message: Option<i64>,
    stored_at: i64,
    /// Its messages.
    account: Account,
    /// Those of the ranges before it.
    before: Account,
}

impl Range {
    /// Adds what is known of the ranges before `earlier`, the first that was
    /// read this time: once another follows, a range stays as it is.
    fn after(mut self, earlier: &Self) -> Self {
        self.newest_message = self.newest_message.max(earlier.newest_message);
        self.before = self.before.plus(earlier.before);
        self
    }

    fn lag(&self) -> i64 {
        (self.high_watermark - self.next_offset).max(0)
    }

    fn mark(&self) -> Mark {
        Mark {
            message_time: self.newest_message.map(rfc3339),
            stored_at: Some(rfc3339(self.stored_at)),
            lag: self.lag(),
            freshness_seconds: self.freshness(),
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "a delay of 2^53 milliseconds is not reached")]
    fn freshness(&self) -> Option<f64> {
        self.oldest_message.map(|oldest| (self.stored_at - oldest).max(0) as f64 / 1000.0)
    }
}

/// What is known of the ledger.
#[derive(Default)]
pub struct Cache(Mutex<State>);

#[derive(Default)]
struct State {
    ranges: BTreeMap<i32, Range>,
    /// When it was last asked for, also in vain.
    asked: Option<Instant>,
    /// When `ranges` last came.
    read: Option<Instant>,
}

impl Cache {
    /// The watermark now, or one of a moment ago. Whoever can't have it soon,
    /// since another waits for the database, is shed.
    pub async fn current(&self, app: &App) -> Result<Watermark, StoreError> {
        let mut state = tokio::time::timeout(MAX_WAIT, self.0.lock()).await.map_err(|_| Shed)?;
        if state.read.is_none_or(|at| at.elapsed() > MAX_AGE) {
            refresh(&mut state, app).await?;
        }
        Ok(watermark(&state.ranges))
    }

    /// The overall message time for an answer's `meta`; `None` while unknown.
    ///
    /// It must be asked for before the rows, so that it promises no more than
    /// they hold. An older one is still true, so nobody waits for a newer one
    /// longer than a moment, and while one asks the others take what is there.
    pub async fn recent(&self, app: &App) -> Option<String> {
        let Ok(mut state) = self.0.try_lock() else { return app.metrics.last_watermark().map(rfc3339) };
        if state.asked.is_none_or(|at| at.elapsed() > MAX_AGE) {
            state.asked = Some(Instant::now());
            match tokio::time::timeout(PATIENCE, refresh(&mut state, app)).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::debug!(%error, "no new watermark"),
                Err(_) => tracing::debug!("no new watermark in time"),
            }
        }
        message_time(&state.ranges).map(rfc3339)
    }
}

/// Keeps the age in the metrics true while nobody asks.
pub async fn keep_current(app: &App) {
    loop {
        tokio::time::sleep(PERIOD).await;
        app.watermark.recent(app).await;
    }
}

async fn refresh(state: &mut State, app: &App) -> Result<(), StoreError> {
    let App { table, store, metrics, .. } = app;
    let known: Vec<_> =
        state.ranges.iter().map(|(partition, range)| (*partition, range.first_offset)).collect();
    let statement = query::watermark(table, &known);
    let mut found = Vec::new();
    store
        .lines(&statement, |line| {
            found.push(parse(line)?);
            Ok(())
        })
        .await?;
    for (partition, range) in found {
        let range = match state.ranges.get(&partition) {
            Some(earlier) => range.after(earlier),
            None => range,
        };
        state.ranges.insert(partition, range);
    }
    state.asked = Some(Instant::now());
    state.read = state.asked;
    metrics.watermark(message_time(&state.ranges));
    Ok(())
}

fn malformed() -> StoreError {
    StoreError::Malformed("a row of the ledger".to_owned())
}

fn numbers(line: &str) -> Result<Vec<Option<i64>>, StoreError> {
    let values: Vec<serde_json::Value> = serde_json::from_str(line).map_err(|_| malformed())?;
    // A server's profile may quote 64-bit integers.
    Ok(values.iter().map(|value| value.as_i64().or_else(|| value.as_str()?.parse().ok())).collect())
}

fn parse(line: &str) -> Result<(i32, Range), StoreError> {
    let numbers = numbers(line)?;
    let (range, accounts) = numbers.split_at_checked(7).ok_or_else(malformed)?;
    let [
        Some(partition),
        Some(first_offset),
        Some(next_offset),
        Some(high_watermark),
        newest,
        oldest,
        Some(stored_at),
    ] = *range
    else {
        return Err(malformed());
    };
    let (all, last) = accounts.split_at_checked(4).ok_or_else(malformed)?;
    let (all, last) = (account(all)?, account(last)?);
    let partition = i32::try_from(partition).map_err(|_| malformed())?;
    let range = Range {
        first_offset,
        next_offset,
        high_watermark,
        newest_message: newest,
        oldest_message: oldest,
        stored_at,
        account: last,
        before: all.minus(last),
    };
    Ok((partition, range))
}

fn account(numbers: &[Option<i64>]) -> Result<Account, StoreError> {
    let [Some(rows), Some(dead_letters), Some(filtered), Some(gap)] = *numbers else {
        return Err(malformed());
    };
    Ok(Account { rows, dead_letters, filtered, gap })
}

/// A partition without lag holds nothing back, or one without traffic would
/// hold it for ever; of those with lag, the one that is furthest behind counts.
fn message_time(ranges: &BTreeMap<i32, Range>) -> Option<i64> {
    let behind = ranges.values().filter(|range| range.lag() > 0).map(|range| range.newest_message).min();
    behind.unwrap_or_else(|| ranges.values().filter_map(|range| range.newest_message).max())
}

fn watermark(ranges: &BTreeMap<i32, Range>) -> Watermark {
    let last = ranges.values().max_by_key(|range| range.stored_at);
    let overall = Mark {
        message_time: message_time(ranges).map(rfc3339),
        stored_at: last.map(|range| rfc3339(range.stored_at)),
        lag: ranges.values().map(Range::lag).sum(),
        freshness_seconds: last.and_then(Range::freshness),
    };
    let partitions = ranges
        .iter()
        .map(|(partition, range)| PartitionMark {
            partition: *partition,
            next_offset: range.next_offset,
            mark: range.mark(),
            account: range.before.plus(range.account),
        })
        .collect();
    Watermark { overall, partitions }
}

fn rfc3339(milliseconds: i64) -> String {
    DateTime::from_timestamp_millis(milliseconds)
        .map(|moment| moment.to_rfc3339_opts(SecondsFormat::Millis, true))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranges(lines: &[&str]) -> BTreeMap<i32, Range> {
        let counted = |line: &&str| parse(&line.replace(']', ", 0, 0, 0, 0, 0, 0, 0, 0]")).unwrap();
        lines.iter().map(counted).collect()
    }

    #[test]
    fn accounts_add_up_from_refresh_to_refresh() {
        // Ranges of 10, 5 and 2 rows; the second is read again with 6.
        let (_, first) = parse("[0, 10, 15, 15, 5, 1, 9, 15, 1, 0, 0, 5, 1, 0, 0]").unwrap();
        assert_eq!(first.before, Account { rows: 10, ..Account::default() });
        let (_, second) = parse("[0, 16, 18, 18, 5, 1, 9, 8, 1, 0, 0, 2, 0, 0, 0]").unwrap();
        let second = second.after(&first);
        let all = watermark(&BTreeMap::from([(0, second)])).partitions[0].account;
        assert_eq!(all, Account { rows: 18, dead_letters: 1, filtered: 0, gap: 0 });
    }

    #[test]
    fn a_partition_that_lags_holds_the_watermark_back() {
        let ranges = ranges(&["[0, 0, 10, 10, 5000, 1000, 6000]", "[1, 0, 10, 15, 2000, 1500, \"3500\"]"]);
        let watermark = watermark(&ranges);
        assert_eq!(watermark.overall.message_time.as_deref(), Some("1970-01-01T00:00:02.000Z"));
        assert_eq!(watermark.overall.lag, 5);
        assert_eq!(watermark.overall.freshness_seconds, Some(5.0));
        assert_eq!(watermark.partitions[1].mark.freshness_seconds, Some(2.0));
    }

    #[test]
    fn a_quiet_partition_without_lag_does_not() {
        let ranges = ranges(&["[0, 0, 10, 10, 5000, 1000, 6000]", "[1, 0, 3, 3, null, null, 3500]"]);
        assert_eq!(watermark(&ranges).overall.message_time.as_deref(), Some("1970-01-01T00:00:05.000Z"));
    }

    #[test]
    fn an_empty_ledger_knows_nothing() {
        let watermark = watermark(&BTreeMap::new());
        assert_eq!(watermark, Watermark { overall: Mark::default(), partitions: vec![] });
    }

    #[test]
    fn other_answers_are_errors() {
        for line in [
            "[]",
            "[1, 2]",
            "[0, 0, 1, 1, 1, 1, 1]",
            "[0, null, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0]",
            "Code: 1",
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
    }
}
