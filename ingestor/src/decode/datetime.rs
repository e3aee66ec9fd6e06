//! Texts → days and ticks since 1970 (proleptic Gregorian, UTC).

use caudal_model::{timestamp, value};

use super::reject::Reason;
use super::scan::POWERS;

/// `YYYY-MM-DD` → days, within what `Date` holds (to 2149-06-06).
pub fn date(text: &[u8]) -> Result<u16, Reason> {
    if text.len() != 10 {
        return Err(Reason::WrongType);
    }
    u16::try_from(days(text)?).map_err(|_| Reason::OutOfRange)
}

/// RFC 3339, or `YYYY-MM-DD hh:mm:ss[.f]`; no zone means UTC. Digits of a
/// second beyond `precision` are cut off: the same moment, as exactly as the
/// column can say it.
pub fn ticks(text: &[u8], precision: u8, minutes: &mut Minute) -> Result<i64, Reason> {
    if text.len() < 19 {
        return Err(Reason::WrongType);
    }
    let start = minutes.seconds(&text[..16])?;
    if text[16] != b':' {
        return Err(Reason::WrongType);
    }
    let second = pair(text, 17)?;
    if second > 59 {
        // A leap second has no place in ClickHouse's calendar.
        return Err(if second == 60 { Reason::OutOfRange } else { Reason::WrongType });
    }
    let (fraction, rest) = fraction(&text[19..], precision)?;
    let seconds = start + second - zone(rest)?;
    value::ticks(seconds, fraction, precision).ok_or(Reason::OutOfRange)
}

/// Remembers the last minute: neighbours in a topic mostly share it.
#[derive(Default)]
pub struct Minute {
    text: [u8; 16],
    seconds: i64,
}

impl Minute {
    /// `YYYY-MM-DD?hh:mm` → seconds since 1970.
    #[inline]
    fn seconds(&mut self, text: &[u8]) -> Result<i64, Reason> {
        if *text != self.text {
            let seconds = minute(text)?;
            self.text.copy_from_slice(text);
            self.seconds = seconds;
        }
        Ok(self.seconds)
    }
}

fn minute(text: &[u8]) -> Result<i64, Reason> {
    let days = days(&text[..10])?;
    if !matches!(text[10], b' ' | b'T' | b't') || text[13] != b':' {
        return Err(Reason::WrongType);
    }
    let (hour, minute) = (pair(text, 11)?, pair(text, 14)?);
    if hour > 23 || minute > 59 {
        return Err(Reason::WrongType);
    }
    Ok(days * 86_400 + hour * 3_600 + minute * 60)
}

/// `YYYY-MM-DD` → days since 1970.
fn days(text: &[u8]) -> Result<i64, Reason> {
    if text[4] != b'-' || text[7] != b'-' {
        return Err(Reason::WrongType);
    }
    let year = pair(text, 0)? * 100 + pair(text, 2)?;
    let (month, day) = (pair(text, 5)?, pair(text, 8)?);
    timestamp::days(year, month, day).ok_or(Reason::WrongType)
}

/// `.digits` or nothing → ticks, and what follows.
fn fraction(text: &[u8], precision: u8) -> Result<(i64, &[u8]), Reason> {
    let Some((b'.', rest)) = text.split_first() else { return Ok((0, text)) };
    let (precision, mut ticks, mut count) = (usize::from(precision), 0, 0);
    while let Some(digit) = rest.get(count).map(|byte| byte.wrapping_sub(b'0')).filter(|digit| *digit < 10) {
        if count < precision {
            ticks = ticks * 10 + u64::from(digit);
        }
        count += 1;
    }
    if count == 0 {
        return Err(Reason::WrongType);
    }
    let zeros = precision.saturating_sub(count);
    Ok(((ticks * POWERS[zeros]).cast_signed(), &rest[count..]))
}

/// Seconds east of UTC.
fn zone(text: &[u8]) -> Result<i64, Reason> {
    match text {
        [] | [b'Z' | b'z'] => Ok(0),
        [sign @ (b'+' | b'-'), _, _, b':', _, _] => {
            let (hours, minutes) = (pair(text, 1)?, pair(text, 4)?);
            if hours > 23 || minutes > 59 {
                return Err(Reason::WrongType);
            }
            let seconds = hours * 3_600 + minutes * 60;
            Ok(if *sign == b'-' { -seconds } else { seconds })
        }
        _ => Err(Reason::WrongType),
    }
}

#[inline]
fn pair(text: &[u8], at: usize) -> Result<i64, Reason> {
    let (tens, ones) = (text[at].wrapping_sub(b'0'), text[at + 1].wrapping_sub(b'0'));
    if tens > 9 || ones > 9 {
        return Err(Reason::WrongType);
    }
    Ok(i64::from(tens) * 10 + i64::from(ones))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str, precision: u8) -> Result<i64, Reason> {
        ticks(text.as_bytes(), precision, &mut Minute::default())
    }

    #[test]
    fn reads_the_common_spellings() {
        assert_eq!(of("1970-01-01 00:00:00", 3), Ok(0));
        assert_eq!(of("2026-11-22T13:00:00.001Z", 3), Ok(1_795_352_400_001));
        assert_eq!(of("2026-11-22 13:00:00.001", 3), Ok(1_795_352_400_001));
        assert_eq!(of("2026-11-22T15:30:00+02:30", 0), Ok(1_795_352_400));
        assert_eq!(of("2026-11-22T13:00:00.5", 9), Ok(1_795_352_400_500_000_000));
        assert_eq!(of("1969-12-31 23:59:59.9", 1), Ok(-1));
        assert_eq!(of("2000-02-29 00:00:00", 0), Ok(951_782_400));
    }

    #[test]
    fn cuts_what_the_column_can_not_hold() {
        assert_eq!(of("1970-01-01 00:00:00.123456789", 3), Ok(123));
        assert_eq!(of("1969-12-31 23:59:59.9999", 3), Ok(-1));
    }

    #[test]
    fn refuses_what_is_no_time() {
        for text in [
            "2026-11-22",
            "2026-13-01 00:00:00",
            "2026-02-29 00:00:00",
            "2026-11-22 24:00:00",
            "2026-11-22 00:60:00",
            "2026-11-22 00:00:61",
            "2026-11-22 00:00:00.",
            "2026-11-22 00:00:00Zz",
            "2026-11-22 00:00:00+2:00",
            "2026/11/22 00:00:00",
            "x026-11-22 00:00:00",
        ] {
            assert_eq!(of(text, 3), Err(Reason::WrongType), "{text}");
        }
        assert_eq!(of("2026-11-22 00:00:60", 3), Err(Reason::OutOfRange));
        assert_eq!(of("1899-12-31 23:59:59", 3), Err(Reason::OutOfRange));
        assert_eq!(of("2300-01-01 00:00:00", 3), Err(Reason::OutOfRange));
        assert_eq!(of("2299-01-01 00:00:00", 9), Err(Reason::OutOfRange));
    }

    #[test]
    fn a_remembered_minute_is_no_other_one() {
        let mut minute = Minute::default();
        assert_eq!(ticks(b"1970-01-01 00:01:01", 0, &mut minute), Ok(61));
        assert_eq!(ticks(b"1970-01-01 00:01:02", 0, &mut minute), Ok(62));
        assert_eq!(ticks(b"1970-01-01 00:02:02", 0, &mut minute), Ok(122));
        assert!(ticks(b"1970-01-01 00:62:02", 0, &mut minute).is_err());
    }

    #[test]
    fn dates_end_where_the_type_does() {
        assert_eq!(date(b"1970-01-01"), Ok(0));
        assert_eq!(date(b"2149-06-06"), Ok(u16::MAX));
        assert_eq!(date(b"2149-06-07"), Err(Reason::OutOfRange));
        assert_eq!(date(b"1969-12-31"), Err(Reason::OutOfRange));
        assert_eq!(date(b"2026-2-1"), Err(Reason::WrongType));
    }
}
