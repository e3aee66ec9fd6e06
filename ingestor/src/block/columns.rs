//! All columns of a block: the pipeline's fields and the metadata columns.

use caudal_model::ddl::{self, METADATA_COLUMNS};
use caudal_model::plan::Field;

use super::column::{Column, Encoded, Kind};
use super::sealed::{Block, Buffers, Part, REPEATED, Shape};
use super::varint;

/// Of a row's offset and timestamp. Source and partition are the same in all.
const METADATA_BYTES: usize = 8 + 8;

/// Names and types of a block's columns; the same for every block of a plan.
pub struct Layout {
    /// Of the fields, in the plan's order.
    pub names: Vec<String>,
    pub native_types: Vec<String>,
    kinds: Vec<(Kind, bool)>,
    /// The most memory a row takes, its texts aside.
    fixed_bytes: usize,
}

/// DateTime64(3) holds 1900-01-01 to 2299-12-31; a producer may claim any time.
const TIMESTAMPS: std::ops::RangeInclusive<i64> = -2_208_988_800_000..=10_413_791_999_999;

impl Layout {
    pub fn new(fields: &[Field]) -> Self {
        let kinds: Vec<_> =
            fields.iter().map(|field| (Kind::of(&field.column_type), field.nullable)).collect();
        let fixed =
            kinds.iter().map(|(kind, nullable)| kind.most_bytes() + usize::from(*nullable)).sum::<usize>();
        Self {
            names: fields.iter().map(|field| field.name.clone()).collect(),
            native_types: fields.iter().map(ddl::column_type).collect(),
            kinds,
            fixed_bytes: fixed + METADATA_BYTES,
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
    fixed_bytes: usize,
    /// At least as many bytes as the block has.
    bytes_at_most: usize,
}

impl Columns {
    pub fn new(layout: &Layout) -> Self {
        Self {
            fields: layout.kinds.iter().map(|(kind, nullable)| Column::new(*kind, *nullable)).collect(),
            offsets: Vec::new(),
            timestamps: Vec::new(),
            rows: 0,
            fixed_bytes: layout.fixed_bytes,
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

    #[inline]
    fn grew(&mut self, message_bytes: usize) {
        self.bytes_at_most += self.fixed_bytes + 2 * message_bytes;
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
            parts.push(sealed_part(column, heads.next().unwrap_or_default(), rows));
        }
        let part = |head: Option<Vec<u8>>, data: Vec<u8>, shape: Shape| Part {
            head: head.unwrap_or_default().into(),
            nulls: None,
            data: data.into(),
            shape,
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
        for (column, (data, nulls)) in self.fields.iter_mut().zip(fields) {
            // A message that was refused may have left its memory.
            if column.data.is_empty() {
                column.data = data;
                column.nulls = nulls;
            }
        }
        self.offsets = offsets;
        self.timestamps = timestamps;
    }

    /// The memory of a block that has no row.
    pub fn take_buffers(&mut self) -> Buffers {
        debug_assert_eq!(self.rows, 0);
        let take = |column: &mut Column| {
            column.clear();
            (std::mem::take(&mut column.data), std::mem::take(&mut column.nulls))
        };
        let fields = self.fields.iter_mut().map(take).collect();
        let (offsets, timestamps) = (std::mem::take(&mut self.offsets), std::mem::take(&mut self.timestamps));
        Buffers { fields, offsets, timestamps }
    }

    /// Forgets everything, rows and memory.
    pub fn discard(&mut self, layout: &Layout) {
        *self = Self::new(layout);
    }
}

fn sealed_part(column: &mut Column, mut head: Vec<u8>, rows: usize) -> Part {
    let data = std::mem::take(&mut column.data);
    let nulls = std::mem::take(&mut column.nulls);
    let part = if let Some(dictionary) = &mut column.dictionary {
        // Keys have the smallest width that the dictionary allows.
        let (tag, width) = match dictionary.len() {
            0..=256 => (0_u64, 1),
            257..=65_536 => (1, 2),
            _ => (2, 4),
        };
        // Version of the serialization; then per block: key type, own
        // dictionary follows (bit 9), it is to be updated (bit 10).
        head.extend_from_slice(&1_u64.to_le_bytes());
        if rows > 0 {
            head.extend_from_slice(&(tag | 1 << 9 | 1 << 10).to_le_bytes());
            head.extend_from_slice(&(dictionary.len() as u64).to_le_bytes());
            head.extend_from_slice(dictionary.wire());
        }
        let keys = match width {
            1 => narrowed::<1>(data),
            2 => narrowed::<2>(data),
            _ => data,
        };
        Part { head: head.into(), nulls: None, data: keys.into(), shape: Shape::Keys(width) }
    } else {
        let shape = match column.kind.width() {
            0 => Shape::Texts,
            width => Shape::Fixed(width),
        };
        let nulls = column.nullable.then(|| nulls.into());
        Part { head: head.into(), nulls, data: data.into(), shape }
    };
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
