//! A good row → one of each kind of message that can't become a row.

use serde_json::{Map, Value, json};

use crate::generate::{Outcome, System};

/// What is wrong with a message. `TooLarge` is not among it: Caudal refuses what
/// exceeds a block (64 MiB by default), and the examples' topics take 1 MiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformation {
    Empty,
    InvalidUtf8,
    Truncated,
    Array,
    MissingField,
    NullField,
    WrongType,
    OutOfRange,
    DuplicateKey,
    TooDeep,
    Tombstone,
}

impl Malformation {
    /// What Caudal makes of it.
    pub fn outcome(self) -> Outcome {
        Outcome::DeadLetter(match self {
            Self::Tombstone => return Outcome::Filtered,
            Self::Empty => "EmptyMessage",
            Self::InvalidUtf8 => "InvalidUtf8",
            Self::Truncated => "InvalidJson",
            Self::Array => "NotAnObject",
            Self::MissingField => "MissingField",
            Self::NullField => "NullField",
            Self::WrongType => "WrongType",
            Self::OutOfRange => "OutOfRange",
            Self::DuplicateKey => "DuplicateKey",
            Self::TooDeep => "TooDeep",
        })
    }
}

/// The kinds that `system` can have: without a number, none is out of range.
pub fn kinds(system: System) -> Vec<Malformation> {
    use Malformation as M;
    let mut kinds = vec![
        M::MissingField,
        M::WrongType,
        M::NullField,
        M::Truncated,
        M::Empty,
        M::Tombstone,
        M::InvalidUtf8,
        M::Array,
        M::DuplicateKey,
        M::TooDeep,
    ];
    if system.beyond_range().is_some() {
        kinds.push(M::OutOfRange);
    }
    kinds
}

/// The message's value and what is to become of it.
pub fn malform(system: System, kind: Malformation, row: &Map<String, Value>) -> (Option<Vec<u8>>, Outcome) {
    let text = Value::Object(row.clone()).to_string();
    let with = |field: &str, value: Value| {
        let mut row = row.clone();
        row.insert(field.to_owned(), value);
        Value::Object(row).to_string().into_bytes()
    };
    let key = system.key();
    let value = match kind {
        Malformation::Tombstone => return (None, kind.outcome()),
        Malformation::Empty => Vec::new(),
        Malformation::InvalidUtf8 => {
            let mut bytes = with("note", json!("#"));
            let mark = bytes.iter().rposition(|byte| *byte == b'#').expect("the note holds it");
            bytes[mark] = 0xff;
            bytes
        }
        Malformation::Truncated => text.as_bytes()[..text.len() / 2].to_vec(),
        Malformation::Array => format!("[{text}]").into_bytes(),
        Malformation::MissingField => {
            let mut row = row.clone();
            row.remove(key);
            Value::Object(row).to_string().into_bytes()
        }
        Malformation::NullField => with(key, Value::Null),
        Malformation::WrongType => with(key, json!({"nested": true})),
        Malformation::OutOfRange => {
            let (field, value) = system.beyond_range().expect("kinds() offers it only where there is one");
            with(field, value)
        }
        Malformation::DuplicateKey => {
            format!("{},\"{key}\":{}}}", &text[..text.len() - 1], row[key]).into_bytes()
        }
        Malformation::TooDeep => {
            let deep = format!("{}{}", "[".repeat(500), "]".repeat(500));
            format!("{},\"note\":{deep}}}", &text[..text.len() - 1]).into_bytes()
        }
    };
    (Some(value), kind.outcome())
}
