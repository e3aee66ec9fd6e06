//! What a column's values are.

use caudal_model::ColumnType;
use caudal_model::types::Element;

use super::dictionary::ENTRY_BYTES;

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
    /// The number, in so many bytes, of one of the column's names.
    Enum(u8),
    Ipv4,
    Ipv6,
    /// The text of an object, which the server takes apart.
    Json,
    /// Where the elements end, in eight bytes; these are in the column beneath.
    Array,
    /// As an array, with keys and values in two columns beneath.
    Map,
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
            ColumnType::Enum8(_) => Self::Enum(1),
            ColumnType::Enum16(_) => Self::Enum(2),
            ColumnType::Ipv4 => Self::Ipv4,
            ColumnType::Ipv6 => Self::Ipv6,
            ColumnType::Json => Self::Json,
            ColumnType::Array(_) => Self::Array,
            ColumnType::Map { .. } => Self::Map,
        }
    }

    /// Bytes per value; 0 when values differ in length.
    pub fn width(self) -> usize {
        match self {
            Self::Int(width) | Self::UInt(width) | Self::Enum(width) | Self::Decimal { width, .. } => {
                usize::from(width)
            }
            Self::Float32 | Self::Dictionary | Self::Ipv4 => 4,
            Self::Float64 | Self::DateTime { .. } | Self::Array | Self::Map => 8,
            Self::Text | Self::Json => 0,
            Self::Bool => 1,
            Self::Date => 2,
            Self::Uuid | Self::Ipv6 => 16,
        }
    }
}

/// The most memory a value takes, its text and its elements aside.
pub(super) fn most_bytes(column_type: &ColumnType, nullable: bool) -> usize {
    let value = match Kind::of(column_type) {
        Kind::Text | Kind::Json => 1,
        kind @ Kind::Dictionary => kind.width() + ENTRY_BYTES + 10,
        fixed => fixed.width(),
    };
    value + usize::from(nullable)
}

/// The most memory an element takes, texts aside, anywhere in values of this
/// type.
pub(super) fn most_element_bytes(column_type: &ColumnType) -> usize {
    let element = |element: &Element| {
        (most_bytes(&element.column_type, element.nullable), most_element_bytes(&element.column_type))
    };
    match column_type {
        ColumnType::Array(of) => {
            let (own, beneath) = element(of);
            own.max(beneath)
        }
        ColumnType::Map { key, value } => {
            let (own, beneath) = element(value);
            (most_bytes(key, false) + own).max(beneath)
        }
        _ => 0,
    }
}
