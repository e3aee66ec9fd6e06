//! Flat records of about 200 bytes in ten mixed columns.

use std::fmt::Write as _;

use caudal_examples::{Message, Outcome};
use caudal_model::plan::Field;

/// The columns of [`record`].
pub fn fields() -> Vec<Field> {
    [
        ("id", "UInt64", false),
        ("ts", "DateTime64(3)", false),
        ("country", "LowCardinality(String)", false),
        ("user", "String", false),
        ("value", "Float64", false),
        ("n", "Int32", false),
        ("ok", "Bool", false),
        ("ref", "String", true),
        ("price", "Decimal(18, 2)", false),
        ("text", "String", false),
    ]
    .map(|(name, column_type, nullable)| Field {
        name: name.into(),
        column_type: column_type.parse().expect("the types above are known"),
        nullable,
        default: None,
    })
    .into()
}

/// Record number `id`; equal numbers give equal records.
pub fn record(id: u64) -> Message {
    const COUNTRIES: [&str; 8] = ["CL", "AR", "BR", "PE", "CO", "MX", "ES", "US"];
    let mut noise = id.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = move || {
        noise ^= noise << 13;
        noise ^= noise >> 7;
        noise ^= noise << 17;
        noise
    };
    let mut text = String::with_capacity(224);
    let country = COUNTRIES[usize::try_from(next() % 8).unwrap_or_default()];
    let (minute, second, milli) = (id / 60_000 % 60, id / 1_000 % 60, id % 1_000);
    let _ = write!(
        text,
        r#"{{"id":{id},"ts":"2026-11-22 13:{minute:02}:{second:02}.{milli:03}","country":"{country}","user":"user-{}","value":{}.{:03},"n":{},"ok":{},"ref":"#,
        next() % 50_000,
        next() % 100_000,
        next() % 1_000,
        next() % 1_000_000,
        next().is_multiple_of(2),
    );
    if next().is_multiple_of(4) {
        text.push_str("null");
    } else {
        let _ = write!(text, "\"r{:x}\"", next() % 0xff_ffff);
    }
    let _ = write!(text, r#","price":{}.{:02},"text":""#, next() % 10_000, next() % 100);
    for _ in 0..8 {
        let _ = write!(text, "{:06x} ", next() % 0xff_ffff);
    }
    text.push_str("\"}");
    Message { key: Vec::new(), value: Some(text.into_bytes()), outcome: Outcome::Filtered }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_json_of_about_200_bytes_with_every_field() {
        let sizes: usize = (0..1_000).map(|id| record(id).value.unwrap().len()).sum();
        assert!((180_000..240_000).contains(&sizes), "{sizes} bytes in 1000 records");
        let value: serde_json::Value = serde_json::from_slice(&record(7).value.unwrap()).unwrap();
        for field in fields() {
            assert!(value.get(&field.name).is_some(), "{}", field.name);
        }
    }
}
