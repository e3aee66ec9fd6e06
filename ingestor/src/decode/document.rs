//! Whether ClickHouse takes an object for its type JSON.
//!
//! It makes a column of each path, a dot in a key being one between keys, and
//! refuses an object with two values for one path, and numbers it has no type
//! for.

use super::json::Cursor;
use super::number;
use super::reject::Reason;
use crate::block::Dictionary;

/// Checks objects; keeps memory for the paths of one.
pub struct Document {
    /// Of each piece of a path: the number of the piece before, and its text.
    pieces: Dictionary,
    /// Pieces at which a member's path has ended.
    taken: Vec<bool>,
    /// Objects that stand in arrays, where paths begin anew.
    roots: u32,
    piece: Vec<u8>,
}

/// More memory than this is not kept.
const KEPT_BYTES: usize = 1 << 20;

impl Default for Document {
    fn default() -> Self {
        Self { pieces: Dictionary::new(false), taken: Vec::new(), roots: 0, piece: Vec::new() }
    }
}

impl Document {
    /// Passes over an object that nests at most `depth` deep.
    pub fn check(
        &mut self,
        cursor: &mut Cursor<'_>,
        scratch: &mut Vec<u8>,
        depth: u32,
    ) -> Result<(), Reason> {
        if self.pieces.bytes() > KEPT_BYTES {
            *self = Self::default();
        }
        self.pieces.clear();
        self.taken.clear();
        self.roots = 0;
        self.array_item(cursor, scratch, depth)
    }

    /// An object is one of its own here.
    fn array_item(
        &mut self,
        cursor: &mut Cursor<'_>,
        scratch: &mut Vec<u8>,
        depth: u32,
    ) -> Result<(), Reason> {
        let root = u32::MAX - self.roots;
        self.roots += 1;
        self.value(cursor, scratch, depth, root)
    }

    /// Any value; `path` is the number of its last piece.
    fn value(
        &mut self,
        cursor: &mut Cursor<'_>,
        scratch: &mut Vec<u8>,
        depth: u32,
        path: u32,
    ) -> Result<(), Reason> {
        match cursor.peek() {
            Some(b'{') => {
                let depth = depth.checked_sub(1).ok_or(Reason::TooDeep)?;
                cursor.items(b'}', |cursor| {
                    if !cursor.take(b'"') {
                        return Err(Reason::InvalidJson);
                    }
                    let path = self.member(path, cursor.text(scratch)?)?;
                    cursor.colon()?;
                    self.value(cursor, scratch, depth, path)
                })
            }
            Some(b'[') => {
                let depth = depth.checked_sub(1).ok_or(Reason::TooDeep)?;
                cursor.items(b']', |cursor| self.array_item(cursor, scratch, depth))
            }
            Some(b'-' | b'0'..=b'9') => number(cursor.number()?),
            _ => cursor.skip_value(scratch, depth),
        }
    }

    /// The path of a member, of which there is but one.
    fn member(&mut self, path: u32, key: &[u8]) -> Result<u32, Reason> {
        let mut path = path;
        for piece in key.split(|byte| *byte == b'.') {
            self.piece.clear();
            self.piece.extend_from_slice(&path.to_le_bytes());
            self.piece.extend_from_slice(piece);
            path = self.pieces.number(&self.piece);
        }
        self.taken.resize(self.pieces.len(), false);
        let taken = &mut self.taken[path as usize];
        if std::mem::replace(taken, true) { Err(Reason::DuplicateKey) } else { Ok(path) }
    }
}

/// An integer of 64 bits, or a finite float.
fn number(text: &[u8]) -> Result<(), Reason> {
    if text.iter().all(|byte| byte.is_ascii_digit() || *byte == b'-') {
        let (negative, magnitude) = number::integer(text)?;
        let fits = !negative || magnitude <= i64::MIN.unsigned_abs();
        return if fits { Ok(()) } else { Err(Reason::OutOfRange) };
    }
    number::float64(text).map(drop)
}
