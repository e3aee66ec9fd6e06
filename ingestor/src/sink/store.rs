//! Drives one block into the table: first answer clean, or SETTLE.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::RngExt;

use super::lease::{Lease, Revoked};
use super::{Connection, MAX_EXECUTION_SECONDS, Sink, SinkError, TableFacts, longest_request};
use crate::block::Block;
use crate::fail;
use crate::protocol::{Outcome, Promise, Settle, Step, token};

/// What happens on the way.
#[derive(Debug)]
pub enum Report {
    /// A request failed; it is retried.
    Failed(SinkError),
    /// A request was answered cleanly after failures.
    Recovered,
    /// An insert is sent once more.
    Resent,
    /// One clean insert took so long.
    Inserted(Duration),
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stored {
    Done(Outcome),
    /// The partition is no longer ours; nobody waits for this any more.
    Revoked,
    /// The token is spent without rows, and nothing old runs any more: the
    /// range needs a new intent.
    TokenSpent,
}

/// One block on its way into the table.
pub struct Store<'a> {
    pub sink: &'a Sink,
    pub facts: &'a TableFacts,
    pub lease: &'a Arc<Lease>,
    pub partition: i32,
    pub block: &'a Block,
    pub promise: Promise,
}

impl Store<'_> {
    /// `settle`: the block may be stored already.
    pub async fn run(&self, settle: bool, mut report: impl FnMut(Report)) -> Stored {
        if self.block.rows() == 0 {
            return Stored::Done(if settle { Outcome::Settled } else { Outcome::Clean });
        }
        let stored = self.attempt(settle, &mut report).await;
        stored.unwrap_or(Stored::Revoked)
    }

    async fn attempt(&self, settle: bool, report: &mut impl FnMut(Report)) -> Result<Stored, Revoked> {
        let mut backoff = Backoff::default();
        let mut first = !settle;
        let mut state = Settle::default();
        loop {
            let failed = match self.leased().await? {
                Err(error) => error,
                Ok(mut connection) if first => {
                    first = false;
                    match self.insert(&mut connection, self.block, report).await {
                        Ok(()) => {
                            self.sink.server.keep(connection);
                            return Ok(Stored::Done(Outcome::Clean));
                        }
                        Err(error) => error,
                    }
                }
                Ok(connection) => match self.settle(connection, &mut state, report).await {
                    Ok(Step::Done | Step::Send) => return Ok(Stored::Done(Outcome::Settled)),
                    Ok(Step::Leave) => {
                        tracing::warn!(partition = self.partition, "a token was taken without its rows");
                        self.lease.sleep(longest_request()).await?;
                        return Ok(Stored::TokenSpent);
                    }
                    Err(error) => error,
                },
            };
            report(Report::Failed(failed));
            self.lease.sleep(backoff.next()).await?;
        }
    }

    /// A connection on which the partition is still ours. Nothing may wait
    /// between this and the request.
    async fn leased(&self) -> Result<Result<Connection, SinkError>, Revoked> {
        loop {
            let connection = match self.sink.server.connect().await {
                Ok(connection) => connection,
                Err(error) => return Ok(Err(error)),
            };
            if self.lease.holds() {
                return Ok(Ok(connection));
            }
            drop(connection);
            self.lease.held().await?;
        }
    }

    /// Reads back and sends what is missing, all on one connection: the server
    /// that has not got the rows is the one that is asked to take them, and it
    /// has not been restarted in between.
    async fn settle(
        &self,
        mut connection: Connection,
        state: &mut Settle,
        report: &mut impl FnMut(Report),
    ) -> Result<Step, SinkError> {
        loop {
            let (missing, keep) = self.missing(&mut connection).await?;
            let step = state.read_back(missing);
            if step != Step::Send {
                self.sink.server.keep(connection);
                return Ok(step);
            }
            report(Report::Resent);
            let part = keep.map(|keep| self.block.filtered(&keep));
            self.insert(&mut connection, part.as_ref().unwrap_or(self.block), report).await?;
            report(Report::Recovered);
            state.answered();
        }
    }

    /// Rows in units of which nothing is stored, and which rows those are
    /// (`None`: all).
    async fn missing(&self, connection: &mut Connection) -> Result<(u64, Option<Vec<bool>>), SinkError> {
        let rows = self.block.rows() as u64;
        // The name may by now belong to another table.
        self.sink.check_table(connection).await?;
        let stored = self.sink.read_back(connection, self.partition, &self.promise).await?;
        let count: u64 = stored.iter().map(|unit| unit.rows).sum();
        if count == 0 {
            return Ok((rows, None));
        }
        if count >= rows || self.facts.partition_key.is_empty() {
            return Ok((0, None));
        }
        let units = self.sink.units_of(connection, self.block, &self.facts.partition_key).await?;
        let is_missing = |unit: &String| stored.iter().all(|stored| stored.id != *unit);
        let keep: Vec<bool> = units.iter().map(is_missing).collect();
        Ok((keep.iter().filter(|keep| **keep).count() as u64, Some(keep)))
    }

    async fn insert(
        &self,
        connection: &mut Connection,
        block: &Block,
        report: &mut impl FnMut(Report),
    ) -> Result<(), SinkError> {
        let token = token(self.promise.nonce);
        let seconds = MAX_EXECUTION_SECONDS.to_string();
        let parameters = [
            ("query", self.sink.insert.as_str()),
            ("insert_deduplication_token", token.as_str()),
            ("async_insert", "0"),
            ("insert_deduplicate", "1"),
            ("deduplicate_insert", "enable"),
            ("input_format_skip_unknown_fields", "0"),
            ("timeout_overflow_mode", "throw"),
            ("max_partitions_per_insert_block", "0"),
            ("max_insert_threads", "1"),
            ("send_progress_in_http_headers", "0"),
            ("wait_end_of_query", "1"),
            ("max_execution_time", seconds.as_str()),
        ];
        let act = "insert a block";
        let started = Instant::now();
        fail::point("before_insert");
        let server = &self.sink.server;
        let answer = server.request(connection, act, &parameters, block.pieces(), None).await;
        fail::point("after_insert");
        if !answer?.is_empty() {
            return Err(SinkError::unreachable(act, "an answer was not expected"));
        }
        report(Report::Inserted(started.elapsed()));
        Ok(())
    }
}

/// 100 ms, doubling to 10 s, each shortened by up to half at random.
pub struct Backoff(Duration);

impl Default for Backoff {
    fn default() -> Self {
        Self(Duration::from_millis(100))
    }
}

impl Backoff {
    pub fn next(&mut self) -> Duration {
        let time = self.0.mul_f64(rand::rng().random_range(0.5..1.0));
        self.0 = (self.0 * 2).min(Duration::from_secs(10));
        time
    }
}
