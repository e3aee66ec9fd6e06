//! A field's default, as the manifest spells it → the JSON value that a message
//! would hold.

use std::net::{IpAddr, Ipv4Addr};
use std::str::FromStr;

use chrono::{DateTime, NaiveDate, NaiveDateTime, SecondsFormat, Utc};
use serde_json::Value;

use crate::ColumnType;
use crate::types::Element;

/// The JSON value of a default, or what to write instead.
///
/// Times come out as UTC, `YYYY-MM-DD hh:mm:ss[.f]`; decimals as strings, since
/// a JSON number would lose digits.
pub fn parse_default(column_type: &ColumnType, text: &str) -> Result<Value, String> {
    use ColumnType as T;
    match column_type {
        T::Int8 => integer::<i8>(text).map(Value::from),
        T::Int16 => integer::<i16>(text).map(Value::from),
        T::Int32 => integer::<i32>(text).map(Value::from),
        T::Int64 => integer::<i64>(text).map(Value::from),
        T::UInt8 => integer::<u8>(text).map(Value::from),
        T::UInt16 => integer::<u16>(text).map(Value::from),
        T::UInt32 => integer::<u32>(text).map(Value::from),
        T::UInt64 => integer::<u64>(text).map(Value::from),
        T::Float32 => float(text, f64::from(f32::MAX)),
        T::Float64 => float(text, f64::MAX),
        T::Decimal { precision, scale } => decimal(text, *precision, *scale),
        T::String | T::LowCardinalityString => Ok(Value::from(text)),
        T::Bool => match text {
            "true" => Ok(Value::Bool(true)),
            "false" => Ok(Value::Bool(false)),
            _ => Err(r#"write "true" or "false""#.to_owned()),
        },
        T::Date => date(text),
        T::DateTime64 { precision, .. } => date_time(text, *precision),
        T::Uuid => uuid(text),
        T::Enum8(names) | T::Enum16(names) if names.contains(text) => Ok(Value::from(text)),
        T::Enum8(names) | T::Enum16(names) => Err(format!("write one of {}", names.list())),
        T::Ipv4 => ip::<Ipv4Addr>(text, "192.0.2.1"),
        T::Ipv6 => ip::<IpAddr>(text, "2001:db8::1"),
        T::Array(_) | T::Map { .. } | T::Json => {
            let value =
                serde_json::from_str(text).map_err(|_| "write JSON, like [1, 2] or {\"a\": 1}".to_owned())?;
            nested(column_type, value)
        }
    }
}

/// Checks a value of a default that is an array or an object.
fn nested(column_type: &ColumnType, value: Value) -> Result<Value, String> {
    use ColumnType as T;
    let of = |element: &Element, value: Value| match value {
        Value::Null if element.nullable => Ok(Value::Null),
        value => nested(&element.column_type, value),
    };
    match (column_type, value) {
        (T::Array(element), Value::Array(items)) => {
            items.into_iter().map(|item| of(element, item)).collect::<Result<_, _>>().map(Value::Array)
        }
        (T::Map { key, value: element }, Value::Object(members)) => {
            let mut checked = serde_json::Map::new();
            for (name, value) in members {
                let name = match parse_default(key, &name)? {
                    Value::String(name) => name,
                    number => number.to_string(),
                };
                if checked.insert(name.clone(), of(element, value)?).is_some() {
                    return Err(format!("write the key {name:?} once"));
                }
            }
            Ok(Value::Object(checked))
        }
        (T::Json, Value::Object(members)) if members.is_empty() => Ok(Value::Object(members)),
        (T::Array(_), _) => Err("write a JSON array, like []".to_owned()),
        (T::Map { .. }, _) => Err("write a JSON object, like {}".to_owned()),
        (T::Json, _) => Err("write {}, the only default of JSON".to_owned()),
        // A JSON number of a default would have lost digits.
        (T::Decimal { .. }, Value::Number(number)) if !number.is_i64() && !number.is_u64() => {
            Err("write decimals in quotes".to_owned())
        }
        (T::Bool, Value::Bool(value)) => Ok(Value::Bool(value)),
        (number, Value::Number(value)) if number.is_number() => parse_default(number, &value.to_string()),
        (T::Bool, _) => Err("write true or false".to_owned()),
        (T::Decimal { .. }, Value::String(text)) => parse_default(column_type, &text),
        (number, other) if number.is_number() => Err(format!("write a number, not {other}")),
        (_, Value::String(text)) => parse_default(column_type, &text),
        (_, other) => Err(format!("write a text in quotes, not {other}")),
    }
}

/// An address in its shortest spelling; of four numbers as one of IPv6, where
/// that is asked for.
fn ip<A: FromStr + ToString>(text: &str, example: &str) -> Result<Value, String> {
    text.parse::<A>()
        .map(|address| Value::from(address.to_string()))
        .map_err(|_| format!("write an address like {example}"))
}

/// `str::parse` also takes `+1` and `007`, which JSON does not.
fn is_json_integer(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    !digits.is_empty()
        && digits.bytes().all(|b| b.is_ascii_digit())
        && (digits == "0" || !digits.starts_with('0'))
}

fn integer<N: FromStr + Bounded>(text: &str) -> Result<N, String> {
    is_json_integer(text)
        .then(|| text.parse().ok())
        .flatten()
        .ok_or_else(|| format!("write a whole number from {} to {}", N::LEAST, N::MOST))
}

trait Bounded {
    const LEAST: i128;
    const MOST: i128;
}

macro_rules! bounded {
    ($($number:ty)*) => {
        $(impl Bounded for $number {
            const LEAST: i128 = <$number>::MIN as i128;
            const MOST: i128 = <$number>::MAX as i128;
        })*
    };
}

bounded!(i8 i16 i32 i64 u8 u16 u32 u64);

fn float(text: &str, most: f64) -> Result<Value, String> {
    let parsed: Option<f64> =
        serde_json::from_str::<serde_json::Number>(text).ok().and_then(|number| number.as_f64());
    parsed
        .filter(|number| number.abs() <= most)
        .map(Value::from)
        .ok_or_else(|| "write a number like 1.5 or -2e3 within the type's range".to_owned())
}

fn decimal(text: &str, precision: u8, scale: u8) -> Result<Value, String> {
    let (whole, fraction) =
        text.split_once('.').map_or((text, None), |(whole, fraction)| (whole, Some(fraction)));
    let digits = whole.strip_prefix('-').unwrap_or(whole);
    let whole_digits = if digits == "0" { 0 } else { digits.len() };
    let fits = is_json_integer(whole)
        && whole_digits <= usize::from(precision - scale)
        && fraction.is_none_or(|fraction| {
            (1..=usize::from(scale)).contains(&fraction.len()) && fraction.bytes().all(|b| b.is_ascii_digit())
        });
    fits.then(|| Value::from(text)).ok_or_else(|| {
        format!(
            "write at most {} digits before the point and {scale} after it, without an exponent",
            precision - scale
        )
    })
}

fn date(text: &str) -> Result<Value, String> {
    let first = NaiveDate::default();
    let last = first + chrono::Days::new(u64::from(u16::MAX));
    NaiveDate::parse_from_str(text, "%Y-%m-%d")
        .ok()
        .filter(|date| (first..=last).contains(date) && text.len() == 10)
        .map(|_| Value::from(text))
        .ok_or_else(|| format!("write a date like 2026-01-31, from {first} to {last}"))
}

/// Ticks since 1970 of a `DateTime64(precision)`, or `None` for what it can't
/// hold: it has the years 1900 to 2299, and 64 bits for its ticks, which
/// nanoseconds use up earlier.
#[inline]
pub fn ticks(seconds: i64, fraction: i64, precision: u8) -> Option<i64> {
    if !(-2_208_988_800..10_413_792_000).contains(&seconds) {
        return None;
    }
    seconds.checked_mul(10_i64.pow(u32::from(precision)))?.checked_add(fraction)
}

/// The last moment that [`ticks`] takes, to the second.
pub fn last_date_time(precision: u8) -> &'static str {
    if precision == 9 { "2262-04-11T23:47:16Z" } else { "2299-12-31T23:59:59Z" }
}

fn date_time(text: &str, precision: u8) -> Result<Value, String> {
    let wrong = || {
        format!(
            "write a time like 2026-01-31T12:00:00Z with at most {precision} digits after the second, from the year \
             1900 to {}",
            last_date_time(precision)
        )
    };
    let moment = instant(text).ok_or_else(wrong)?;
    let nanoseconds = moment.timestamp_subsec_nanos();
    let fraction = i64::from(nanoseconds) / 10_i64.pow(9 - u32::from(precision));
    let held = ticks(moment.timestamp(), fraction, precision).is_some();
    if !held || fraction_digits(text) > usize::from(precision) {
        return Err(wrong());
    }
    let nanoseconds = format!("{nanoseconds:09}");
    let point = if precision == 0 { "" } else { "." };
    let fraction = &nanoseconds[..usize::from(precision)];
    Ok(Value::from(format!("{}{point}{fraction}", moment.format("%Y-%m-%d %H:%M:%S"))))
}

/// RFC 3339, or `YYYY-MM-DD hh:mm:ss[.f]` in UTC.
fn instant(text: &str) -> Option<DateTime<Utc>> {
    let rfc3339 = || DateTime::parse_from_rfc3339(text).ok().map(|moment| moment.to_utc());
    let simple =
        || NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S%.f").ok().map(|moment| moment.and_utc());
    // A leap second would come out as another moment.
    rfc3339().or_else(simple).filter(|moment| moment.timestamp_subsec_nanos() < 1_000_000_000)
}

fn fraction_digits(text: &str) -> usize {
    text.split_once('.').map_or(0, |(_, rest)| rest.bytes().take_while(u8::is_ascii_digit).count())
}

fn uuid(text: &str) -> Result<Value, String> {
    (text.len() == 36)
        .then(|| uuid::Uuid::try_parse(text).ok())
        .flatten()
        .map(|uuid| Value::from(uuid.to_string()))
        .ok_or_else(|| "write a UUID like 61f0c404-5cb3-11e7-907b-a6006ad3dba0".to_owned())
}

/// Milliseconds since 1970 of an RFC 3339 time.
pub fn rfc3339_ms(text: &str) -> Option<i64> {
    DateTime::parse_from_rfc3339(text).ok().map(|moment| moment.timestamp_millis())
}

/// The RFC 3339 form of milliseconds since 1970.
pub fn to_rfc3339(ms: i64) -> Option<String> {
    DateTime::from_timestamp_millis(ms).map(|moment| moment.to_rfc3339_opts(SecondsFormat::Millis, true))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parse(column_type: &str, text: &str) -> Result<Value, String> {
        parse_default(&column_type.parse().unwrap(), text)
    }

    #[test]
    fn reads_defaults_as_a_message_would_hold_them() {
        for (column_type, text, expected) in [
            ("Int8", "-128", json!(-128)),
            ("UInt64", "18446744073709551615", json!(u64::MAX)),
            ("Float64", "-2.5e3", json!(-2500.0)),
            ("Decimal(10, 2)", "-12345678.90", json!("-12345678.90")),
            ("Decimal(2, 2)", "0.25", json!("0.25")),
            ("String", "", json!("")),
            ("LowCardinality(String)", "it's", json!("it's")),
            ("Bool", "false", json!(false)),
            ("Date", "2149-06-06", json!("2149-06-06")),
            ("DateTime64(3)", "2026-01-31T12:00:00.5+02:00", json!("2026-01-31 10:00:00.500")),
            ("DateTime64(0)", "2026-01-31 12:00:00", json!("2026-01-31 12:00:00")),
            ("DateTime64(0)", "2299-12-31T23:59:59Z", json!("2299-12-31 23:59:59")),
            ("DateTime64(9)", "2262-04-11T23:47:16.854775807Z", json!("2262-04-11 23:47:16.854775807")),
            ("UUID", "61F0C404-5CB3-11E7-907B-A6006AD3DBA0", json!("61f0c404-5cb3-11e7-907b-a6006ad3dba0")),
            ("Enum8('a' = 1, 'b c' = 2)", "b c", json!("b c")),
            ("IPv4", "192.0.2.1", json!("192.0.2.1")),
            ("IPv6", "2001:DB8:0:0::1", json!("2001:db8::1")),
            ("IPv6", "192.0.2.1", json!("192.0.2.1")),
            ("Array(Nullable(UInt64))", "[1, null, 18446744073709551615]", json!([1, null, u64::MAX])),
            ("Array(Array(Bool))", "[[], [true]]", json!([[], [true]])),
            ("Array(Decimal(9, 2))", r#"["1.50", 2]"#, json!(["1.50", "2"])),
            ("Map(Int8, Array(Date))", r#"{"-1": ["2026-01-31"]}"#, json!({"-1": ["2026-01-31"]})),
            ("Map(IPv6, JSON)", r#"{"0::1": {}}"#, json!({"::1": {}})),
            ("JSON", "{}", json!({})),
        ] {
            assert_eq!(parse(column_type, text), Ok(expected), "{column_type} {text:?}");
        }
    }

    #[test]
    fn refuses_what_a_message_could_not_hold() {
        for (column_type, text) in [
            ("Int8", "128"),
            ("Int8", "1.0"),
            ("Int8", "+1"),
            ("Int8", "007"),
            ("UInt8", "-1"),
            ("Float32", "1e39"),
            ("Float64", "nan"),
            ("Float64", "1e999"),
            ("Decimal(10, 2)", "123456789.00"),
            ("Decimal(10, 2)", "1.234"),
            ("Decimal(10, 2)", "1."),
            ("Decimal(10, 2)", "1e3"),
            ("Bool", "yes"),
            ("Date", "2149-06-07"),
            ("Date", "1969-12-31"),
            ("Date", "2026-1-31"),
            ("DateTime64(3)", "2026-01-31"),
            ("DateTime64(3)", "2026-01-31T12:00:00.1234Z"),
            ("DateTime64(3)", "1899-12-31T12:00:00Z"),
            ("DateTime64(3)", "2300-01-01T00:00:00Z"),
            ("DateTime64(9)", "2262-04-11T23:47:16.854775808Z"),
            ("DateTime64(3)", "2016-12-31T23:59:60Z"),
            ("UUID", "61f0c4045cb311e7907ba6006ad3dba0"),
            ("Enum8('a' = 1)", "b"),
            ("IPv4", "192.0.2.01"),
            ("IPv4", "::1"),
            ("IPv6", "fe80::1%eth0"),
            ("Array(Int8)", ""),
            ("Array(Int8)", "{}"),
            ("Array(Int8)", "[128]"),
            ("Array(Int8)", "[null]"),
            ("Array(Int8)", "[1.0]"),
            ("Array(String)", "[1]"),
            ("Array(Bool)", r#"["true"]"#),
            ("Array(Decimal(9, 2))", "[1.5]"),
            ("Map(String, Int8)", "[]"),
            ("Map(Int8, Int8)", r#"{"x": 1}"#),
            ("Map(IPv6, Int8)", r#"{"::1": 1, "0::1": 2}"#),
            ("JSON", "[]"),
            ("JSON", r#"{"a": 1}"#),
        ] {
            assert!(parse(column_type, text).is_err(), "{column_type} {text:?}");
        }
    }
}
