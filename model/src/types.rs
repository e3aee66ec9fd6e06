//! Column types: canonical ClickHouse spelling ⇄ [`ColumnType`].

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

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
}

/// A spelling that names no type Caudal knows.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "{0:?} is no type; write one of Int8…Int64, UInt8…UInt64, Float32, Float64, Decimal(precision, scale), \
     String, LowCardinality(String), Bool, Date, DateTime64(precision[, 'zone']), UUID"
)]
pub struct UnknownType(pub String);

impl FromStr for ColumnType {
    type Err = UnknownType;

    fn from_str(text: &str) -> Result<Self, UnknownType> {
        parse(text).ok_or_else(|| UnknownType(text.to_owned()))
    }
}

fn parse(text: &str) -> Option<ColumnType> {
    use ColumnType as T;
    if let Some(arguments) = text.strip_prefix("Decimal(").and_then(|rest| rest.strip_suffix(')')) {
        let (precision, scale) = arguments.split_once(',')?;
        let (precision, scale) = (number(precision)?, number(scale.trim_start_matches(' '))?);
        return ((1..=76).contains(&precision) && scale <= precision)
            .then_some(T::Decimal { precision, scale });
    }
    if let Some(arguments) = text.strip_prefix("DateTime64(").and_then(|rest| rest.strip_suffix(')')) {
        let (precision, zone) = match arguments.split_once(',') {
            None => (arguments, None),
            Some((precision, zone)) => {
                let zone = zone.trim_start_matches(' ').strip_prefix('\'')?.strip_suffix('\'')?;
                let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '_' | '+' | '-');
                if zone.is_empty() || !zone.chars().all(plain) {
                    return None;
                }
                (precision, Some(zone.to_owned()))
            }
        };
        let precision = number(precision)?;
        return (precision <= 9).then_some(T::DateTime64 { precision, timezone: zone });
    }
    Some(match text {
        "Int8" => T::Int8,
        "Int16" => T::Int16,
        "Int32" => T::Int32,
        "Int64" => T::Int64,
        "UInt8" => T::UInt8,
        "UInt16" => T::UInt16,
        "UInt32" => T::UInt32,
        "UInt64" => T::UInt64,
        "Float32" => T::Float32,
        "Float64" => T::Float64,
        "String" => T::String,
        "LowCardinality(String)" => T::LowCardinalityString,
        "Bool" => T::Bool,
        "Date" => T::Date,
        "UUID" => T::Uuid,
        _ => return None,
    })
}

/// One or two digits without a leading zero.
fn number(text: &str) -> Option<u8> {
    let canonical = text == "0" || !text.starts_with('0');
    (canonical && text.len() <= 2 && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().ok())?
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
            simple => write!(out, "{simple:?}"),
        }
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
mod tests {
    use super::*;

    #[test]
    fn prints_what_it_parsed() {
        for text in [
            "Int8",
            "UInt64",
            "Float32",
            "Decimal(18, 2)",
            "String",
            "LowCardinality(String)",
            "Bool",
            "Date",
            "DateTime64(3)",
            "DateTime64(6, 'America/Argentina/Buenos_Aires')",
            "UUID",
        ] {
            assert_eq!(text.parse::<ColumnType>().unwrap().to_string(), text);
        }
        assert_eq!("Decimal(18,2)".parse::<ColumnType>().unwrap().to_string(), "Decimal(18, 2)");
    }

    #[test]
    fn refuses_what_is_no_type() {
        for text in [
            "",
            "int",
            "Int128",
            "Nullable(String)",
            "Decimal(77, 0)",
            "Decimal(2, 3)",
            "Decimal(0, 0)",
            "DateTime64(10)",
            "DateTime64(3, 'a'b')",
            "DateTime64(3, '')",
            "String; DROP TABLE t",
        ] {
            assert!(text.parse::<ColumnType>().is_err(), "{text:?}");
        }
    }
}
