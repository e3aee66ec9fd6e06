//! All columns of a block: the pipeline's fields and the metadata columns.

use bytes::Bytes;
use caudal_model::ColumnType;
use caudal_model::ddl::{self, METADATA_COLUMNS};
use caudal_model::plan::Field;

use super::column::{Beside, Column, Encoded};
use super::kind::{self, Kind};
use super::sealed::{Block, Buffers, Part, REPEATED, Shape};
use super::varint;

/// Of a row's offset and timestamp. Source and partition are the same in all.
const METADATA_BYTES: usize = 8 + 8;

/// Names and types of a block's columns; the same for every block of a plan.
pub struct Layout {
    /// Of the fields, in the plan's order.
    pub names: Vec<String>,
    pub native_types: Vec<String>,
    kinds: Vec<(ColumnType, bool)>,
    bounds: Bounds,
}

/// The most memory that a row takes.
#[derive(Clone, Copy)]
struct Bounds {
    /// Texts and elements aside.
    fixed: usize,
    /// For every two bytes of its message: an element has a comma behind it,
    /// or brackets around it.
    two_bytes: usize,
}

/// DateTime64(3) holds 1900-01-01 to 2299-12-31; a producer may claim any time.
const TIMESTAMPS: std::ops::RangeInclusive<i64> = -2_208_988_800_000..=10_413_791_999_999;

impl Layout {
    pub fn new(fields: &[Field]) -> Self {
        let kinds: Vec<_> = fields.iter().map(|field| (field.column_type.clone(), field.nullable)).collect();
        let fixed: usize = kinds.iter().map(|(of, nullable)| kind::most_bytes(of, *nullable)).sum();
        let elements = kinds.iter().map(|(of, _)| kind::most_element_bytes(of)).max().unwrap_or_default();
        Self {
            names: fields.iter().map(|field| field.name.clone()).collect(),
            native_types: fields.iter().map(ddl::column_type).collect(),
            kinds,
            bounds: Bounds { fixed: fixed + METADATA_BYTES, two_bytes: 4 + elements },
        }
    }

    /// `(name, type)` of every column of the table, as ClickHouse prints them.
    pub fn columns(&self) -> impl Iterator<Item = (&str, &str)> {
        let fields = self.names.iter().zip(&self.native_types);
        let metadata = METADATA_COLUMNS.iter().map(|column| (column.name, column.column_type));
        fields.map(|(name, native)| (name.as_str(), native.as_str())).chain(metadata)
    }
}

/// Where a row comes from.
#[derive(Clone, Copy, Debug)]
pub struct RowId {
    pub offset: i64,
    /// Milliseconds since 1970.
    pub timestamp_ms: i64,
}

/// Columns being filled, row by row.
pub struct Columns {
    pub fields: Vec<Column>,
    offsets: Vec<u8>,
    timestamps: Vec<u8>,
    rows: usize,
    bounds: Bounds,
    /// At least as many bytes as the block has.
    bytes_at_most: usize,
}

impl Columns {
    pub fn new(layout: &Layout) -> Self {
        Self {
            fields: layout.kinds.iter().map(|(of, nullable)| Column::new(of, *nullable)).collect(),
            offsets: Vec::new(),
            timestamps: Vec::new(),
            rows: 0,
            bounds: layout.bounds,
            bytes_at_most: 0,
        }
    }

    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Ends the row whose fields have been pushed. `message_bytes` bounds what
    /// its strings can hold.
    #[inline]
    pub fn finish_row(&mut self, id: RowId, message_bytes: usize) {
        self.offsets.extend_from_slice(&id.offset.to_le_bytes());
        let timestamp = id.timestamp_ms.clamp(*TIMESTAMPS.start(), *TIMESTAMPS.end());
        self.timestamps.extend_from_slice(&timestamp.to_le_bytes());
        self.rows += 1;
        self.grew(message_bytes);
    }

    /// So many bytes of JSON have been pushed.
    #[inline]
    pub fn grew(&mut self, message_bytes: usize) {
        self.bytes_at_most += self.bounds.fixed + message_bytes.div_ceil(2) * self.bounds.two_bytes;
    }

    /// A message's fields have been taken back; what it added to dictionaries
    /// has not.
    pub fn refused(&mut self, message_bytes: usize) {
        self.grew(message_bytes);
    }

    /// Takes the last row back.
    pub fn undo_row(&mut self) {
        if self.rows > 0 {
            self.fields.iter_mut().for_each(Column::undo);
            self.offsets.truncate(self.offsets.len() - 8);
            self.timestamps.truncate(self.timestamps.len() - 8);
            self.rows -= 1;
        }
    }

    /// Whether the block has reached `limit`; counts exactly only when the
    /// bound says it might have.
    #[inline]
    pub fn full(&mut self, limit: usize) -> bool {
        if self.bytes_at_most < limit {
            return false;
        }
        self.bytes_at_most = self.bytes();
        self.bytes_at_most >= limit
    }

    pub fn bytes(&self) -> usize {
        self.fields.iter().map(Column::bytes).sum::<usize>() + self.rows * METADATA_BYTES
    }

    /// Pushes what an absent field becomes, which no message bounds.
    pub fn push_encoded(&mut self, field: usize, value: &Encoded) {
        if let Encoded::Text(text) = value {
            self.bytes_at_most += text.len() + 10;
        }
        self.fields[field].push_encoded(value);
    }

    /// Turns what was filled into a block and starts again with empty columns.
    pub fn seal(&mut self, layout: &Layout, source: u64, partition: i32) -> Block {
        let rows = self.rows;
        let mut parts = Vec::with_capacity(self.fields.len() + METADATA_COLUMNS.len());
        let heads = layout.columns().map(|(name, native)| {
            let mut head = Vec::with_capacity(name.len() + native.len() + 2);
            for text in [name, native] {
                varint(&mut head, text.len());
                head.extend_from_slice(text.as_bytes());
            }
            head
        });
        let mut heads = heads.collect::<Vec<_>>().into_iter();
        for column in &mut self.fields {
            let mut head = heads.next().unwrap_or_default();
            prefix(column, &mut head);
            parts.push(Part { head: head.into(), ..sealed_part(column) });
        }
        let part = |head: Option<Vec<u8>>, data: Vec<u8>, shape: Shape| Part {
            head: head.unwrap_or_default().into(),
            dictionary: Bytes::new(),
            nulls: None,
            data: data.into(),
            shape,
            beneath: Vec::new(),
        };
        let repeated = rows.min(REPEATED);
        parts.push(part(heads.next(), source.to_le_bytes().repeat(repeated), Shape::Same(8)));
        parts.push(part(heads.next(), partition.to_le_bytes().repeat(repeated), Shape::Same(4)));
        parts.push(part(heads.next(), std::mem::take(&mut self.offsets), Shape::Fixed(8)));
        parts.push(part(heads.next(), std::mem::take(&mut self.timestamps), Shape::Fixed(8)));
        self.rows = 0;
        self.bytes_at_most = 0;
        Block::new(rows, parts)
    }

    /// Whether there is neither a row nor memory for one.
    pub fn bare(&self) -> bool {
        self.rows == 0 && self.offsets.capacity() == 0
    }

    /// Fills the buffers of a block that is done with, instead of new ones.
    pub fn reuse(&mut self, buffers: Buffers) {
        if !self.bare() {
            return;
        }
        let Buffers { fields, offsets, timestamps } = buffers;
        self.fields.iter_mut().zip(fields).for_each(|(column, buffer)| column.reuse(buffer));
        self.offsets = offsets;
        self.timestamps = timestamps;
    }

    /// The memory of a block that has no row.
    pub fn take_buffers(&mut self) -> Buffers {
        debug_assert_eq!(self.rows, 0);
        let fields = self.fields.iter_mut().map(Column::take_buffer).collect();
        let (offsets, timestamps) = (std::mem::take(&mut self.offsets), std::mem::take(&mut self.timestamps));
        Buffers { fields, offsets, timestamps }
    }

    /// Forgets everything, rows and memory.
    pub fn discard(&mut self, layout: &Layout) {
        *self = Self::new(layout);
    }
}

/// Versions of the serializations of the column and of those beneath, which
/// stand before all values.
fn prefix(column: &Column, head: &mut Vec<u8>) {
    match (&column.beside, column.kind) {
        // A dictionary of its own; an object as a text.
        (Beside::Dictionary(_), _) | (_, Kind::Json) => head.extend_from_slice(&1_u64.to_le_bytes()),
        (Beside::Nested(nested), _) => nested.columns.iter().for_each(|column| prefix(column, head)),
        _ => {}
    }
}

fn sealed_part(column: &mut Column) -> Part {
    let data = std::mem::take(&mut column.data);
    let nulls = std::mem::take(&mut column.nulls);
    let mut part = Part {
        head: Bytes::new(),
        dictionary: Bytes::new(),
        nulls: None,
        data: Bytes::new(),
        shape: Shape::Ends,
        beneath: Vec::new(),
    };
    match &mut column.beside {
        Beside::Dictionary(dictionary) => {
            // Keys have the smallest width that the dictionary allows.
            let (tag, width) = match dictionary.len() {
                0..=256 => (0_u64, 1),
                257..=65_536 => (1, 2),
                _ => (2, 4),
            };
            // Key type, own dictionary follows (bit 9), it is to be updated
            // (bit 10).
            let flags = tag | 1 << 9 | 1 << 10;
            let entries = (dictionary.len() as u64).to_le_bytes();
            part.dictionary = [&flags.to_le_bytes(), &entries, dictionary.wire()].concat().into();
            part.shape = Shape::Keys(width);
            part.data = match width {
                1 => narrowed::<1>(data).into(),
                2 => narrowed::<2>(data).into(),
                _ => data.into(),
            };
        }
        Beside::Nested(nested) => {
            part.data = data.into();
            part.beneath = nested.columns.iter_mut().map(sealed_part).collect();
        }
        Beside::Nothing | Beside::Names(_) => {
            part.shape = match column.kind.width() {
                0 => Shape::Texts,
                width => Shape::Fixed(width),
            };
            part.data = data.into();
            part.nulls = column.nullable.then(|| nulls.into());
        }
    }
    column.clear();
    part
}

/// Keeps the low bytes of every four, where they are.
fn narrowed<const WIDTH: usize>(mut keys: Vec<u8>) -> Vec<u8> {
    let rows = keys.len() / 4;
    for row in 0..rows {
        keys.copy_within(row * 4..row * 4 + WIDTH, row * WIDTH);
    }
    keys.truncate(rows * WIDTH);
    keys
}

#[cfg(test)]
mod tests;
