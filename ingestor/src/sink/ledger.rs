//! Completed ranges → rows of the ledger.

use serde::Serialize;

use super::{Connection, Sink, SinkError};
use crate::protocol::Outcome;

/// One completed range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedgerRow {
    pub partition: i32,
    pub first: i64,
    pub next: i64,
    pub rows: u64,
    pub dead_letters: u64,
    pub filtered: u64,
    /// Offsets that Kafka had deleted before they were read.
    pub gap: u64,
    /// Milliseconds since 1970.
    pub oldest_ms: Option<i64>,
    pub newest_ms: Option<i64>,
    pub high_watermark: i64,
    pub plan_revision: String,
    pub outcome: Outcome,
}

impl LedgerRow {
    /// The first row of a partition: it has begun at `position`.
    pub fn opened(partition: i32, position: i64, plan_revision: &str) -> Self {
        Self {
            partition,
            first: position,
            next: position,
            rows: 0,
            dead_letters: 0,
            filtered: 0,
            gap: 0,
            oldest_ms: None,
            newest_ms: None,
            high_watermark: position,
            plan_revision: plan_revision.to_owned(),
            outcome: Outcome::Clean,
        }
    }

    pub fn opening(&self) -> bool {
        self.first == self.next
    }
}

#[derive(Serialize)]
struct Wire<'a> {
    source: u64,
    partition: i32,
    first_offset: i64,
    next_offset: i64,
    rows: u64,
    dead_letters: u64,
    filtered: u64,
    gap: u64,
    oldest_message: Option<i64>,
    newest_message: Option<i64>,
    high_watermark: i64,
    inserted_at: i64,
    plan_revision: &'a str,
    outcome: &'a str,
}

impl Sink {
    /// Writes one row per range. May be repeated: equal ranges replace
    /// themselves.
    pub async fn write_ledger(
        &self,
        connection: &mut Connection,
        rows: &[&LedgerRow],
        now_ms: i64,
    ) -> Result<(), SinkError> {
        let mut body = Vec::new();
        for row in rows {
            let wire = Wire {
                source: self.source,
                partition: row.partition,
                first_offset: row.first,
                next_offset: row.next,
                rows: row.rows,
                dead_letters: row.dead_letters,
                filtered: row.filtered,
                gap: row.gap,
                oldest_message: row.oldest_ms,
                newest_message: row.newest_ms,
                high_watermark: row.high_watermark,
                // An opening row never replaces a range's.
                inserted_at: if row.opening() { 0 } else { now_ms },
                plan_revision: &row.plan_revision,
                outcome: match row.outcome {
                    Outcome::Clean => "Clean",
                    Outcome::Settled => "Settled",
                    Outcome::Repeated => "Repeated",
                },
            };
            serde_json::to_writer(&mut body, &wire)
                .map_err(|error| SinkError::unreachable("write the ledger", error))?;
            body.push(b'\n');
        }
        // A DateTime64 is given as its ticks, so no text of a time is parsed.
        let sql = format!(
            "INSERT INTO {} SELECT source, partition, first_offset, next_offset, rows, dead_letters, filtered, gap, \
             fromUnixTimestamp64Milli(oldest_message, 'UTC'), fromUnixTimestamp64Milli(newest_message, 'UTC'), \
             high_watermark, fromUnixTimestamp64Milli(inserted_at, 'UTC'), plan_revision, outcome \
             FROM input('source UInt64, partition Int32, first_offset Int64, next_offset Int64, rows UInt64, \
             dead_letters UInt64, filtered UInt64, gap UInt64, oldest_message Nullable(Int64), \
             newest_message Nullable(Int64), high_watermark Int64, inserted_at Int64, plan_revision String, \
             outcome String') FORMAT JSONEachRow",
            self.ledger
        );
        let parameters = [
            ("query", sql.as_str()),
            ("async_insert", "0"),
            ("wait_end_of_query", "1"),
            ("insert_deduplicate", "0"),
        ];
        let act = "write the ledger";
        let answer = self.server.request(connection, act, &parameters, vec![body.into()], None).await?;
        if answer.is_empty() {
            Ok(())
        } else {
            Err(SinkError::unreachable(act, "an answer was not expected"))
        }
    }
}
