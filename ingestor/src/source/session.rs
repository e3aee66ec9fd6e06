//! One membership of the consumer group, from joining to leaving.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use caudal_model::plan::IsolationLevel;
use caudal_model::state::{IngestorState, Reason, Trouble};
use rand::RngExt;

use super::commits::{Outstanding, Verdict, verdict};
use super::partition::{Limits, Mismatch, Partition, Read};
use super::starting::{self, Found};
use super::{
    COMMIT_TIMEOUT, Context, Event, Job, RECOMMIT_EVERY, REVOKE_DEADLINE, SESSION_TIMEOUT, SHUTDOWN_DEADLINE,
};
use crate::dead_letter::DeadLetters;
use crate::decode::Decoder;
use crate::fail;
use crate::kafka::{Batch, Code, Consumer, Position, Rebalance};
use crate::protocol::{self, Action, Commit, Machine, Metadata, Promise, Start, Stop};
use crate::sink::{Class, Known, Lease, LedgerRow, TableFacts};
use crate::state;

/// Messages per read.
pub const BATCH: usize = 512;
/// The longest life of a request sent by an earlier member: our connections
/// live half of ClickHouse's keep-alive, its receive timeout is 30 s, and no
/// insert runs longer than its own limit.
const LONGEST_REQUEST: Duration = Duration::from_secs(60 + crate::sink::MAX_EXECUTION_SECONDS);
/// How long one partition is read before the others get a turn.
const SLICE: Duration = Duration::from_millis(500);
const IDLE_WAKE: Duration = Duration::from_millis(500);

/// How a session ends.
pub enum End {
    Shutdown,
    Rejoin(&'static str),
}

pub struct Session<'a> {
    context: &'a Context,
    letters: &'a mut DeadLetters,
    epoch: usize,
    decoder: Decoder,
    limits: Limits,
    budget: usize,
    // Before the consumer, whose queues and messages they hold.
    scratch: Batch,
    partitions: BTreeMap<i32, Partition>,
    consumer: Consumer,
    /// Held as long as the partitions of the last assignment are ours.
    membership: Arc<Lease>,
    found: Option<Found>,
    facts: Option<TableFacts>,
    joined: bool,
    /// Assigned, but Kafka could not be asked yet.
    to_find: Option<(Vec<i32>, Instant)>,
    draining: Option<(Instant, bool)>,
    outstanding: Option<Outstanding>,
    /// Ledger rows to write, and whether a write is under way.
    to_record: Vec<LedgerRow>,
    recording: bool,
    /// The partition to read next, and since when.
    turn: i32,
    slice: Instant,
    trouble: Option<Trouble>,
    published: Instant,
}

/// The producer of dead letters; it outlives sessions.
pub fn dead_letters(context: &Context) -> anyhow::Result<DeadLetters> {
    let source = &context.plan.source;
    let config = caudal_service::kafka::client_config(&source.connection, &context.credentials);
    DeadLetters::new(
        config,
        &source.dead_letter.topic,
        context.identity.pipeline.clone(),
        source.topic.clone(),
        std::thread::current(),
    )
}

fn consumer(context: &Context) -> anyhow::Result<Consumer> {
    let source = &context.plan.source;
    let isolation = match source.isolation_level {
        IsolationLevel::ReadCommitted => "read_committed",
        IsolationLevel::ReadUncommitted => "read_uncommitted",
    };
    let mut config = caudal_service::kafka::client_config(&source.connection, &context.credentials);
    config
        .set("group.id", &source.group)
        .set("group.protocol", "classic")
        // Eager: everything is given back before anything is taken over.
        .set("partition.assignment.strategy", "range")
        .set("session.timeout.ms", SESSION_TIMEOUT.as_millis().to_string())
        .set("heartbeat.interval.ms", "2000")
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("auto.offset.reset", "error")
        .set("enable.partition.eof", "true")
        .set("isolation.level", isolation)
        // Memory: per partition so much is fetched ahead.
        .set("queued.min.messages", "100000")
        .set("queued.max.messages.kbytes", "2048")
        .set("fetch.queue.backoff.ms", "10");
    Consumer::new(&config, &source.topic, std::thread::current())
}

impl<'a> Session<'a> {
    pub fn new(context: &'a Context, letters: &'a mut DeadLetters) -> anyhow::Result<Self> {
        let ingest = &context.ingest;
        let limits = Limits {
            rows: usize::try_from(ingest.max_rows)?,
            bytes: usize::try_from(ingest.max_bytes)?,
            delay: Duration::from_millis(ingest.flush_delay_ms),
        };
        let consumer = consumer(context)?;
        consumer.subscribe()?;
        Ok(Self {
            decoder: Decoder::new(&context.plan.fields, limits.bytes)?,
            limits,
            // The other half: what librdkafka and the sockets hold, and slack.
            budget: usize::try_from(ingest.memory_limit_bytes / 2)?,
            context,
            letters,
            epoch: context.unique(),
            scratch: Batch::with_capacity(BATCH),
            partitions: BTreeMap::new(),
            consumer,
            membership: Arc::default(),
            found: None,
            facts: None,
            joined: false,
            to_find: None,
            draining: None,
            outstanding: None,
            to_record: Vec::new(),
            recording: false,
            turn: 0,
            slice: Instant::now(),
            trouble: None,
            published: Instant::now(),
        })
    }

    pub fn run(&mut self) -> End {
        let end = loop {
            match self.turn() {
                Ok(true) => {}
                Ok(false) => std::thread::park_timeout(self.nap()),
                Err(end) => break end,
            }
        };
        self.revoke_leases();
        self.letters.forget_refused();
        if matches!(end, End::Shutdown) {
            self.consumer.close();
        }
        self.joined = false;
        self.publish();
        end
    }

    /// One round; `true` when there may be more to do at once.
    fn turn(&mut self) -> Result<bool, End> {
        let now = Instant::now();
        self.group(now)?;
        self.commit_answer()?;
        self.events();
        self.acknowledged();
        let mut busy = false;
        if self.draining.is_none() {
            busy = self.read(now);
            self.seal(now);
        }
        self.commit(now)?;
        self.record();
        self.drained(now)?;
        if self.published.elapsed() > Duration::from_millis(200) {
            self.publish();
        }
        Ok(busy)
    }

    fn nap(&self) -> Duration {
        let now = Instant::now();
        let due = self.partitions.values().filter_map(|partition| partition.due(self.limits)).min();
        due.map_or(IDLE_WAKE, |due| due.saturating_duration_since(now))
            .clamp(Duration::from_millis(1), IDLE_WAKE)
    }

    fn group(&mut self, now: Instant) -> Result<(), End> {
        let (rebalances, errors) = self.consumer.poll();
        for (code, text) in errors {
            self.kafka_trouble(code, &text);
        }
        for rebalance in rebalances {
            match rebalance {
                Rebalance::Assigned(partitions) => {
                    tracing::info!(?partitions, "assigned");
                    self.joined = true;
                    self.trouble = None;
                    self.context.metrics.assigned();
                    // Taken, but read only when it is known where to begin.
                    let _ = self.consumer.assign(&[]);
                    self.to_find = Some((partitions, now));
                }
                Rebalance::Revoked { lost: true } => {
                    tracing::warn!("partitions lost");
                    self.give_back();
                    // A commit still out belongs to a membership that is over.
                    if self.outstanding.is_some() {
                        return Err(End::Rejoin("the membership was lost with a commit under way"));
                    }
                }
                Rebalance::Revoked { lost: false } => {
                    tracing::info!("revoked; finishing what is promised");
                    self.drain(now + REVOKE_DEADLINE, false);
                }
            }
        }
        if self.context.shutting_down() && !matches!(self.draining, Some((_, true))) {
            self.drain(now + SHUTDOWN_DEADLINE, true);
        }
        if let Some((partitions, at)) = self.to_find.take() {
            if at > now {
                self.to_find = Some((partitions, at));
            } else if !partitions.is_empty() {
                self.find(partitions, now);
            }
        }
        Ok(())
    }

    fn kafka_trouble(&mut self, code: Code, text: &str) {
        let reason = match code {
            Code::RD_KAFKA_RESP_ERR__AUTHENTICATION
            | Code::RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED
            | Code::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED
            | Code::RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED => Reason::AuthenticationFailed,
            Code::RD_KAFKA_RESP_ERR__PARTITION_EOF => return,
            _ => Reason::KafkaUnreachable,
        };
        if self.trouble.as_ref().is_none_or(|trouble| trouble.reason != reason) {
            tracing::warn!(?reason, "Kafka: {text}");
        }
        state::raise(&mut self.trouble, reason, text);
    }

    fn find(&mut self, partitions: Vec<i32>, now: Instant) {
        match starting::find(self.context, &self.consumer, &partitions) {
            Ok(found) => {
                let asked = starting::questions(&found);
                self.found = Some(found);
                let _ = self.context.jobs.send(Job::Prepare {
                    epoch: self.epoch,
                    membership: self.membership.clone(),
                    asked,
                });
            }
            Err(error) => {
                let reason = match &error {
                    starting::StartError::Kafka { .. } => Reason::KafkaUnreachable,
                    _ => Reason::TopicChanged,
                };
                tracing::warn!("{error:#}");
                state::raise(&mut self.trouble, reason, &format!("{error:#}"));
                self.to_find = Some((partitions, now + Duration::from_secs(1)));
            }
        }
    }

    /// Table and ledger have answered: begin.
    fn begin(&mut self, facts: TableFacts, known: &[Known]) {
        if self.draining.is_some() {
            return;
        }
        let Some(found) = self.found.take() else { return };
        self.facts = Some(facts);
        self.trouble = None;
        let mut positions = Vec::new();
        for committed in &found.assigned {
            let id = committed.partition;
            let known = known.iter().find(|known| known.partition == id);
            let start = protocol::start(
                &starting::facts(committed, known),
                &self.context.identity,
                &self.context.revision,
            );
            let start = match start {
                Ok(Start::Fresh) => {
                    match starting::first_offset(self.context, &self.consumer, id, found.born) {
                        Ok(position) => Ok(Start::Resume { position, commit: true, reconcile: None }),
                        Err(error) => {
                            // Ask everything again; nothing has begun.
                            tracing::warn!("{error:#}");
                            let again = found.assigned.iter().map(|one| one.partition).collect();
                            self.to_find = Some((again, Instant::now() + Duration::from_secs(1)));
                            self.partitions.clear();
                            return;
                        }
                    }
                }
                other => other,
            };
            let partition = self.make(id, start);
            if !partition.stopped {
                positions.push(Position {
                    partition: id,
                    offset: partition.position(),
                    metadata: String::new(),
                });
            }
            self.partitions.insert(id, partition);
        }
        self.found = Some(found);
        if let Err(error) = self.consumer.assign(&positions) {
            tracing::error!("assign partitions: {error}");
        }
    }

    fn make(&mut self, id: i32, start: Result<Start, Stop>) -> Partition {
        let queue = self.consumer.partition_queue(id);
        let layout = &self.context.layout;
        let ticket = self.context.unique();
        let new = |machine, position| Partition::new(id, queue, machine, position, layout, ticket);
        let begun = |mut partition: Partition, reconcile: Option<i64>| {
            if let Some(below) = reconcile {
                tracing::warn!(partition = id, below, "reconciling: rows may be stored that no commit knows");
                self.context.metrics.reconciled();
                partition.not_before = Some(Instant::now() + LONGEST_REQUEST);
            }
            partition
        };
        match start {
            Ok(Start::Fresh) => new(Machine::at(0, true, 0), 0),
            Ok(Start::Resume { position, commit, reconcile }) => {
                tracing::info!(partition = id, position, "beginning");
                begun(new(Machine::at(position, commit, reconcile.unwrap_or(0)), position), reconcile)
            }
            Ok(Start::Replay { promise, stored, reconcile }) => {
                tracing::info!(
                    partition = id,
                    first = promise.first,
                    next = promise.next,
                    "replaying an intent"
                );
                self.context.metrics.replayed();
                let machine = Machine::at(promise.first, false, reconcile.unwrap_or(0));
                let mut partition = begun(new(machine, promise.first), reconcile);
                partition.replay(promise, stored);
                partition
            }
            Ok(Start::Complete { promise, recorded, reconcile }) => {
                tracing::info!(
                    partition = id,
                    first = promise.first,
                    next = promise.next,
                    "an intent is stored already"
                );
                self.context.metrics.replayed();
                let mut machine = Machine::at(promise.first, false, reconcile.unwrap_or(0));
                let action = machine.found_stored(promise, recorded);
                let partition = begun(new(machine, promise.next), reconcile);
                if let Some(Action::Record(promise, outcome)) = action {
                    let row = partition.ledger_row(promise, outcome, &self.context.revision, promise.next);
                    self.to_record.push(row);
                }
                partition
            }
            Err(stop) => {
                let (reason, message) = match stop {
                    Stop::Newer => (
                        Reason::IntentForeign,
                        "the committed intent is of a newer version: upgrade".to_owned(),
                    ),
                    Stop::Foreign(of) => (
                        Reason::IntentForeign,
                        format!("the group's committed offset belongs to {of}: use a group of its own"),
                    ),
                    Stop::PlanRevision(revision) => (
                        Reason::PlanRevisionMissing,
                        format!(
                            "the open intent was made by plan revision {revision}: start once with that plan"
                        ),
                    ),
                };
                tracing::error!(partition = id, ?reason, "{message}");
                let mut partition = new(Machine::at(0, false, 0), 0);
                partition.stopped = true;
                state::raise(&mut partition.trouble, reason, &message);
                partition
            }
        }
    }

    fn events(&mut self) {
        while let Ok(event) = self.context.events.try_recv() {
            match event {
                Event::Prepared { epoch, facts, known } if epoch == self.epoch => self.begin(facts, &known),
                Event::Stored { epoch, partition, outcome } if epoch == self.epoch => {
                    let Some(one) = self.partitions.get_mut(&partition) else { continue };
                    one.trouble = None;
                    if let Some(sealed) = &one.storing {
                        self.context.metrics.stored(sealed, outcome);
                    }
                    let lettered = one.lettered();
                    let mut action = one.machine.stored(outcome);
                    if lettered {
                        action = action.or_else(|| one.machine.lettered());
                    }
                    self.act(partition, action);
                }
                Event::GaveUp { epoch, partition } if epoch == self.epoch => {
                    let Some(one) = self.partitions.get_mut(&partition) else { continue };
                    one.stopped = true;
                    let message = "rows vanish after every clean answer; what deletes or merges them?";
                    state::raise(&mut one.trouble, Reason::SettleFailed, message);
                    tracing::error!(partition, "{message}");
                }
                Event::Recorded { epoch, partitions } if epoch == self.epoch => {
                    self.recording = false;
                    fail::point("recorded");
                    for partition in partitions {
                        if let Some(one) = self.partitions.get_mut(&partition) {
                            one.machine.recorded();
                        }
                    }
                }
                Event::Failed { epoch, partition, class, refused, message } if epoch == self.epoch => {
                    self.failed(partition, class, refused, &message);
                }
                Event::Recovered { epoch, partition } if epoch == self.epoch => match partition {
                    None => self.trouble = None,
                    Some(partition) => {
                        if let Some(one) = self.partitions.get_mut(&partition).filter(|one| !one.stopped) {
                            one.trouble = None;
                        }
                    }
                },
                _ => {}
            }
        }
    }

    fn failed(&mut self, partition: Option<i32>, class: Class, refused: bool, message: &str) {
        self.context.metrics.failed(class);
        let reason = match class {
            _ if refused => Reason::BlockRefused,
            Class::Unreachable | Class::Overloaded | Class::Refused => Reason::ClickHouseUnreachable,
            Class::Unauthorized => Reason::AuthenticationFailed,
            Class::TableChanged => Reason::TableChanged,
        };
        let slot = match partition {
            None => &mut self.trouble,
            Some(partition) => match self.partitions.get_mut(&partition) {
                Some(one) => &mut one.trouble,
                None => return,
            },
        };
        state::raise(slot, reason, message);
    }

    fn acknowledged(&mut self) {
        for ticket in self.letters.acknowledged() {
            let ids: Vec<i32> = self.partitions.keys().copied().collect();
            for id in ids {
                let Some(one) = self.partitions.get_mut(&id) else { continue };
                if one.acknowledged(ticket) {
                    let action = one.machine.lettered();
                    self.act(id, action);
                }
            }
        }
    }

    fn act(&mut self, id: i32, actions: impl IntoIterator<Item = Action>) {
        let high = self.consumer.known_ends(id).map_or(0, |(_, high)| high);
        let Some(one) = self.partitions.get_mut(&id) else { return };
        for action in actions {
            match action {
                Action::Completed(_) => {
                    fail::point("completed");
                    if let Some(sealed) = one.storing.take() {
                        one.recycle(sealed);
                    }
                }
                Action::Insert(promise) | Action::Settle(promise) => {
                    if let Some(sealed) = one.waiting.take_if(|sealed| sealed.promise.first == promise.first)
                    {
                        one.storing = Some(sealed);
                    }
                    fail::point("intent_committed");
                    let (Some(sealed), Some(facts)) = (&one.storing, &self.facts) else { continue };
                    let job = Job::Store {
                        epoch: self.epoch,
                        partition: id,
                        block: sealed.block.clone(),
                        promise,
                        settle: matches!(action, Action::Settle(_)),
                        lease: one.lease.clone(),
                        facts: facts.clone(),
                    };
                    let _ = self.context.jobs.send(job);
                }
                Action::Record(promise, outcome) => {
                    self.to_record.push(one.ledger_row(promise, outcome, &self.context.revision, high));
                }
            }
        }
    }

    /// Reads one batch of one partition; stays with a partition as long as it
    /// has messages, so that blocks become large in catch-up.
    fn read(&mut self, now: Instant) -> bool {
        if self.partitions.is_empty() || self.bytes() > self.budget {
            return false;
        }
        let ids: Vec<i32> = self.partitions.keys().copied().collect();
        let start = ids.iter().position(|id| *id >= self.turn).unwrap_or(0);
        for id in ids[start..].iter().chain(&ids[..start]) {
            let Some(one) = self.partitions.get_mut(id) else { continue };
            if !one.readable(self.limits, now) {
                continue;
            }
            let metrics = &self.context.metrics;
            match one.read(&mut self.scratch, &mut self.decoder, self.letters, self.limits, metrics) {
                // An acknowledgement wakes us when there is room again.
                Read::Nothing | Read::LettersFull => continue,
                Read::OutOfRange => self.out_of_range(*id),
                // Stay, for a large block, but not for ever.
                Read::More if self.turn == *id && self.slice.elapsed() < SLICE => {}
                Read::More if self.turn != *id => self.take_turn(*id),
                Read::More | Read::Drained | Read::Full => self.take_turn(*id + 1),
            }
            return true;
        }
        false
    }

    fn take_turn(&mut self, id: i32) {
        self.turn = id;
        self.slice = Instant::now();
    }

    fn bytes(&self) -> usize {
        self.partitions.values().map(Partition::bytes).sum()
    }

    fn out_of_range(&mut self, id: i32) {
        let Some(one) = self.partitions.get_mut(&id) else { return };
        let position = one.position();
        let Ok((low, high)) = self.consumer.ends(id, Duration::from_secs(5)) else { return };
        if position > high {
            one.stopped = true;
            let message =
                format!("offset {position} is behind the end of the log, {high}: was the log truncated?");
            tracing::error!(partition = id, "{message}");
            state::raise(&mut one.trouble, Reason::RetentionGap, &message);
            return;
        }
        let lost = one.skip_to(low);
        tracing::error!(
            partition = id,
            position,
            low,
            lost,
            "Kafka deleted messages before they were stored"
        );
        self.context.metrics.gap(lost);
        if let Err(error) = self.consumer.seek(id, one.position(), Duration::from_secs(5)) {
            tracing::error!(partition = id, "seek: {error}");
        }
    }

    fn seal(&mut self, now: Instant) {
        let pressed = self.bytes() > self.budget;
        let largest = self.partitions.values().max_by_key(|one| one.open_bytes()).map(|one| one.id);
        for one in self.partitions.values_mut() {
            let pressed = pressed && largest == Some(one.id) && one.machine.takes_block() && !one.replaying();
            if one.ripe(self.limits, now) || pressed && one.open_bytes() > 0 {
                if let Some(mismatch) = one.mismatch() {
                    stop_replay(one, mismatch);
                    continue;
                }
                let nonce = rand::rng().random();
                one.seal(&self.context.layout, self.context.source, nonce, self.context.unique());
            }
        }
    }

    fn commit(&mut self, now: Instant) -> Result<(), End> {
        if let Some(outstanding) = &self.outstanding {
            if outstanding.overdue(COMMIT_TIMEOUT) {
                return Err(End::Rejoin("a commit was not answered"));
            }
            return Ok(());
        }
        // Whether Kafka is back is asked by saying an idle position again.
        let probe = self.trouble.as_ref().is_some_and(|trouble| trouble.reason == Reason::KafkaUnreachable);
        let mut commits: Vec<(i32, Commit)> = Vec::new();
        for one in self.partitions.values_mut().filter(|one| !one.stopped) {
            if one.not_before.is_some_and(|at| at > now) {
                continue;
            }
            one.not_before = None;
            // An open intent is said again before its lease ends, an idle
            // position before the broker forgets it.
            let every =
                if one.machine.open().is_some() || probe { SESSION_TIMEOUT / 3 } else { RECOMMIT_EVERY };
            let repeat = now.duration_since(one.recommitted) > every;
            let wanted = one.machine.wanted().or_else(|| one.machine.repeated().filter(|_| repeat));
            commits.extend(wanted.map(|commit| (one.id, commit)));
        }
        if commits.is_empty() {
            return Ok(());
        }
        let born = self.found.as_ref().map_or(0, |found| found.born);
        let positions: Vec<Position> = commits
            .iter()
            .map(|(partition, commit)| Position {
                partition: *partition,
                offset: commit.offset,
                metadata: self.metadata(born, commit.promise),
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

    fn metadata(&self, born: i32, promise: Option<Promise>) -> String {
        Metadata {
            identity: self.context.identity.clone(),
            plan_revision: self.context.revision.clone(),
            born,
            promise,
        }
        .encode()
    }

    fn commit_answer(&mut self) -> Result<(), End> {
        let Some(answer) = self.consumer.commit_answer() else { return Ok(()) };
        let Some(outstanding) = self.outstanding.take() else { return Ok(()) };
        if answer.code == Code::RD_KAFKA_RESP_ERR_NO_ERROR {
            state::clear(&mut self.trouble, Reason::KafkaUnreachable);
        }
        for (id, _) in outstanding.partitions {
            let Some(one) = self.partitions.get_mut(&id) else { continue };
            match verdict(&answer, id) {
                Verdict::Committed => {
                    one.lease.renew(outstanding.sent, SESSION_TIMEOUT);
                    one.recommitted = outstanding.sent;
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

    fn record(&mut self) {
        if self.recording || self.to_record.is_empty() {
            return;
        }
        self.recording = true;
        let rows = std::mem::take(&mut self.to_record);
        let _ = self.context.jobs.send(Job::Record {
            epoch: self.epoch,
            membership: self.membership.clone(),
            rows,
        });
    }

    fn drain(&mut self, deadline: Instant, leave: bool) {
        self.draining = Some((deadline, leave));
        for one in self.partitions.values_mut() {
            one.stop_reading(&self.context.layout);
        }
    }

    fn drained(&mut self, now: Instant) -> Result<(), End> {
        let Some((deadline, leave)) = self.draining else { return Ok(()) };
        let finished = |one: &Partition| one.stopped || one.replaying() || one.machine.at_rest();
        let done = self.outstanding.is_none() && self.partitions.values().all(finished);
        if !done && now < deadline {
            return Ok(());
        }
        if leave {
            return Err(End::Shutdown);
        }
        if self.outstanding.is_some() {
            return Err(End::Rejoin("a commit was under way when the partitions had to be given back"));
        }
        self.give_back();
        Ok(())
    }

    fn revoke_leases(&mut self) {
        self.partitions.values().for_each(|one| one.lease.revoke());
        self.membership.revoke();
        self.membership = Arc::default();
    }

    /// Nothing is committed for these partitions after this.
    fn give_back(&mut self) {
        self.revoke_leases();
        self.partitions.clear();
        self.context.metrics.forget_partitions();
        self.letters.forget_refused();
        self.to_record.clear();
        self.found = None;
        self.to_find = None;
        self.draining = None;
        self.recording = false;
        // Answers to what was asked so far are void.
        self.epoch = self.context.unique();
        if let Err(error) = self.consumer.unassign() {
            tracing::error!("give partitions back: {error}");
        }
    }

    fn measure(&mut self) {
        let now_ms = state::now_ms();
        for one in self.partitions.values() {
            if let Some((_, high)) = self.consumer.known_ends(one.id) {
                let lag = (high - one.machine.committed()).max(0);
                let oldest = one.oldest_ms().filter(|_| lag > 0);
                let seconds = oldest.map_or(0, |oldest| now_ms.saturating_sub(oldest).max(0) / 1_000);
                self.context.metrics.lag(one.id, lag, seconds);
            }
        }
        let (now, limits, buffered) = (Instant::now(), self.limits, self.bytes());
        let all = self.partitions.len();
        let read =
            self.partitions.values_mut().filter_map(|one| one.readable(limits, now).then_some(())).count();
        let paused = if buffered > self.budget { all } else { all - read };
        self.context.metrics.holds(paused, buffered);
    }

    fn publish(&mut self) {
        self.published = Instant::now();
        if let Some(error) = self.letters.trouble {
            state::raise(
                &mut self.trouble,
                Reason::DeadLettersBlocked,
                &format!("write a dead letter: {error}"),
            );
        } else {
            state::clear(&mut self.trouble, Reason::DeadLettersBlocked);
        }
        self.measure();
        let state = IngestorState {
            plan_revision: self.context.revision.clone(),
            joined: self.joined,
            trouble: self.trouble.clone(),
            partitions: self.partitions.values().map(|one| one.state(&self.context.revision)).collect(),
        };
        if let Ok(mut shared) = self.context.state.lock() {
            *shared = state;
        }
    }
}

fn stop_replay(partition: &mut Partition, mismatch: Mismatch) {
    let (reason, message) = match mismatch {
        Mismatch::Gone => (
            Reason::RetentionGap,
            "Kafka deleted the messages of an open intent before they were stored".to_owned(),
        ),
        Mismatch::Grown { promised, found } => (
            Reason::SettleFailed,
            format!("the block of an open intent has {found} rows, not the {promised} promised"),
        ),
    };
    tracing::error!(partition = partition.id, ?reason, "{message}");
    partition.stopped = true;
    state::raise(&mut partition.trouble, reason, &message);
}
