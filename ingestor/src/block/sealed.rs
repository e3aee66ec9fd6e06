//! A finished block: Native bytes in pieces, to be sent as often as needed.

use bytes::Bytes;

use super::varint;

/// Rows of one offset range of one partition, in the order of their offsets.
#[derive(Clone, Debug)]
pub struct Block {
    rows: usize,
    pub(super) parts: Vec<Part>,
}

/// One column.
#[derive(Clone, Debug)]
pub(super) struct Part {
    /// Name, type and (for dictionaries) what stands before the keys.
    pub head: Bytes,
    pub nulls: Option<Bytes>,
    pub data: Bytes,
    pub shape: Shape,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    Fixed(usize),
    /// The same value of this width in every row; at most [`REPEATED`] times
    /// in memory.
    Same(usize),
    Texts,
    /// Numbers of this width into the dictionary; their count precedes them.
    Keys(usize),
}

/// Rows for which equal values are written out.
pub(super) const REPEATED: usize = 4_096;

/// Memory of a block that is done with, emptied.
pub struct Buffers {
    /// Values and null map of each field.
    pub(super) fields: Vec<(Vec<u8>, Vec<u8>)>,
    pub(super) offsets: Vec<u8>,
    pub(super) timestamps: Vec<u8>,
}

impl Buffers {
    /// Bytes there is room for.
    pub fn capacity(&self) -> usize {
        let fields = self.fields.iter().map(|(data, nulls)| data.capacity() + nulls.capacity());
        fields.sum::<usize>() + self.offsets.capacity() + self.timestamps.capacity()
    }
}

impl Block {
    pub(super) fn new(rows: usize, parts: Vec<Part>) -> Self {
        Self { rows, parts }
    }

    pub fn rows(&self) -> usize {
        self.rows
    }

    /// What goes over the wire, in order.
    pub fn pieces(&self) -> Vec<Bytes> {
        let mut pieces = Vec::with_capacity(self.parts.len() * 3 + 1);
        let mut head = Vec::new();
        varint(&mut head, self.parts.len());
        varint(&mut head, self.rows);
        for part in &self.parts {
            head.extend_from_slice(&part.head);
            if matches!(part.shape, Shape::Keys(_)) && self.rows > 0 {
                head.extend_from_slice(&(self.rows as u64).to_le_bytes());
            }
            pieces.push(std::mem::take(&mut head).into());
            pieces.extend(part.nulls.clone());
            if let Shape::Same(width) = part.shape {
                for from in (0..self.rows).step_by(REPEATED) {
                    pieces.push(part.data.slice(..width * REPEATED.min(self.rows - from)));
                }
            } else {
                pieces.push(part.data.clone());
            }
        }
        pieces.retain(|piece| !piece.is_empty());
        pieces
    }

    pub fn bytes(&self) -> usize {
        let part =
            |part: &Part| part.head.len() + part.nulls.as_ref().map_or(0, Bytes::len) + part.data.len();
        self.parts.iter().map(part).sum()
    }

    /// Kafka's time of each row, in milliseconds since 1970.
    pub fn timestamps_ms(&self) -> impl Iterator<Item = i64> {
        // The last of the metadata columns.
        let data = self.parts.last().map(|part| &part.data[..]).unwrap_or_default();
        data.as_chunks::<8>().0.iter().map(|ticks| i64::from_le_bytes(*ticks))
    }

    /// Values of a column of whole numbers with a fixed width of two or eight
    /// bytes; `None`: it is another.
    pub fn numbers(&self, column: usize) -> Option<impl Iterator<Item = i64>> {
        let part = self.parts.get(column)?;
        let Shape::Fixed(width @ (2 | 8)) = part.shape else { return None };
        let number = move |bytes: &[u8]| {
            let mut wide = [0; 8];
            wide[..width].copy_from_slice(bytes);
            i64::from_le_bytes(wide)
        };
        Some(part.data.chunks_exact(width).map(number))
    }

    /// The rows for which `keep` says so (one entry per row).
    #[must_use]
    pub fn filtered(&self, keep: &[bool]) -> Self {
        debug_assert_eq!(keep.len(), self.rows);
        let parts = self.parts.iter().map(|part| Part {
            head: part.head.clone(),
            nulls: part.nulls.as_ref().map(|nulls| fixed(nulls, 1, keep)),
            data: match part.shape {
                Shape::Fixed(width) | Shape::Keys(width) => fixed(&part.data, width, keep),
                Shape::Same(_) => part.data.clone(),
                Shape::Texts => texts(&part.data, keep),
            },
            shape: part.shape,
        });
        Self { rows: keep.iter().filter(|keep| **keep).count(), parts: parts.collect() }
    }

    /// What was allocated for it, where nobody else reads it.
    pub fn into_buffers(self) -> Buffers {
        let buffer = |bytes: Bytes| {
            let mut buffer = bytes.try_into_mut().map(Vec::from).unwrap_or_default();
            buffer.clear();
            buffer
        };
        let parts = self.parts.into_iter();
        let mut fields: Vec<_> =
            parts.map(|part| (buffer(part.data), part.nulls.map(buffer).unwrap_or_default())).collect();
        // Source, partition, offset, timestamp.
        let timestamps = fields.pop().unwrap_or_default().0;
        let offsets = fields.pop().unwrap_or_default().0;
        fields.truncate(fields.len().saturating_sub(2));
        Buffers { fields, offsets, timestamps }
    }
}

fn fixed(data: &Bytes, width: usize, keep: &[bool]) -> Bytes {
    let rows = data.chunks_exact(width).zip(keep).filter(|(_, keep)| **keep);
    rows.flat_map(|(value, _)| value.iter().copied()).collect()
}

fn texts(data: &Bytes, keep: &[bool]) -> Bytes {
    let mut kept = Vec::new();
    let mut rest = &data[..];
    for keep in keep {
        let (mut len, mut shift, mut prefix) = (0_usize, 0, 0);
        while let Some(byte) = rest.get(prefix) {
            len |= usize::from(byte & 0x7f) << shift;
            shift += 7;
            prefix += 1;
            if byte & 0x80 == 0 {
                break;
            }
        }
        let (value, behind) = rest.split_at((prefix + len).min(rest.len()));
        if *keep {
            kept.extend_from_slice(value);
        }
        rest = behind;
    }
    kept.into()
}
