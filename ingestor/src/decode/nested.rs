//! JSON arrays and objects → arrays, maps, and columns of any JSON object.

use super::MAX_DEPTH;
use super::json::Cursor;
use super::number;
use super::reject::Reason;
use super::value::{Values, numeric};
use crate::block::{Column, Kind};

/// Bounds of values within values.
pub struct Nesting {
    /// How deep the value to come may nest.
    pub depth: u32,
    /// The most memory a row's value may take, its texts aside.
    most: usize,
    /// What is left of it.
    room: usize,
    /// Where the keys of a map are.
    spans: Vec<(usize, usize)>,
}

impl Nesting {
    pub fn new(most: usize) -> Self {
        Self { depth: MAX_DEPTH - 1, most, room: 0, spans: Vec::new() }
    }

    fn take(&mut self, bytes: usize) -> Result<(), Reason> {
        self.room = self.room.checked_sub(bytes).ok_or(Reason::TooLarge)?;
        Ok(())
    }
}

impl Values {
    /// Pushes an array or an object, or leaves the row's column as it was.
    pub(super) fn composite(
        &mut self,
        column: &mut Column,
        cursor: &mut Cursor<'_>,
        scratch: &mut Vec<u8>,
    ) -> Result<(), Reason> {
        let (kind, first) = (column.kind(), cursor.peek());
        if kind == Kind::Json && first == Some(b'{') {
            let start = cursor.position();
            self.document.check(cursor, scratch, self.nesting.depth)?;
            column.push_text(cursor.since(start));
            return Ok(());
        }
        if (kind, first) != (Kind::Array, Some(b'[')) && (kind, first) != (Kind::Map, Some(b'{')) {
            cursor.skip_value(scratch, self.nesting.depth)?;
            return Err(Reason::WrongType);
        }
        let outermost = self.nesting.depth == MAX_DEPTH - 1;
        if outermost {
            self.nesting.room = self.nesting.most;
            column.begin();
        }
        self.nesting.depth -= 1;
        let pushed = match kind {
            Kind::Array => self.array(column, cursor, scratch),
            _ => self.map(column, cursor, scratch),
        };
        self.nesting.depth += 1;
        if outermost && pushed.is_err() {
            column.undo();
        }
        column.close(pushed?);
        Ok(())
    }

    fn array(
        &mut self,
        column: &mut Column,
        cursor: &mut Cursor<'_>,
        scratch: &mut Vec<u8>,
    ) -> Result<u64, Reason> {
        let elements = column.elements();
        let width = width(elements);
        let mut count = 0;
        cursor.items(b']', |cursor| {
            self.nesting.take(width)?;
            count += 1;
            self.push(elements, cursor, scratch)
        })?;
        Ok(count)
    }

    fn map(
        &mut self,
        column: &mut Column,
        cursor: &mut Cursor<'_>,
        scratch: &mut Vec<u8>,
    ) -> Result<u64, Reason> {
        let (keys, values) = column.pairs();
        let width = width(keys) + width(values);
        let from = keys.position();
        let mut count = 0;
        cursor.items(b'}', |cursor| {
            self.nesting.take(width)?;
            count += 1;
            if !cursor.take(b'"') {
                return Err(Reason::InvalidJson);
            }
            self.key(keys, cursor.text(scratch)?)?;
            cursor.colon()?;
            self.push(values, cursor, scratch)
        })?;
        if count > 1 && keys.repeats(from, &mut self.nesting.spans) {
            return Err(Reason::DuplicateKey);
        }
        Ok(count)
    }

    /// Keys are texts, whatever they stand for.
    fn key(&mut self, keys: &mut Column, text: &[u8]) -> Result<(), Reason> {
        match keys.kind() {
            Kind::Text | Kind::Dictionary => {
                keys.push_text(text);
                Ok(())
            }
            kind @ (Kind::Int(_) | Kind::UInt(_)) if number::is_integer(text) => numeric(keys, kind, text),
            kind => self.text(keys, kind, text),
        }
    }
}

/// Bytes that each value takes, its text aside.
fn width(column: &Column) -> usize {
    column.kind().width().max(1) + usize::from(column.nullable())
}
