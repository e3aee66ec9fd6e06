//! The grammar of types, by recursive descent of bounded depth.

use super::{ColumnType, Element, EnumNames, MAX_NESTING};

/// What ClickHouse writes behind a backslash in a quoted text, and what it
/// stands for.
pub(super) const ESCAPES: [(char, char); 8] = [
    ('\\', '\\'),
    ('\'', '\''),
    ('0', '\0'),
    ('b', '\u{8}'),
    ('f', '\u{c}'),
    ('n', '\n'),
    ('r', '\r'),
    ('t', '\t'),
];

pub(super) fn column_type(text: &str) -> Option<ColumnType> {
    let mut parser = Parser { rest: text };
    let found = parser.column_type(MAX_NESTING)?;
    parser.rest.is_empty().then_some(found)
}

struct Parser<'a> {
    rest: &'a str,
}

impl<'a> Parser<'a> {
    fn take(&mut self, text: &str) -> Option<()> {
        self.rest = self.rest.strip_prefix(text)?;
        Some(())
    }

    fn spaces(&mut self) {
        self.rest = self.rest.trim_start_matches(' ');
    }

    fn comma(&mut self) -> Option<()> {
        self.take(",")?;
        self.spaces();
        Some(())
    }

    fn while_of(&mut self, belongs: impl Fn(char) -> bool) -> &'a str {
        let end = self.rest.find(|c| !belongs(c)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at(end);
        self.rest = rest;
        taken
    }

    /// A type that holds at most `depth` arrays and maps in each other.
    fn column_type(&mut self, depth: u32) -> Option<ColumnType> {
        use ColumnType as T;
        let name = self.while_of(|c| c.is_ascii_alphanumeric());
        let simple = match name {
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
            "Bool" => T::Bool,
            "Date" => T::Date,
            "UUID" => T::Uuid,
            "IPv4" => T::Ipv4,
            "IPv6" => T::Ipv6,
            "JSON" => T::Json,
            _ => {
                self.take("(")?;
                let found = self.arguments(name, depth)?;
                self.take(")")?;
                return Some(found);
            }
        };
        Some(simple)
    }

    fn arguments(&mut self, name: &str, depth: u32) -> Option<ColumnType> {
        use ColumnType as T;
        Some(match name {
            "LowCardinality" => self.take("String").map(|()| T::LowCardinalityString)?,
            "Decimal" => {
                let precision = self.small()?;
                self.comma()?;
                let scale = self.small()?;
                let fits = (1..=76).contains(&precision) && scale <= precision;
                fits.then_some(T::Decimal { precision, scale })?
            }
            "DateTime64" => {
                let precision = self.small().filter(|precision| *precision <= 9)?;
                let timezone = if self.comma().is_some() { Some(self.zone()?) } else { None };
                T::DateTime64 { precision, timezone }
            }
            "Enum8" => T::Enum8(self.enum_names(i8::MIN.into()..=i8::MAX.into())?),
            "Enum16" => T::Enum16(self.enum_names(i16::MIN..=i16::MAX)?),
            "Array" => T::Array(Box::new(self.element(depth.checked_sub(1)?)?)),
            "Map" => {
                let depth = depth.checked_sub(1)?;
                let key = self.column_type(0).filter(ColumnType::may_be_key)?;
                self.comma()?;
                T::Map { key: Box::new(key), value: Box::new(self.element(depth)?) }
            }
            _ => return None,
        })
    }

    fn element(&mut self, depth: u32) -> Option<Element> {
        if self.take("Nullable(").is_some() {
            // ClickHouse has LowCardinality(Nullable(…)) and not the other way round.
            let column_type = self
                .column_type(0)
                .filter(|inner| !inner.is_composite() && *inner != ColumnType::LowCardinalityString)?;
            self.take(")")?;
            return Some(Element { column_type, nullable: true });
        }
        if self.take("LowCardinality(Nullable(String))").is_some() {
            return Some(Element { column_type: ColumnType::LowCardinalityString, nullable: true });
        }
        Some(Element { column_type: self.column_type(depth)?, nullable: false })
    }

    /// One or two digits without a leading zero.
    fn small(&mut self) -> Option<u8> {
        let text = self.while_of(|c| c.is_ascii_digit());
        let canonical = text == "0" || !text.starts_with('0');
        (canonical && text.len() <= 2).then(|| text.parse().ok())?
    }

    fn zone(&mut self) -> Option<String> {
        self.take("'")?;
        let zone = self.while_of(|c| c.is_ascii_alphanumeric() || matches!(c, '/' | '_' | '+' | '-'));
        self.take("'")?;
        (!zone.is_empty()).then(|| zone.to_owned())
    }

    fn enum_names(&mut self, range: std::ops::RangeInclusive<i16>) -> Option<EnumNames> {
        let mut names: Vec<(String, i16)> = Vec::new();
        loop {
            let name = self.quoted()?;
            self.spaces();
            self.take("=")?;
            self.spaces();
            let number = self.while_of(|c| c.is_ascii_digit() || c == '-').parse().ok()?;
            let known = names.iter().any(|(other, taken)| *other == name || *taken == number);
            if known || !range.contains(&number) {
                return None;
            }
            names.push((name, number));
            if self.comma().is_none() {
                break;
            }
        }
        names.sort_by_key(|(_, number)| *number);
        Some(EnumNames(names))
    }

    fn quoted(&mut self) -> Option<String> {
        self.take("'")?;
        let mut out = String::new();
        let mut characters = self.rest.char_indices();
        while let Some((at, character)) = characters.next() {
            match character {
                '\'' => {
                    self.rest = &self.rest[at + 1..];
                    return Some(out);
                }
                '\\' => {
                    let (_, letter) = characters.next()?;
                    out.push(ESCAPES.iter().find(|(known, _)| *known == letter)?.1);
                }
                plain => out.push(plain),
            }
        }
        None
    }
}
