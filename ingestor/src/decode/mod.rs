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
mod json;
mod number;
mod reject;
mod scan;
mod template;
mod timestamp;
mod tree;
mod unknown;
mod value;

use caudal_model::plan::Field;
use caudal_model::resource::{TimestampFormat, UnknownFields};

pub use reject::{Place, Reason, Reject};

use crate::block::{Columns, Layout, RowId};
use json::Cursor;
use template::Key;
use tree::{Entered, Member, ROOT, Span, Tree};

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
}

/// What becomes of members that no field reads.
enum Unknown {
    Ignore,
    Reject,
    Keep(unknown::Kept),
}

/// What is known of a field while messages are read.
struct Slot {
    /// The round in which its value was last pushed.
    pushed: u64,
    format: TimestampFormat,
}

/// Decodes messages of one plan. Keeps scratch memory, so that a message costs
/// no allocation.
pub struct Decoder {
    names: Vec<Box<str>>,
    slots: Vec<Slot>,
    tree: Tree,
    unknown: Unknown,
    absent: Vec<Absent>,
    /// Messages above this many bytes are refused unread.
    max_bytes: usize,
    scratch: Vec<u8>,
    values: value::Values,
    template: template::Template,
    /// Fields pushed in this round.
    count: usize,
    round: u64,
}

/// A field that can't be filled.
#[derive(Debug, thiserror::Error)]
pub enum BadField {
    #[error("read the default of field {field:?}: {reason:?}")]
    Default { field: String, reason: Reason },
    #[error("read field {0:?}: another one reads the same value, or a part of it")]
    Path(String),
}

impl Decoder {
    /// The columns are those of [`caudal_model::plan::columns`].
    pub fn new(fields: &[Field], unknown_fields: UnknownFields, max_bytes: usize) -> Result<Self, BadField> {
        let mut decoder = Self {
            names: fields.iter().map(|field| field.name.as_str().into()).collect(),
            slots: fields.iter().map(|field| Slot { pushed: 0, format: field.timestamp_format }).collect(),
            tree: Tree::new(fields).map_err(|index| BadField::Path(fields[index].name.clone()))?,
            unknown: match unknown_fields {
                UnknownFields::Ignore => Unknown::Ignore,
                UnknownFields::Reject => Unknown::Reject,
                UnknownFields::Store => Unknown::Keep(unknown::Kept::default()),
            },
            absent: vec![Absent::Refuse; fields.len()],
            max_bytes,
            scratch: Vec::new(),
            values: value::Values::default(),
            template: template::Template::default(),
            count: 0,
            round: 0,
        };
        for (index, field) in fields.iter().enumerate() {
            decoder.absent[index] = decoder.absent(field)?;
        }
        Ok(decoder)
    }

    fn absent(&mut self, field: &Field) -> Result<Absent, BadField> {
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
            .map_err(|reason| BadField::Default { field: field.name.clone(), reason })?;
        Ok(Absent::Value(columns.fields[0].single()))
    }

    /// Appends `message` as a row, or leaves `columns` as they were.
    pub fn decode(&mut self, columns: &mut Columns, message: &[u8], id: RowId) -> Result<(), Reject> {
        if message.is_empty() {
            return Err(Reason::EmptyMessage.into());
        }
        if message.len() > self.max_bytes {
            return Err(Reason::TooLarge.into());
        }
        self.round += 1;
        self.count = 0;
        self.template.begin();
        self.tree.begin();
        if let Unknown::Keep(kept) = &mut self.unknown {
            kept.begin();
        }
        let mut cursor = Cursor::new(message);
        match self.object(columns, &mut cursor).and_then(|()| self.complete(columns)) {
            Ok(()) => {
                self.template.accepted(message, self.names.len());
                if let Unknown::Keep(kept) = &mut self.unknown {
                    columns.fields[self.names.len()].push_text(kept.finish(&self.tree));
                }
                columns.finish_row(id, message.len());
                Ok(())
            }
            Err(reject) => Err(self.refuse(columns, message, reject, cursor.position())),
        }
    }

    #[cold]
    fn refuse(&self, columns: &mut Columns, message: &[u8], mut reject: Reject, position: usize) -> Reject {
        let pushed = self.slots.iter().enumerate().filter(|(_, slot)| slot.pushed == self.round);
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
            let expected = self.template.expected(cursor, &mut self.tree);
            let key = if expected.is_some() { expected } else { self.key(cursor)? };
            let Some(key) = key else { return Ok(()) };
            let start = cursor.position();
            match key {
                Key::Unknown => self.unknown(cursor)?,
                Key::Field(field) => {
                    let slot = &mut self.slots[field];
                    if slot.pushed == self.round {
                        return Err(Reject::field(Reason::DuplicateKey, field));
                    }
                    let column = &mut columns.fields[field];
                    let pushed = match slot.format {
                        TimestampFormat::Iso8601 => self.values.push(column, cursor, &mut self.scratch),
                        format => self.values.moment(format, column, cursor, &mut self.scratch),
                    };
                    pushed.map_err(|reason| Reject::field(reason, field))?;
                    slot.pushed = self.round;
                    self.count += 1;
                }
            }
            self.template.member(key, start, cursor.position(), &self.tree);
        }
    }

    /// The value of a member that no field reads.
    fn unknown(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Reject> {
        let (tree, key) = (&self.tree, self.template.unknown);
        if let Unknown::Reject = self.unknown {
            let reject = Reject::of(Place::Unknown(tree.at), Reason::UnknownField);
            return Err(Reject { at: Some(key.start), ..reject });
        }
        let start = cursor.position();
        cursor.skip_value(&mut self.scratch, MAX_DEPTH - 1 - tree.depth(tree.at))?;
        if let Unknown::Keep(kept) = &mut self.unknown {
            kept.member(tree, cursor.all(), key, Span { start, end: cursor.position() });
        }
        Ok(())
    }

    /// Parses what stands before a value: from the beginning of the message or
    /// the end of the value before it, through the ends and beginnings of
    /// objects. `None`: the message has ended.
    fn key(&mut self, cursor: &mut Cursor<'_>) -> Result<Option<Key>, Reject> {
        let mut first = cursor.position() == 0;
        cursor.skip_whitespace();
        if first {
            if cursor.peek() != Some(b'{') {
                // Well-formed JSON of another kind is told apart from garbage.
                cursor.skip_value(&mut self.scratch, MAX_DEPTH)?;
                cursor.end()?;
                return Err(Reason::NotAnObject.into());
            }
            cursor.advance(1);
        }
        loop {
            cursor.skip_whitespace();
            if cursor.take(b'}') {
                if self.tree.at == ROOT {
                    cursor.end()?;
                    return Ok(None);
                }
                self.tree.at = self.tree.parent(self.tree.at);
                first = false;
                continue;
            }
            if !first {
                if !cursor.take(b',') {
                    return Err(Reason::InvalidJson.into());
                }
                cursor.skip_whitespace();
            }
            let start = cursor.position();
            if !cursor.take(b'"') {
                return Err(Reason::InvalidJson.into());
            }
            let member = self.tree.find(cursor.text(&mut self.scratch)?);
            let span = Span { start, end: cursor.position() };
            cursor.skip_whitespace();
            if !cursor.take(b':') {
                return Err(Reason::InvalidJson.into());
            }
            cursor.skip_whitespace();
            let key = match member {
                Some(Member::Object(node)) => {
                    first = self.enter(cursor, Entered { node, key: span })?;
                    continue;
                }
                Some(Member::Field(field)) => Key::Field(field),
                None => {
                    self.template.unknown = span;
                    Key::Unknown
                }
            };
            self.template.surprise(key, self.tree.at);
            return Ok(Some(key));
        }
    }

    /// Goes into an object that paths lead through; `false` if it is null,
    /// which is as if it were not there.
    fn enter(&mut self, cursor: &mut Cursor<'_>, object: Entered) -> Result<bool, Reject> {
        let Entered { node, .. } = object;
        let reject = |reason| Reject::of(Place::Object(node), reason);
        if !self.tree.is_new(node) {
            return Err(reject(Reason::DuplicateKey));
        }
        self.tree.meet(object);
        self.template.entered(object);
        match cursor.peek() {
            Some(b'{') => {
                cursor.advance(1);
                self.tree.at = node;
                Ok(true)
            }
            Some(b'n') => cursor.literal(b"null").map(|()| false).map_err(reject),
            _ => {
                cursor.skip_value(&mut self.scratch, MAX_DEPTH - self.tree.depth(node))?;
                Err(reject(Reason::WrongType))
            }
        }
    }

    /// Fills in what the message did not have.
    fn complete(&mut self, columns: &mut Columns) -> Result<(), Reject> {
        if self.count == self.names.len() {
            return Ok(());
        }
        for field in 0..self.names.len() {
            if self.slots[field].pushed == self.round {
                continue;
            }
            match &self.absent[field] {
                Absent::Refuse => return Err(Reject::field(Reason::MissingField, field)),
                Absent::Value(value) => {
                    columns.push_encoded(field, value);
                    self.slots[field].pushed = self.round;
                }
            }
        }
        Ok(())
    }

    /// In words, for the header of `message`'s dead letter.
    pub fn explain(&self, reject: &Reject, message: &[u8]) -> String {
        let what = match reject.place {
            Place::Message => String::new(),
            Place::Field(field) => format!("field {:?} ", self.names[field]),
            Place::Object(node) => format!("object {:?} ", self.tree.spell(node, None)),
            Place::Unknown(node) => {
                let key = reject.at.map(|at| key_at(message, at)).unwrap_or_default();
                format!("member {:?} ", self.tree.spell(node, Some(&key)))
            }
        };
        reject.at.map(|at| format!("{what}at byte {at}")).unwrap_or(what)
    }
}

#[cfg(test)]
impl Decoder {
    /// Bytes that are kept from message to message.
    fn held(&self) -> usize {
        let kept = match &self.unknown {
            Unknown::Keep(kept) => kept.capacity(),
            Unknown::Ignore | Unknown::Reject => 0,
        };
        self.template.size() + self.scratch.capacity() + kept
    }
}

/// The key at this byte; of a long one the beginning.
fn key_at(message: &[u8], at: usize) -> String {
    const LONGEST: usize = 100;
    let (mut cursor, mut scratch) = (Cursor::new(message), Vec::new());
    cursor.advance(at + 1);
    let key = cursor.text(&mut scratch).unwrap_or_default();
    let key = String::from_utf8_lossy(key);
    let short: String = key.chars().take(LONGEST).collect();
    if short.len() < key.len() { short + "…" } else { short }
}

#[cfg(test)]
mod tests;
