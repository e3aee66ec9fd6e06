//! Rows as JSON arrays → the text of JSON objects, values as ClickHouse wrote
//! them: a 64-bit integer or a decimal never passes through a float.

use bytes::Bytes;
use caudal_model::ColumnType;
use serde_json::value::RawValue;
use tokio::sync::OwnedSemaphorePermit;

use super::StoreError;
use crate::limits::{Budget, MAX_ANSWER_BYTES, STEP};
use crate::table::Column;

/// One value of a row.
pub struct Cell {
    /// `"name":`, or `None` for what is not shown.
    label: Option<String>,
    kind: CellKind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum CellKind {
    /// As it comes.
    Verbatim,
    /// Without the quotes that a server's profile may put; NaN is null.
    Number,
    /// `2024-01-01 00:00:00.000`, in UTC → RFC 3339.
    Timestamp,
}

impl Cell {
    pub fn shown(column: &Column) -> Self {
        let name = serde_json::Value::from(column.name.as_str());
        Self { label: Some(format!("{name}:")), kind: CellKind::of(&column.column_type) }
    }

    pub fn hidden(kind: CellKind) -> Self {
        Self { label: None, kind }
    }
}

impl CellKind {
    pub fn of(column_type: &ColumnType) -> Self {
        use ColumnType as T;
        match column_type {
            T::String
            | T::LowCardinalityString
            | T::Bool
            | T::Date
            | T::Uuid
            | T::Enum8(_)
            | T::Enum16(_)
            | T::Ipv4
            | T::Ipv6
            | T::Array(_)
            | T::Map { .. }
            | T::Json => Self::Verbatim,
            T::DateTime64 { .. } => Self::Timestamp,
            T::Int8 | T::Int16 | T::Int32 | T::Int64 | T::UInt8 | T::UInt16 | T::UInt32 | T::UInt64 => {
                Self::Number
            }
            T::Float32 | T::Float64 | T::Decimal { .. } => Self::Number,
        }
    }

    fn write(self, raw: &str, out: &mut Vec<u8>) {
        let bare = raw.trim_matches('"');
        match self {
            Self::Number if bare.starts_with(|c: char| c.is_ascii_digit()) => out.extend(bare.bytes()),
            Self::Number => match bare.as_bytes() {
                [b'-', digit, ..] if digit.is_ascii_digit() => out.extend(bare.bytes()),
                _ => out.extend(b"null"),
            },
            Self::Timestamp if raw != "null" => {
                out.push(b'"');
                out.extend(bare.bytes().map(|byte| if byte == b' ' { b'T' } else { byte }));
                out.extend(b"Z\"");
            }
            Self::Verbatim | Self::Timestamp => out.extend(raw.bytes()),
        }
    }
}

/// Builds the text of a page.
pub struct Encoder {
    cells: Vec<Cell>,
    /// Cells whose values in the last row are wanted.
    keep: Vec<usize>,
    limit: u64,
    /// Bytes of a row besides its values, at most.
    frame: usize,
    text: Vec<u8>,
    count: u64,
    more: bool,
    kept: Vec<Option<String>>,
    budget: Budget,
    held: Option<OwnedSemaphorePermit>,
}

/// The rows of a page: objects, with commas between them.
pub struct Rows {
    text: Vec<u8>,
    pub count: u64,
    /// A row beyond the limit was there.
    pub more: bool,
    /// Values of the kept cells in the last row; `None` is null.
    pub kept: Vec<Option<String>>,
    held: Option<OwnedSemaphorePermit>,
}

impl Encoder {
    /// Shows at most `limit` rows; remembers the `keep` cells of the last.
    pub fn new(cells: Vec<Cell>, keep: Vec<usize>, limit: u64) -> Self {
        let labels = cells.iter().filter_map(|cell| cell.label.as_ref());
        Self {
            frame: labels.map(|label| label.len() + 2).sum::<usize>() + 3,
            cells,
            keep,
            limit,
            text: Vec::new(),
            count: 0,
            more: false,
            kept: Vec::new(),
            budget: Budget::default(),
            held: None,
        }
    }

    pub(super) fn account_to(&mut self, budget: Budget) {
        self.budget = budget;
    }

    pub(super) fn push(&mut self, line: &str) -> Result<(), StoreError> {
        let cells: Vec<&RawValue> = serde_json::from_str(line)
            .map_err(|error| StoreError::Malformed(format!("a row is no JSON array: {error}")))?;
        if cells.len() != self.cells.len() {
            let detail = format!("a row has {} values and not {}", cells.len(), self.cells.len());
            return Err(StoreError::Malformed(detail));
        }
        if self.count == self.limit {
            self.more = true;
            return Ok(());
        }
        self.make_room(line.len() + self.frame);
        if self.count > 0 {
            self.text.push(b',');
        }
        self.text.push(b'{');
        let mut first = true;
        for (raw, cell) in cells.iter().zip(&self.cells) {
            let Some(label) = &cell.label else { continue };
            if !std::mem::take(&mut first) {
                self.text.push(b',');
            }
            self.text.extend(label.bytes());
            cell.kind.write(raw.get(), &mut self.text);
        }
        self.text.push(b'}');
        self.count += 1;
        if self.count == self.limit {
            self.kept = self.keep.iter().map(|at| plain(cells[*at].get(), self.cells[*at].kind)).collect();
        }
        if self.text.len() > MAX_ANSWER_BYTES {
            return Err(StoreError::TooLarge);
        }
        // The buffer of a small answer may be twice as large, but not for long.
        let bytes = if self.text.len() <= STEP { self.text.len() } else { self.text.capacity() };
        Ok(self.budget.cover(&mut self.held, bytes)?)
    }

    /// Doubles the buffer like any other, but not beyond what an answer may have.
    fn make_room(&mut self, bytes: usize) {
        let (length, capacity) = (self.text.len(), self.text.capacity());
        if capacity - length < bytes {
            let target = (2 * capacity).min(MAX_ANSWER_BYTES).max(length + bytes);
            self.text.reserve_exact(target - length);
        }
    }

    pub(super) fn finish(self) -> Rows {
        let Self { text, count, more, kept, held, .. } = self;
        Rows { text, count, more, kept, held }
    }
}

impl Rows {
    /// The body `<head><rows><tail>`, no larger than it must be: it may take
    /// its client a while. What it holds of the budget is given back when it
    /// has been sent.
    pub fn into_body(self, head: &str, tail: &str) -> Bytes {
        let Self { mut text, mut held, .. } = self;
        text.reserve_exact(head.len() + tail.len());
        text.splice(0..0, head.bytes());
        text.extend(tail.bytes());
        text.shrink_to_fit();
        Budget::trim(&mut held, text.len());
        Bytes::from_owner(Body { text, _held: held })
    }
}

struct Body {
    text: Vec<u8>,
    _held: Option<OwnedSemaphorePermit>,
}

impl AsRef<[u8]> for Body {
    fn as_ref(&self) -> &[u8] {
        &self.text
    }
}

/// A value without its JSON quotes.
fn plain(raw: &str, kind: CellKind) -> Option<String> {
    let mut text = Vec::new();
    kind.write(raw, &mut text);
    let text = String::from_utf8(text).ok()?;
    if text == "null" {
        return None;
    }
    Some(serde_json::from_str(&text).unwrap_or(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoder(limit: u64) -> Encoder {
        let cell = |label: &str, kind| Cell { label: Some(format!("\"{label}\":")), kind };
        let cells = vec![
            cell("n", CellKind::Number),
            cell("s", CellKind::Verbatim),
            cell("t", CellKind::Timestamp),
            Cell::hidden(CellKind::Number),
        ];
        Encoder::new(cells, vec![3, 1, 2], limit)
    }

    fn body(rows: Rows) -> String {
        String::from_utf8(rows.into_body("[", "]").to_vec()).unwrap()
    }

    #[test]
    fn values_pass_as_they_are() {
        let mut encoder = encoder(2);
        encoder.push(r#"[9223372036854775807, "a\"b,\\ é", "2024-01-01 00:00:00.120", 1]"#).unwrap();
        encoder.push(r#"["-18446744073709551615", null, null, 2]"#).unwrap();
        encoder.push(r#"[1, "x", "2024-01-01 00:00:00", 3]"#).unwrap();
        let rows = encoder.finish();
        assert!(rows.more);
        assert_eq!(rows.kept, [Some("2".to_owned()), None, None]);
        assert_eq!(
            body(rows),
            r#"[{"n":9223372036854775807,"s":"a\"b,\\ é","t":"2024-01-01T00:00:00.120Z"},{"n":-18446744073709551615,"s":null,"t":null}]"#
        );
    }

    #[test]
    fn keeps_texts_without_their_json_spelling() {
        let mut encoder = encoder(1);
        encoder.push(r#"[1, "tab\there \u00e9", "2024-01-01 00:00:00", "12"]"#).unwrap();
        let rows = encoder.finish();
        let expected = ["12", "tab\there é", "2024-01-01T00:00:00Z"].map(|text| Some(text.to_owned()));
        assert_eq!(rows.kept, expected);
        assert!(!rows.more);
    }

    #[test]
    fn what_json_cannot_say_is_null() {
        let mut encoder = encoder(9);
        encoder.push(r#"["nan", "", null, null]"#).unwrap();
        encoder.push(r#"["-inf", "", null, null]"#).unwrap();
        assert_eq!(body(encoder.finish()), r#"[{"n":null,"s":"","t":null},{"n":null,"s":"","t":null}]"#);
    }

    #[test]
    fn anything_but_a_whole_row_is_an_error() {
        for line in ["Code: 241. DB::Exception: Memory limit", "[1, \"x\"", "[1]", ""] {
            assert!(matches!(encoder(9).push(line), Err(StoreError::Malformed(_))), "{line}");
        }
    }

    #[test]
    fn an_answer_is_bounded_in_bytes() {
        let mut encoder = encoder(1000);
        let line = format!(r#"[1, "{}", null, 1]"#, "x".repeat(1 << 20));
        let error = (0..100).find_map(|_| encoder.push(&line).err());
        assert!(matches!(error, Some(StoreError::TooLarge)));
    }
}
