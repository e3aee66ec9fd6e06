//! Kafka messages → sealed blocks, and the commits around them. One OS thread
//! owns the consumer and the state of every partition; what waits for
//! ClickHouse runs elsewhere and answers by [`Event`].

mod commits;
mod partition;
mod session;
mod starting;

pub use partition::Sealed;

use std::sync::atomic::{AtomicBool, AtomicI32, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender};
use std::sync::{Arc, Mutex};
use std::thread::Thread;
use std::time::Duration;

use caudal_model::Plan;
use caudal_model::plan::Ingest;
use caudal_model::state::IngestorState;
use caudal_service::Credentials;

use crate::block::Block;
use crate::content::Contents;
use crate::metrics::Metrics;
use crate::protocol::{Identity, Origin, Outcome, Promise};
use crate::sink::{Asked, Class, Effort, Form, Known, Lease, LedgerRow};

/// How long the group waits for a silent member, and how long a commit proves
/// ownership.
pub const SESSION_TIMEOUT: Duration = Duration::from_secs(6);
/// Offsets of an idle group expire after 7 days by default; they are committed
/// again this often.
pub const RECOMMIT_EVERY: Duration = Duration::from_hours(1);
/// A commit without an answer for so long: the group is joined anew, so that
/// nothing of it can come later under our feet. Long enough for a broker to be
/// restarted meanwhile: as long as the partitions are not given back, the
/// commit can only be stamped with the generation it was meant for.
pub const COMMIT_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a revoke waits for inserts in flight.
pub const REVOKE_DEADLINE: Duration = Duration::from_secs(8);
/// How long a shutdown waits for inserts in flight.
pub const SHUTDOWN_DEADLINE: Duration = Duration::from_secs(15);

/// Messages per read.
const BATCH: usize = 512;

/// What the asynchronous side is asked. `epoch` comes back with the answer.
pub enum Job {
    /// What do table and ledger know of these partitions? `share`: how many of
    /// the topic's are ours, and all.
    Prepare {
        epoch: usize,
        membership: Arc<Lease>,
        form: Arc<Form>,
        asked: Vec<Asked>,
        share: (usize, usize),
    },
    /// Get this block into the table.
    Store {
        epoch: usize,
        partition: i32,
        block: Arc<Block>,
        form: Arc<Form>,
        promise: Promise,
        settle: bool,
        effort: Effort,
        lease: Arc<Lease>,
    },
    /// Get these blocks into the table, once or more often; all have one form.
    Send { epoch: usize, membership: Arc<Lease>, blocks: Vec<Unsent> },
    /// Write these rows into the ledger, each under its partition's lease.
    Record { epoch: usize, membership: Arc<Lease>, rows: Vec<Unrecorded> },
}

/// A block of a partition that needs no intent.
#[derive(Clone)]
pub struct Unsent {
    pub partition: i32,
    pub block: Arc<Block>,
    pub form: Arc<Form>,
    /// Refusals of its values until it is given up; `None`: never.
    pub attempts: Option<u32>,
}

/// A ledger row on its way, under the lease of its partition.
pub struct Unrecorded {
    pub row: LedgerRow,
    pub lease: Arc<Lease>,
}

/// What it answers.
pub enum Event {
    Prepared {
        known: Vec<Known>,
    },
    Stored {
        partition: i32,
        outcome: Outcome,
    },
    /// The token was taken without rows, and nothing older runs any more.
    TokenSpent {
        partition: i32,
    },
    /// ClickHouse takes no block with these values, and no request for it runs
    /// any more.
    Refused {
        partition: i32,
        message: String,
    },
    /// Which of the rows are in the ledger now; the others' leases did not hold.
    Recorded {
        rows: Vec<Unrecorded>,
        written: Vec<bool>,
    },
    /// A request for the partition (or for all) failed and is repeated.
    /// `refused`: a healthy server said the same no again and again.
    Failed {
        partition: Option<i32>,
        class: Class,
        refused: bool,
        message: String,
    },
    /// The partition's block waits until the table may be given more tokens.
    Held {
        partition: i32,
        message: String,
    },
    /// It works again.
    Recovered {
        partition: Option<i32>,
    },
}

/// Everything a session needs; outlives sessions.
pub struct Context {
    pub plan: Plan,
    pub contents: Contents,
    pub ingest: Ingest,
    pub identity: Identity,
    pub source: u64,
    pub credentials: Credentials,
    pub jobs: tokio::sync::mpsc::UnboundedSender<Job>,
    pub events: Receiver<(usize, Event)>,
    pub state: Arc<Mutex<IngestorState>>,
    pub metrics: Arc<Metrics>,
    pub shutdown: Arc<AtomicBool>,
    pub counter: AtomicUsize,
    /// Of the topic, as far as it is known; 0 is not.
    pub partitions: AtomicI32,
}

impl Context {
    pub fn shutting_down(&self) -> bool {
        self.shutdown.load(Ordering::Relaxed)
    }

    /// Which plan makes new intents.
    pub fn origin(&self) -> &Origin {
        &self.contents.current().origin
    }

    /// A number never given before in this process.
    pub fn unique(&self) -> usize {
        self.counter.fetch_add(1, Ordering::Relaxed)
    }
}

/// Events for the source thread, which is woken for each.
#[derive(Clone)]
pub struct Events {
    sender: Sender<(usize, Event)>,
    thread: Thread,
}

impl Events {
    pub fn new(sender: Sender<(usize, Event)>, thread: Thread) -> Self {
        Self { sender, thread }
    }

    pub fn send(&self, epoch: usize, event: Event) {
        // Without a receiver the process is ending.
        let _ = self.sender.send((epoch, event));
        self.thread.unpark();
    }
}

/// Runs until shutdown, joining the group again whenever a session ends.
pub fn run(context: &Context) -> anyhow::Result<()> {
    let mut dead_letters = session::dead_letters(context)?;
    while !context.shutting_down() {
        let mut session = session::Session::new(context, &mut dead_letters)?;
        let end = session.run();
        drop(session);
        match end {
            session::End::Shutdown => break,
            session::End::Rejoin(reason) => {
                tracing::warn!(reason, "joining the consumer group anew");
                std::thread::park_timeout(Duration::from_millis(500));
            }
        }
    }
    Ok(())
}
