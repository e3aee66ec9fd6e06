//! Noise that is the same every time, and what the records are made of.

use std::fmt::Write as _;

const WORDS: [&str; 32] = [
    "order",
    "shipped",
    "customer",
    "pending",
    "warehouse",
    "retry",
    "timeout",
    "gateway",
    "invoice",
    "delta",
    "stream",
    "block",
    "merge",
    "column",
    "query",
    "index",
    "token",
    "alpha",
    "beta",
    "gamma",
    "session",
    "update",
    "insert",
    "vector",
    "cache",
    "flush",
    "and",
    "of",
    "the",
    "to",
    "with",
    "for",
];

/// SplitMix64 (Steele, Lea and Flood 2014), begun by the record's number.
pub struct Noise(u64);

impl Noise {
    pub fn of(id: u64) -> Self {
        Self(id.wrapping_mul(0xD134_2543_DE82_EF95) ^ 0x2A)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    pub fn of_list<'a>(&mut self, list: &[&'a str]) -> &'a str {
        let index = usize::try_from(self.below(list.len() as u64));
        list[index.expect("the index of a list is a usize")]
    }
}

/// At least `length` bytes of words; one in 25 has escapes, one in 25 accents or Japanese.
pub fn words(text: &mut String, length: usize, noise: &mut Noise) {
    let end = text.len() + length;
    text.push_str(noise.of_list(&WORDS));
    while text.len() < end {
        text.push(' ');
        text.push_str(noise.of_list(&WORDS));
    }
    text.push_str(match noise.below(50) {
        0 => r#" \"quoted\""#,
        1 => r"\nline\u00e9",
        2 | 3 => " café 日本",
        _ => "",
    });
}

/// A moment in quotes, close to the order of the records, some two million of them in eleven minutes.
pub fn moment(text: &mut String, id: u64, noise: &mut Noise) {
    let millis = id / 3 + noise.below(2_000);
    let (minutes, second, milli) = (millis / 60_000, millis / 1_000 % 60, millis % 1_000);
    let (hours, minute) = (13 + minutes / 60, minutes % 60);
    let (day, hour) = (22 + hours / 24, hours % 24);
    let _ = write!(text, r#""2026-11-{day:02} {hour:02}:{minute:02}:{second:02}.{milli:03}""#);
}
