//! Why a message can't become a row: a closed list.

use super::tree::Node;

/// The reason, as it stands in the header `caudal.reason` and in metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    EmptyMessage,
    InvalidUtf8,
    InvalidJson,
    NotAnObject,
    MissingField,
    NullField,
    WrongType,
    OutOfRange,
    DuplicateKey,
    UnknownField,
    TooDeep,
    TooLarge,
    /// It is a row, but ClickHouse does not take it.
    Refused,
}

impl Reason {
    pub const ALL: [Self; 13] = [
        Self::EmptyMessage,
        Self::InvalidUtf8,
        Self::InvalidJson,
        Self::NotAnObject,
        Self::MissingField,
        Self::NullField,
        Self::WrongType,
        Self::OutOfRange,
        Self::DuplicateKey,
        Self::UnknownField,
        Self::TooDeep,
        Self::TooLarge,
        Self::Refused,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::EmptyMessage => "EmptyMessage",
            Self::InvalidUtf8 => "InvalidUtf8",
            Self::InvalidJson => "InvalidJson",
            Self::NotAnObject => "NotAnObject",
            Self::MissingField => "MissingField",
            Self::NullField => "NullField",
            Self::WrongType => "WrongType",
            Self::OutOfRange => "OutOfRange",
            Self::DuplicateKey => "DuplicateKey",
            Self::UnknownField => "UnknownField",
            Self::TooDeep => "TooDeep",
            Self::TooLarge => "TooLarge",
            Self::Refused => "Refused",
        }
    }
}

/// What of a message is at fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    Message,
    /// By index.
    Field(usize),
    /// An object that paths lead through.
    Object(Node),
    /// A member of this object that no field reads; its key is where the fault
    /// was found.
    Unknown(Node),
}

/// A refused message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reject {
    pub reason: Reason,
    pub place: Place,
    /// Byte of the message at which it was found.
    pub at: Option<usize>,
}

impl Reject {
    pub fn of(place: Place, reason: Reason) -> Self {
        Self { reason, place, at: None }
    }

    pub fn field(reason: Reason, field: usize) -> Self {
        Self::of(Place::Field(field), reason)
    }
}

impl From<Reason> for Reject {
    fn from(reason: Reason) -> Self {
        Self::of(Place::Message, reason)
    }
}
