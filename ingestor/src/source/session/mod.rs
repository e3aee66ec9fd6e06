//! One membership of the consumer group, from joining to leaving. This file
//! has its state and its round; the others have what a round does.

mod begin;
mod blocks;
mod commit;
mod group;
mod report;
mod setup;
mod topic;
mod turns;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

pub use setup::dead_letters;

use super::commits::Outstanding;
use super::partition::{Limits, Partition};
use super::{BATCH, Context, Unrecorded, Unsent};
use crate::dead_letter::DeadLetters;
use crate::decode::Decoder;
use crate::kafka::{Batch, Consumer};
use crate::run::LITTLE_MEMORY;
use crate::sink::Lease;
use begin::{Asking, Starting};
use report::Troubles;
use topic::TopicWatch;
use turns::Spare;

/// What the program takes by itself.
const PROGRAM_BYTES: u64 = 32 << 20;
const IDLE_WAKE: Duration = Duration::from_millis(500);
/// Dead letters that wait for their turn are tried again.
const LETTERS_AGAIN: Duration = Duration::from_millis(20);
const PUBLISH_EVERY: Duration = Duration::from_millis(200);

/// Half of the memory; where that is little, of what the program leaves.
fn budget(memory_limit: u64) -> u64 {
    let program = if memory_limit < LITTLE_MEMORY { PROGRAM_BYTES.min(memory_limit / 2) } else { 0 };
    (memory_limit - program) / 2
}

/// How a session ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Shutdown,
    Rejoin(&'static str),
}

/// Everything is being given back.
#[derive(Clone, Copy, Debug)]
struct Draining {
    deadline: Instant,
    /// The group is left, too.
    leave: bool,
}

pub struct Session<'a> {
    context: &'a Context,
    letters: &'a mut DeadLetters,
    /// Answers to questions of another epoch are void.
    epoch: usize,
    decoder: Decoder,
    limits: Limits,
    /// Bytes that columns and blocks may hold.
    budget: usize,
    // These three hold queues and messages of the consumer: dropped before it.
    scratch: Batch,
    partitions: BTreeMap<i32, Partition>,
    consumer: Consumer,
    /// Held as long as the partitions of the last assignment are ours.
    membership: Arc<Lease>,
    joined: bool,
    /// Ours, but not begun.
    starting: Vec<Starting>,
    asking: Option<Asking>,
    /// Partitions of the topic when the group began.
    born: i32,
    topic: TopicWatch,
    draining: Option<Draining>,
    outstanding: Option<Outstanding>,
    /// Blocks that need no intent.
    unsent: VecDeque<Unsent>,
    to_record: Vec<Unrecorded>,
    recording: bool,
    /// The partition to read next, and since when.
    turn: i32,
    slice: Instant,
    /// Partitions to read once before that.
    sweep: Vec<i32>,
    spare: Spare,
    /// Kafka said no: not before this.
    commit_after: Instant,
    troubles: Troubles,
    published: Instant,
}

impl<'a> Session<'a> {
    pub fn new(context: &'a Context, letters: &'a mut DeadLetters) -> anyhow::Result<Self> {
        let ingest = &context.ingest;
        let limits = Limits {
            rows: usize::try_from(ingest.max_rows)?,
            bytes: usize::try_from(ingest.max_bytes)?,
            delay: Duration::from_millis(ingest.flush_delay_ms),
        };
        let consumer = setup::consumer(context)?;
        consumer.subscribe()?;
        Ok(Self {
            decoder: context.contents.current().decoder()?,
            limits,
            // The other half is for what librdkafka and the sockets hold, and
            // for buffers that have grown beyond what is in them.
            budget: usize::try_from(budget(ingest.memory_limit_bytes))?,
            context,
            letters,
            epoch: context.unique(),
            scratch: Batch::with_capacity(BATCH),
            partitions: BTreeMap::new(),
            consumer,
            membership: Arc::default(),
            joined: false,
            starting: Vec::new(),
            asking: None,
            born: 0,
            topic: TopicWatch::default(),
            draining: None,
            outstanding: None,
            unsent: VecDeque::new(),
            to_record: Vec::new(),
            recording: false,
            turn: 0,
            slice: Instant::now(),
            sweep: Vec::new(),
            spare: Spare::default(),
            commit_after: Instant::now(),
            troubles: Troubles::default(),
            published: Instant::now(),
        })
    }

    pub fn run(&mut self) -> End {
        let end = loop {
            match self.round() {
                Ok(true) => {}
                Ok(false) => std::thread::park_timeout(self.nap()),
                Err(end) => break end,
            }
        };
        self.revoke_leases();
        self.letters.forget_refused();
        if end == End::Shutdown {
            self.consumer.close();
        }
        self.joined = false;
        self.publish();
        end
    }

    /// One round; `true` when there may be more to do at once.
    fn round(&mut self) -> Result<bool, End> {
        let now = Instant::now();
        self.group(now)?;
        self.look_up(now);
        self.commit_answer()?;
        self.events()?;
        self.acknowledged();
        let mut busy = false;
        if self.draining.is_none() {
            self.relocate(now)?;
            busy = self.read();
            self.seal(now);
            self.look_further(now);
        }
        // Behind the sealing: nothing else may wake us to ask.
        self.watch_topic()?;
        self.send();
        self.commit(now)?;
        self.record();
        self.drained(now)?;
        if self.published.elapsed() > PUBLISH_EVERY {
            self.publish();
        }
        Ok(busy)
    }

    /// Until when nothing has to be done by itself. Queues, answers and
    /// acknowledgements wake us.
    fn nap(&self) -> Duration {
        let due = self.partitions.values().filter_map(|one| one.due(self.limits));
        let asks = self.asking.is_none() && self.draining.is_none();
        let starting = self.starting.iter().filter(|_| asks).map(|starting| starting.at);
        let letters = self.letters.limited().then(|| Instant::now() + LETTERS_AGAIN);
        let next = due.chain(starting).chain(letters).min();
        let nap = next.map_or(IDLE_WAKE, |next| next.saturating_duration_since(Instant::now()));
        nap.clamp(Duration::from_millis(1), IDLE_WAKE)
    }
}
