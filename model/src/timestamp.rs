//! Moments in the spellings of `timestampFormat`, but that of `Iso8601` → ticks
//! since 1970, exactly; and calendar days → days since 1970.

use chrono::DateTime;

use crate::ColumnType;
use crate::resource::TimestampFormat;
use crate::value;

/// Why a text is no moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoMoment {
    /// It is not in the format.
    Malformed,
    /// The column can't hold it.
    OutOfRange,
}

use NoMoment::{Malformed, OutOfRange};

/// Ticks of 10^-`precision` seconds. Digits of a second beyond it are cut off.
pub fn ticks(format: TimestampFormat, text: &[u8], precision: u8) -> Result<i64, NoMoment> {
    let (seconds, fraction) = moment(format, text, precision)?;
    value::ticks(seconds, fraction, precision).ok_or(OutOfRange)
}

/// Seconds, and ticks beyond them.
fn moment(format: TimestampFormat, text: &[u8], precision: u8) -> Result<(i64, i64), NoMoment> {
    if let Some(unit) = format.unix_digits() {
        return unix(text, unit, precision);
    }
    let mut rest = Rest(text);
    let found = match format {
        TimestampFormat::Rfc2822 => (rfc2822(&mut rest)?, 0),
        TimestampFormat::CommonLog => (common_log(&mut rest)?, 0),
        _ => basic(&mut rest, precision)?,
    };
    if rest.0.is_empty() { Ok(found) } else { Err(Malformed) }
}

/// The day in UTC, since 1970, as a `Date` holds it.
pub fn date(format: TimestampFormat, text: &[u8]) -> Result<u16, NoMoment> {
    let days = if format == TimestampFormat::Iso8601Basic && text.len() == 8 {
        Rest(text).basic_date()?
    } else {
        ticks(format, text, 0)?.div_euclid(DAY)
    };
    u16::try_from(days).map_err(|_| OutOfRange)
}

const DAY: i64 = 86_400;

/// A default in `format` → the same in ISO 8601, or what to write instead.
pub fn to_iso(format: TimestampFormat, text: &str, column_type: &ColumnType) -> Result<String, String> {
    let (seconds, fraction, digits) = match column_type {
        ColumnType::DateTime64 { precision, .. } => {
            let second = 10_i64.pow(u32::from(*precision));
            let found = ticks(format, text.as_bytes(), *precision);
            (
                found.map(|ticks| ticks.div_euclid(second)),
                found.map(|ticks| ticks.rem_euclid(second)),
                *precision,
            )
        }
        _ => (date(format, text.as_bytes()).map(|days| i64::from(days) * DAY), Ok(0), 0),
    };
    let moment = seconds.ok().and_then(|seconds| DateTime::from_timestamp(seconds, 0));
    let (Some(moment), Ok(fraction)) = (moment, fraction) else {
        return Err(format!("write a moment like {}, which the type can hold", example(format)));
    };
    if *column_type == ColumnType::Date {
        return Ok(moment.format("%Y-%m-%d").to_string());
    }
    let fraction =
        if digits == 0 { String::new() } else { format!(".{fraction:0width$}", width = digits.into()) };
    Ok(format!("{}{fraction}", moment.format("%Y-%m-%d %H:%M:%S")))
}

fn example(format: TimestampFormat) -> &'static str {
    match format {
        TimestampFormat::Iso8601 => "2026-01-31T12:00:00Z",
        TimestampFormat::UnixSeconds => "1769860800",
        TimestampFormat::UnixMilliseconds => "1769860800000",
        TimestampFormat::UnixMicroseconds => "1769860800000000",
        TimestampFormat::UnixNanoseconds => "1769860800000000000",
        TimestampFormat::Rfc2822 => "Sat, 31 Jan 2026 12:00:00 GMT",
        TimestampFormat::CommonLog => "31/Jan/2026:12:00:00 +0000",
        TimestampFormat::Iso8601Basic => "20260131T120000Z",
    }
}

/// Days since 1970 of a day of the proleptic Gregorian calendar; `None` for
/// what is none.
#[inline]
pub fn days(year: i64, month: i64, day: i64) -> Option<i64> {
    let leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    let length = match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    if day < 1 || day > length {
        return None;
    }
    // Years that begin in March, eras of 400 years: Howard Hinnant, "chrono-
    // Compatible Low-Level Date Algorithms", days_from_civil.
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year - era * 400;
    let of_year = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5 + day - 1;
    Some(era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468)
}

/// More ticks than any column holds.
const BEYOND: u128 = 1 << 64;

/// A JSON number of units of 10^-`unit` seconds → seconds and ticks.
fn unix(text: &[u8], unit: u8, precision: u8) -> Result<(i64, i64), NoMoment> {
    let number = Number::parse(text).ok_or(Malformed)?;
    // The digit that is being read counts 10^power units; below `lowest` no
    // tick is whole.
    let lowest = i64::from(unit) - i64::from(precision);
    let mut power = i64::try_from(number.whole.len()).map_err(|_| OutOfRange)? + number.exponent;
    let (mut ticks, mut cut) = (0_u128, false);
    for digit in number.whole.iter().chain(number.fraction).map(|byte| byte - b'0') {
        power -= 1;
        if power < lowest {
            cut |= digit != 0;
            continue;
        }
        ticks = ticks * 10 + u128::from(digit);
        if ticks >= BEYOND {
            return Err(OutOfRange);
        }
    }
    while ticks > 0 && power > lowest {
        power -= 1;
        ticks *= 10;
        if ticks >= BEYOND {
            return Err(OutOfRange);
        }
    }
    let ticks = i128::try_from(ticks).map_err(|_| OutOfRange)?;
    // The tick before, also before 1970.
    let ticks = if number.negative { -ticks - i128::from(cut) } else { ticks };
    let second = 10_i128.pow(u32::from(precision));
    let seconds = i64::try_from(ticks.div_euclid(second)).map_err(|_| OutOfRange)?;
    Ok((seconds, i64::try_from(ticks.rem_euclid(second)).map_err(|_| OutOfRange)?))
}

/// A number as JSON writes one (RFC 8259).
struct Number<'a> {
    negative: bool,
    whole: &'a [u8],
    fraction: &'a [u8],
    exponent: i64,
}

impl<'a> Number<'a> {
    fn parse(text: &'a [u8]) -> Option<Self> {
        let mut rest = Rest(text);
        let negative = rest.take(b'-');
        let whole = rest.digits();
        if whole.is_empty() || (whole.len() > 1 && whole[0] == b'0') {
            return None;
        }
        let mut fraction = &[][..];
        if rest.take(b'.') {
            fraction = rest.digits();
            if fraction.is_empty() {
                return None;
            }
        }
        let mut exponent = 0;
        if rest.take(b'e') || rest.take(b'E') {
            let minus = rest.take(b'-');
            if !minus {
                rest.take(b'+');
            }
            let digits = rest.digits();
            if digits.is_empty() {
                return None;
            }
            // What is larger is as far out of range.
            exponent = digits
                .iter()
                .fold(0_i64, |value, byte| (value * 10 + i64::from(byte - b'0')).min(1_000_000_000));
            exponent = if minus { -exponent } else { exponent };
        }
        rest.0.is_empty().then_some(Self { negative, whole, fraction, exponent })
    }
}

/// `[Tue, ]15 Nov 1994 08:12[:31] GMT` (RFC 2822, 3.3, without comments and
/// the names of American zones; RFC 9110, 5.6.7, `IMF-fixdate`).
fn rfc2822(rest: &mut Rest<'_>) -> Result<i64, NoMoment> {
    const WEEKDAYS: [&[u8; 3]; 7] = [b"Thu", b"Fri", b"Sat", b"Sun", b"Mon", b"Tue", b"Wed"];
    let weekday = rest.name(&WEEKDAYS);
    if weekday.is_some() {
        rest.expect(b", ")?;
    }
    let day = rest.digits();
    let day = match day {
        [one] => i64::from(one - b'0'),
        [tens, ones] => i64::from(tens - b'0') * 10 + i64::from(ones - b'0'),
        _ => return Err(Malformed),
    };
    rest.expect(b" ")?;
    let month = rest.month()?;
    rest.expect(b" ")?;
    let days = days(rest.pair()? * 100 + rest.pair()?, month, day).ok_or(Malformed)?;
    // The first of January 1970 was a Thursday.
    if weekday.is_some_and(|weekday| weekday != days.rem_euclid(7)) {
        return Err(Malformed);
    }
    rest.expect(b" ")?;
    let (hour, minute) = (rest.pair()?, rest.after(b':')?);
    let second = if rest.0.first() == Some(&b':') { rest.after(b':')? } else { 0 };
    rest.expect(b" ")?;
    let zone = match rest.0 {
        b"GMT" | b"UT" | b"UTC" | b"Z" => {
            rest.0 = &[];
            0
        }
        _ => rest.zone()?,
    };
    Ok(days * DAY + of_day(hour, minute, second)? - zone)
}

/// `10/Oct/2000:13:55:36 -0700`.
fn common_log(rest: &mut Rest<'_>) -> Result<i64, NoMoment> {
    let day = rest.pair()?;
    rest.expect(b"/")?;
    let month = rest.month()?;
    rest.expect(b"/")?;
    let days = days(rest.pair()? * 100 + rest.pair()?, month, day).ok_or(Malformed)?;
    let time = of_day(rest.after(b':')?, rest.after(b':')?, rest.after(b':')?)?;
    rest.expect(b" ")?;
    Ok(days * DAY + time - rest.zone()?)
}

/// `20001010T135536[.f][Z]`, or with a zone like `+0200`; UTC without one.
fn basic(rest: &mut Rest<'_>, precision: u8) -> Result<(i64, i64), NoMoment> {
    let days = rest.basic_date()?;
    rest.expect(b"T")?;
    let time = of_day(rest.pair()?, rest.pair()?, rest.pair()?)?;
    let fraction = rest.fraction(precision)?;
    let zone = if rest.0.is_empty() || rest.take(b'Z') { 0 } else { rest.zone()? };
    Ok((days * DAY + time - zone, fraction))
}

fn of_day(hour: i64, minute: i64, second: i64) -> Result<i64, NoMoment> {
    if hour > 23 || minute > 59 || second > 60 {
        return Err(Malformed);
    }
    // A leap second has no place in ClickHouse's calendar.
    if second == 60 { Err(OutOfRange) } else { Ok(hour * 3_600 + minute * 60 + second) }
}

/// What has not been read of a text.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn take(&mut self, byte: u8) -> bool {
        self.expect(&[byte]).is_ok()
    }

    fn expect(&mut self, text: &[u8]) -> Result<(), NoMoment> {
        self.0 = self.0.strip_prefix(text).ok_or(Malformed)?;
        Ok(())
    }

    fn digits(&mut self) -> &'a [u8] {
        let end = self.0.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(self.0.len());
        let (digits, rest) = self.0.split_at(end);
        self.0 = rest;
        digits
    }

    /// Two digits.
    fn pair(&mut self) -> Result<i64, NoMoment> {
        match *self.0 {
            [tens @ b'0'..=b'9', ones @ b'0'..=b'9', ref rest @ ..] => {
                self.0 = rest;
                Ok(i64::from(tens - b'0') * 10 + i64::from(ones - b'0'))
            }
            _ => Err(Malformed),
        }
    }

    /// Two digits behind `separator`.
    fn after(&mut self, separator: u8) -> Result<i64, NoMoment> {
        self.expect(&[separator])?;
        self.pair()
    }

    /// The index of the name that comes next, if one does.
    fn name(&mut self, names: &[&[u8; 3]]) -> Option<i64> {
        let (head, rest) = self.0.split_first_chunk::<3>()?;
        let index = names.iter().position(|name| name.eq_ignore_ascii_case(head))?;
        self.0 = rest;
        i64::try_from(index).ok()
    }

    /// From 1.
    fn month(&mut self) -> Result<i64, NoMoment> {
        const MONTHS: [&[u8; 3]; 12] =
            [b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"];
        self.name(&MONTHS).map(|index| index + 1).ok_or(Malformed)
    }

    /// `YYYYMMDD` → days since 1970.
    fn basic_date(&mut self) -> Result<i64, NoMoment> {
        days(self.pair()? * 100 + self.pair()?, self.pair()?, self.pair()?).ok_or(Malformed)
    }

    /// `.digits` or nothing → ticks.
    fn fraction(&mut self, precision: u8) -> Result<i64, NoMoment> {
        if !self.take(b'.') {
            return Ok(0);
        }
        let digits = self.digits();
        if digits.is_empty() {
            return Err(Malformed);
        }
        let digit = |index: usize| digits.get(index).map_or(0, |byte| i64::from(*byte - b'0'));
        Ok((0..usize::from(precision)).fold(0, |ticks, index| ticks * 10 + digit(index)))
    }

    /// `+hhmm` or `-hhmm` → seconds east of UTC.
    fn zone(&mut self) -> Result<i64, NoMoment> {
        let west = self.take(b'-');
        if !west {
            self.expect(b"+")?;
        }
        let (hours, minutes) = (self.pair()?, self.pair()?);
        if hours > 23 || minutes > 59 {
            return Err(Malformed);
        }
        let seconds = hours * 3_600 + minutes * 60;
        Ok(if west { -seconds } else { seconds })
    }
}

#[cfg(test)]
mod tests {
    use TimestampFormat as F;

    use super::*;

    #[test]
    fn formats_tell_the_same_moment() {
        for (format, text) in [
            (F::UnixSeconds, "1769860800"),
            (F::UnixSeconds, "1769860800.000"),
            (F::UnixSeconds, "1.7698608e9"),
            (F::UnixSeconds, "17698608E+2"),
            (F::UnixSeconds, "17698608000e-1"),
            (F::UnixMilliseconds, "1769860800000"),
            (F::UnixMicroseconds, "1769860800000000"),
            (F::UnixNanoseconds, "1769860800000000000"),
            (F::Rfc2822, "Sat, 31 Jan 2026 12:00:00 GMT"),
            (F::Rfc2822, "sat, 31 jan 2026 12:00:00 UT"),
            (F::Rfc2822, "31 Jan 2026 12:00 +0000"),
            (F::Rfc2822, "Sun, 1 Feb 2026 01:30:00 +1330"),
            (F::CommonLog, "31/Jan/2026:05:00:00 -0700"),
            (F::Iso8601Basic, "20260131T120000Z"),
            (F::Iso8601Basic, "20260131T120000"),
            (F::Iso8601Basic, "20260131T140000.000+0200"),
        ] {
            for (precision, ticks_in) in [(0, 1), (3, 1_000), (9, 1_000_000_000)] {
                assert_eq!(ticks(format, text.as_bytes(), precision), Ok(1_769_860_800 * ticks_in), "{text}");
            }
            assert_eq!(date(format, text.as_bytes()), Ok(20_484), "{text}");
        }
        assert_eq!(date(F::Iso8601Basic, b"20260131"), Ok(20_484));
        assert_eq!(ticks(F::Rfc2822, b"Tue, 15 Nov 1994 08:12:31 GMT", 0), Ok(784_887_151));
        assert_eq!(ticks(F::CommonLog, b"10/Oct/2000:13:55:36 -0700", 0), Ok(971_211_336));
    }

    #[test]
    fn digits_are_exact_and_cut_off_beyond_the_tick() {
        for (text, format, precision, expected) in [
            ("1700000000.123", F::UnixSeconds, 3, 1_700_000_000_123),
            ("1700000000.1239999", F::UnixSeconds, 3, 1_700_000_000_123),
            ("1700000000.123456789", F::UnixSeconds, 9, 1_700_000_000_123_456_789),
            ("1.700000000123456789e9", F::UnixSeconds, 9, 1_700_000_000_123_456_789),
            ("1700000000123.9", F::UnixMilliseconds, 0, 1_700_000_000),
            ("1700000000123.456", F::UnixMilliseconds, 6, 1_700_000_000_123_456),
            ("-0.0001", F::UnixSeconds, 3, -1),
            ("-1", F::UnixNanoseconds, 3, -1),
            ("-0.0", F::UnixSeconds, 3, 0),
            ("0e999999999999999999999", F::UnixSeconds, 3, 0),
            ("1e-999999999999999999999", F::UnixSeconds, 3, 0),
            ("9223372036854775807", F::UnixNanoseconds, 9, i64::MAX),
        ] {
            assert_eq!(ticks(format, text.as_bytes(), precision), Ok(expected), "{text}");
        }
        assert_eq!(ticks(F::Iso8601Basic, b"19691231T235959.9999Z", 3), Ok(-1));
        assert_eq!(ticks(F::Iso8601Basic, b"19700101T000000.5Z", 9), Ok(500_000_000));
    }

    #[test]
    fn what_is_no_moment_is_refused() {
        for (format, texts) in [
            (
                F::UnixSeconds,
                &["", "-", "+1", "01", "1.", ".1", "1e", "0x1", "1 ", " 1", "1_0", "NaN", "1970-01-01"][..],
            ),
            (
                F::Rfc2822,
                &[
                    "Mon, 15 Nov 1994 08:12:31 GMT",
                    "Tue 15 Nov 1994 08:12:31 GMT",
                    "Tue, 31 Nov 1994 08:12:31 GMT",
                    "Tue, 15 Nov 94 08:12:31 GMT",
                    "Tue, 015 Nov 1994 08:12:31 GMT",
                    "Tue, 15 Nov 1994 24:12:31 GMT",
                    "Tue, 15 Nov 1994 08:12:31",
                    "Tue, 15 Nov 1994 08:12:31 PST",
                    "Tue, 15 Nov 1994 08:12:31 +00:00",
                    "Tue, 15 Nov 1994 08:12:31 GMT ",
                    "Tuesday, 15-Nov-94 08:12:31 GMT",
                ],
            ),
            (
                F::CommonLog,
                &[
                    "[10/Oct/2000:13:55:36 -0700]",
                    "10/10/2000:13:55:36 -0700",
                    "10/Oct/2000 13:55:36 -0700",
                    "10/Oct/2000:13:55:36",
                    "31/Feb/2000:13:55:36 -0700",
                    "10/Oct/2000:13:55:36 -2400",
                ],
            ),
            (
                F::Iso8601Basic,
                &[
                    "20260131",
                    "2026-01-31T12:00:00Z",
                    "20260131 120000Z",
                    "20260229T120000Z",
                    "20260131T1200Z",
                    "20260131T120000.Z",
                ],
            ),
        ] {
            for text in texts {
                assert_eq!(ticks(format, text.as_bytes(), 3), Err(Malformed), "{format:?} {text}");
            }
        }
        for (format, text) in [
            (F::UnixSeconds, "-2208988801"),
            (F::UnixSeconds, "10413792000"),
            (F::UnixSeconds, "1e400"),
            (F::UnixSeconds, "99999999999999999999999999999999999999999999"),
            (F::Rfc2822, "Fri, 30 Jun 1972 23:59:60 GMT"),
            (F::Iso8601Basic, "23000101T000000Z"),
        ] {
            assert_eq!(ticks(format, text.as_bytes(), 3), Err(OutOfRange), "{format:?} {text}");
        }
        assert_eq!(ticks(F::UnixNanoseconds, b"9223372036854775808", 9), Err(OutOfRange));
        assert_eq!(date(F::UnixSeconds, b"-1"), Err(OutOfRange));
        assert_eq!(date(F::Iso8601Basic, b"21490607"), Err(OutOfRange));
    }

    #[test]
    fn defaults_become_iso_8601() {
        for (format, text, of, expected) in [
            (F::UnixSeconds, "1769860800.5", "DateTime64(3)", "2026-01-31 12:00:00.500"),
            (F::UnixMilliseconds, "-1", "DateTime64(3)", "1969-12-31 23:59:59.999"),
            (F::CommonLog, "31/Jan/2026:05:00:00 -0700", "DateTime64(0)", "2026-01-31 12:00:00"),
            (F::Rfc2822, "Sat, 31 Jan 2026 12:00:00 GMT", "Date", "2026-01-31"),
        ] {
            assert_eq!(to_iso(format, text, &of.parse().unwrap()).as_deref(), Ok(expected), "{text}");
        }
        let refused = to_iso(F::UnixSeconds, "2026-01-31", &ColumnType::Date).unwrap_err();
        assert_eq!(refused, "write a moment like 1769860800, which the type can hold");
    }
}
