//! Commits, one at a time, and the ledger before them.

use std::time::{Duration, Instant};

use caudal_model::resource::Delivery;
use caudal_model::state::Reason;

use super::{End, Session};
use crate::fail;
use crate::kafka::{self, Code, Position};
use crate::protocol::{Commit, Metadata, Promise, Word};
use crate::source::commits::{Outstanding, Verdict, verdict};
use crate::source::partition::Partition;
use crate::source::{COMMIT_TIMEOUT, Job, RECOMMIT_EVERY, SESSION_TIMEOUT, Unrecorded};
use crate::state;

/// After a clear no.
const COMMIT_AGAIN: Duration = Duration::from_secs(1);

impl Session<'_> {
    pub(super) fn commit(&mut self, now: Instant) -> Result<(), End> {
        if let Some(outstanding) = &self.outstanding {
            if outstanding.overdue(COMMIT_TIMEOUT) {
                return Err(End::Rejoin("a commit was not answered"));
            }
            return Ok(());
        }
        if self.commit_after > now {
            return Ok(());
        }
        let commits = self.commits(now);
        if commits.is_empty() {
            return Ok(());
        }
        let positions: Vec<Position> = commits
            .iter()
            .filter_map(|(id, commit)| {
                let one = self.partitions.get(id)?;
                let (offset, epoch) = (commit.offset, one.epoch_at(commit.offset));
                Some(Position { partition: *id, offset, epoch, metadata: self.metadata(one, commit.promise) })
            })
            .collect();
        for (partition, commit) in &commits {
            if let Some(one) = self.partitions.get_mut(partition) {
                one.machine.begin(*commit);
            }
        }
        self.consumer.commit(&positions).map_err(|_| End::Rejoin("a commit could not be sent"))?;
        fail::point("commit_sent");
        self.outstanding = Some(Outstanding { sent: now, partitions: commits });
        Ok(())
    }

    /// What the partitions want committed now.
    fn commits(&self, now: Instant) -> Vec<(i32, Commit)> {
        // A stopped partition finishes what it has promised.
        let running = self.partitions.values().filter(|one| !one.stopped || one.machine.open().is_some());
        let wanted = running.filter_map(|one| {
            // An open intent is said again before its lease ends, an idle
            // position before the broker forgets it.
            let every = if one.machine.open().is_some() { SESSION_TIMEOUT / 3 } else { RECOMMIT_EVERY };
            let repeat = now.duration_since(one.committed_at) > every || one.needs_lease();
            let verified = one.sealed_at().is_none_or(|at| self.topic.confirms(at));
            let commit = one.machine.wanted(verified);
            commit.or_else(|| one.machine.repeated().filter(|_| repeat)).map(|commit| (one.id, commit))
        });
        wanted.collect()
    }

    fn metadata(&self, one: &Partition, promise: Option<Promise>) -> String {
        let running = self.context.origin();
        let origin = promise.map_or(running, |promise| one.origin(&promise, running)).clone();
        let word = match self.context.ingest.delivery {
            Delivery::AtLeastOnce if promise.is_none() => Word::Unguarded,
            _ => promise.into(),
        };
        Metadata { identity: self.context.identity.clone(), origin, born: self.born, word }.encode()
    }

    pub(super) fn commit_answer(&mut self) -> Result<(), End> {
        let Some(answer) = self.consumer.commit_answer() else { return Ok(()) };
        let Some(Outstanding { sent, partitions }) = self.outstanding.take() else { return Ok(()) };
        if answer.code == Code::RD_KAFKA_RESP_ERR_NO_ERROR {
            state::clear(&mut self.troubles.kafka, Reason::KafkaUnreachable);
        }
        let mut refused = None;
        for (id, _) in partitions {
            let Some(one) = self.partitions.get_mut(&id) else { continue };
            match verdict(&answer, id) {
                Verdict::Committed => {
                    one.lease.renew(sent, SESSION_TIMEOUT);
                    one.committed_at = sent;
                    let actions = one.machine.commit_answered();
                    self.act(id, actions);
                }
                Verdict::Again(code) => {
                    one.machine.commit_refused();
                    refused = Some((id, code));
                }
                Verdict::Rejoin => {
                    tracing::warn!(partition = id, ?answer, "a commit was not accepted");
                    return Err(End::Rejoin("a commit was not accepted"));
                }
            }
        }
        match refused {
            None => self.troubles.commits = None,
            Some((id, code)) => {
                let message = format!("commit partition {id}: {}", kafka::describe(code));
                tracing::warn!("{message}");
                state::raise(&mut self.troubles.commits, state::kafka_reason(code), &message);
                self.commit_after = Instant::now() + COMMIT_AGAIN;
            }
        }
        Ok(())
    }

    /// One small insert at a time, with the rows of all partitions that are
    /// ours beyond doubt; the others wait for their next commit.
    pub(super) fn record(&mut self) {
        if self.recording {
            return;
        }
        let ours = |one: &mut Unrecorded| one.row.opening() || one.lease.holds();
        let rows: Vec<Unrecorded> = self.to_record.extract_if(.., ours).collect();
        if rows.is_empty() {
            return;
        }
        self.recording = true;
        let membership = self.membership.clone();
        let _ = self.context.jobs.send(Job::Record { epoch: self.epoch, membership, rows });
    }

    /// The ledger has those of the rows that were `written`.
    pub(super) fn recorded(&mut self, rows: Vec<Unrecorded>, written: &[bool]) {
        self.recording = false;
        fail::point("recorded");
        for (one, written) in rows.into_iter().zip(written) {
            if !written {
                self.to_record.push(one);
            } else if let Some(partition) = self.partitions.get_mut(&one.row.partition) {
                if one.row.opening() {
                    partition.machine.row_written();
                } else {
                    partition.machine.recorded();
                }
            }
        }
    }
}
