//! Bytes of a fuzzer → types, and messages that hold values of them.

use caudal_model::ColumnType;
use caudal_model::plan::Field;

/// Decisions, each made by the next byte; 0 when there are none left.
pub struct Choices<'a> {
    bytes: &'a [u8],
}

impl<'a> Choices<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    pub fn ended(&self) -> bool {
        self.bytes.is_empty()
    }

    pub fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.bytes.split_first() else { return 0 };
        self.bytes = rest;
        *first
    }

    pub fn below(&mut self, bound: usize) -> usize {
        usize::from(self.byte()) % bound
    }

    pub fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }

    fn number(&mut self) -> i64 {
        let bytes = [(); 8].map(|()| self.byte());
        i64::from_le_bytes(bytes) >> (8 * self.below(8))
    }

    /// The spelling of a type that holds at most `depth` others in each other.
    pub fn column_type(&mut self, depth: u32) -> String {
        match self.below(if depth == 0 { 14 } else { 19 }) {
            0 => "String".to_owned(),
            1 => self.one_of(&["Int8", "Int16", "Int32", "Int64"]).to_owned(),
            2 => self.one_of(&["UInt8", "UInt16", "UInt32", "UInt64"]).to_owned(),
            3 => "LowCardinality(String)".to_owned(),
            4 => self.one_of(&["Float32", "Float64"]).to_owned(),
            5 => self.one_of(&["Decimal(9, 2)", "Decimal(18, 4)", "Decimal(38, 10)"]).to_owned(),
            6 => "Bool".to_owned(),
            7 => "Date".to_owned(),
            8 => "DateTime64(3)".to_owned(),
            9 => "UUID".to_owned(),
            10 => "Enum8('a' = -1, 'é' = 2)".to_owned(),
            11 => "Enum16('' = 0, 'b' = 300)".to_owned(),
            12 => self.one_of(&["IPv4", "IPv6"]).to_owned(),
            13 => "JSON".to_owned(),
            14..=16 => format!("Array({})", self.element(depth - 1)),
            _ => {
                let keys =
                    ["String", "LowCardinality(String)", "Int8", "UInt64", "Enum8('a' = 1, 'b' = 2)", "IPv6"];
                format!("Map({}, {})", self.one_of(&keys), self.element(depth - 1))
            }
        }
    }

    fn element(&mut self, depth: u32) -> String {
        let of = self.column_type(depth);
        let plain: ColumnType = of.parse().unwrap();
        plain.spelled(self.below(3) == 0 && !plain.is_composite())
    }

    /// A message with most of the fields.
    pub fn message(&mut self, fields: &[Field]) -> String {
        let mut members = Vec::new();
        for field in fields {
            if self.below(16) != 15 {
                let value = match self.below(16) {
                    15 if field.nullable => "null".to_owned(),
                    _ => self.value(&field.column_type),
                };
                members.push(format!("\"{}\":{value}", field.name));
            }
        }
        if self.below(8) == 7 {
            members.push(format!("\"ignored\":{}", self.any(3)));
        }
        format!("{{{}}}", members.join(","))
    }

    fn value(&mut self, of: &ColumnType) -> String {
        use ColumnType as T;
        match of {
            T::Int8 | T::UInt8 => (self.byte() >> 1).to_string(),
            T::Int16 | T::UInt16 => (self.number() & 0x7fff).to_string(),
            T::Int32 | T::UInt32 => (self.number() & 0x7fff_ffff).to_string(),
            T::Int64 => self.number().to_string(),
            T::UInt64 => self.number().unsigned_abs().to_string(),
            T::Float32 | T::Float64 => match self.below(3) {
                0 => format!("{}.{}", self.number(), self.byte()),
                1 => format!("{}e{}", self.number(), self.below(300)),
                _ => self.number().to_string(),
            },
            T::Decimal { .. } => format!("{}.{:02}", self.number() >> 40, self.below(100)),
            T::String | T::LowCardinalityString => self.text(),
            T::Bool => self.one_of(&["true", "false"]).to_owned(),
            T::Date => format!("\"20{:02}-0{}-1{}\"", self.below(100), 1 + self.below(9), self.below(10)),
            T::DateTime64 { .. } => {
                format!(
                    "\"20{:02}-12-2{} 1{}:00:0{}\"",
                    self.below(100),
                    self.below(10),
                    self.below(10),
                    self.below(10)
                )
            }
            T::Uuid => format!("\"01234567-89ab-CDEF-0000-{:012x}\"", self.number().unsigned_abs() >> 16),
            T::Enum8(names) | T::Enum16(names) => {
                let names: Vec<_> = names.iter().map(|(name, _)| name).collect();
                format!("\"{}\"", self.one_of(&names))
            }
            T::Ipv4 => format!("\"{}.0.{}.255\"", self.byte(), self.byte()),
            T::Ipv6 => format!("\"{:x}::{:x}:{}.0.0.1\"", self.byte(), self.byte(), self.byte()),
            T::Json => self.object(3),
            T::Array(element) => {
                let items: Vec<_> =
                    (0..self.below(5)).map(|_| self.item(&element.column_type, element.nullable)).collect();
                format!("[{}]", items.join(","))
            }
            T::Map { key, value } => {
                let members: Vec<_> = (0..self.below(4))
                    .map(|_| {
                        let key = self.value(key);
                        format!(
                            "\"{}\":{}",
                            key.trim_matches('"'),
                            self.item(&value.column_type, value.nullable)
                        )
                    })
                    .collect();
                format!("{{{}}}", members.join(","))
            }
        }
    }

    fn item(&mut self, of: &ColumnType, nullable: bool) -> String {
        if nullable && self.below(3) == 0 { "null".to_owned() } else { self.value(of) }
    }

    fn text(&mut self) -> String {
        let parts = [
            "",
            "a",
            "b.c",
            "é",
            "\\n",
            "\\u0000",
            "\\ud83d\\ude00",
            "日本",
            "\\\"",
            "a long text beyond sixteen bytes",
        ];
        let parts: Vec<_> = (0..self.below(4)).map(|_| self.one_of(&parts)).collect();
        format!("\"{}\"", parts.concat())
    }

    fn any(&mut self, depth: u32) -> String {
        match self.below(if depth == 0 { 5 } else { 7 }) {
            0 => self.number().to_string(),
            1 => self.text(),
            2 => {
                self.one_of(&["null", "true", "false", "18446744073709551616", "1e999", "-0.5e-3"]).to_owned()
            }
            3 => format!("{}.5", self.number()),
            4 => "[]".to_owned(),
            5 => self.object(depth - 1),
            _ => {
                let items: Vec<_> = (0..self.below(4)).map(|_| self.any(depth - 1)).collect();
                format!("[ {} ]", items.join(" , "))
            }
        }
    }

    fn object(&mut self, depth: u32) -> String {
        let members: Vec<_> =
            (0..self.below(4)).map(|_| format!("{}:{}", self.text(), self.any(depth))).collect();
        format!("{{{}}}", members.join(","))
    }
}
