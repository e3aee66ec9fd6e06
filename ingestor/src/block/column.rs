//! One column of a block under construction.

use caudal_model::ColumnType;

use super::dictionary::Dictionary;
use super::kind::Kind;
use super::nested::Nested;
use super::sealed::Buffer;
use super::{enumeration, varint};

/// Values of one field, as wire bytes.
pub struct Column {
    pub(super) kind: Kind,
    pub(super) nullable: bool,
    pub(super) data: Vec<u8>,
    /// One byte per row: 1 is NULL. Empty unless the column has a null map.
    pub(super) nulls: Vec<u8>,
    pub(super) beside: Beside,
    /// Where the last pushed string begins.
    mark: usize,
}

/// What some kinds need besides their values.
pub(super) enum Beside {
    Nothing,
    Dictionary(Box<Dictionary>),
    Names(enumeration::Numbers),
    Nested(Box<Nested>),
}

impl Column {
    pub fn new(column_type: &ColumnType, nullable: bool) -> Self {
        let beside = match column_type {
            ColumnType::LowCardinalityString => Beside::Dictionary(Box::new(Dictionary::new(nullable))),
            ColumnType::Enum8(names) | ColumnType::Enum16(names) => {
                Beside::Names(enumeration::Numbers::new(names))
            }
            ColumnType::Array(_) | ColumnType::Map { .. } => {
                Beside::Nested(Box::new(Nested::new(column_type)))
            }
            _ => Beside::Nothing,
        };
        let kind = Kind::of(column_type);
        Self { kind, nullable, data: Vec::new(), nulls: Vec::new(), beside, mark: 0 }
    }

    #[inline]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    #[inline]
    pub fn nullable(&self) -> bool {
        self.nullable
    }

    /// Pushes a value of fixed width.
    #[inline]
    pub fn push<const WIDTH: usize>(&mut self, value: [u8; WIDTH]) {
        debug_assert_eq!(WIDTH, self.kind.width());
        self.data.extend_from_slice(&value);
        self.not_null();
    }

    /// Pushes a string.
    #[inline]
    pub fn push_text(&mut self, text: &[u8]) {
        if let Beside::Dictionary(dictionary) = &mut self.beside {
            let number = dictionary.number(text);
            self.data.extend_from_slice(&number.to_le_bytes());
        } else {
            self.mark = self.data.len();
            varint(&mut self.data, text.len());
            self.data.extend_from_slice(text);
            self.not_null();
        }
    }

    #[inline]
    fn not_null(&mut self) {
        if self.nullable {
            self.nulls.push(0);
        }
    }

    pub fn push_null(&mut self) {
        debug_assert!(self.nullable);
        match self.kind {
            // NULL is number 0 of the dictionary; there is no map.
            Kind::Dictionary => self.data.extend_from_slice(&[0; 4]),
            Kind::Text | Kind::Json => {
                self.mark = self.data.len();
                self.data.push(0);
                self.nulls.push(1);
            }
            kind => {
                self.data.resize(self.data.len() + kind.width(), 0);
                self.nulls.push(1);
            }
        }
    }

    /// The number of an enum's name.
    pub fn number_of(&self, name: &[u8]) -> Option<i16> {
        match &self.beside {
            Beside::Names(numbers) => numbers.get(name),
            _ => None,
        }
    }

    /// Takes the last pushed value back. Its dictionary entry may stay: an
    /// entry no row points at means nothing.
    pub fn undo(&mut self) {
        if let Beside::Nested(_) = self.beside {
            return self.undo_nested();
        }
        let width = self.kind.width();
        let len = if width == 0 { self.mark } else { self.data.len() - width };
        self.data.truncate(len);
        self.nulls.pop();
    }

    /// Pushes what the default value was encoded to.
    pub fn push_encoded(&mut self, value: &Encoded) {
        match value {
            Encoded::Null => self.push_null(),
            Encoded::Text(text) => self.push_text(text),
            Encoded::Fixed(bytes) => {
                self.data.extend_from_slice(bytes);
                self.not_null();
            }
        }
    }

    pub fn bytes(&self) -> usize {
        let beside = match &self.beside {
            Beside::Nothing | Beside::Names(_) => 0,
            Beside::Dictionary(dictionary) => dictionary.bytes(),
            Beside::Nested(nested) => nested.columns.iter().map(Self::bytes).sum(),
        };
        self.data.len() + self.nulls.len() + beside
    }

    pub fn clear(&mut self) {
        self.data.clear();
        self.nulls.clear();
        self.mark = 0;
        match &mut self.beside {
            Beside::Nothing | Beside::Names(_) => {}
            Beside::Dictionary(dictionary) => dictionary.clear(),
            Beside::Nested(nested) => nested.columns.iter_mut().for_each(Self::clear),
        }
    }

    pub(super) fn beneath(&mut self) -> &mut [Self] {
        match &mut self.beside {
            Beside::Nested(nested) => &mut nested.columns,
            _ => &mut [],
        }
    }

    /// The memory, emptied.
    pub(super) fn take_buffer(&mut self) -> Buffer {
        self.clear();
        let beneath = self.beneath().iter_mut().map(Self::take_buffer).collect();
        Buffer { data: std::mem::take(&mut self.data), nulls: std::mem::take(&mut self.nulls), beneath }
    }

    pub(super) fn reuse(&mut self, buffer: Buffer) {
        // A message that was refused may have left its memory.
        if self.data.is_empty() {
            self.data = buffer.data;
            self.nulls = buffer.nulls;
        }
        self.beneath().iter_mut().zip(buffer.beneath).for_each(|(column, buffer)| column.reuse(buffer));
    }

    /// The only value, taken out: how defaults are encoded once at the start.
    /// Not of arrays and maps.
    pub fn single(&self) -> Encoded {
        match self.kind {
            _ if self.nulls.first() == Some(&1) => Encoded::Null,
            Kind::Dictionary if self.nullable && self.data == [0; 4] => Encoded::Null,
            Kind::Dictionary => {
                let wire = match &self.beside {
                    Beside::Dictionary(dictionary) => dictionary.wire(),
                    _ => &[],
                };
                let reserved = if self.nullable { 2 } else { 1 };
                Encoded::Text(without_length(&wire[reserved.min(wire.len())..]))
            }
            Kind::Text | Kind::Json => Encoded::Text(without_length(&self.data)),
            _ => Encoded::Fixed(self.data.clone()),
        }
    }
}

/// A value taken out of a column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Encoded {
    Null,
    Text(Vec<u8>),
    Fixed(Vec<u8>),
}

fn without_length(wire: &[u8]) -> Vec<u8> {
    let prefix = wire.iter().position(|byte| byte & 0x80 == 0).map_or(0, |last| last + 1);
    wire[prefix..].to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_back_what_was_pushed() {
        let mut column = Column::new(&ColumnType::String, true);
        column.push_text(b"kept");
        let before = (column.data.clone(), column.nulls.clone());
        column.push_text(&[b'x'; 300]);
        column.undo();
        column.push_null();
        column.undo();
        assert_eq!((column.data, column.nulls), before);
    }

    #[test]
    fn gives_a_default_back_as_it_was_encoded() {
        let dictionary = ColumnType::LowCardinalityString;
        for (of, nullable) in [(&ColumnType::String, false), (&dictionary, false), (&dictionary, true)] {
            for text in [&b""[..], b"a", &[b'y'; 200]] {
                let mut column = Column::new(of, nullable);
                column.push_text(text);
                assert_eq!(column.single(), Encoded::Text(text.to_vec()), "{of} {nullable}");
            }
        }
        let mut column = Column::new(&dictionary, true);
        column.push_null();
        assert_eq!(column.single(), Encoded::Null);
    }
}
