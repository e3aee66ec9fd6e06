//! Drives one block into the table: first answer clean, or SETTLE.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::RngExt;
use tokio::sync::SemaphorePermit;

use super::lease::{Lease, Revoked};
use super::read_back::RowUnit;
use super::{Connection, Form, Full, MAX_EXECUTION_SECONDS, Sink, SinkError, TableFacts, longest_request};
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
    /// It waits until the table may be given more tokens.
    Held(String),
}

/// How it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stored {
    Done(Outcome),
    /// The partition is no longer ours; nobody waits for this any more.
    Revoked,
    /// The token is spent without rows, and nothing old runs any more: the
    /// range needs a new intent.
    TokenSpent,
    /// ClickHouse takes no row like one of these, it says; and no request for
    /// the block runs any more.
    Refused(String),
}

/// How far to go for a block.
#[derive(Clone, Copy, Debug, Default)]
pub struct Effort {
    /// Refusals of its values until it is given up; `None`: never.
    pub attempts: Option<u32>,
    /// Another request for it may be under way.
    pub in_doubt: bool,
}

/// One block on its way into the table.
pub struct Store<'a> {
    pub sink: &'a Sink,
    pub form: &'a Form,
    pub lease: &'a Arc<Lease>,
    pub partition: i32,
    pub block: &'a Block,
    pub promise: Promise,
    pub effort: Effort,
}

/// What a read-back did not find.
struct Missing {
    rows: u64,
    /// Which rows those are; `None`: all.
    keep: Option<Vec<bool>>,
    /// Before the question was sent.
    asked: Instant,
}

/// A connection on which the partition is still ours, and the turn to use it.
struct Turn<'a> {
    connection: Connection,
    _permit: Option<SemaphorePermit<'a>>,
}

/// A resend needs a younger read-back than this: how long the server keeps an
/// idle connection.
const READ_BACK_HOLDS: Duration = Duration::from_secs(30);

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
        let Effort { attempts, mut in_doubt } = self.effort;
        let mut refusals = 0;
        let mut state = Settle::default();
        loop {
            self.room(report).await?;
            // Whoever waits for anything waits without a turn.
            let failed = match self.turn().await? {
                Err(error) => error,
                Ok(mut turn) if first => {
                    first = false;
                    match self
                        .insert(&mut turn.connection, self.block, report, ["before_insert", "after_insert"])
                        .await
                    {
                        Ok(()) => {
                            self.sink.server.keep(turn.connection);
                            return Ok(Stored::Done(Outcome::Clean));
                        }
                        Err(error) => error,
                    }
                }
                Ok(turn) => match self.settle(turn, &mut state, report).await {
                    Ok(Some(Step::Done | Step::Send)) => return Ok(Stored::Done(Outcome::Settled)),
                    Ok(Some(Step::Leave)) => {
                        tracing::warn!(partition = self.partition, "a token was taken without its rows");
                        self.lease.sleep(longest_request()).await?;
                        return Ok(Stored::TokenSpent);
                    }
                    Ok(None) => continue,
                    Err(error) => error,
                },
            };
            refusals += u32::from(failed.refuses_values());
            // An answer that says what is wrong is the end of its request.
            in_doubt |= failed.code.is_none();
            let given_up = attempts.is_some_and(|attempts| failed.refuses_values() && refusals >= attempts);
            let message = failed.message.clone();
            report(Report::Failed(failed));
            if given_up {
                if in_doubt {
                    self.lease.sleep(longest_request()).await?;
                }
                return Ok(Stored::Refused(message));
            }
            self.lease.sleep(backoff.next()).await?;
        }
    }

    /// Waits until the table may be given the block's tokens (rule 5). Every
    /// attempt is counted: it sends once at most.
    async fn room(&self, report: &mut impl FnMut(Report)) -> Result<(), Revoked> {
        let window = &self.sink.window;
        let tokens = window.tokens(self.form, self.block);
        let mut held = false;
        while let Err(Full { wait, message }) = window.take(tokens, Instant::now()) {
            if !std::mem::replace(&mut held, true) {
                report(Report::Held(message));
            }
            self.lease.sleep(wait.clamp(Duration::from_millis(10), Duration::from_secs(1))).await?;
        }
        Ok(())
    }

    /// Nothing may wait between this and the request.
    async fn turn(&self) -> Result<Result<Turn<'_>, SinkError>, Revoked> {
        loop {
            self.lease.held().await?;
            // Closed never.
            let permit = self.sink.turns.acquire().await.ok();
            let connection = match self.sink.server.connect().await {
                Ok(connection) => connection,
                Err(error) => return Ok(Err(error)),
            };
            if self.lease.holds() {
                return Ok(Ok(Turn { connection, _permit: permit }));
            }
        }
    }

    /// Reads back and sends what is missing, all on one connection: the server
    /// that has not got the rows is the one that is asked to take them, and it
    /// has not been restarted in between. `None`: the partition may have become
    /// somebody else's meanwhile.
    async fn settle(
        &self,
        mut turn: Turn<'_>,
        state: &mut Settle,
        report: &mut impl FnMut(Report),
    ) -> Result<Option<Step>, SinkError> {
        loop {
            fail::point("before_read_back");
            let Missing { rows, keep, asked } =
                self.missing(&mut turn.connection, state.token_spent()).await?;
            fail::point("after_read_back");
            let step = state.read_back(rows);
            if step != Step::Send {
                self.sink.server.keep(turn.connection);
                return Ok(Some(step));
            }
            let part = keep.map(|keep| self.block.filtered(&keep));
            if asked.elapsed() > READ_BACK_HOLDS {
                return Err(SinkError::unreachable("read the block back", "it took too long to act upon"));
            }
            if !self.lease.holds() {
                return Ok(None);
            }
            report(Report::Resent);
            let block = part.as_ref().unwrap_or(self.block);
            self.insert(&mut turn.connection, block, report, ["before_resend", "after_resend"]).await?;
            report(Report::Recovered);
            state.answered();
        }
    }

    /// Rows in units of which nothing is stored. `expired`: units whose rows
    /// have all outlived the table's TTL are none of them (rule 14).
    async fn missing(&self, connection: &mut Connection, expired: bool) -> Result<Missing, SinkError> {
        let rows = self.block.rows() as u64;
        // The name may by now belong to another table.
        let TableFacts { partition_key, ttl, .. } = self.sink.check_table(connection, self.form).await?;
        let asked = Instant::now();
        let stored = self.sink.read_back(connection, self.partition, &self.promise).await?;
        let count: u64 = stored.iter().map(|unit| unit.rows).sum();
        let ttl = ttl.filter(|_| expired);
        if count == 0 && ttl.is_none() {
            return Ok(Missing { rows, keep: None, asked });
        }
        // Of survivors (rule 12) even as many rows as they are may be others.
        if count >= self.promise.rows || count > 0 && partition_key.is_empty() {
            return Ok(Missing { rows: 0, keep: None, asked });
        }
        let units =
            self.sink.units_of(connection, self.form, self.block, &partition_key, ttl.as_deref()).await?;
        let present: HashSet<&str> = stored.iter().map(|unit| unit.id.as_str()).collect();
        let alive: HashSet<&str> =
            units.iter().filter(|row| !row.expired).map(|row| row.unit.as_str()).collect();
        let is_missing = |row: &RowUnit| alive.contains(&*row.unit) && !present.contains(&*row.unit);
        let keep: Vec<bool> = units.iter().map(is_missing).collect();
        Ok(Missing { rows: keep.iter().filter(|keep| **keep).count() as u64, keep: Some(keep), asked })
    }

    /// `points`: names of the fail points around it.
    async fn insert(
        &self,
        connection: &mut Connection,
        block: &Block,
        report: &mut impl FnMut(Report),
        points: [&str; 2],
    ) -> Result<(), SinkError> {
        let token = token(self.promise.nonce);
        let seconds = MAX_EXECUTION_SECONDS.to_string();
        let parameters = [
            ("query", self.form.insert.as_str()),
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
            // What stands in a column of type JSON stays what it was.
            ("input_format_try_infer_dates", "0"),
            ("input_format_try_infer_datetimes", "0"),
            ("input_format_try_infer_integers", "1"),
            ("input_format_json_read_bools_as_numbers", "0"),
            ("input_format_json_read_bools_as_strings", "0"),
            ("input_format_json_try_infer_numbers_from_strings", "0"),
            ("input_format_json_infer_array_of_dynamic_from_array_of_different_types", "1"),
            ("json_type_escape_dots_in_keys", "0"),
        ];
        let act = "insert a block";
        let started = Instant::now();
        fail::point(points[0]);
        let server = &self.sink.server;
        let answer = server.request(connection, act, &parameters, block.pieces(), None).await;
        fail::point(points[1]);
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

#[cfg(test)]
mod tests {
    use super::super::Server;
    use super::super::fake::{Asked, Fake};
    use super::*;
    use crate::block::{Columns, RowId};
    use crate::content::Content;
    use crate::content::tests::{ID, plan};

    fn table(more: &str) -> String {
        let metadata = caudal_model::ddl::METADATA_COLUMNS;
        let mut columns: Vec<[&str; 3]> =
            metadata.iter().map(|one| [one.name, one.column_type, ""]).collect();
        columns.push(["id", "Int64", ""]);
        serde_json::json!({
            "uuid": "u", "partition_key": "id % 2", "columns": columns,
            "engine_full": format!("MergeTree ORDER BY id{more} SETTINGS x = 1"),
        })
        .to_string()
    }

    /// Settles a block of `rows` rows of which `promised` were promised.
    fn settle(fake: &Fake, lease: &Arc<Lease>, rows: i64, promised: u64) -> Stored {
        let plan = plan(ID, 100);
        let content = Content::new(&plan).unwrap();
        let (mut columns, mut decoder) = (Columns::new(&content.layout), content.decoder().unwrap());
        for offset in 0..rows {
            let text = format!("{{\"id\":{offset}}}");
            decoder.decode(&mut columns, text.as_bytes(), RowId { offset, timestamp_ms: 0 }).unwrap();
        }
        let block = columns.seal(&content.layout, 1, 0);
        let sink = Sink::new(&plan, Server::new(&fake.url, None, None).unwrap());
        let promise = Promise { first: 0, next: 100, rows: promised, dead_letters: 0, filtered: 0, nonce: 1 };
        let store = Store {
            sink: &sink,
            form: &content.form,
            lease,
            partition: 0,
            block: &block,
            promise,
            effort: Effort::default(),
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(store.run(true, |_| {}))
    }

    fn held() -> Arc<Lease> {
        let lease = Arc::new(Lease::default());
        lease.renew(Instant::now(), Duration::from_mins(1));
        lease
    }

    #[test]
    fn what_is_stored_of_others_does_not_stand_for_survivors() {
        // Six rows were promised in two units. Unit 0 is stored, and Kafka has
        // deleted its messages; the two survivors belong to unit 1.
        let fake = Fake::start(|kind, nth| match kind {
            Asked::Table => table(""),
            Asked::ReadBack if nth == 0 => "[[[\"0\",3]]]\n".into(),
            Asked::ReadBack => "[[[\"0\",3],[\"1\",2]]]\n".into(),
            Asked::Units => "1\t0\n1\t0\n".into(),
            _ => String::new(),
        });
        assert_eq!(settle(&fake, &held(), 2, 6), Stored::Done(Outcome::Settled));
        assert_eq!(fake.bodies(Asked::Insert).len(), 1);
    }

    #[test]
    fn what_was_lost_during_the_read_back_is_not_sent() {
        let lease = held();
        let lost = lease.clone();
        let fake = Fake::start(move |kind, _| match kind {
            Asked::Table => table(""),
            Asked::ReadBack => {
                lost.revoke();
                "[[]]\n".into()
            }
            _ => String::new(),
        });
        assert_eq!(settle(&fake, &lease, 2, 2), Stored::Revoked);
        assert!(fake.bodies(Asked::Insert).is_empty());
    }

    #[test]
    fn rows_that_have_expired_are_not_waited_for() {
        let fake = Fake::start(|kind, _| match kind {
            Asked::Table => table(" TTL day + toIntervalDay(1)"),
            Asked::ReadBack => "[[]]\n".into(),
            Asked::Units => "0\t1\n1\t1\n".into(),
            _ => String::new(),
        });
        assert_eq!(settle(&fake, &held(), 2, 2), Stored::Done(Outcome::Settled));
        assert_eq!(fake.bodies(Asked::Insert).len(), 1, "sent once, as anything else");
    }
}
