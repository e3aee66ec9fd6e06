//! What a run of the model assumes: the rules that hold, and the world around them.

/// A rule of the protocol that a run can leave out. Numbers are those of `docs/exactly-once.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// 1: the intent is committed before the insert.
    IntentFirst,
    /// 1: a commit has succeeded when *this partition's* code says so, not the request's.
    PartitionCode,
    /// 1: after an unknown commit, the member rejoins before it commits anything else.
    RejoinAfterUnknown,
    /// 1: no commit waits in a client that joins another generation.
    NoQueuedCommit,
    /// SETTLE 0: ownership is checked before every send.
    Lease,
    /// Ownership is checked before a range is written to the ledger, too.
    LedgerLease,
    /// SETTLE 0 and rule 8: one request is executed at most once, within Z.
    BoundedLife,
    /// SETTLE (a): read back before a resend.
    ReadBack,
    /// Every resend follows a read-back on the same connection.
    SameConnection,
    /// The first insert carries token(0).
    FirstToken,
    /// SETTLE (c): read back after a clean answer to a resend.
    VerifyAfter,
    /// Every send of a fix uses the name that all members would use.
    SameFixNames,
    /// Every member walks the tokens from token(0).
    FixInOrder,
    /// A token whose rows are missing is left only after waiting Z.
    GhostWait,
    /// The next token is that of a newly committed intent; else fix tokens, as first written.
    FreshIntent,
    /// 9: a replay builds exactly [a, b) again.
    SameBlock,
    /// RECONCILE waits Z.
    ReconcileWait,
    /// RECONCILE looks at the table after the wait.
    HeightAfterWait,
    /// RECONCILE cuts ranges where stored and missing offsets meet.
    CutAtStored,
    /// A ledger row precedes the first commit, so that deleted offsets are not taken for a new pipeline.
    StartRow,
    /// 5: the window outlives a read-back and the request that follows it.
    Window,
    /// 7: what was answered survives a power cut.
    Fsync,
    /// 11: dead letters are acknowledged before the range is committed.
    DeadLettersFirst,
}

/// The rules that hold in a run.
#[derive(Clone, Copy)]
pub struct Rules(u32);

impl Rules {
    pub const ALL: Self = Self(u32::MAX);

    pub const fn without(self, rule: Rule) -> Self {
        Self(self.0 & !(1 << rule as u32))
    }

    pub const fn has(self, rule: Rule) -> bool {
        self.0 & (1 << rule as u32) != 0
    }
}

/// What can happen in a run, and how much of it.
#[derive(Clone, Copy)]
#[expect(clippy::struct_excessive_bools, reason = "independent switches")]
pub struct World {
    /// Messages in the partition, at most `OFFSETS`.
    pub messages: u8,
    /// ClickHouse partitions that rows fall into by turns: units of a block.
    pub units: u8,
    /// Offsets whose message cannot become a row, as a bit mask.
    pub malformed: u8,
    /// Insert requests that can be on their way at once.
    pub requests: usize,
    /// The server dies, or cannot rename, after it wrote a token.
    pub ghosts: bool,
    /// Tokens fall out of the window.
    pub erasure: bool,
    /// Ticks, each Z long, for which rule 5 keeps a token: two whole Z, and room for the one that has begun.
    pub window: u8,
    /// Power cuts, and restarts that forget tokens.
    pub power_cuts: bool,
    /// The rows of a written token come later, while other requests are served.
    pub slow_renames: bool,
    /// A member loses the partition, and goes on without knowing.
    pub freezes: bool,
    /// Committed offsets are reset, deleted or expire.
    pub resets: bool,
}

impl World {
    /// Members crash, commits and answers get lost, requests come late: nothing worse.
    pub const CALM: Self = Self {
        messages: 3,
        units: 1,
        malformed: 0,
        requests: 2,
        ghosts: false,
        erasure: false,
        window: 3,
        power_cuts: false,
        slow_renames: false,
        freezes: false,
        resets: false,
    };
    /// Everything that a server of plain MergeTree tables and other hands can do.
    pub const HARSH: Self =
        Self { ghosts: true, erasure: true, power_cuts: true, resets: true, ..Self::CALM };
}
