//! Arrays and maps: where each row's elements end, and the columns beneath that
//! hold them.

use caudal_model::ColumnType;

use super::column::{Beside, Column};
use super::text_length;

/// What an array or a map has besides its ends.
pub(super) struct Nested {
    /// The elements; of a map the keys, then the values.
    pub columns: Vec<Column>,
    /// Lengths of data and null map where the last row begins: of the column
    /// itself, then of those beneath, in their order.
    marks: Vec<(usize, usize)>,
}

impl Nested {
    pub fn new(column_type: &ColumnType) -> Self {
        let columns = match column_type {
            ColumnType::Array(element) => vec![Column::new(&element.column_type, element.nullable)],
            ColumnType::Map { key, value } => {
                vec![Column::new(key, false), Column::new(&value.column_type, value.nullable)]
            }
            _ => Vec::new(),
        };
        Self { columns, marks: Vec::new() }
    }
}

impl Column {
    /// A row of an array or a map begins, which [`Column::undo`] would take
    /// back.
    pub fn begin(&mut self) {
        let mut marks = match &mut self.beside {
            Beside::Nested(nested) => std::mem::take(&mut nested.marks),
            _ => return,
        };
        marks.clear();
        self.measure(&mut marks);
        if let Beside::Nested(nested) = &mut self.beside {
            nested.marks = marks;
        }
    }

    fn measure(&self, marks: &mut Vec<(usize, usize)>) {
        marks.push((self.data.len(), self.nulls.len()));
        if let Beside::Nested(nested) = &self.beside {
            nested.columns.iter().for_each(|column| column.measure(marks));
        }
    }

    pub(super) fn undo_nested(&mut self) {
        let marks = match &mut self.beside {
            Beside::Nested(nested) => std::mem::take(&mut nested.marks),
            _ => return,
        };
        self.shorten(&mut marks.iter());
    }

    fn shorten<'a>(&mut self, marks: &mut impl Iterator<Item = &'a (usize, usize)>) {
        if let Some((data, nulls)) = marks.next() {
            self.data.truncate(*data);
            self.nulls.truncate(*nulls);
        }
        self.beneath().iter_mut().for_each(|column| column.shorten(marks));
    }

    /// The column of an array's elements.
    pub fn elements(&mut self) -> &mut Self {
        self.beneath().first_mut().expect("an array has elements")
    }

    /// The columns of a map's keys and values.
    pub fn pairs(&mut self) -> (&mut Self, &mut Self) {
        let [keys, values] = self.beneath() else { unreachable!("a map has keys and values") };
        (keys, values)
    }

    /// So many elements have been pushed beneath: they are a value.
    pub fn close(&mut self, elements: u64) {
        let end = last_end(&self.data) + elements;
        self.data.extend_from_slice(&end.to_le_bytes());
    }

    /// Bytes of the values that were pushed.
    pub fn position(&self) -> usize {
        self.data.len()
    }

    /// Whether two of the values from `position` on are the same. `spans` is
    /// scratch memory.
    pub fn repeats(&self, position: usize, spans: &mut Vec<(usize, usize)>) -> bool {
        let width = self.kind.width();
        spans.clear();
        let mut at = position;
        while at < self.data.len() {
            let length = if width == 0 { text_length(&self.data[at..]) } else { width };
            spans.push((at, at + length));
            at += length;
        }
        let value = |(from, to): (usize, usize)| &self.data[from..to];
        spans.sort_unstable_by(|one, other| value(*one).cmp(value(*other)));
        spans.windows(2).any(|pair| value(pair[0]) == value(pair[1]))
    }
}

/// How many elements there are beneath, by where the last row's end.
pub(super) fn last_end(ends: &[u8]) -> u64 {
    ends.last_chunk().map_or(0, |end| u64::from_le_bytes(*end))
}
