//! The state of the whole system: a coordinator's partition, a table, requests on their way, members.

pub const OFFSETS: usize = 4;
pub const REQUESTS: usize = 3;
pub const RECORDS: usize = 8;
/// The last fix token; the real limit is 4.
pub const LAST_FIX: u8 = 1;

/// A range of offsets and the nonce under which it is inserted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Block {
    pub first: u8,
    pub next: u8,
    pub nonce: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Metadata {
    Nothing,
    Foreign,
    Idle,
    Intent(Block),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Commit {
    pub offset: u8,
    pub metadata: Metadata,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Token {
    pub nonce: u8,
    pub fix: u8,
}

/// One line of the deduplication log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Record {
    pub token: Token,
    pub unit: u8,
    pub age: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Who {
    Nobody,
    Owner,
    Frozen,
}

/// An insert that may be executed at any moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Request {
    pub token: Option<Token>,
    /// Offsets as a bit mask.
    pub rows: u8,
    pub age: u8,
    /// Its tokens are written, its rows are not visible yet.
    pub renaming: bool,
    pub awaited_by: Who,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Assigned; the committed metadata is not read yet.
    Start,
    /// RECONCILE, for so many ticks.
    Reconciling {
        ticks: u8,
    },
    /// Everything below `at` is settled.
    Ready {
        at: u8,
    },
    Committing(Commit),
    /// About to send the first insert.
    Insert(Block),
    /// About to read back: (c) if `after` a clean answer, else (a).
    Read {
        block: Block,
        fix: u8,
        after: bool,
    },
    /// About to send what was missing so many ticks ago.
    Send {
        block: Block,
        fix: u8,
        missing: u8,
        age: u8,
    },
    Waiting {
        block: Block,
        fix: u8,
        missing: u8,
        first: bool,
    },
    /// A token without rows was met: waiting until all its requests are gone.
    Ghost {
        block: Block,
        fix: u8,
        ticks: u8,
    },
    Settled(Block),
    Stopped,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Member {
    pub phase: Phase,
    /// Ranges below begin with a read-back.
    pub floor: u8,
    /// A commit's outcome is unknown.
    pub unsure: bool,
}

impl Member {
    pub const fn at(phase: Phase) -> Self {
        Self { phase, floor: 0, unsure: false }
    }

    fn nonce(&self) -> Option<u8> {
        match self.phase {
            Phase::Insert(block)
            | Phase::Read { block, .. }
            | Phase::Send { block, .. }
            | Phase::Waiting { block, .. }
            | Phase::Ghost { block, .. } => Some(block.nonce),
            Phase::Committing(commit) => commit.nonce(),
            _ => None,
        }
    }
}

impl Commit {
    fn nonce(self) -> Option<u8> {
        match self.metadata {
            Metadata::Intent(block) => Some(block.nonce),
            Metadata::Nothing | Metadata::Foreign | Metadata::Idle => None,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct State {
    pub committed: Commit,
    /// A commit that its sender gave up on and that can still arrive.
    pub late: Option<Commit>,
    /// How often each offset is stored.
    pub stored: [u8; OFFSETS],
    /// Offsets of the newest part, where parts can be lost.
    pub newest: u8,
    /// Offsets in the dead letters.
    pub dead: u8,
    /// The ledger's next offset.
    pub ledger: Option<u8>,
    pub records: [Option<Record>; RECORDS],
    pub requests: [Option<Request>; REQUESTS],
    pub owner: Option<Member>,
    /// A member that lost the partition and does not know.
    pub frozen: Option<Member>,
}

impl State {
    pub fn member(&self, who: Who) -> Option<Member> {
        match who {
            Who::Nobody => None,
            Who::Owner => self.owner,
            Who::Frozen => self.frozen,
        }
    }

    pub fn member_mut(&mut self, who: Who) -> Option<&mut Member> {
        match who {
            Who::Nobody => None,
            Who::Owner => self.owner.as_mut(),
            Who::Frozen => self.frozen.as_mut(),
        }
    }

    /// Hands the answers that `from` waits for to `to`.
    pub fn hand_over(&mut self, from: Who, to: Who) {
        for request in self.requests.iter_mut().flatten() {
            if request.awaited_by == from {
                request.awaited_by = to;
            }
        }
    }

    pub fn record_of(&self, token: Token, unit: u8) -> Option<&Record> {
        self.records.iter().flatten().find(|record| record.token == token && record.unit == unit)
    }

    pub fn add_record(&mut self, token: Token, unit: u8) {
        let free = self.records.iter_mut().find(|record| record.is_none());
        *free.expect("room for every live token") = Some(Record { token, unit, age: 0 });
    }

    /// 1 + the highest offset known to the table or the ledger.
    pub fn height(&self) -> u8 {
        let stored = (0u8..).zip(self.stored).filter(|&(_, times)| times > 0).map(|(offset, _)| offset + 1);
        stored.chain(self.ledger).max().unwrap_or(0)
    }

    /// The smallest nonce nobody knows of: as good as a random one, and it keeps states few.
    pub fn fresh_nonce(&self) -> u8 {
        let used = self.nonces_in_use();
        (0..8).find(|nonce| used & (1 << nonce) == 0).expect("few nonces are in use")
    }

    fn nonces_in_use(&self) -> u8 {
        let members = [self.owner, self.frozen].into_iter().flatten().filter_map(|member| member.nonce());
        let commits = [Some(self.committed), self.late].into_iter().flatten().filter_map(Commit::nonce);
        let requests = self.requests.iter().flatten().filter_map(|request| request.token);
        let tokens = requests.map(|token| token.nonce);
        members.chain(commits).chain(tokens).fold(0, |used, nonce| used | 1 << nonce)
    }

    /// One form for equal states: tokens nobody can send any more are forgotten, lists are sorted.
    pub fn normalized(mut self) -> Self {
        let used = self.nonces_in_use();
        for slot in &mut self.records {
            if slot.is_some_and(|record| used & (1 << record.token.nonce) == 0) {
                *slot = None;
            }
        }
        self.records.sort_unstable_by(|a, b| b.cmp(a));
        self.requests.sort_unstable_by(|a, b| b.cmp(a));
        self
    }
}
