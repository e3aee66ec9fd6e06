//! A value in a `timestampFormat` of its own → a column of `Date` or
//! `DateTime64`.

use caudal_model::resource::TimestampFormat;
use caudal_model::timestamp::{self, NoMoment};

use super::json::Cursor;
use super::reject::Reason;
use super::value::Values;
use crate::block::{Column, Kind};

impl From<NoMoment> for Reason {
    fn from(why: NoMoment) -> Self {
        match why {
            NoMoment::Malformed => Self::WrongType,
            NoMoment::OutOfRange => Self::OutOfRange,
        }
    }
}

impl Values {
    /// Pushes the value at the cursor, a moment in this format, onto `column`,
    /// or leaves it as it was.
    pub fn moment(
        &mut self,
        format: TimestampFormat,
        column: &mut Column,
        cursor: &mut Cursor<'_>,
        scratch: &mut Vec<u8>,
    ) -> Result<(), Reason> {
        let text = match cursor.peek() {
            Some(b'"') => {
                cursor.advance(1);
                cursor.text(scratch)?
            }
            Some(b'-' | b'0'..=b'9') if format.unix_digits().is_some() => cursor.number()?,
            // Null, or the wrong kind of value.
            _ => return self.push(column, cursor, scratch),
        };
        match column.kind() {
            Kind::DateTime { precision } => {
                column.push(timestamp::ticks(format, text, precision)?.to_le_bytes());
            }
            Kind::Date => column.push(timestamp::date(format, text)?.to_le_bytes()),
            _ => return Err(Reason::WrongType),
        }
        Ok(())
    }
}
