//! Fifteen columns more than the flat record, about 1 kB in all.

use std::fmt::Write as _;

use super::text::{Noise, moment, words};

/// Name, type, whether it may be null.
pub const MORE_COLUMNS: [(&str, &str, bool); 15] = [
    ("device", "LowCardinality(String)", false),
    ("event", "LowCardinality(String)", false),
    ("url", "String", false),
    ("agent", "String", false),
    ("session", "String", false),
    ("lat", "Float64", false),
    ("score", "Float64", false),
    ("seq", "Int64", false),
    ("duration", "UInt32", false),
    ("level", "UInt8", false),
    ("seen", "DateTime64(3)", false),
    ("bot", "Bool", false),
    ("parent", "Int64", true),
    ("title", "String", false),
    ("body", "String", false),
];

const DEVICES: [&str; 8] = [
    "iPhone 15 Pro",
    "Pixel 9",
    "Galaxy S25",
    "desktop-linux",
    "desktop-windows",
    "desktop-mac",
    "tablet",
    "smart-tv",
];
const EVENTS: [&str; 12] = [
    "page_view",
    "click",
    "scroll",
    "purchase",
    "add_to_cart",
    "remove_from_cart",
    "search",
    "login",
    "logout",
    "error",
    "impression",
    "heartbeat",
];
const AGENTS: [&str; 4] = [
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile Safari",
    "Mozilla/5.0 (X11; Ubuntu; Linux x86_64; rv:132.0) Gecko/20100101 Firefox/132.0",
];

/// The members of the object that follow the flat ones.
pub fn write(text: &mut String, id: u64, noise: &mut Noise) {
    let _ = write!(
        text,
        r#""device":"{}","event":"{}","url":"https://shop.example.com/category/{}/product/{}?source=newsletter&page={}","agent":"{}","session":"{:016x}{:016x}","#,
        noise.of_list(&DEVICES),
        noise.of_list(&EVENTS),
        noise.below(1_000),
        noise.below(1_000_000),
        noise.below(20),
        noise.of_list(&AGENTS),
        noise.next(),
        noise.next(),
    );
    let _ = write!(
        text,
        r#""lat":{}{}.{:06},"score":0.{:017},"seq":{},"duration":{},"level":{},"seen":"#,
        noise.of_list(&["", "-"]),
        1 + noise.below(89),
        noise.below(1_000_000),
        noise.below(100_000_000_000_000_000),
        noise.next() >> 4,
        noise.below(1 << 32),
        noise.below(256),
    );
    moment(text, id + 5_000, noise);
    let _ = write!(text, r#","bot":{},"parent":"#, noise.below(10) == 0);
    if noise.below(2) == 0 {
        text.push_str("null");
    } else {
        let _ = write!(text, "{}{}", noise.of_list(&["", "-"]), 1 + noise.below(1 << 31));
    }
    text.push_str(r#","title":""#);
    words(text, 60, noise);
    text.push_str(r#"","body":""#);
    words(text, 230, noise);
    text.push('"');
}
