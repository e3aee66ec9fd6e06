//! [`Statement`] → rows of ClickHouse, one JSON array each, bounded in time,
//! number and resources.

mod encoder;
mod error;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use ::clickhouse::Client;
use anyhow::Context;
use caudal_model::Plan;
use caudal_service::{Credentials, clickhouse};

use crate::limits::{Budget, Gate, MAX_ANSWER_BYTES};
use crate::metrics::Metrics;
use crate::query::{self, Statement};

pub use encoder::{Cell, CellKind, Encoder, Rows};
pub use error::StoreError;

/// How long ClickHouse may work on a query.
const MAX_EXECUTION: Duration = Duration::from_secs(10);
/// How long we wait for the whole answer.
const MAX_ANSWER_TIME: Duration = Duration::from_secs(15);

/// Bytes of an answer as ClickHouse holds it: twice what we send, since short
/// values of wide types take more there.
const MAX_RESULT_BYTES: usize = 2 * MAX_ANSWER_BYTES;
/// Rows that ClickHouse may expect to read for a query.
const MAX_ROWS_TO_READ: u64 = 2_000_000_000;

/// The one way to ClickHouse.
pub struct Store {
    client: Client,
    gate: Gate,
    budget: Budget,
    metrics: Metrics,
    /// Whether this user may send settings; found out by trying.
    send_settings: AtomicBool,
}

impl Store {
    /// Reads the file with certificate authorities, if `credentials` name one.
    pub fn new(plan: &Plan, credentials: &Credentials, metrics: Metrics) -> anyhow::Result<Self> {
        let authorities = match &credentials.clickhouse_ca {
            Some(path) => {
                Some(std::fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?)
            }
            None => None,
        };
        let url = &plan.sink.connection.url;
        let client = clickhouse::client(url, credentials.clickhouse.as_ref(), authorities.as_deref())?
            .with_product_info("caudal-api-server", caudal_service::VERSION)
            // ClickHouse holds the answer back until it is complete, so a
            // failure in the middle comes as a failure and not as fewer rows.
            .with_setting("wait_end_of_query", "1");
        Ok(Self {
            client,
            gate: Gate::default(),
            budget: Budget::default(),
            metrics,
            send_settings: AtomicBool::new(true),
        })
    }

    /// Rows as JSON objects, ready to send.
    pub async fn rows(&self, statement: &Statement, mut encoder: Encoder) -> Result<Rows, StoreError> {
        encoder.account_to(self.budget.clone());
        self.lines(statement, |line| encoder.push(line)).await?;
        Ok(encoder.finish())
    }

    /// Calls `line` with every row of the answer. An error may come after some
    /// rows were seen; they must not be used then.
    pub async fn lines(
        &self,
        statement: &Statement,
        mut line: impl FnMut(&str) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let _permit = self.gate.enter().await?;
        let started = Instant::now();
        let result = match tokio::time::timeout(MAX_ANSWER_TIME, self.read(statement, &mut line)).await {
            Ok(result) => result,
            Err(_) => Err(StoreError::NoAnswer(MAX_ANSWER_TIME)),
        };
        let answered = result.as_ref().err().is_none_or(|error| !error.is_of_clickhouse());
        self.metrics.clickhouse(started.elapsed(), answered);
        result
    }

    async fn read(
        &self,
        statement: &Statement,
        line: &mut impl FnMut(&str) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let send_settings = self.send_settings.load(Ordering::Relaxed);
        match self.read_once(statement, send_settings, line).await {
            Err(StoreError::SettingsForbidden(message)) if send_settings => {
                self.refuse_to_cut_short().await?;
                tracing::warn!(
                    message_of_clickhouse = message,
                    "this user may send no settings; limits of time and memory are now those of its profile"
                );
                self.send_settings.store(false, Ordering::Relaxed);
                self.read_once(statement, false, line).await
            }
            result => result,
        }
    }

    /// Without our settings the user's profile decides what happens at a limit;
    /// one that cuts answers short there would pass for the end of the rows.
    async fn refuse_to_cut_short(&self) -> Result<(), StoreError> {
        let sql = "SELECT name FROM system.settings WHERE name LIKE '%overflow\\_mode%' AND value IN ('break', 'any')";
        let mut found = Vec::new();
        let mut line = |line: &str| {
            found.push(line.to_owned());
            Ok(())
        };
        self.read_once(&query::fixed(sql.to_owned(), 1000), false, &mut line).await?;
        if found.is_empty() { Ok(()) } else { Err(StoreError::CutsShort(found.join(", "))) }
    }

    async fn read_once(
        &self,
        statement: &Statement,
        send_settings: bool,
        line: &mut impl FnMut(&str) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let mut query = self.client.query_raw(&statement.sql);
        for (position, value) in statement.parameters.iter().enumerate() {
            query = query.param(&format!("p{position}"), value);
        }
        if send_settings {
            for (name, value) in settings(statement) {
                query = query.with_setting(name, value);
            }
        }
        let mut cursor = query.fetch_bytes("JSONCompactEachRow")?;
        let mut lines = Lines::default();
        while let Some(chunk) = cursor.next().await? {
            lines.push(&chunk, line)?;
        }
        lines.finish()
    }
}

/// Limits of every query. Where a limit is passed, the query fails: fewer rows
/// than asked for would look like an end.
fn settings(statement: &Statement) -> Vec<(&'static str, String)> {
    let mut settings = vec![
        ("max_execution_time", MAX_EXECUTION.as_secs().to_string()),
        ("timeout_overflow_mode", "throw".to_owned()),
        ("max_memory_usage", (1_u64 << 30).to_string()),
        ("max_threads", "4".to_owned()),
        ("read_overflow_mode", "throw".to_owned()),
        ("max_result_rows", statement.max_rows.to_string()),
        // ClickHouse holds the answer back, so it must not hold what we refuse.
        ("max_result_bytes", MAX_RESULT_BYTES.to_string()),
        ("result_overflow_mode", "throw".to_owned()),
        // A client that went away frees the server.
        ("cancel_http_readonly_queries_on_client_close", "1".to_owned()),
        ("output_format_json_escape_forward_slashes", "0".to_owned()),
        // What stands inside arrays and maps comes as it is sent.
        ("output_format_json_quote_64bit_integers", "0".to_owned()),
        ("output_format_json_quote_decimals", "0".to_owned()),
        ("output_format_json_quote_denormals", "0".to_owned()),
        ("output_format_json_map_as_array_of_tuples", "0".to_owned()),
        ("date_time_output_format", "iso".to_owned()),
    ];
    if !statement.in_table_order {
        settings.push(("max_rows_to_read", MAX_ROWS_TO_READ.to_string()));
    }
    settings
}

/// Chunks → lines.
#[derive(Default)]
struct Lines {
    partial: Vec<u8>,
}

impl Lines {
    fn push(
        &mut self,
        chunk: &[u8],
        line: &mut impl FnMut(&str) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let mut rest = chunk;
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            let (head, tail) = rest.split_at(end);
            rest = &tail[1..];
            if self.partial.is_empty() {
                line(&String::from_utf8_lossy(head))?;
            } else {
                self.partial.extend_from_slice(head);
                line(&String::from_utf8_lossy(&self.partial))?;
                self.partial.clear();
            }
        }
        if self.partial.len() + rest.len() > MAX_ANSWER_BYTES {
            return Err(StoreError::TooLarge);
        }
        self.partial.extend_from_slice(rest);
        Ok(())
    }

    fn finish(self) -> Result<(), StoreError> {
        if self.partial.is_empty() {
            return Ok(());
        }
        Err(StoreError::Malformed("the last row is cut off".to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(chunks: &[&[u8]]) -> Result<Vec<String>, StoreError> {
        let (mut lines, mut seen) = (Lines::default(), Vec::new());
        for chunk in chunks {
            lines.push(chunk, &mut |line| {
                seen.push(line.to_owned());
                Ok(())
            })?;
        }
        lines.finish().map(|()| seen)
    }

    #[test]
    fn lines_may_be_cut_anywhere_by_chunks() {
        let text = "[1, \"é\"]\n[2, \"\"]\n".as_bytes();
        for cut in 0..text.len() {
            assert_eq!(split(&[&text[..cut], &text[cut..]]).unwrap(), ["[1, \"é\"]", "[2, \"\"]"]);
        }
        assert!(split(&[]).unwrap().is_empty());
    }

    #[test]
    fn a_cut_off_row_is_an_error() {
        assert!(matches!(split(&[b"[1]\n[2"]), Err(StoreError::Malformed(_))));
    }
}
