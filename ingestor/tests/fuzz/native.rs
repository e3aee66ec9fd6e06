//! A Native block → its columns' values, by the format's description only.

use caudal_model::ColumnType;

use super::reference::Value;

/// `(name, values)` of every column.
pub fn read(block: &[u8]) -> Vec<(String, Vec<Value>)> {
    let mut reader = Reader { rest: block };
    let (columns, rows) = (reader.length(), reader.length());
    let columns = (0..columns).map(|_| {
        let (name, spelled) = (reader.text(), reader.text());
        let (of, nullable) = parse(&String::from_utf8(spelled).unwrap());
        reader.prefix(&of);
        (String::from_utf8(name).unwrap(), reader.values(&of, nullable, rows))
    });
    let columns = columns.collect();
    assert!(reader.rest.is_empty(), "{} bytes behind the block", reader.rest.len());
    columns
}

fn parse(spelled: &str) -> (ColumnType, bool) {
    let low = spelled == "LowCardinality(Nullable(String))";
    let inner = spelled.strip_prefix("Nullable(").and_then(|rest| rest.strip_suffix(')'));
    match inner {
        _ if low => (ColumnType::LowCardinalityString, true),
        Some(inner) => (inner.parse().unwrap(), true),
        None => (spelled.parse().unwrap(), false),
    }
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, bytes: usize) -> &'a [u8] {
        let (taken, rest) = self.rest.split_at(bytes);
        self.rest = rest;
        taken
    }

    fn length(&mut self) -> usize {
        let (mut length, mut shift) = (0, 0);
        loop {
            let byte = self.take(1)[0];
            length |= usize::from(byte & 0x7f) << shift;
            shift += 7;
            if byte < 0x80 {
                return length;
            }
        }
    }

    fn text(&mut self) -> Vec<u8> {
        let length = self.length();
        self.take(length).to_vec()
    }

    fn word(&mut self) -> u64 {
        u64::from_le_bytes(self.take(8).try_into().unwrap())
    }

    fn prefix(&mut self, of: &ColumnType) {
        match of {
            ColumnType::LowCardinalityString | ColumnType::Json => assert_eq!(self.word(), 1),
            ColumnType::Array(element) => self.prefix(&element.column_type),
            ColumnType::Map { key, value } => {
                self.prefix(key);
                self.prefix(&value.column_type);
            }
            _ => {}
        }
    }

    fn values(&mut self, of: &ColumnType, nullable: bool, rows: usize) -> Vec<Value> {
        if *of == ColumnType::LowCardinalityString {
            return self.keys(nullable, rows);
        }
        let nulls = if nullable { self.take(rows).to_vec() } else { vec![0; rows] };
        let values = match of {
            ColumnType::Array(element) => {
                let ends = self.ends(rows);
                let items =
                    self.values(&element.column_type, element.nullable, ends.last().copied().unwrap_or(0));
                split(&ends, items, 1)
            }
            ColumnType::Map { key, value } => {
                let ends = self.ends(rows);
                let count = ends.last().copied().unwrap_or(0);
                let keys = self.values(key, false, count);
                let values = self.values(&value.column_type, value.nullable, count);
                split(&ends, keys.into_iter().zip(values).flat_map(<[Value; 2]>::from).collect(), 2)
            }
            ColumnType::String | ColumnType::Json => (0..rows).map(|_| Value::Bytes(self.text())).collect(),
            fixed => (0..rows).map(|_| Value::Bytes(self.take(width(fixed)).to_vec())).collect(),
        };
        values
            .into_iter()
            .zip(nulls)
            .map(|(value, null)| if null == 1 { Value::Null } else { value })
            .collect()
    }

    fn ends(&mut self, rows: usize) -> Vec<usize> {
        (0..rows).map(|_| usize::try_from(self.word()).unwrap()).collect()
    }

    fn keys(&mut self, nullable: bool, rows: usize) -> Vec<Value> {
        if rows == 0 {
            return Vec::new();
        }
        let flags = self.word();
        assert_eq!(flags & !0xff, 1 << 9 | 1 << 10);
        let entries: Vec<_> = (0..self.word()).map(|_| Value::Bytes(self.text())).collect();
        assert_eq!(self.word(), rows as u64);
        let width = 1 << (flags & 0xff);
        let keys = (0..rows).map(|_| {
            let mut key = [0; 8];
            key[..width].copy_from_slice(self.take(width));
            match usize::try_from(u64::from_le_bytes(key)).unwrap() {
                0 if nullable => Value::Null,
                key => entries[key].clone(),
            }
        });
        keys.collect()
    }
}

fn split(ends: &[usize], items: Vec<Value>, each: usize) -> Vec<Value> {
    let mut items = items.into_iter();
    let mut from = 0;
    let rows = ends.iter().map(|end| {
        let count = end - std::mem::replace(&mut from, *end);
        Value::List(items.by_ref().take(count * each).collect())
    });
    rows.collect()
}

fn width(of: &ColumnType) -> usize {
    use ColumnType as T;
    match of {
        T::Int8 | T::UInt8 | T::Bool | T::Enum8(_) => 1,
        T::Int16 | T::UInt16 | T::Date | T::Enum16(_) => 2,
        T::Int32 | T::UInt32 | T::Float32 | T::Ipv4 | T::Decimal { precision: 1..=9, .. } => 4,
        T::Int64 | T::UInt64 | T::Float64 | T::DateTime64 { .. } | T::Decimal { precision: 10..=18, .. } => 8,
        T::Uuid | T::Ipv6 | T::Decimal { precision: 19..=38, .. } => 16,
        T::Decimal { .. } => 32,
        T::String | T::LowCardinalityString | T::Json | T::Array(_) | T::Map { .. } => unreachable!(),
    }
}
