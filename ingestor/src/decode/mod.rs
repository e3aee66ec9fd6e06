//! One message → one row in the columns, or a reason why not.
//!
//! Keys are mostly guessed from the messages before ([`template`]); a wrong
//! guess costs a comparison.
//!
//! Strict: what is accepted is JSON by RFC 8259 and UTF-8 throughout, ignored
//! fields included, and every value fits its column exactly. A row is in the
//! columns whole or not at all.

mod datetime;
mod decimal;
mod document;
mod json;
mod nested;
mod number;
mod reject;
mod scan;
mod template;
mod value;

use std::collections::HashMap;

use caudal_model::plan::Field;

pub use reject::{Reason, Reject};

use crate::block::{Columns, Kind, Layout, RowId};
use json::Cursor;
use template::Key;

/// Arrays and objects within a message may nest this deep, itself included.
pub const MAX_DEPTH: u32 = 64;

/// Counts changes of what the same message becomes under the same fields. An
/// open intent is replayed only by the version that made it.
pub const DECODER_VERSION: u32 = 1;

/// What an absent field becomes.
#[derive(Clone, Debug)]
enum Absent {
    Refuse,
    Value(crate::block::Encoded),
    /// An array or a map, as JSON.
    Json(Box<[u8]>),
}

/// Decodes messages of one plan. Keeps scratch memory, so that a message costs
/// no allocation.
pub struct Decoder {
    names: Vec<Box<[u8]>>,
    by_name: HashMap<Box<[u8]>, usize>,
    absent: Vec<Absent>,
    /// Messages above this many bytes are refused unread.
    max_bytes: usize,
    scratch: Vec<u8>,
    values: value::Values,
    template: template::Template,
    /// The round in which a value of a field was last pushed, by field.
    pushed: Vec<u64>,
    /// Fields pushed in this round.
    count: usize,
    round: u64,
}

/// A default that is no value of its field's type.
#[derive(Debug, thiserror::Error)]
#[error("read the default of field {field:?}: {reason:?}")]
pub struct BadDefault {
    field: String,
    reason: Reason,
}

impl Decoder {
    pub fn new(fields: &[Field], max_bytes: usize) -> Result<Self, BadDefault> {
        let names: Vec<Box<[u8]>> = fields.iter().map(|field| field.name.as_bytes().into()).collect();
        let by_name = names.iter().enumerate().map(|(index, name)| (name.clone(), index)).collect();
        let mut decoder = Self {
            by_name,
            absent: vec![Absent::Refuse; names.len()],
            pushed: vec![0; names.len()],
            names,
            max_bytes,
            scratch: Vec::new(),
            values: value::Values::new(max_bytes),
            template: template::Template::default(),
            count: 0,
            round: 0,
        };
        for (index, field) in fields.iter().enumerate() {
            decoder.absent[index] = decoder.absent(field)?;
        }
        Ok(decoder)
    }

    fn absent(&mut self, field: &Field) -> Result<Absent, BadDefault> {
        let Some(default) = &field.default else {
            return Ok(if field.nullable {
                Absent::Value(crate::block::Encoded::Null)
            } else {
                Absent::Refuse
            });
        };
        let layout = Layout::new(std::slice::from_ref(field));
        let mut columns = Columns::new(&layout);
        let text = default.to_string();
        let mut cursor = Cursor::new(text.as_bytes());
        self.values
            .push(&mut columns.fields[0], &mut cursor, &mut self.scratch)
            .map_err(|reason| BadDefault { field: field.name.clone(), reason })?;
        if let Kind::Array | Kind::Map = columns.fields[0].kind() {
            return Ok(Absent::Json(text.into_bytes().into()));
        }
        Ok(Absent::Value(columns.fields[0].single()))
    }

    /// Appends `message` as a row, or leaves `columns` as they were.
    pub fn decode(&mut self, columns: &mut Columns, message: &[u8], id: RowId) -> Result<(), Reject> {
        if message.is_empty() {
            return Err(Reject::whole(Reason::EmptyMessage));
        }
        if message.len() > self.max_bytes {
            return Err(Reject::whole(Reason::TooLarge));
        }
        self.round += 1;
        self.count = 0;
        self.template.begin();
        let mut cursor = Cursor::new(message);
        match self.object(columns, &mut cursor).and_then(|()| self.complete(columns)) {
            Ok(()) => {
                self.template.accepted(message, self.names.len());
                columns.finish_row(id, message.len());
                Ok(())
            }
            Err(reject) => Err(self.refuse(columns, message, reject, cursor.position())),
        }
    }

    #[cold]
    fn refuse(&self, columns: &mut Columns, message: &[u8], mut reject: Reject, position: usize) -> Reject {
        let pushed = self.pushed.iter().enumerate().filter(|(_, round)| **round == self.round);
        pushed.for_each(|(field, _)| columns.fields[field].undo());
        columns.refused(message.len());
        // Bytes that are no UTF-8 are reported as such, wherever the parser
        // stumbled first.
        if reject.reason == Reason::InvalidJson && std::str::from_utf8(message).is_err() {
            reject.reason = Reason::InvalidUtf8;
        }
        reject.at = reject.at.or(Some(position));
        reject
    }

    fn object(&mut self, columns: &mut Columns, cursor: &mut Cursor<'_>) -> Result<(), Reject> {
        loop {
            let expected = self.template.expected(cursor);
            let key = if expected.is_some() { expected } else { self.key(cursor)? };
            let Some(key) = key else { return Ok(()) };
            let start = cursor.position();
            let field = match key {
                Key::Ignored => {
                    cursor.skip_value(&mut self.scratch, MAX_DEPTH - 1)?;
                    None
                }
                Key::Field(field) => {
                    if self.pushed[field] == self.round {
                        return Err(Reject::field(Reason::DuplicateKey, field));
                    }
                    self.values
                        .push(&mut columns.fields[field], cursor, &mut self.scratch)
                        .map_err(|reason| Reject::field(reason, field))?;
                    self.note(field);
                    Some(field)
                }
            };
            self.template.member(field, start, cursor.position());
        }
    }

    /// A value of `field` has been pushed.
    #[inline]
    fn note(&mut self, field: usize) {
        self.pushed[field] = self.round;
        self.count += 1;
    }

    /// Parses what stands before a value: from the beginning of the message or
    /// the end of the value before it. `None`: the object and the message have
    /// ended.
    fn key(&mut self, cursor: &mut Cursor<'_>) -> Result<Option<Key>, Reject> {
        let first = cursor.position() == 0;
        cursor.skip_whitespace();
        if first {
            if cursor.peek() != Some(b'{') {
                // Well-formed JSON of another kind is told apart from garbage.
                cursor.skip_value(&mut self.scratch, MAX_DEPTH)?;
                cursor.end()?;
                return Err(Reject::whole(Reason::NotAnObject));
            }
            cursor.advance(1);
            cursor.skip_whitespace();
        }
        if cursor.take(b'}') {
            cursor.end()?;
            return Ok(None);
        }
        if !first {
            if !cursor.take(b',') {
                return Err(Reject::whole(Reason::InvalidJson));
            }
            cursor.skip_whitespace();
        }
        if !cursor.take(b'"') {
            return Err(Reject::whole(Reason::InvalidJson));
        }
        let field = self.by_name.get(cursor.text(&mut self.scratch)?).copied();
        cursor.skip_whitespace();
        if !cursor.take(b':') {
            return Err(Reject::whole(Reason::InvalidJson));
        }
        cursor.skip_whitespace();
        self.template.surprise(field);
        Ok(Some(field.map_or(Key::Ignored, Key::Field)))
    }

    /// Fills in what the message did not have.
    fn complete(&mut self, columns: &mut Columns) -> Result<(), Reject> {
        if self.count == self.names.len() {
            return Ok(());
        }
        for field in 0..self.names.len() {
            if self.pushed[field] == self.round {
                continue;
            }
            match &self.absent[field] {
                Absent::Refuse => return Err(Reject::field(Reason::MissingField, field)),
                Absent::Value(value) => {
                    columns.push_encoded(field, value);
                    self.note(field);
                }
                Absent::Json(text) => {
                    self.values
                        .push(&mut columns.fields[field], &mut Cursor::new(text), &mut self.scratch)
                        .map_err(|reason| Reject::field(reason, field))?;
                    columns.grew(text.len());
                    self.note(field);
                }
            }
        }
        Ok(())
    }

    /// In words, for the header of a dead letter.
    pub fn explain(&self, reject: &Reject) -> String {
        let field = reject.field.and_then(|field| self.names.get(field));
        match (field.map(|name| String::from_utf8_lossy(name)), reject.at) {
            (Some(field), Some(at)) => format!("field {field:?} at byte {at}"),
            (Some(field), None) => format!("field {field:?}"),
            (None, Some(at)) => format!("at byte {at}"),
            (None, None) => String::new(),
        }
    }
}

#[cfg(test)]
mod tests;
