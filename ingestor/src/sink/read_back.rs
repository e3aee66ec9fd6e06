//! What of a range is stored, asked of the table and the ledger.

use bytes::Bytes;
use serde::Deserialize;

use super::{Sink, SinkError};
use crate::block::Block;
use crate::protocol::{Promise, Unit, Units};

/// Read-backs are complete or fail (rule 3).
const COMPLETE: [(&str, &str); 10] = [
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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Stored {
    pub partition: i32,
    pub ledger: Option<i64>,
    /// 1 + the highest offset stored at or above the committed one.
    pub table: Option<i64>,
    pub rows_of_intent: u64,
}

/// A partition, its committed offset and the range of its intent, if any.
#[derive(Clone, Copy, Debug)]
pub struct Asked {
    pub partition: i32,
    pub from: i64,
    pub intent: Option<(i64, i64)>,
}

impl Sink {
    async fn ask(&self, act: &str, sql: &str) -> Result<Bytes, SinkError> {
        let connection = self.server.connect().await?;
        let body = vec![Bytes::copy_from_slice(sql.as_bytes())];
        let body = self.server.request(connection, act, &COMPLETE, body, None).await?;
        // One row, and its end.
        if body.last() != Some(&b'\n') {
            return Err(SinkError::unreachable(act, "the answer is empty or broken off"));
        }
        Ok(body)
    }

    /// Rows stored of the promised range, by unit.
    pub async fn read_back(&self, partition: i32, promise: &Promise) -> Result<Units, SinkError> {
        let sql = format!(
            "SELECT groupArray((unit, rows)) FROM (SELECT _partition_id AS unit, count() AS rows FROM {} \
             WHERE _kafka_source = {} AND _kafka_partition = {partition} \
             AND _kafka_offset >= {} AND _kafka_offset < {} GROUP BY unit) FORMAT JSONCompactEachRow",
            self.target, self.source, promise.first, promise.next
        );
        let act = "read the block back";
        let body = self.ask(act, &sql).await?;
        let (units,): (Vec<(String, u64)>,) =
            serde_json::from_slice(&body).map_err(|error| SinkError::unreachable(act, error))?;
        Ok(units.into_iter().map(|(id, rows)| Unit { id, rows }).collect())
    }

    /// The unit of each row, in the block's order, as the server computes it.
    pub async fn units_of(&self, block: &Block, partition_key: &str) -> Result<Vec<String>, SinkError> {
        let act = "ask for the block's partitions";
        let boundary = "caudal-block";
        let structure: Vec<_> =
            self.columns.iter().map(|(name, native)| format!("`{name}` {native}")).collect();
        let structure = structure.join(", ");
        let sql = format!("SELECT toString(partitionId({partition_key})) FROM block FORMAT TSV");
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
        let connection = self.server.connect().await?;
        let content_type = format!("multipart/form-data; boundary={boundary}");
        let answer =
            self.server.request(connection, act, &parameters, body, Some(content_type.as_str())).await?;
        let text = std::str::from_utf8(&answer).map_err(|error| SinkError::unreachable(act, error))?;
        let units: Vec<String> = text.lines().map(str::to_owned).collect();
        if units.len() != block.rows() {
            return Err(SinkError::unreachable(
                act,
                format!("{} units for {} rows", units.len(), block.rows()),
            ));
        }
        Ok(units)
    }

    /// What table and ledger know of partitions that are being assigned.
    pub async fn look_up(&self, asked: &[Asked]) -> Result<Vec<Stored>, SinkError> {
        let ledger = self.ledger_ends().await?;
        let mut answer: Vec<Stored> = asked
            .iter()
            .map(|one| Stored {
                partition: one.partition,
                ledger: ledger.iter().find(|(partition, _)| *partition == one.partition).map(|(_, end)| *end),
                ..Stored::default()
            })
            .collect();
        if asked.is_empty() {
            return Ok(answer);
        }
        // The minmax index on the offset keeps this from reading the table.
        let beyond: Vec<_> = asked
            .iter()
            .map(|one| format!("(_kafka_partition = {} AND _kafka_offset >= {})", one.partition, one.from))
            .collect();
        let within: Vec<_> = asked
            .iter()
            .filter_map(|one| one.intent.map(|(first, next)| (one.partition, first, next)))
            .map(|(partition, first, next)| {
                format!(
                    "(_kafka_partition = {partition} AND _kafka_offset >= {first} AND _kafka_offset < {next})"
                )
            })
            .collect();
        let within = if within.is_empty() { "0".to_owned() } else { within.join(" OR ") };
        let sql = format!(
            "SELECT groupArray((p, next, n)) FROM (SELECT _kafka_partition AS p, max(_kafka_offset) + 1 AS next, \
             countIf({within}) AS n FROM {} WHERE _kafka_source = {} AND ({}) GROUP BY p) \
             FORMAT JSONCompactEachRow",
            self.target,
            self.source,
            beyond.join(" OR ")
        );
        let act = "look up stored offsets";
        let body = self.ask(act, &sql).await?;
        let (rows,): (Vec<(i32, i64, u64)>,) =
            serde_json::from_slice(&body).map_err(|error| SinkError::unreachable(act, error))?;
        for (partition, next, rows_of_intent) in rows {
            if let Some(one) = answer.iter_mut().find(|one| one.partition == partition) {
                one.table = Some(next);
                one.rows_of_intent = rows_of_intent;
            }
        }
        Ok(answer)
    }

    async fn ledger_ends(&self) -> Result<Vec<(i32, i64)>, SinkError> {
        let sql = format!(
            "SELECT groupArray((p, next)) FROM (SELECT partition AS p, max(next_offset) AS next FROM {} FINAL \
             WHERE source = {} GROUP BY p) FORMAT JSONCompactEachRow",
            self.ledger, self.source
        );
        let act = "read the ledger";
        let body = self.ask(act, &sql).await?;
        let (ends,): (Vec<(i32, i64)>,) =
            serde_json::from_slice(&body).map_err(|error| SinkError::unreachable(act, error))?;
        Ok(ends)
    }
}
