//! Why a message can't become a row: a closed list.

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
    TooDeep,
    TooLarge,
    /// It is a row, but ClickHouse does not take it.
    Refused,
}

impl Reason {
    pub const ALL: [Self; 12] = [
        Self::EmptyMessage,
        Self::InvalidUtf8,
        Self::InvalidJson,
        Self::NotAnObject,
        Self::MissingField,
        Self::NullField,
        Self::WrongType,
        Self::OutOfRange,
        Self::DuplicateKey,
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
            Self::TooDeep => "TooDeep",
            Self::TooLarge => "TooLarge",
            Self::Refused => "Refused",
        }
    }
}

/// A refused message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reject {
    pub reason: Reason,
    /// Index of the field at fault.
    pub field: Option<usize>,
    /// Byte of the message at which it was found.
    pub at: Option<usize>,
}

impl Reject {
    pub fn whole(reason: Reason) -> Self {
        Self { reason, field: None, at: None }
    }

    pub fn field(reason: Reason, field: usize) -> Self {
        Self { reason, field: Some(field), at: None }
    }
}

impl From<Reason> for Reject {
    fn from(reason: Reason) -> Self {
        Self::whole(reason)
    }
}
