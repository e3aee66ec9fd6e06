//! What a message becomes, written for being obvious: the whole message as a
//! tree by serde_json, then each value by its type.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr};

use caudal_model::ColumnType;
use caudal_model::plan::Field;
use caudal_model::value::parse_default;
use chrono::{NaiveDate, NaiveDateTime};
use serde::Deserialize;
use serde::de::{MapAccess, Visitor};
use serde_json::value::RawValue;

/// A value in a column, as bytes on the wire without its length.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Null,
    Bytes(Vec<u8>),
    /// Elements of an array; keys and values of a map in turn.
    List(Vec<Value>),
}

enum Tree<'a> {
    Object(Vec<(String, Tree<'a>)>, &'a str),
    Array(Vec<Tree<'a>>),
    Number(&'a str),
    Text(String),
    Bool(bool),
    Null,
}

/// Members of an object, also those of one name.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Members<'de>;

            fn expecting(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                out.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}

fn tree(text: &str, depth: u32) -> Option<Tree<'_>> {
    Some(match text.as_bytes().first()? {
        b'{' => {
            let depth = depth.checked_sub(1)?;
            let Members(members) = serde_json::from_str(text).ok()?;
            let members = members.into_iter().map(|(name, value)| Some((name, tree(value.get(), depth)?)));
            Tree::Object(members.collect::<Option<_>>()?, text)
        }
        b'[' => {
            let depth = depth.checked_sub(1)?;
            let items: Vec<&RawValue> = serde_json::from_str(text).ok()?;
            Tree::Array(items.into_iter().map(|item| tree(item.get(), depth)).collect::<Option<_>>()?)
        }
        b'"' => Tree::Text(serde_json::from_str(text).ok()?),
        b't' | b'f' => Tree::Bool(serde_json::from_str(text).ok()?),
        b'n' => Tree::Null,
        _ => Tree::Number(text),
    })
}

/// A field without a default.
pub fn field(number: usize, of: &str, nullable: bool) -> Field {
    let text = serde_json::json!({"name": format!("f{number}"), "type": of, "nullable": nullable});
    serde_json::from_value(text).unwrap()
}

/// The row's values; `None`: the message is refused.
pub fn row(fields: &[Field], message: &[u8]) -> Option<Vec<Value>> {
    let text = std::str::from_utf8(message).ok()?;
    let whole: &RawValue = serde_json::from_str(text).ok()?;
    let Tree::Object(members, _) = tree(whole.get(), 64)? else { return None };
    let value = |field: &Field| {
        let mut found = members.iter().filter(|(name, _)| *name == field.name).map(|(_, value)| value);
        let value = match found.next() {
            Some(value) => convert(&field.column_type, field.nullable, value)?,
            None => field.nullable.then_some(Value::Null)?,
        };
        found.next().is_none().then_some(value)
    };
    fields.iter().map(value).collect()
}

fn convert(of: &ColumnType, nullable: bool, value: &Tree<'_>) -> Option<Value> {
    use ColumnType as T;
    let bytes = match (of, value) {
        (_, Tree::Null) => return nullable.then_some(Value::Null),
        (T::Array(element), Tree::Array(items)) => {
            let items = items.iter().map(|item| convert(&element.column_type, element.nullable, item));
            return items.collect::<Option<_>>().map(Value::List);
        }
        (T::Map { key, value }, Tree::Object(members, _)) => return map(key, value, members),
        (T::Json, object @ Tree::Object(_, text)) => {
            paths(object, "", &mut HashSet::new()).then(|| text.as_bytes().to_vec())?
        }
        (T::String | T::LowCardinalityString, Tree::Text(text)) => text.as_bytes().to_vec(),
        (T::Bool, Tree::Bool(value)) => vec![u8::from(*value)],
        (T::Float32, Tree::Number(text)) => {
            text.parse().ok().filter(|float: &f32| float.is_finite())?.to_le_bytes().to_vec()
        }
        (T::Float64, Tree::Number(text)) => {
            text.parse().ok().filter(|float: &f64| float.is_finite())?.to_le_bytes().to_vec()
        }
        (T::Decimal { precision, scale }, Tree::Number(text)) => decimal(text, *precision, *scale)?,
        (T::Decimal { precision, scale }, Tree::Text(text)) => {
            decimal(json_number(text)?, *precision, *scale)?
        }
        (T::Int64 | T::UInt64, Tree::Text(text)) => integer(of, json_number(text)?)?,
        (_, Tree::Number(text)) => integer(of, text)?,
        (_, Tree::Text(text)) => of_text(of, text)?,
        _ => return None,
    };
    Some(Value::Bytes(bytes))
}

fn map(
    key: &ColumnType,
    value: &caudal_model::types::Element,
    members: &[(String, Tree<'_>)],
) -> Option<Value> {
    let mut list: Vec<Value> = Vec::new();
    for (name, member) in members {
        let key = Value::Bytes(match key {
            ColumnType::String | ColumnType::LowCardinalityString => name.as_bytes().to_vec(),
            ColumnType::Int8 | ColumnType::UInt64 => integer(key, json_number(name)?)?,
            other => of_text(other, name)?,
        });
        if list.iter().step_by(2).any(|known| *known == key) {
            return None;
        }
        list.extend([key, convert(&value.column_type, value.nullable, member)?]);
    }
    Some(Value::List(list))
}

/// Whether no two members have one path, and all numbers fit.
fn paths(value: &Tree<'_>, path: &str, known: &mut HashSet<String>) -> bool {
    match value {
        Tree::Object(members, _) => members.iter().all(|(name, value)| {
            let path = if path.is_empty() { format!("/{name}") } else { format!("{path}.{name}") };
            known.insert(path.clone()) && paths(value, &path, known)
        }),
        Tree::Array(items) => items.iter().all(|item| paths(item, "", &mut HashSet::new())),
        Tree::Number(text) if text.contains(['.', 'e', 'E']) => text.parse().is_ok_and(f64::is_finite),
        Tree::Number(text) => text.parse::<i64>().is_ok() || text.parse::<u64>().is_ok(),
        _ => true,
    }
}

fn json_number(text: &str) -> Option<&str> {
    let number = text.starts_with(|c: char| c == '-' || c.is_ascii_digit());
    (number && text.trim_end() == text && serde_json::from_str::<&RawValue>(text).is_ok()).then_some(text)
}

fn integer(of: &ColumnType, text: &str) -> Option<Vec<u8>> {
    use ColumnType as T;
    let value: i128 = text.parse().ok()?;
    let (width, signed) = match of {
        T::Int8 => (1, true),
        T::Int16 => (2, true),
        T::Int32 => (4, true),
        T::Int64 => (8, true),
        T::UInt8 => (1, false),
        T::UInt16 => (2, false),
        T::UInt32 => (4, false),
        T::UInt64 => (8, false),
        _ => return None,
    };
    let bits = 8 * width - usize::from(signed);
    let least = if signed { -(1_i128 << bits) } else { 0 };
    (least..1 << bits).contains(&value).then(|| value.to_le_bytes()[..width].to_vec())
}

fn decimal(text: &str, precision: u8, scale: u8) -> Option<Vec<u8>> {
    let (number, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let (negative, whole) = whole.strip_prefix('-').map_or((false, whole), |whole| (true, whole));
    let digits = format!("{whole}{fraction}");
    let digits = digits.trim_start_matches('0');
    if digits.is_empty() {
        return Some(scaled(0, precision));
    }
    // Beyond any that could still be shifted into the type.
    let exponent: i64 =
        exponent.parse().unwrap_or(if exponent.starts_with('-') { i64::MIN / 2 } else { i64::MAX / 2 });
    let shift = exponent - i64::try_from(fraction.len()).ok()? + i64::from(scale);
    let shifted = if shift >= 0 {
        let zeros = usize::try_from(shift).ok().filter(|zeros| *zeros < 100)?;
        format!("{digits}{}", "0".repeat(zeros))
    } else {
        let dropped = usize::try_from(-shift).ok()?;
        let kept = digits.len().checked_sub(dropped).filter(|kept| *kept > 0)?;
        digits[kept..].bytes().all(|digit| digit == b'0').then(|| digits[..kept].to_owned())?
    };
    let value: i128 = (shifted.len() <= usize::from(precision)).then(|| shifted.parse().ok())??;
    Some(scaled(if negative { -value } else { value }, precision))
}

fn scaled(value: i128, precision: u8) -> Vec<u8> {
    let width = match precision {
        0..=9 => 4,
        10..=18 => 8,
        _ => 16,
    };
    value.to_le_bytes()[..width].to_vec()
}

fn of_text(of: &ColumnType, text: &str) -> Option<Vec<u8>> {
    use ColumnType as T;
    Some(match of {
        T::Date => {
            parse_default(of, text).ok()?;
            let days = text.parse::<NaiveDate>().ok()? - NaiveDate::default();
            u16::try_from(days.num_days()).ok()?.to_le_bytes().to_vec()
        }
        T::DateTime64 { .. } => {
            let moment = NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S").ok()?;
            (moment.and_utc().timestamp() * 1_000).to_le_bytes().to_vec()
        }
        T::Uuid => {
            parse_default(of, text).ok()?;
            let (high, low) = text.split_at(18);
            let word = |text: &str| u64::from_str_radix(&text.replace('-', ""), 16).map(u64::to_le_bytes);
            [word(high).ok()?, word(low).ok()?].concat()
        }
        T::Enum8(names) => {
            let (_, number) = names.iter().find(|(name, _)| *name == text)?;
            i8::try_from(number).ok()?.to_le_bytes().to_vec()
        }
        T::Enum16(names) => {
            let (_, number) = names.iter().find(|(name, _)| *name == text)?;
            number.to_le_bytes().to_vec()
        }
        T::Ipv4 => text.parse::<Ipv4Addr>().ok()?.octets().into_iter().rev().collect(),
        T::Ipv6 => match text.parse().ok()? {
            IpAddr::V4(address) => [&[0; 10][..], &[0xff; 2], &address.octets()].concat(),
            IpAddr::V6(address) => address.octets().to_vec(),
        },
        _ => return None,
    })
}
