//! All columns of a block: the pipeline's fields and the metadata columns.

use caudal_model::ddl::{self, METADATA_COLUMNS};
use caudal_model::plan::Field;

use super::column::{Column, Encoded, Kind};
use super::sealed::{Block, Part, Shape};
use super::varint;

/// Names and types of a block's columns; the same for every block of a plan.
pub struct Layout {
    /// Of the fields, in the plan's order.
    pub names: Vec<String>,
    pub native_types: Vec<String>,
    kinds: Vec<(Kind, bool)>,
    /// Bytes per row of the columns with fixed width, null maps included.
    fixed_bytes: usize,
}

/// DateTime64(3) holds 1900-01-01 to 2299-12-31; a producer may claim any time.
const TIMESTAMPS: std::ops::RangeInclusive<i64> = -2_208_988_800_000..=10_413_791_999_999;

impl Layout {
    pub fn new(fields: &[Field]) -> Self {
        let kinds: Vec<_> =
            fields.iter().map(|field| (Kind::of(&field.column_type), field.nullable)).collect();
        let fixed =
            kinds.iter().map(|(kind, nullable)| kind.width().max(1) + usize::from(*nullable)).sum::<usize>();
        Self {
            names: fields.iter().map(|field| field.name.clone()).collect(),
            native_types: fields.iter().map(ddl::column_type).collect(),
            kinds,
            fixed_bytes: fixed + 8 + 4 + 8 + 8,
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
        self.bytes_at_most += self.fixed_bytes + 2 * message_bytes;
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
        let metadata = self.rows * (8 + 4 + 8 + 8);
        self.fields.iter().map(Column::bytes).sum::<usize>() + metadata
    }

    /// Memory the buffers hold, used or not.
    pub fn capacity(&self) -> usize {
        self.fields.iter().map(|column| column.data.capacity() + column.nulls.capacity()).sum()
    }

    pub fn push_encoded(&mut self, field: usize, value: &Encoded) {
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
        let fixed = |data: Vec<u8>, width: usize, head: Option<Vec<u8>>| Part {
            head: head.unwrap_or_default().into(),
            nulls: None,
            data: data.into(),
            shape: Shape::Fixed(width),
        };
        parts.push(fixed(source.to_le_bytes().repeat(rows), 8, heads.next()));
        parts.push(fixed(partition.to_le_bytes().repeat(rows), 4, heads.next()));
        parts.push(fixed(std::mem::take(&mut self.offsets), 8, heads.next()));
        parts.push(fixed(std::mem::take(&mut self.timestamps), 8, heads.next()));
        self.rows = 0;
        self.bytes_at_most = 0;
        Block::new(rows, parts)
    }

    /// Gives used buffers back for the next block.
    pub fn recycle(&mut self, block: Block) {
        if self.rows > 0 {
            return;
        }
        let mut buffers = block.into_buffers().into_iter();
        for column in &mut self.fields {
            let Some((data, nulls)) = buffers.next() else { return };
            if column.data.capacity() == 0 && column.kind != Kind::Dictionary {
                column.data = data;
                column.nulls = nulls;
            }
        }
        let mut metadata = buffers.skip(2);
        if let (Some((offsets, _)), Some((timestamps, _))) = (metadata.next(), metadata.next()) {
            self.offsets = offsets;
            self.timestamps = timestamps;
        }
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
        dictionary.clear();
        let keys = narrowed(data, width);
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

/// Keeps the low `width` of every four bytes.
fn narrowed(keys: Vec<u8>, width: usize) -> Vec<u8> {
    match width {
        1 => keys.iter().step_by(4).copied().collect(),
        2 => keys.chunks_exact(4).flat_map(|key| [key[0], key[1]]).collect(),
        _ => keys,
    }
}
