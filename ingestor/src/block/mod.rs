//! Values → one Native block per partition and flush.
//!
//! Columns are kept as the bytes ClickHouse reads, so a sealed block is a list
//! of slices and nothing is copied on the way out.

mod column;
mod columns;
mod dictionary;
mod enumeration;
mod kind;
mod nested;
mod sealed;

pub use column::{Column, Encoded};
pub use columns::{Columns, Layout, RowId};
pub(crate) use dictionary::Dictionary;
pub use kind::Kind;
pub use sealed::{Block, Buffers};

/// Appends an unsigned LEB128 number, as Native writes lengths.
#[inline]
pub(crate) fn varint(out: &mut Vec<u8>, mut number: usize) {
    // Most strings are short.
    if let Ok(byte @ 0..0x80) = u8::try_from(number) {
        return out.push(byte);
    }
    while number >= 0x80 {
        #[allow(clippy::cast_possible_truncation)]
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    #[allow(clippy::cast_possible_truncation)]
    out.push(number as u8);
}

/// Bytes of the text that `wire` begins with, its length included.
pub(crate) fn text_length(wire: &[u8]) -> usize {
    let (mut length, mut shift, mut prefix) = (0_usize, 0, 0);
    while let Some(byte) = wire.get(prefix) {
        length |= usize::from(byte & 0x7f) << shift;
        shift += 7;
        prefix += 1;
        if byte & 0x80 == 0 {
            break;
        }
    }
    (prefix + length).min(wire.len())
}
