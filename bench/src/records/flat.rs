//! Ten mixed columns, about 200 bytes.

use std::fmt::Write as _;

use super::text::{Noise, moment, words};

/// Name, type, whether it may be null.
pub const COLUMNS: [(&str, &str, bool); 10] = [
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
];

const COUNTRIES: [&str; 24] = [
    "AR", "AT", "AU", "BE", "BR", "CA", "CH", "CL", "CN", "CO", "CZ", "DE", "DK", "ES", "FI", "FR", "GB",
    "IN", "IT", "JP", "MX", "PE", "PT", "US",
];

/// The members of the object.
pub fn write(text: &mut String, id: u64, noise: &mut Noise) {
    let _ = write!(text, r#""id":{id},"ts":"#);
    moment(text, id, noise);
    let _ = write!(
        text,
        r#","country":"{}","user":"user_{}","value":{}.{:04},"n":{}{},"ok":{},"ref":"#,
        noise.of_list(&COUNTRIES),
        noise.below(500_000),
        noise.below(100_000),
        noise.below(10_000),
        noise.of_list(&["", "-"]),
        1 + noise.below(1_000_000),
        noise.below(2) == 0,
    );
    if noise.below(3) == 0 {
        text.push_str("null");
    } else {
        let _ = write!(text, r#""r{:08x}""#, noise.below(1 << 32));
    }
    let _ = write!(text, r#","price":{}.{:02},"text":""#, noise.below(1_000_000), noise.below(100));
    words(text, 52, noise);
    text.push('"');
}
