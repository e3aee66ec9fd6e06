//! What can happen: the labels of a counterexample.

use crate::state::{Metadata, Token, Who};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// A member gets the partition, in a new generation.
    Assign,
    /// The owner crashes, leaves or is revoked; what it sent goes on.
    Crash,
    /// The owner leaves and joins again, with a new client, because a commit's outcome is unknown.
    Rejoin,
    /// The owner loses the partition without knowing.
    Freeze,
    /// The frozen member ends.
    Forget,
    /// Another hand sets the offset, with empty metadata.
    Reset {
        offset: u8,
    },
    /// The committed offset is deleted or expires.
    Delete,
    ReadCommitted {
        found: Metadata,
    },
    /// The first ledger row, before the first commit.
    StartRow,
    WaitOver(Who),
    Choose {
        offset: u8,
        metadata: Metadata,
    },
    CommitAnswered,
    /// Applied, but the member does not learn it.
    CommitUnanswered,
    CommitLost,
    /// The member gives up; the commit can still arrive.
    CommitDelayed,
    /// A success as a whole, an error for this partition.
    CommitRefused,
    LateCommit {
        offset: u8,
    },
    Send {
        who: Who,
        token: Option<Token>,
        rows: u8,
    },
    ReadBack {
        who: Who,
        missing: u8,
    },
    Executed {
        token: Option<Token>,
        rows: u8,
        outcome: Outcome,
    },
    /// The tokens are written; the rows come later.
    Renaming {
        token: Token,
    },
    /// The request failed before it did anything.
    Refused(Who),
    /// No answer in time; the request goes on.
    GiveUp(Who),
    DeadLetters(Who),
    Ledger(Who),
    /// Z passes.
    Tick,
    /// Connections break; these tokens are gone.
    PowerCut {
        lost: Lost,
    },
    /// A token falls out of the window.
    Erase {
        token: Token,
        unit: u8,
    },
}

impl Step {
    /// Whether it also happens where nothing goes wrong.
    pub fn is_ordinary(self) -> bool {
        let outside =
            matches!(self, Self::Crash | Self::Freeze | Self::Forget | Self::Reset { .. } | Self::Delete);
        let commit = matches!(
            self,
            Self::CommitUnanswered
                | Self::CommitLost
                | Self::CommitDelayed
                | Self::CommitRefused
                | Self::LateCommit { .. }
        );
        let server = match self {
            Self::Executed { outcome, .. } => matches!(outcome, Outcome::FailedAt(_) | Outcome::GhostAt(_)),
            _ => matches!(
                self,
                Self::Refused(_)
                    | Self::GiveUp(_)
                    | Self::Renaming { .. }
                    | Self::PowerCut { .. }
                    | Self::Erase { .. }
            ),
        };
        !(outside || commit || server)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Answered,
    Unanswered,
    /// Fails at this unit, before its token is written.
    FailedAt(u8),
    /// Dies between this unit's token and its rows.
    GhostAt(u8),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    Nothing,
    NewestPart,
    AllTokens,
    OneToken(Token, u8),
}
