//! Values → one Native block per partition and flush.
//!
//! Columns are kept as the bytes ClickHouse reads, so a sealed block is a list
//! of slices and nothing is copied on the way out.

mod column;
mod columns;
mod dictionary;
mod sealed;

pub use column::{Column, Encoded, Kind};
pub use columns::{Columns, Layout, RowId};
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
