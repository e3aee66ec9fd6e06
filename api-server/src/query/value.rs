//! Text from a URL + column type → canonical text that ClickHouse reads as
//! exactly that value, or what would have been right.

use std::fmt::Debug;
use std::net::{IpAddr, Ipv4Addr};
use std::str::FromStr;

use caudal_model::ColumnType;
use caudal_model::value::{last_date_time, ticks};
use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, Timelike, Utc};

/// Says what the column takes.
pub type Expected = String;

/// Checks `text` against `column_type`. A value the column can't hold is
/// refused, not rounded: it would compare as something else.
pub fn parse(column_type: &ColumnType, text: &str) -> Result<String, Expected> {
    use ColumnType as T;
    match column_type {
        T::Int8 => integer(text, i8::MIN.into(), i8::MAX.into()),
        T::Int16 => integer(text, i16::MIN.into(), i16::MAX.into()),
        T::Int32 => integer(text, i32::MIN.into(), i32::MAX.into()),
        T::Int64 => integer(text, i64::MIN.into(), i64::MAX.into()),
        T::UInt8 => integer(text, 0, u8::MAX.into()),
        T::UInt16 => integer(text, 0, u16::MAX.into()),
        T::UInt32 => integer(text, 0, u32::MAX.into()),
        T::UInt64 => integer(text, 0, u64::MAX.into()),
        T::Float32 => float::<f32>(text, f32::is_finite),
        T::Float64 => float::<f64>(text, f64::is_finite),
        T::Decimal { precision, scale } => decimal(text, *precision, *scale),
        T::String | T::LowCardinalityString => Ok(text.to_owned()),
        T::Bool if matches!(text, "true" | "false") => Ok(text.to_owned()),
        T::Bool => Err("true or false".to_owned()),
        T::Date => date(text),
        T::DateTime64 { precision, .. } => timestamp(text, *precision),
        T::Uuid => uuid(text),
        T::Enum8(names) | T::Enum16(names) if names.contains(text) => Ok(text.to_owned()),
        T::Enum8(names) | T::Enum16(names) => Err(format!("one of {}", names.list())),
        T::Ipv4 => ip::<Ipv4Addr>(text, "an IPv4 address such as 192.0.2.1"),
        T::Ipv6 => ip::<IpAddr>(text, "an IP address such as 2001:db8::1"),
        T::Array(_) | T::Map { .. } | T::Json => Err("no comparison".to_owned()),
    }
}

fn integer(text: &str, least: i128, most: i128) -> Result<String, Expected> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let value = plain.then(|| text.parse::<i128>().ok()).flatten();
    value
        .filter(|value| (least..=most).contains(value))
        .map(|value| value.to_string())
        .ok_or_else(|| format!("a whole number from {least} to {most}"))
}

fn float<F: Copy + FromStr + Debug>(text: &str, finite: fn(F) -> bool) -> Result<String, Expected> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let value = if digits.starts_with(|c: char| c.is_ascii_digit()) { text.parse::<F>().ok() } else { None };
    value
        .filter(|value| finite(*value))
        .map(|value| format!("{value:?}"))
        .ok_or_else(|| "a finite number such as 1.5 or 2e10".to_owned())
}

fn decimal(text: &str, precision: u8, scale: u8) -> Result<String, Expected> {
    let whole_digits = usize::from(precision - scale);
    let parse = || {
        let (sign, digits) = text.strip_prefix('-').map_or(("", text), |digits| ("-", digits));
        let (whole, fraction) = match digits.split_once('.') {
            Some((whole, fraction)) if !fraction.is_empty() => (whole, fraction),
            Some(_) => return None,
            None => (digits, ""),
        };
        let all_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || !all_digits(whole) || !all_digits(fraction) {
            return None;
        }
        let (whole, fraction) = (whole.trim_start_matches('0'), fraction.trim_end_matches('0'));
        if whole.len() > whole_digits || fraction.len() > usize::from(scale) {
            return None;
        }
        let whole = if whole.is_empty() { "0" } else { whole };
        let point = if fraction.is_empty() { "" } else { "." };
        Some(format!("{sign}{whole}{point}{fraction}"))
    };
    parse().ok_or_else(|| {
        format!(
            "a decimal number with at most {whole_digits} digits before and {scale} after the point, without \
             exponent"
        )
    })
}

fn date(text: &str) -> Result<String, Expected> {
    let last = NaiveDate::from_ymd_opt(2149, 6, 6).expect("a real day");
    NaiveDate::parse_from_str(text, "%Y-%m-%d")
        .ok()
        .filter(|day| text.len() == 10 && day.year() >= 1970 && *day <= last)
        .map(|day| day.to_string())
        .ok_or_else(|| "a day from 1970-01-01 to 2149-06-06, as YYYY-MM-DD".to_owned())
}

fn timestamp(text: &str, precision: u8) -> Result<String, Expected> {
    instant(text).and_then(|moment| canonical_timestamp(moment, precision)).ok_or_else(|| {
        let last = last_date_time(precision);
        format!(
            "a time from the year 1900 to {last} with at most {precision} digits of a second, as \
             2026-01-31T12:00:00Z or 2026-01-31 12:00:00 (UTC); a + of an offset is written %2B in a URL"
        )
    })
}

fn instant(text: &str) -> Option<DateTime<Utc>> {
    if let Ok(moment) = DateTime::parse_from_rfc3339(text) {
        return Some(moment.to_utc());
    }
    ["%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f"]
        .iter()
        .find_map(|format| NaiveDateTime::parse_from_str(text, format).ok())
        .map(|moment| moment.and_utc())
}

fn canonical_timestamp(moment: DateTime<Utc>, precision: u8) -> Option<String> {
    let nanoseconds = moment.nanosecond();
    // Leap seconds come as nanoseconds above a billion.
    if nanoseconds >= 1_000_000_000 {
        return None;
    }
    ticks(moment.timestamp(), i64::from(nanoseconds) / 10_i64.pow(9 - u32::from(precision)), precision)?;
    let precision = usize::from(precision);
    let digits = format!("{nanoseconds:09}");
    let (kept, lost) = digits.split_at(precision);
    if lost.bytes().any(|digit| digit != b'0') {
        return None;
    }
    let seconds = moment.format("%Y-%m-%d %H:%M:%S");
    Some(if kept.is_empty() { seconds.to_string() } else { format!("{seconds}.{kept}") })
}

fn ip<A: FromStr + ToString>(text: &str, expected: &str) -> Result<String, Expected> {
    text.parse::<A>().map(|address| address.to_string()).map_err(|_| expected.to_owned())
}

fn uuid(text: &str) -> Result<String, Expected> {
    uuid::Uuid::try_parse(text)
        .ok()
        .filter(|_| text.len() == 36)
        .map(|id| id.hyphenated().to_string())
        .ok_or_else(|| "a UUID such as 123e4567-e89b-12d3-a456-426614174000".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(column_type: &str, text: &str) -> Result<String, Expected> {
        parse(&column_type.parse().unwrap(), text)
    }

    #[test]
    fn takes_what_the_column_can_hold() {
        for (column_type, text, canonical) in [
            ("Int8", "-128", "-128"),
            ("Int64", "-9223372036854775808", "-9223372036854775808"),
            ("Int64", "007", "7"),
            ("UInt64", "18446744073709551615", "18446744073709551615"),
            ("Float64", "1e300", "1e300"),
            ("Float64", "-2.50", "-2.5"),
            ("Float32", "0.1", "0.1"),
            ("Decimal(9, 2)", "-0012.50", "-12.5"),
            ("Decimal(9, 2)", "0", "0"),
            (
                "Decimal(38, 0)",
                "99999999999999999999999999999999999999",
                "99999999999999999999999999999999999999",
            ),
            ("String", "", ""),
            ("LowCardinality(String)", "ñ'\\", "ñ'\\"),
            ("Bool", "true", "true"),
            ("Date", "2024-02-29", "2024-02-29"),
            ("DateTime64(3)", "2024-01-01T00:00:00+01:00", "2023-12-31 23:00:00.000"),
            ("DateTime64(3)", "2024-01-01 00:00:00.120000", "2024-01-01 00:00:00.120"),
            ("DateTime64(0)", "1950-06-01T00:00:00Z", "1950-06-01 00:00:00"),
            ("DateTime64(9)", "2024-01-01T00:00:00.123456789Z", "2024-01-01 00:00:00.123456789"),
            ("DateTime64(9)", "2262-04-11T23:47:16.854775807Z", "2262-04-11 23:47:16.854775807"),
            ("UUID", "123E4567-E89B-12D3-A456-426614174000", "123e4567-e89b-12d3-a456-426614174000"),
            ("Enum8('new' = 1, 'é\\'' = 2)", "é'", "é'"),
            ("IPv4", "192.0.2.1", "192.0.2.1"),
            ("IPv6", "2001:DB8:0::1", "2001:db8::1"),
            ("IPv6", "192.0.2.1", "192.0.2.1"),
        ] {
            assert_eq!(check(column_type, text).as_deref(), Ok(canonical), "{column_type} {text}");
        }
    }

    #[test]
    fn refuses_what_it_cannot_and_says_what_would_be_right() {
        for (column_type, text, expected) in [
            ("Int8", "128", "-128 to 127"),
            ("Int64", "9223372036854775808", "9223372036854775807"),
            ("Int64", "1.0", "whole number"),
            ("Int64", "", "whole number"),
            ("Int64", "+1", "whole number"),
            ("Int64", "1 OR 1=1", "whole number"),
            ("UInt8", "-1", "0 to 255"),
            ("Float64", "nan", "finite"),
            ("Float64", "1e999", "finite"),
            ("Float32", "1e39", "finite"),
            ("Decimal(9, 2)", "1.234", "2 after the point"),
            ("Decimal(9, 2)", "12345678", "7 digits before"),
            ("Decimal(9, 2)", "1e2", "without exponent"),
            ("Decimal(9, 2)", ".5", "decimal"),
            ("Decimal(9, 2)", "1.", "decimal"),
            ("Bool", "1", "true or false"),
            ("Date", "2023-02-29", "YYYY-MM-DD"),
            ("Date", "1969-12-31", "1970-01-01"),
            ("Date", "2024-1-1", "YYYY-MM-DD"),
            ("DateTime64(3)", "2024-01-01T00:00:00.0001Z", "3 digits"),
            ("DateTime64(3)", "2024-01-01T00:00:60Z", "UTC"),
            ("DateTime64(3)", "2024-01-01T00:00:00 01:00", "%2B"),
            ("DateTime64(3)", "2300-01-01T00:00:00Z", "2299"),
            ("DateTime64(9)", "2262-04-11T23:47:16.854775808Z", "2262-04-11"),
            ("UUID", "123e4567e89b12d3a456426614174000", "UUID"),
            ("Enum16('new' = 1, 'paid' = 500)", "sold", "one of new, paid"),
            ("Enum8('new' = 1)", "1", "one of new"),
            ("IPv4", "192.0.2.01", "an IPv4 address"),
            ("IPv4", "::1", "an IPv4 address"),
            ("IPv6", "::1%eth0", "an IP address"),
            ("Array(Int8)", "[1]", "no comparison"),
            ("JSON", "{}", "no comparison"),
        ] {
            let message = check(column_type, text).unwrap_err();
            assert!(message.contains(expected), "{column_type} {text}: {message}");
        }
    }
}
