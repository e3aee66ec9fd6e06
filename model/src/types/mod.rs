//! Column types: canonical ClickHouse spelling ⇄ [`ColumnType`].

mod parse;

use std::fmt::{self, Write as _};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Arrays and maps may stand in each other this deep.
pub const MAX_NESTING: u32 = 3;

/// The type of a column, without `Nullable`.
///
/// Printed exactly as `system.columns` prints it, so the two can be compared.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ColumnType {
    Int8,
    Int16,
    Int32,
    Int64,
    UInt8,
    UInt16,
    UInt32,
    UInt64,
    Float32,
    Float64,
    /// `precision` 1–76 digits, `scale` 0–precision of them after the point.
    Decimal {
        precision: u8,
        scale: u8,
    },
    String,
    /// `LowCardinality(String)`.
    LowCardinalityString,
    Bool,
    Date,
    /// `precision` 0–9 digits of a second; times are UTC unless a zone is named,
    /// which changes only how ClickHouse prints them.
    DateTime64 {
        precision: u8,
        timezone: Option<String>,
    },
    Uuid,
    Enum8(EnumNames),
    Enum16(EnumNames),
    Ipv4,
    Ipv6,
    Array(Box<Element>),
    Map {
        key: Box<ColumnType>,
        value: Box<Element>,
    },
    /// Any JSON object.
    Json,
}

/// What stands in an array, or as a value in a map.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Element {
    pub column_type: ColumnType,
    pub nullable: bool,
}

/// Names of an enum with their numbers, in the order of the numbers. Neither
/// occurs twice.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct EnumNames(Vec<(String, i16)>);

impl EnumNames {
    pub fn iter(&self) -> impl Iterator<Item = (&str, i16)> {
        self.0.iter().map(|(name, number)| (name.as_str(), *number))
    }

    pub fn contains(&self, name: &str) -> bool {
        self.iter().any(|(known, _)| known == name)
    }

    /// The names, for messages.
    pub fn list(&self) -> String {
        self.iter().map(|(name, _)| name).collect::<Vec<_>>().join(", ")
    }
}

impl ColumnType {
    /// Whether its values are JSON numbers.
    pub fn is_number(&self) -> bool {
        self.is_integer() || matches!(self, Self::Float32 | Self::Float64 | Self::Decimal { .. })
    }

    fn is_integer(&self) -> bool {
        use ColumnType as T;
        matches!(
            self,
            T::Int8 | T::Int16 | T::Int32 | T::Int64 | T::UInt8 | T::UInt16 | T::UInt32 | T::UInt64
        )
    }

    /// Holds other values: there is no NULL for it, and rows can be neither
    /// sorted nor found by it.
    pub fn is_composite(&self) -> bool {
        matches!(self, Self::Array(_) | Self::Map { .. } | Self::Json)
    }

    /// Whether a key of a JSON object can hold it.
    fn may_be_key(&self) -> bool {
        use ColumnType as T;
        let text = matches!(self, T::String | T::LowCardinalityString | T::Date | T::Uuid);
        self.is_integer() || text || matches!(self, T::Enum8(_) | T::Enum16(_) | T::Ipv4 | T::Ipv6)
    }

    /// The spelling of the type where NULL may stand for a value, or may not.
    pub fn spelled(&self, nullable: bool) -> String {
        match (self, nullable) {
            (Self::LowCardinalityString, true) => "LowCardinality(Nullable(String))".to_owned(),
            (plain, true) => format!("Nullable({plain})"),
            (plain, false) => plain.to_string(),
        }
    }
}

/// A spelling that names no type Caudal knows.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "{0:?} is no type; write one of Int8…Int64, UInt8…UInt64, Float32, Float64, Decimal(precision, scale), \
     String, LowCardinality(String), Bool, Date, DateTime64(precision[, 'zone']), UUID, Enum8('name' = number, …), \
     Enum16('name' = number, …), IPv4, IPv6, Array(T), Map(K, V), JSON; arrays and maps stand in each other at most \
     {MAX_NESTING} deep, elements may be Nullable(T), and K is String, LowCardinality(String), an integer, Date, UUID, \
     an enum, IPv4 or IPv6"
)]
pub struct UnknownType(pub String);

impl FromStr for ColumnType {
    type Err = UnknownType;

    fn from_str(text: &str) -> Result<Self, UnknownType> {
        parse::column_type(text).ok_or_else(|| UnknownType(text.to_owned()))
    }
}

impl fmt::Display for ColumnType {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Decimal { precision, scale } => write!(out, "Decimal({precision}, {scale})"),
            Self::DateTime64 { precision, timezone: None } => write!(out, "DateTime64({precision})"),
            Self::DateTime64 { precision, timezone: Some(zone) } => {
                write!(out, "DateTime64({precision}, '{zone}')")
            }
            Self::LowCardinalityString => out.write_str("LowCardinality(String)"),
            Self::Uuid => out.write_str("UUID"),
            Self::Enum8(names) => write!(out, "Enum8({names})"),
            Self::Enum16(names) => write!(out, "Enum16({names})"),
            Self::Ipv4 => out.write_str("IPv4"),
            Self::Ipv6 => out.write_str("IPv6"),
            Self::Array(element) => write!(out, "Array({element})"),
            Self::Map { key, value } => write!(out, "Map({key}, {value})"),
            Self::Json => out.write_str("JSON"),
            simple => write!(out, "{simple:?}"),
        }
    }
}

impl fmt::Display for Element {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.column_type.spelled(self.nullable))
    }
}

impl fmt::Display for EnumNames {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (name, number)) in self.iter().enumerate() {
            out.write_str(if index == 0 { "'" } else { ", '" })?;
            for character in name.chars() {
                match parse::ESCAPES.iter().find(|(_, plain)| *plain == character) {
                    Some((letter, _)) => write!(out, "\\{letter}")?,
                    None => out.write_char(character)?,
                }
            }
            write!(out, "' = {number}")?;
        }
        Ok(())
    }
}

impl Serialize for ColumnType {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ColumnType {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests;
