//! The ledger → up to where everything is stored.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use chrono::{DateTime, SecondsFormat};
use serde::Serialize;
use tokio::sync::Mutex;

use crate::app::App;
use crate::query;
use crate::store::StoreError;

/// A watermark of this age still goes into answers: it is an earlier, still
/// true one.
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

/// What became of all messages of a partition so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Account {
    pub rows: i64,
    pub dead_letters: i64,
    /// Tombstones.
    pub filtered: i64,
    /// Deleted by Kafka before they were read.
    pub gap: i64,
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
}

impl Range {
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
}

impl Cache {
    /// The watermark now.
    pub async fn current(&self, app: &App) -> Result<Watermark, StoreError> {
        let mut state = self.0.lock().await;
        refresh(&mut state, app).await?;
        let accounts = accounts(app).await?;
        Ok(watermark(&state.ranges, &accounts))
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
    for (partition, mut range) in found {
        let before = state.ranges.get(&partition).and_then(|range| range.newest_message);
        range.newest_message = range.newest_message.max(before);
        state.ranges.insert(partition, range);
    }
    state.asked = Some(Instant::now());
    metrics.watermark(message_time(&state.ranges));
    Ok(())
}

async fn accounts(app: &App) -> Result<BTreeMap<i32, Account>, StoreError> {
    let mut accounts = BTreeMap::new();
    app.store
        .lines(&query::accounts(&app.table), |line| {
            let [Some(partition), Some(rows), Some(dead_letters), Some(filtered), Some(gap)] =
                numbers(line)?[..]
            else {
                return Err(malformed());
            };
            let partition = i32::try_from(partition).map_err(|_| malformed())?;
            accounts.insert(partition, Account { rows, dead_letters, filtered, gap });
            Ok(())
        })
        .await?;
    Ok(accounts)
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
    let [
        Some(partition),
        Some(first_offset),
        Some(next_offset),
        Some(high_watermark),
        newest,
        oldest,
        Some(stored_at),
    ] = numbers(line)?[..]
    else {
        return Err(malformed());
    };
    let partition = i32::try_from(partition).map_err(|_| malformed())?;
    let range = Range {
        first_offset,
        next_offset,
        high_watermark,
        newest_message: newest,
        oldest_message: oldest,
        stored_at,
    };
    Ok((partition, range))
}

/// A partition without lag holds nothing back, or one without traffic would
/// hold it for ever; of those with lag, the one that is furthest behind counts.
fn message_time(ranges: &BTreeMap<i32, Range>) -> Option<i64> {
    let behind = ranges.values().filter(|range| range.lag() > 0).map(|range| range.newest_message).min();
    behind.unwrap_or_else(|| ranges.values().filter_map(|range| range.newest_message).max())
}

fn watermark(ranges: &BTreeMap<i32, Range>, accounts: &BTreeMap<i32, Account>) -> Watermark {
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
            account: accounts.get(partition).copied().unwrap_or_default(),
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
        lines.iter().map(|line| parse(line).unwrap()).collect()
    }

    #[test]
    fn a_partition_that_lags_holds_the_watermark_back() {
        let ranges = ranges(&["[0, 0, 10, 10, 5000, 1000, 6000]", "[1, 0, 10, 15, 2000, 1500, \"3500\"]"]);
        let watermark = watermark(&ranges, &BTreeMap::new());
        assert_eq!(watermark.overall.message_time.as_deref(), Some("1970-01-01T00:00:02.000Z"));
        assert_eq!(watermark.overall.lag, 5);
        assert_eq!(watermark.overall.freshness_seconds, Some(5.0));
        assert_eq!(watermark.partitions[1].mark.freshness_seconds, Some(2.0));
    }

    #[test]
    fn a_quiet_partition_without_lag_does_not() {
        let ranges = ranges(&["[0, 0, 10, 10, 5000, 1000, 6000]", "[1, 0, 3, 3, null, null, 3500]"]);
        assert_eq!(
            watermark(&ranges, &BTreeMap::new()).overall.message_time.as_deref(),
            Some("1970-01-01T00:00:05.000Z")
        );
    }

    #[test]
    fn an_empty_ledger_knows_nothing() {
        let watermark = watermark(&BTreeMap::new(), &BTreeMap::new());
        assert_eq!(watermark, Watermark { overall: Mark::default(), partitions: vec![] });
    }

    #[test]
    fn other_answers_are_errors() {
        for line in ["[]", "[1, 2]", "[0, null, 1, 1, 1, 1, 1]", "Code: 1"] {
            assert!(parse(line).is_err(), "{line}");
        }
    }
}
