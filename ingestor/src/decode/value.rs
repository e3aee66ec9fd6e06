//! One JSON value → one column, by the column's kind.

use std::net::{IpAddr, Ipv4Addr};
use std::str::FromStr;

use super::datetime::{self, Minute};
use super::document::Document;
use super::json::{Cursor, Short};
use super::nested::Nesting;
use super::reject::Reason;
use super::{decimal, number};
use crate::block::{Column, Kind};

/// Converts values; remembers what makes the next one cheaper.
pub struct Values {
    minute: Minute,
    pub(super) nesting: Nesting,
    pub(super) document: Document,
}

impl Values {
    /// An array or a map may take up to `max_bytes` of memory, its texts aside.
    pub fn new(max_bytes: usize) -> Self {
        Self { minute: Minute::default(), nesting: Nesting::new(max_bytes), document: Document::default() }
    }

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
            (kind, b'"') => {
                cursor.advance(1);
                let text = cursor.text(scratch)?;
                if let Kind::Text | Kind::Dictionary = kind {
                    column.push_text(text);
                    return Ok(());
                }
                self.text(column, kind, text)
            }
            (Kind::Bool, b't') => cursor.literal(b"true").map(|()| column.push([1])),
            (Kind::Bool, b'f') => cursor.literal(b"false").map(|()| column.push([0])),
            (kind, b'-' | b'0'..=b'9') => {
                let start = cursor.position();
                if let Some(number) = cursor.short_number() {
                    if short(column, kind, number)? {
                        return Ok(());
                    }
                    cursor.back_to(start);
                }
                numeric(column, kind, cursor.number()?)
            }
            (Kind::Array | Kind::Map | Kind::Json, b'[' | b'{') => self.composite(column, cursor, scratch),
            // Whatever it is, it is not the column's type; is it JSON at all?
            (_, b'{' | b'[' | b't' | b'f') => {
                cursor.skip_value(scratch, self.nesting.depth)?;
                Err(Reason::WrongType)
            }
            _ => Err(Reason::InvalidJson),
        }
    }

    pub(super) fn text(&mut self, column: &mut Column, kind: Kind, text: &[u8]) -> Result<(), Reason> {
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
            Kind::Enum(width) => {
                let number = column.number_of(text).ok_or(Reason::WrongType)?;
                push_low(column, width, i64::from(number).to_le_bytes());
                Ok(())
            }
            Kind::Ipv4 => {
                column.push(u32::from(address::<Ipv4Addr>(text)?).to_le_bytes());
                Ok(())
            }
            Kind::Ipv6 => {
                column.push(match address(text)? {
                    IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
                    IpAddr::V6(address) => address.octets(),
                });
                Ok(())
            }
            _ => Err(Reason::WrongType),
        }
    }
}

/// Pushes a number of few digits, or says that its text is needed.
#[inline]
fn short(column: &mut Column, kind: Kind, number: Short) -> Result<bool, Reason> {
    match kind {
        Kind::Int(width) if number.decimals == 0 => {
            let value = number::signed((number.negative, number.digits), width)?;
            push_low(column, width, value.to_le_bytes());
        }
        Kind::UInt(width) if number.decimals == 0 => {
            let value = number::unsigned((number.negative, number.digits), width)?;
            push_low(column, width, value.to_le_bytes());
        }
        Kind::Float64 => {
            let Some(value) = number::short_float(number) else { return Ok(false) };
            column.push(value.to_le_bytes());
        }
        Kind::Decimal { width, precision, scale } => {
            let Some(value) = decimal::short(number, precision, scale) else { return Ok(false) };
            match width {
                4 => column.push(low::<4, 16>(value.to_le_bytes())),
                8 => column.push(low::<8, 16>(value.to_le_bytes())),
                16 => column.push(value.to_le_bytes()),
                _ => return Ok(false),
            }
        }
        _ => return Ok(false),
    }
    Ok(true)
}

pub(super) fn numeric(column: &mut Column, kind: Kind, text: &[u8]) -> Result<(), Reason> {
    match kind {
        Kind::Int(width) => {
            let value = number::signed(number::integer(text)?, width)?;
            push_low(column, width, value.to_le_bytes());
        }
        Kind::UInt(width) => {
            let value = number::unsigned(number::integer(text)?, width)?;
            push_low(column, width, value.to_le_bytes());
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
                4 => column.push(low::<4, 32>(bytes)),
                8 => column.push(low::<8, 32>(bytes)),
                16 => column.push(low::<16, 32>(bytes)),
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
        1 => column.push(low::<1, 8>(value)),
        2 => column.push(low::<2, 8>(value)),
        4 => column.push(low::<4, 8>(value)),
        _ => column.push(value),
    }
}

/// The low bytes of a little-endian value.
#[inline]
fn low<const WIDTH: usize, const ALL: usize>(value: [u8; ALL]) -> [u8; WIDTH] {
    let mut bytes = [0; WIDTH];
    bytes.copy_from_slice(&value[..WIDTH]);
    bytes
}

fn address<A: FromStr>(text: &[u8]) -> Result<A, Reason> {
    std::str::from_utf8(text).ok().and_then(|text| text.parse().ok()).ok_or(Reason::WrongType)
}

/// 8-4-4-4-12 hex digits → two little-endian words, the high one first.
fn uuid(text: &[u8]) -> Result<[u8; 16], Reason> {
    // Where the two digits of each byte are, in the order of the bytes sent.
    const DIGITS: [usize; 16] = [16, 14, 11, 9, 6, 4, 2, 0, 34, 32, 30, 28, 26, 24, 21, 19];
    let text: &[u8; 36] = text.try_into().map_err(|_| Reason::WrongType)?;
    if [8, 13, 18, 23].iter().any(|dash| text[*dash] != b'-') {
        return Err(Reason::WrongType);
    }
    let mut wrong = 0;
    let bytes = DIGITS.map(|at| {
        let (high, low) = (HEX[usize::from(text[at])], HEX[usize::from(text[at + 1])]);
        wrong |= high | low;
        high << 4 | low & 0xf
    });
    if wrong > 0xf { Err(Reason::WrongType) } else { Ok(bytes) }
}

/// What a hex digit stands for; `0xff` for what is none.
const HEX: [u8; 256] = {
    let mut values = [0xff; 256];
    let mut value = 0;
    while value < 16 {
        let digit = b"0123456789abcdef"[value as usize];
        values[digit as usize] = value;
        values[digit.to_ascii_uppercase() as usize] = value;
        value += 1;
    }
    values
};
