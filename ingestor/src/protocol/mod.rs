//! The exactly-once protocol, without I/O: what has happened → what to do.
//! `docs/exactly-once.md` tells it in words.

mod machine;
mod metadata;
mod settle;
mod start;

pub use machine::{Action, Commit, Machine};
pub use metadata::{Identity, Metadata, NotOurs, Origin, Promise, Word};
pub use settle::{Settle, Step, Unit, Units, token};
pub use start::{Known, Start, Stop, start};

/// How a block got into the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The first answer was clean.
    Clean,
    /// By SETTLE.
    Settled,
    /// Sent again without a look: its rows may be there twice.
    Repeated,
}
