//! One column of a block under construction.

use caudal_model::ColumnType;

use super::dictionary::{Dictionary, ENTRY_BYTES};
use super::varint;

/// How a value of a column is laid out and checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Signed, of so many bytes.
    Int(u8),
    UInt(u8),
    Float32,
    Float64,
    /// An integer of `width` bytes counting units of 10^-scale.
    Decimal {
        width: u8,
        precision: u8,
        scale: u8,
    },
    Text,
    Dictionary,
    Bool,
    /// Days since 1970 in two bytes.
    Date,
    /// Ticks of 10^-precision seconds since 1970 in eight bytes.
    DateTime {
        precision: u8,
    },
    Uuid,
}

impl Kind {
    pub fn of(column_type: &ColumnType) -> Self {
        match column_type {
            ColumnType::Int8 => Self::Int(1),
            ColumnType::Int16 => Self::Int(2),
            ColumnType::Int32 => Self::Int(4),
            ColumnType::Int64 => Self::Int(8),
            ColumnType::UInt8 => Self::UInt(1),
            ColumnType::UInt16 => Self::UInt(2),
            ColumnType::UInt32 => Self::UInt(4),
            ColumnType::UInt64 => Self::UInt(8),
            ColumnType::Float32 => Self::Float32,
            ColumnType::Float64 => Self::Float64,
            ColumnType::Decimal { precision, scale } => {
                let width = match precision {
                    0..=9 => 4,
                    10..=18 => 8,
                    19..=38 => 16,
                    _ => 32,
                };
                Self::Decimal { width, precision: *precision, scale: *scale }
            }
            ColumnType::String => Self::Text,
            ColumnType::LowCardinalityString => Self::Dictionary,
            ColumnType::Bool => Self::Bool,
            ColumnType::Date => Self::Date,
            ColumnType::DateTime64 { precision, .. } => Self::DateTime { precision: *precision },
            ColumnType::Uuid => Self::Uuid,
        }
    }

    /// Bytes per value; 0 when values differ in length.
    pub fn width(self) -> usize {
        match self {
            Self::Int(width) | Self::UInt(width) | Self::Decimal { width, .. } => usize::from(width),
            Self::Float32 | Self::Dictionary => 4,
            Self::Float64 | Self::DateTime { .. } => 8,
            Self::Text => 0,
            Self::Bool => 1,
            Self::Date => 2,
            Self::Uuid => 16,
        }
    }

    /// The most memory a value takes, its text aside.
    pub fn most_bytes(self) -> usize {
        match self {
            Self::Text => 1,
            Self::Dictionary => self.width() + ENTRY_BYTES + 10,
            fixed => fixed.width(),
        }
    }
}

/// Values of one field, as wire bytes.
pub struct Column {
    pub(super) kind: Kind,
    pub(super) nullable: bool,
    pub(super) data: Vec<u8>,
    /// One byte per row: 1 is NULL. Empty unless the column has a null map.
    pub(super) nulls: Vec<u8>,
    pub(super) dictionary: Option<Box<Dictionary>>,
    /// Where the last pushed string begins.
    mark: usize,
}

impl Column {
    pub fn new(kind: Kind, nullable: bool) -> Self {
        let dictionary = (kind == Kind::Dictionary).then(|| Box::new(Dictionary::new(nullable)));
        Self { kind, nullable, data: Vec::new(), nulls: Vec::new(), dictionary, mark: 0 }
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
        if let Some(dictionary) = &mut self.dictionary {
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
            Kind::Text => {
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

    /// Takes the last pushed value back. Its dictionary entry may stay: an
    /// entry no row points at means nothing.
    pub fn undo(&mut self) {
        let len = if self.kind == Kind::Text { self.mark } else { self.data.len() - self.kind.width() };
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
        let dictionary = self.dictionary.as_ref().map_or(0, |dictionary| dictionary.bytes());
        self.data.len() + self.nulls.len() + dictionary
    }

    pub fn clear(&mut self) {
        self.data.clear();
        self.nulls.clear();
        self.mark = 0;
        if let Some(dictionary) = &mut self.dictionary {
            dictionary.clear();
        }
    }

    /// The only value, taken out: how defaults are encoded once at the start.
    pub fn single(&self) -> Encoded {
        match self.kind {
            _ if self.nulls.first() == Some(&1) => Encoded::Null,
            Kind::Dictionary if self.nullable && self.data == [0; 4] => Encoded::Null,
            Kind::Dictionary => {
                let wire = self.dictionary.as_ref().map(|dictionary| dictionary.wire()).unwrap_or_default();
                let reserved = if self.nullable { 2 } else { 1 };
                Encoded::Text(without_length(&wire[reserved.min(wire.len())..]))
            }
            Kind::Text => Encoded::Text(without_length(&self.data)),
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
        let mut column = Column::new(Kind::Text, true);
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
        for (kind, nullable) in [(Kind::Text, false), (Kind::Dictionary, false), (Kind::Dictionary, true)] {
            for text in [&b""[..], b"a", &[b'y'; 200]] {
                let mut column = Column::new(kind, nullable);
                column.push_text(text);
                assert_eq!(column.single(), Encoded::Text(text.to_vec()), "{kind:?} {nullable}");
            }
        }
        let mut column = Column::new(Kind::Dictionary, true);
        column.push_null();
        assert_eq!(column.single(), Encoded::Null);
    }
}
