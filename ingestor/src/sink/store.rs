//! Drives one block into the table: first answer clean, or SETTLE.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rand::RngExt;

use super::{MAX_EXECUTION_SECONDS, Sink, SinkError, TableFacts};
use crate::block::Block;
use crate::fail;
use crate::protocol::{Outcome, Promise, Settle, Step, Units, token};

/// Whether a partition is still ours, as far as anyone here can know: given by
/// the last commit that was accepted for it, for as long as the group's session
/// lasts, and taken back by a revoke.
pub struct Lease {
    origin: Instant,
    until_ms: AtomicU64,
    revoked: AtomicBool,
}

impl Default for Lease {
    fn default() -> Self {
        Self { origin: Instant::now(), until_ms: AtomicU64::new(0), revoked: AtomicBool::new(false) }
    }
}

impl Lease {
    /// A commit sent at `sent` was accepted.
    pub fn renew(&self, sent: Instant, session: Duration) {
        let until = (sent + session).saturating_duration_since(self.origin).as_millis();
        self.until_ms.fetch_max(u64::try_from(until).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    pub fn revoke(&self) {
        self.revoked.store(true, Ordering::Relaxed);
    }

    pub fn revoked(&self) -> bool {
        self.revoked.load(Ordering::Relaxed)
    }

    fn holds(&self) -> bool {
        let now = u64::try_from(self.origin.elapsed().as_millis()).unwrap_or(u64::MAX);
        !self.revoked() && now < self.until_ms.load(Ordering::Relaxed)
    }
}

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
#[derive(Debug)]
pub enum Stored {
    Done(Outcome),
    /// The partition is no longer ours; nobody waits for this any more.
    Revoked,
    /// The rows were not there after several clean answers.
    GaveUp,
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
    /// `settle`: the block may be stored already. `wait` comes before anything:
    /// until then an old request may still run.
    pub async fn run(&self, settle: bool, mut report: impl FnMut(Report)) -> Stored {
        if self.block.rows() == 0 {
            return Stored::Done(if settle { Outcome::Settled } else { Outcome::Clean });
        }
        if !settle {
            match self.send(self.block, 0, &mut report).await {
                None => return Stored::Revoked,
                Some(Ok(())) => return Stored::Done(Outcome::Clean),
                Some(Err(error)) => report(Report::Failed(error)),
            }
        }
        self.settle(&mut report).await
    }

    async fn settle(&self, report: &mut impl FnMut(Report)) -> Stored {
        let mut backoff = Backoff::default();
        let mut settle = Settle::new(self.block.rows() as u64);
        let mut step = settle.begin();
        let mut keep = None;
        loop {
            if self.lease.revoked() {
                return Stored::Revoked;
            }
            step = match step {
                Step::Done => return Stored::Done(Outcome::Settled),
                Step::GiveUp => return Stored::GaveUp,
                Step::ReadBack => match self.missing().await {
                    Ok((missing, mask)) => {
                        keep = mask;
                        settle.read_back(missing)
                    }
                    Err(error) => {
                        report(Report::Failed(error));
                        backoff.sleep().await;
                        Step::ReadBack
                    }
                },
                Step::Send { generation } => {
                    report(Report::Resent);
                    let part = keep.as_ref().map(|keep: &Vec<bool>| self.block.filtered(keep));
                    match self.send(part.as_ref().unwrap_or(self.block), generation, report).await {
                        None => return Stored::Revoked,
                        Some(Ok(())) => {
                            backoff = Backoff::default();
                            report(Report::Recovered);
                            settle.sent(true)
                        }
                        Some(Err(error)) => {
                            report(Report::Failed(error));
                            backoff.sleep().await;
                            settle.sent(false)
                        }
                    }
                }
            };
        }
    }

    /// Rows in units of which nothing is stored, and which rows those are
    /// (`None`: all).
    async fn missing(&self) -> Result<(u64, Option<Vec<bool>>), SinkError> {
        let rows = self.block.rows() as u64;
        // The name may by now belong to another table.
        self.sink.check_table().await?;
        let stored: Units = self.sink.read_back(self.partition, &self.promise).await?;
        let count: u64 = stored.iter().map(|unit| unit.rows).sum();
        if count == 0 {
            return Ok((rows, None));
        }
        if count >= rows || self.facts.partition_key.is_empty() {
            return Ok((0, None));
        }
        let units = self.sink.units_of(self.block, &self.facts.partition_key).await?;
        let keep: Vec<bool> =
            units.iter().map(|unit| stored.iter().all(|stored| stored.id != *unit)).collect();
        Ok((keep.iter().filter(|keep| **keep).count() as u64, Some(keep)))
    }

    /// Open the connection, then make sure the partition is ours, then send on
    /// this connection only. `None`: it is ours no more.
    async fn send(
        &self,
        block: &Block,
        generation: u32,
        report: &mut impl FnMut(Report),
    ) -> Option<Result<(), SinkError>> {
        let connection = loop {
            let connection = match self.sink.server.connect().await {
                Ok(connection) => connection,
                Err(error) => return Some(Err(error)),
            };
            if self.lease.holds() {
                break connection;
            }
            drop(connection);
            // The consumer repeats the intent's commit while we wait.
            while !self.lease.holds() {
                if self.lease.revoked() {
                    return None;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let token = token(self.promise.nonce, generation);
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
        let started = Instant::now();
        let act = "insert a block";
        fail::point("before_insert");
        let answer = self.sink.server.request(connection, act, &parameters, block.pieces(), None).await;
        fail::point("after_insert");
        Some(answer.and_then(|body| {
            if !body.is_empty() {
                return Err(SinkError::unreachable(act, "an answer was not expected"));
            }
            report(Report::Inserted(started.elapsed()));
            Ok(())
        }))
    }
}

/// Waits 100 ms, doubling to 10 s, each shortened by up to half at random.
pub struct Backoff(Duration);

impl Default for Backoff {
    fn default() -> Self {
        Self(Duration::from_millis(100))
    }
}

impl Backoff {
    pub async fn sleep(&mut self) {
        let share = rand::rng().random_range(0.5..1.0);
        tokio::time::sleep(self.0.mul_f64(share)).await;
        self.0 = (self.0 * 2).min(Duration::from_secs(10));
    }
}
