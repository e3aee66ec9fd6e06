//! One JSON value → one column, by the column's kind.

use super::datetime::{self, Minute};
use super::json::Cursor;
use super::reject::Reason;
use super::{decimal, number};
use crate::block::{Column, Kind};

/// Converts values; remembers what makes the next one cheaper.
#[derive(Default)]
pub struct Values {
    minute: Minute,
}

impl Values {
    /// Pushes the value at the cursor onto `column`, or leaves it as it was.
    #[inline]
    pub fn push(
        &mut self,
        column: &mut Column,
        cursor: &mut Cursor<'_>,
        scratch: &mut Vec<u8>,
    ) -> Result<(), Reason> {
        let Some(first) = cursor.peek() else { return Err(Reason::InvalidJson) };
        if first == b'n' {
            cursor.literal(b"null")?;
            if !column.nullable() {
                return Err(Reason::NullField);
            }
            column.push_null();
            return Ok(());
        }
        match (column.kind(), first) {
            (Kind::Text | Kind::Dictionary, b'"') => {
                cursor.advance(1);
                column.push_text(cursor.text(scratch)?);
                Ok(())
            }
            (kind, b'"') => {
                cursor.advance(1);
                self.text(column, kind, cursor.text(scratch)?)
            }
            (Kind::Bool, b't') => cursor.literal(b"true").map(|()| column.push([1])),
            (Kind::Bool, b'f') => cursor.literal(b"false").map(|()| column.push([0])),
            (kind, b'-' | b'0'..=b'9') => numeric(column, kind, cursor.number()?),
            // Whatever it is, it is not the column's type; is it JSON at all?
            (_, b'{' | b'[' | b't' | b'f') => {
                cursor.skip_value(scratch, super::MAX_DEPTH - 1)?;
                Err(Reason::WrongType)
            }
            _ => Err(Reason::InvalidJson),
        }
    }

    fn text(&mut self, column: &mut Column, kind: Kind, text: &[u8]) -> Result<(), Reason> {
        match kind {
            // Beyond 2^53 many writers can't give a number as a number.
            Kind::Int(8) | Kind::UInt(8) if number::is_integer(text) => numeric(column, kind, text),
            Kind::Decimal { .. } if decimal::is_number(text) => numeric(column, kind, text),
            Kind::Date => {
                column.push(datetime::date(text)?.to_le_bytes());
                Ok(())
            }
            Kind::DateTime { precision } => {
                let ticks = datetime::ticks(text, precision, &mut self.minute)?;
                column.push(ticks.to_le_bytes());
                Ok(())
            }
            Kind::Uuid => {
                column.push(uuid(text)?);
                Ok(())
            }
            _ => Err(Reason::WrongType),
        }
    }
}

#[inline]
fn numeric(column: &mut Column, kind: Kind, text: &[u8]) -> Result<(), Reason> {
    match kind {
        Kind::Int(width) => {
            let value = number::signed(text, width)?.to_le_bytes();
            push_low(column, width, value);
        }
        Kind::UInt(width) => {
            let value = number::unsigned(text, width)?.to_le_bytes();
            push_low(column, width, value);
        }
        Kind::Float64 => column.push(number::float64(text)?.to_le_bytes()),
        Kind::Float32 => column.push(number::float32(text)?.to_le_bytes()),
        Kind::Decimal { width, precision, scale } => {
            let wide = decimal::scaled(text, precision, scale)?;
            let mut bytes = [0; 32];
            for (word, out) in wide.iter().zip(bytes.chunks_exact_mut(8)) {
                out.copy_from_slice(&word.to_le_bytes());
            }
            match width {
                4 => column.push(low::<4>(&bytes)),
                8 => column.push(low::<8>(&bytes)),
                16 => column.push(low::<16>(&bytes)),
                _ => column.push(bytes),
            }
        }
        _ => return Err(Reason::WrongType),
    }
    Ok(())
}

#[inline]
fn push_low(column: &mut Column, width: u8, value: [u8; 8]) {
    match width {
        1 => column.push(low::<1>(&value)),
        2 => column.push(low::<2>(&value)),
        4 => column.push(low::<4>(&value)),
        _ => column.push(value),
    }
}

/// The low bytes of a little-endian value.
#[inline]
fn low<const WIDTH: usize>(value: &[u8]) -> [u8; WIDTH] {
    let mut bytes = [0; WIDTH];
    bytes.copy_from_slice(&value[..WIDTH]);
    bytes
}

/// 8-4-4-4-12 hex digits → two little-endian words, the high one first.
fn uuid(text: &[u8]) -> Result<[u8; 16], Reason> {
    if text.len() != 36 {
        return Err(Reason::WrongType);
    }
    let mut value = 0_u128;
    for (index, byte) in text.iter().enumerate() {
        if matches!(index, 8 | 13 | 18 | 23) {
            if *byte != b'-' {
                return Err(Reason::WrongType);
            }
            continue;
        }
        let digit = char::from(*byte).to_digit(16).ok_or(Reason::WrongType)?;
        value = value << 4 | u128::from(digit);
    }
    // Little-endian low word first; swap the words.
    Ok(value.rotate_right(64).to_le_bytes())
}
