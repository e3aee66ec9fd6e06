//! Commits, one at a time, and the ledger before them.

use std::time::Instant;

use caudal_model::state::Reason;

use super::{End, Session};
use crate::fail;
use crate::kafka::{Code, Position};
use crate::protocol::{Commit, Metadata, Promise};
use crate::source::commits::{Outstanding, Verdict, verdict};
use crate::source::{COMMIT_TIMEOUT, Job, RECOMMIT_EVERY, SESSION_TIMEOUT};
use crate::state;

impl Session<'_> {
    pub(super) fn commit(&mut self, now: Instant) -> Result<(), End> {
        if let Some(outstanding) = &self.outstanding {
            if outstanding.overdue(COMMIT_TIMEOUT) {
                return Err(End::Rejoin("a commit was not answered"));
            }
            return Ok(());
        }
        let commits = self.commits(now);
        if commits.is_empty() {
            return Ok(());
        }
        let positions: Vec<Position> = commits
            .iter()
            .map(|(partition, commit)| Position {
                partition: *partition,
                offset: commit.offset,
                metadata: self.metadata(commit.promise),
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
        // Whether Kafka is back is asked by saying an idle position again.
        let probe = self.trouble.as_ref().is_some_and(|trouble| trouble.reason == Reason::KafkaUnreachable);
        let running = self.partitions.values().filter(|one| !one.stopped);
        let wanted = running.filter_map(|one| {
            // An open intent is said again before its lease ends, an idle
            // position before the broker forgets it.
            let soon = probe || one.machine.open().is_some();
            let every = if soon { SESSION_TIMEOUT / 3 } else { RECOMMIT_EVERY };
            let repeat = now.duration_since(one.committed_at) > every;
            let commit = one.machine.wanted().or_else(|| one.machine.repeated().filter(|_| repeat));
            commit.map(|commit| (one.id, commit))
        });
        wanted.collect()
    }

    fn metadata(&self, promise: Option<Promise>) -> String {
        let identity = self.context.identity.clone();
        let plan_revision = self.context.revision.clone();
        Metadata { identity, plan_revision, born: self.born, promise }.encode()
    }

    pub(super) fn commit_answer(&mut self) -> Result<(), End> {
        let Some(answer) = self.consumer.commit_answer() else { return Ok(()) };
        let Some(Outstanding { sent, partitions }) = self.outstanding.take() else { return Ok(()) };
        if answer.code == Code::RD_KAFKA_RESP_ERR_NO_ERROR {
            state::clear(&mut self.trouble, Reason::KafkaUnreachable);
        }
        for (id, _) in partitions {
            let Some(one) = self.partitions.get_mut(&id) else { continue };
            match verdict(&answer, id) {
                Verdict::Committed => {
                    one.lease.renew(sent, SESSION_TIMEOUT);
                    one.committed_at = sent;
                    let actions = one.machine.commit_answered();
                    self.act(id, actions);
                }
                Verdict::Again => one.machine.commit_refused(),
                Verdict::Rejoin => {
                    tracing::warn!(partition = id, ?answer, "a commit was not accepted");
                    return Err(End::Rejoin("a commit was not accepted"));
                }
            }
        }
        Ok(())
    }

    /// One small insert with the rows of all partitions, one at a time.
    pub(super) fn record(&mut self) {
        if self.recording || self.to_record.is_empty() {
            return;
        }
        self.recording = true;
        let rows = std::mem::take(&mut self.to_record);
        let rows = rows.into_iter().map(|unrecorded| (unrecorded.row, unrecorded.lease)).collect();
        let membership = self.membership.clone();
        let _ = self.context.jobs.send(Job::Record { epoch: self.epoch, membership, rows });
    }

    /// The ledger has these rows; `true` marks a partition's opening row.
    pub(super) fn recorded(&mut self, rows: &[(i32, bool)]) {
        self.recording = false;
        fail::point("recorded");
        for (partition, opening) in rows {
            let Some(one) = self.partitions.get_mut(partition) else { continue };
            if *opening {
                one.machine.row_written();
            } else {
                one.machine.recorded();
            }
        }
    }
}
