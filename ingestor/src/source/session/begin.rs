//! From an assignment to partitions that are read: ask Kafka, ask ClickHouse,
//! decide, and wait first where that is needed.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use caudal_model::resource::Delivery;
use caudal_model::state::{PartitionState, Phase, Reason};

use super::{End, Session};
use crate::content::Contents;
use crate::kafka::{Committed, Position};
use crate::protocol::{self, Action, Known as Facts, Machine, Metadata, Start, Stop};
use crate::sink::{Known, LedgerRow, longest_request};
use crate::source::partition::{Partition, Reconcile};
use crate::source::starting::{self, Found, StartError};
use crate::source::{Job, Unrecorded};
use crate::state;

const ASK_AGAIN: Duration = Duration::from_secs(1);

/// Partitions to be looked up at a moment.
pub(super) struct Starting {
    pub partitions: Vec<i32>,
    pub at: Instant,
    /// They have been ours for as long as an older request can run.
    pub waited: bool,
}

/// The look-up that is under way.
pub(super) struct Asking {
    found: Found,
    waited: bool,
}

impl Session<'_> {
    /// Asks about the next partitions that are due, one look-up at a time.
    pub(super) fn look_up(&mut self, now: Instant) {
        if self.asking.is_some() || self.draining.is_some() {
            return;
        }
        let Some(due) = self.starting.iter().position(|starting| starting.at <= now) else { return };
        let Starting { partitions, waited, .. } = self.starting.remove(due);
        match starting::find(self.context, &self.consumer, &partitions) {
            Ok(found) => {
                let asked = starting::questions(&found, self.context.ingest.delivery, waited);
                self.asking = Some(Asking { found, waited });
                let membership = self.membership.clone();
                let form = self.context.contents.current().form.clone();
                let all = usize::try_from(self.context.partitions.load(Ordering::Relaxed)).unwrap_or(0);
                let starting = self.starting.iter().map(|starting| starting.partitions.len());
                let share = (self.partitions.len() + asked.len() + starting.sum::<usize>(), all);
                let job = Job::Prepare { epoch: self.epoch, membership, form, asked, share };
                let _ = self.context.jobs.send(job);
            }
            Err(error) => self.ask_again(partitions, waited, &error),
        }
    }

    fn ask_again(&mut self, partitions: Vec<i32>, waited: bool, error: &StartError) {
        let reason = match error {
            StartError::Kafka { .. } => Reason::KafkaUnreachable,
            _ => Reason::TopicChanged,
        };
        let message = format!("{:#}", Chain(error));
        tracing::warn!("{message}");
        state::raise(&mut self.troubles.kafka, reason, &message);
        self.starting.push(Starting { partitions, at: Instant::now() + ASK_AGAIN, waited });
    }

    /// Table and ledger have answered.
    pub(super) fn begin(&mut self, known: &[Known]) -> Result<(), End> {
        let Some(Asking { found, waited }) = self.asking.take() else { return Ok(()) };
        self.born = found.born;
        self.troubles.kafka = None;
        self.troubles.sink = None;
        let twice = self.context.ingest.delivery == Delivery::AtLeastOnce;
        let mut to_wait = Vec::new();
        for committed in &found.assigned {
            let known = known.iter().find(|known| known.partition == committed.partition);
            let facts = starting::facts(committed, known, waited || twice);
            let contents = &self.context.contents;
            let start =
                protocol::start(&facts, &self.context.identity, |content| contents.find(content).is_some());
            let start = match start {
                Ok(Start::Wait) => {
                    to_wait.push(committed.partition);
                    continue;
                }
                Ok(Start::Fresh) => {
                    match starting::first_offset(
                        self.context,
                        &self.consumer,
                        committed.partition,
                        found.born,
                    ) {
                        Ok(position) => Ok(Start::Resume { position, commit: true }),
                        Err(error) => {
                            self.ask_again(vec![committed.partition], waited, &error);
                            continue;
                        }
                    }
                }
                other => other,
            };
            self.insert(committed, &facts, start, known);
        }
        if !to_wait.is_empty() {
            let wait = longest_request();
            tracing::warn!(partitions = ?to_wait, ?wait, "reconciling: rows may be stored that no commit knows");
            self.context.metrics.reconciled(to_wait.len());
            self.starting.push(Starting { partitions: to_wait, at: Instant::now() + wait, waited: true });
        }
        self.assign()
    }

    /// Reads everything that has begun, each from its position.
    pub(super) fn assign(&mut self) -> Result<(), End> {
        let read = self.partitions.values_mut().filter(|one| !one.stopped && !one.misplaced());
        let positions: Vec<Position> = read
            .map(|one| {
                let offset = one.position();
                // librdkafka checks it once; after that it keeps its own.
                let epoch = one.epoch_at(offset).filter(|_| !one.assigned);
                one.assigned = true;
                Position { partition: one.id, offset, epoch, metadata: String::new() }
            })
            .collect();
        self.consumer.assign(&positions).map_err(|_| End::Rejoin("partitions could not be assigned"))
    }

    fn insert(
        &mut self,
        committed: &Committed,
        facts: &Facts,
        start: Result<Start, Stop>,
        known: Option<&Known>,
    ) {
        let id = committed.partition;
        let (mut partition, action) = self.make(committed, facts.height(), start);
        if !partition.stopped {
            if let Some(known) = known.filter(|_| facts.waited) {
                partition.reconcile(Reconcile::new(known.runs.clone(), known.runs_until));
            }
            if facts.ledger.is_none() {
                partition.machine.await_row();
                let row = LedgerRow::opened(id, partition.position(), &self.context.origin().plan);
                self.to_record.push(Unrecorded { row, lease: partition.lease.clone() });
            }
        }
        if let Some(Action::Record(promise, outcome)) = action {
            let row = partition.ledger_row(promise, outcome, self.context.origin(), promise.next);
            self.to_record.push(Unrecorded { row, lease: partition.lease.clone() });
        }
        self.partitions.insert(id, partition);
    }

    fn make(
        &mut self,
        committed: &Committed,
        height: i64,
        start: Result<Start, Stop>,
    ) -> (Partition, Option<Action>) {
        let id = committed.partition;
        let metadata = Metadata::parse(&committed.metadata).ok();
        let queue = self.consumer.partition_queue(id);
        let contents = &self.context.contents;
        let (layout, ticket) = (&contents.current().layout, self.context.unique());
        let delivery = self.context.ingest.delivery;
        let new = |machine: Machine, position| {
            Partition::new(id, queue, machine.delivering(delivery), position, layout, ticket)
        };
        let mut partition = match &start {
            Ok(Start::Fresh | Start::Wait) => new(Machine::at(0, true, height), 0),
            Ok(Start::Resume { position, commit }) => {
                tracing::info!(partition = id, position, "beginning");
                // Nothing is sent under a word that says nothing is.
                let first = *commit || delivery == Delivery::AtLeastOnce;
                let mut partition = new(Machine::at(*position, first, height), *position);
                // A new position is nobody's word on what stood before it.
                partition.set_epoch(*position, committed.epoch.filter(|_| !commit));
                partition
            }
            Ok(Start::Replay { promise, .. } | Start::Complete { promise, .. }) => {
                tracing::info!(
                    partition = id,
                    first = promise.first,
                    next = promise.next,
                    "an intent is open"
                );
                self.context.metrics.replayed();
                let position = match start {
                    Ok(Start::Complete { .. }) => promise.next,
                    _ => promise.first,
                };
                let mut partition = new(Machine::at(promise.first, false, height), position);
                partition.set_epoch(promise.first, committed.epoch);
                partition
            }
            Err(_) => {
                let offset = committed.offset.unwrap_or(0);
                new(Machine::at(offset, false, 0), offset)
            }
        };
        if let (Ok(Start::Replay { promise, .. } | Start::Complete { promise, .. }), Some(metadata)) =
            (&start, metadata)
        {
            partition.found(*promise, metadata.origin);
        }
        let mut action = None;
        match start {
            Ok(Start::Replay { promise, stored }) => {
                let origin = partition.origin(&promise, self.context.origin());
                let content = contents.find(&origin.content).cloned();
                let older = content.filter(|content| !Arc::ptr_eq(content, contents.current()));
                if let Err(error) = partition.replay(promise, stored, older) {
                    partition.stop(layout, Reason::PlanRevisionMissing, &error.to_string());
                }
            }
            Ok(Start::Complete { promise, recorded }) => {
                action = partition.machine.found_stored(promise, recorded);
            }
            Ok(_) => {}
            Err(stop) => {
                let (reason, message) = explain(&stop, contents);
                if let Stop::PlanRevision { promise, origin } = stop {
                    partition.found(promise, origin);
                }
                partition.stop(layout, reason, &message);
            }
        }
        (partition, action)
    }

    /// Partitions whose look-up ended before what may be stored does: asks on
    /// behind it, once everything before is complete.
    pub(super) fn look_further(&mut self, now: Instant) {
        let ended = |one: &Partition| !one.stopped && one.window_ended() && !one.open() && one.at_rest();
        let ids: Vec<i32> = self.partitions.values().filter(|one| ended(one)).map(|one| one.id).collect();
        for id in ids {
            self.partitions.remove(&id);
            self.starting.push(Starting { partitions: vec![id], at: now, waited: true });
        }
    }

    /// What `/state` says of partitions that have not begun.
    pub(super) fn not_begun(&self) -> impl Iterator<Item = PartitionState> {
        let asking = self.asking.iter().flat_map(|asking| &asking.found.assigned).map(|one| one.partition);
        let starting = self.starting.iter().flat_map(|starting| starting.partitions.iter().copied());
        asking.chain(starting).map(|partition| PartitionState {
            partition,
            phase: Phase::Starting,
            trouble: None,
            committed_offset: 0,
            intent: None,
        })
    }
}

fn explain(stop: &Stop, contents: &Contents) -> (Reason, String) {
    match stop {
        Stop::Newer => {
            (Reason::IntentForeign, "the committed intent is of a newer version: upgrade".to_owned())
        }
        Stop::Foreign(of) => (
            Reason::IntentForeign,
            format!("the group's committed offset belongs to {of}: use a group of its own"),
        ),
        Stop::PlanRevision { origin, .. } if contents.knows_plan(&origin.plan) => (
            Reason::PlanRevisionMissing,
            format!("another version made the open intent of plan {}: start that version once", origin.plan),
        ),
        Stop::PlanRevision { origin, .. } => (
            Reason::PlanRevisionMissing,
            format!("the open intent was made by plan revision {}, which is not in --plans", origin.plan),
        ),
    }
}

/// An error and its sources in one line.
struct Chain<'a>(&'a dyn std::error::Error);

impl std::fmt::Display for Chain<'_> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{}", self.0)?;
        let mut source = self.0.source();
        while let Some(inner) = source {
            write!(out, ": {inner}")?;
            source = inner.source();
        }
        Ok(())
    }
}
