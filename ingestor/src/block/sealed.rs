//! A finished block: Native bytes in pieces, to be sent as often as needed.

use bytes::Bytes;

use super::nested::last_end;
use super::{text_length, varint};

/// Rows of one offset range of one partition, in the order of their offsets.
#[derive(Clone, Debug)]
pub struct Block {
    rows: usize,
    pub(super) parts: Vec<Part>,
}

/// One column, or one beneath another.
#[derive(Clone, Debug)]
pub(super) struct Part {
    /// Name, type and the prefixes of all serializations in it; empty of
    /// columns beneath.
    pub head: Bytes,
    /// What stands before the keys, if there are any.
    pub dictionary: Bytes,
    pub nulls: Option<Bytes>,
    pub data: Bytes,
    pub shape: Shape,
    pub beneath: Vec<Part>,
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
    /// Where each row's elements end in the columns beneath.
    Ends,
}

/// Rows for which equal values are written out.
pub(super) const REPEATED: usize = 4_096;

/// Memory of a block that is done with, emptied.
pub struct Buffers {
    pub(super) fields: Vec<Buffer>,
    pub(super) offsets: Vec<u8>,
    pub(super) timestamps: Vec<u8>,
}

/// Memory of a column.
#[derive(Default)]
pub(super) struct Buffer {
    pub data: Vec<u8>,
    pub nulls: Vec<u8>,
    pub beneath: Vec<Buffer>,
}

impl Buffer {
    fn capacity(&self) -> usize {
        self.data.capacity() + self.nulls.capacity() + self.beneath.iter().map(Self::capacity).sum::<usize>()
    }
}

impl Buffers {
    /// Bytes there is room for.
    pub fn capacity(&self) -> usize {
        self.fields.iter().map(Buffer::capacity).sum::<usize>()
            + self.offsets.capacity()
            + self.timestamps.capacity()
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
            part.pieces(self.rows, &mut head, &mut pieces);
        }
        pieces.retain(|piece| !piece.is_empty());
        pieces
    }

    pub fn bytes(&self) -> usize {
        self.parts.iter().map(Part::bytes).sum()
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
        let parts = self.parts.iter().map(|part| part.filtered(keep)).collect();
        Self { rows: keep.iter().filter(|keep| **keep).count(), parts }
    }

    /// What was allocated for it, where nobody else reads it.
    pub fn into_buffers(self) -> Buffers {
        let mut fields: Vec<_> = self.parts.into_iter().map(Part::into_buffer).collect();
        // Source, partition, offset, timestamp.
        let timestamps = fields.pop().unwrap_or_default().data;
        let offsets = fields.pop().unwrap_or_default().data;
        fields.truncate(fields.len().saturating_sub(2));
        Buffers { fields, offsets, timestamps }
    }
}

impl Part {
    /// Appends what goes over the wire for `rows` rows. `head` has what stands
    /// before it and is not a piece yet.
    fn pieces(&self, rows: usize, head: &mut Vec<u8>, pieces: &mut Vec<Bytes>) {
        head.extend_from_slice(&self.head);
        if matches!(self.shape, Shape::Keys(_)) && rows > 0 {
            head.extend_from_slice(&self.dictionary);
            head.extend_from_slice(&(rows as u64).to_le_bytes());
        }
        pieces.push(std::mem::take(head).into());
        pieces.extend(self.nulls.clone());
        if let Shape::Same(width) = self.shape {
            for from in (0..rows).step_by(REPEATED) {
                pieces.push(self.data.slice(..width * REPEATED.min(rows - from)));
            }
        } else {
            pieces.push(self.data.clone());
        }
        self.beneath.iter().for_each(|part| part.pieces(self.elements(), head, pieces));
    }

    /// How many elements there are in the parts beneath.
    fn elements(&self) -> usize {
        usize::try_from(last_end(&self.data)).expect("elements are in memory")
    }

    fn bytes(&self) -> usize {
        let own = self.head.len() + self.dictionary.len() + self.data.len();
        let nulls = self.nulls.as_ref().map_or(0, Bytes::len);
        own + nulls + self.beneath.iter().map(Self::bytes).sum::<usize>()
    }

    fn filtered(&self, keep: &[bool]) -> Self {
        let (mut beneath, mut keep_elements) = (Vec::new(), Vec::new());
        let data = match self.shape {
            Shape::Fixed(width) | Shape::Keys(width) => fixed(&self.data, width, keep),
            Shape::Same(_) => self.data.clone(),
            Shape::Texts => texts(&self.data, keep),
            Shape::Ends => {
                keep_elements.reserve_exact(self.elements());
                ends(&self.data, keep, &mut keep_elements)
            }
        };
        beneath.extend(self.beneath.iter().map(|part| part.filtered(&keep_elements)));
        Self {
            head: self.head.clone(),
            dictionary: self.dictionary.clone(),
            nulls: self.nulls.as_ref().map(|nulls| fixed(nulls, 1, keep)),
            data,
            shape: self.shape,
            beneath,
        }
    }

    fn into_buffer(self) -> Buffer {
        let emptied = |bytes: Bytes| {
            let mut buffer = bytes.try_into_mut().map(Vec::from).unwrap_or_default();
            buffer.clear();
            buffer
        };
        Buffer {
            data: emptied(self.data),
            nulls: self.nulls.map(emptied).unwrap_or_default(),
            beneath: self.beneath.into_iter().map(Self::into_buffer).collect(),
        }
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
        let (value, behind) = rest.split_at(text_length(rest));
        if *keep {
            kept.extend_from_slice(value);
        }
        rest = behind;
    }
    kept.into()
}

/// Appends to `keep_elements` what is kept beneath.
fn ends(data: &Bytes, keep: &[bool], keep_elements: &mut Vec<bool>) -> Bytes {
    let mut kept = Vec::new();
    let mut last = 0_u64;
    let mut from = 0;
    for (end, keep) in data.as_chunks().0.iter().zip(keep) {
        let end = u64::from_le_bytes(*end);
        let elements = end - from;
        from = end;
        keep_elements.resize(usize::try_from(end).expect("elements are in memory"), *keep);
        if *keep {
            last += elements;
            kept.extend_from_slice(&last.to_le_bytes());
        }
    }
    kept.into()
}
