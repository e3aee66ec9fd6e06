//! What of a range is stored, asked of the table and the ledger.

use super::{Connection, Form, Sink, SinkError};
use crate::block::Block;
use crate::fail;
use crate::protocol::{Promise, Unit, Units};
use bytes::Bytes;

/// Read-backs are complete or fail (rule 3).
const COMPLETE: [(&str, &str); 11] = [
    ("use_query_cache", "0"),
    ("wait_end_of_query", "1"),
    ("max_result_rows", "0"),
    ("max_rows_to_read", "0"),
    ("max_bytes_to_read", "0"),
    ("read_overflow_mode", "throw"),
    ("result_overflow_mode", "throw"),
    ("group_by_overflow_mode", "throw"),
    ("timeout_overflow_mode", "throw"),
    ("output_format_json_quote_64bit_integers", "0"),
    ("select_sequential_consistency", "1"),
];

/// What is known of a partition in ClickHouse.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stored {
    pub partition: i32,
    /// The highest next offset in the ledger.
    pub ledger: Option<i64>,
    /// 1 + the highest offset in the table, at or above the position.
    pub table: Option<i64>,
    pub rows_of_intent: u64,
    /// Stored offsets at or above the position, as `first..next`, ascending;
    /// only if asked for.
    pub runs: Vec<(i64, i64)>,
    /// `runs` has no word on this offset and those above it.
    pub runs_until: Option<i64>,
}

/// Where a row of a block belongs.
pub struct RowUnit {
    /// `_partition_id`.
    pub unit: String,
    /// It has outlived the table's TTL.
    pub expired: bool,
}

/// Offsets whose runs are looked up at once: the server sorts as many.
const RUNS_WINDOW: u64 = 4 << 20;

/// A partition that is being assigned.
#[derive(Clone, Copy, Debug)]
pub struct Asked {
    pub partition: i32,
    /// The committed offset.
    pub committed: Option<i64>,
    /// The range of its intent, if it carries one.
    pub intent: Option<(i64, i64)>,
    /// Whether the highest stored offset is wanted.
    pub height: bool,
    /// Whether the stored offsets are wanted one by one.
    pub runs: bool,
}

impl Sink {
    async fn ask(&self, connection: &mut Connection, act: &str, sql: &str) -> Result<Bytes, SinkError> {
        let body = vec![Bytes::copy_from_slice(sql.as_bytes())];
        let body = self.server.request(connection, act, &COMPLETE, body, None).await?;
        // One row, and its end.
        if body.last() != Some(&b'\n') {
            return Err(SinkError::unreachable(act, "the answer is empty or broken off"));
        }
        Ok(body)
    }

    /// Rows stored of the promised range, by unit.
    pub async fn read_back(
        &self,
        connection: &mut Connection,
        partition: i32,
        promise: &Promise,
    ) -> Result<Units, SinkError> {
        let sql = format!(
            "SELECT groupArray((unit, rows)) FROM (SELECT _partition_id AS unit, count() AS rows FROM {} \
             WHERE _kafka_source = {} AND _kafka_partition = {partition} \
             AND _kafka_offset >= {} AND _kafka_offset < {} GROUP BY unit) FORMAT JSONCompactEachRow",
            self.target, self.source, promise.first, promise.next
        );
        let act = "read the block back";
        let body = self.ask(connection, act, &sql).await?;
        let (units,): (Vec<(String, u64)>,) =
            serde_json::from_slice(&body).map_err(|error| SinkError::unreachable(act, error))?;
        Ok(units.into_iter().map(|(id, rows)| Unit { id, rows }).collect())
    }

    /// The unit of each row, in the block's order, as the server computes it,
    /// and whether the row is expired by `ttl`, if that is given.
    pub async fn units_of(
        &self,
        connection: &mut Connection,
        form: &Form,
        block: &Block,
        partition_key: &str,
        ttl: Option<&str>,
    ) -> Result<Vec<RowUnit>, SinkError> {
        let act = "ask for the block's partitions";
        let boundary = "caudal-block";
        let structure: Vec<_> =
            form.columns.iter().map(|(name, native)| format!("`{name}` {native}")).collect();
        let structure = structure.join(", ");
        let unit = match partition_key {
            "" => "'all'".to_owned(),
            key => format!("toString(partitionId({key}))"),
        };
        let expired = ttl.map_or_else(|| "0".to_owned(), |ttl| format!("toDateTime({ttl}) <= now()"));
        let sql = format!("SELECT {unit}, toUInt8({expired}) FROM block FORMAT TSV");
        let mut parameters = vec![
            ("query", sql.as_str()),
            ("block_format", "Native"),
            ("block_structure", structure.as_str()),
            ("max_threads", "1"),
        ];
        parameters.extend(COMPLETE);
        let mut body = vec![Bytes::from(format!(
            "--{boundary}\r\nContent-Disposition: form-data; name=\"block\"; filename=\"block\"\r\n\
             Content-Type: application/octet-stream\r\n\r\n"
        ))];
        body.extend(block.pieces());
        body.push(Bytes::from(format!("\r\n--{boundary}--\r\n")));
        let content_type = format!("multipart/form-data; boundary={boundary}");
        let answer =
            self.server.request(connection, act, &parameters, body, Some(content_type.as_str())).await?;
        let text = std::str::from_utf8(&answer).map_err(|error| SinkError::unreachable(act, error))?;
        let row = |line: &str| {
            let (unit, expired) = line.split_once('\t')?;
            Some(RowUnit { unit: unit.to_owned(), expired: expired == "1" })
        };
        let units: Vec<RowUnit> = text.lines().map_while(row).collect();
        if units.len() != block.rows() {
            return Err(SinkError::unreachable(
                act,
                format!("{} units for {} rows", units.len(), block.rows()),
            ));
        }
        Ok(units)
    }

    /// What table and ledger know of partitions that are being assigned.
    pub async fn look_up(
        &self,
        connection: &mut Connection,
        asked: &[Asked],
    ) -> Result<Vec<Stored>, SinkError> {
        let ledger = self.ledger_ends(connection).await?;
        let mut answer = Vec::new();
        for one in asked {
            let ledger =
                ledger.iter().find(|(partition, _)| *partition == one.partition).map(|(_, end)| *end);
            // Without a commit the position is the ledger's.
            let from = one.committed.or(ledger).unwrap_or(0);
            let mut stored = if one.height || one.intent.is_some() {
                self.stored_from(connection, one, from).await?
            } else {
                Stored { partition: one.partition, ..Stored::default() }
            };
            stored.ledger = ledger;
            if one.runs {
                let until = from.saturating_add_unsigned(fail::limit("CAUDAL_RUNS_WINDOW", RUNS_WINDOW));
                stored.runs = self.runs(connection, one.partition, from..until).await?;
                stored.runs_until = stored.table.is_some_and(|height| height > until).then_some(until);
            }
            answer.push(stored);
        }
        Ok(answer)
    }

    /// The minmax index on the offset keeps this from reading the table.
    async fn stored_from(
        &self,
        connection: &mut Connection,
        asked: &Asked,
        from: i64,
    ) -> Result<Stored, SinkError> {
        let (first, next) = asked.intent.unwrap_or((0, 0));
        let sql = format!(
            "SELECT count(), max(_kafka_offset) + 1, countIf(_kafka_offset >= {first} AND _kafka_offset < {next}) \
             FROM {} WHERE _kafka_source = {} AND _kafka_partition = {} AND _kafka_offset >= {from} \
             FORMAT JSONCompactEachRow",
            self.target, self.source, asked.partition
        );
        let act = "look up stored offsets";
        let body = self.ask(connection, act, &sql).await?;
        let (rows, next, rows_of_intent): (u64, i64, u64) =
            serde_json::from_slice(&body).map_err(|error| SinkError::unreachable(act, error))?;
        let table = (rows > 0).then_some(next);
        Ok(Stored { partition: asked.partition, table, rows_of_intent, ..Stored::default() })
    }

    /// Neighbouring offsets have the same difference to their rank.
    async fn runs(
        &self,
        connection: &mut Connection,
        partition: i32,
        offsets: std::ops::Range<i64>,
    ) -> Result<Vec<(i64, i64)>, SinkError> {
        let sql = format!(
            "SELECT arraySort(groupArray((first, next))) FROM (SELECT min(o) AS first, max(o) + 1 AS next FROM \
             (SELECT _kafka_offset AS o, o - row_number() OVER (ORDER BY _kafka_offset) AS run FROM {} \
             WHERE _kafka_source = {} AND _kafka_partition = {partition} AND _kafka_offset >= {} \
             AND _kafka_offset < {}) GROUP BY run) FORMAT JSONCompactEachRow",
            self.target, self.source, offsets.start, offsets.end
        );
        let act = "look up runs of stored offsets";
        let body = self.ask(connection, act, &sql).await?;
        let (runs,): (Vec<(i64, i64)>,) =
            serde_json::from_slice(&body).map_err(|error| SinkError::unreachable(act, error))?;
        Ok(runs)
    }

    async fn ledger_ends(&self, connection: &mut Connection) -> Result<Vec<(i32, i64)>, SinkError> {
        let sql = format!(
            "SELECT groupArray((p, next)) FROM (SELECT partition AS p, max(next_offset) AS next FROM {} FINAL \
             WHERE source = {} GROUP BY p) FORMAT JSONCompactEachRow",
            self.ledger, self.source
        );
        let act = "read the ledger";
        let body = self.ask(connection, act, &sql).await?;
        let (ends,): (Vec<(i32, i64)>,) =
            serde_json::from_slice(&body).map_err(|error| SinkError::unreachable(act, error))?;
        Ok(ends)
    }
}
