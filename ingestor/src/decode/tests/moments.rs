//! Moments in formats of their own.

use super::*;
use crate::block::Encoded;

fn value(of: &str, format: TimestampFormat, value: &str) -> Result<Encoded, Reason> {
    let field = Field { timestamp_format: format, nullable: true, ..field("t", of) };
    let mut table = Table::new(&[field]);
    let message = format!("{{\"t\":{value}}}");
    table.decode(message.as_bytes()).map_err(|reject| reject.reason)?;
    Ok(table.columns.fields[0].single())
}

#[test]
fn a_moment_is_read_in_its_format_and_no_other() {
    use TimestampFormat as F;
    for (format, texts) in [
        (F::Iso8601, &[r#""2023-11-14T22:13:20.123Z""#][..]),
        (
            F::UnixSeconds,
            &["1700000000.123", r#""1700000000.123""#, "1.700000000123e9", "1700000000.12300000001"],
        ),
        (F::UnixMilliseconds, &["1700000000123", r#""1700000000123""#, "1700000000123.9"]),
        (F::UnixMicroseconds, &["1700000000123000"]),
        (F::UnixNanoseconds, &["1700000000123000000", r#""\u0031700000000123000000""#]),
        (F::Iso8601Basic, &[r#""20231114T221320.123Z""#]),
    ] {
        for text in texts {
            let ticks = 1_700_000_000_123_i64.to_le_bytes().to_vec();
            assert_eq!(value("DateTime64(3)", format, text), Ok(Encoded::Fixed(ticks)), "{text}");
        }
    }
    let ticks = |seconds: i64| Ok(Encoded::Fixed(seconds.to_le_bytes().to_vec()));
    assert_eq!(value("DateTime64(0)", F::Rfc2822, r#""Tue, 15 Nov 1994 08:12:31 GMT""#), ticks(784_887_151));
    assert_eq!(value("DateTime64(0)", F::CommonLog, r#""10\/Oct\/2000:13:55:36 -0700""#), ticks(971_211_336));
    let day = |days: u16| Ok(Encoded::Fixed(days.to_le_bytes().to_vec()));
    assert_eq!(value("Date", F::UnixSeconds, "86399.999"), day(0));
    assert_eq!(value("Date", F::Iso8601Basic, r#""19700102""#), day(1));
    assert_eq!(value("Date", F::CommonLog, r#""01/Jan/1970:23:00:00 -0100""#), day(1));
    assert_eq!(value("Date", F::Rfc2822, "null"), Ok(Encoded::Null));
}

#[test]
fn what_is_no_moment_in_the_format_is_refused() {
    use TimestampFormat as F;
    for (of, format, text, reason) in [
        ("DateTime64(3)", F::UnixSeconds, r#""2023-11-14T22:13:20Z""#, Reason::WrongType),
        ("DateTime64(3)", F::UnixSeconds, r#""1700000000 ""#, Reason::WrongType),
        ("DateTime64(3)", F::UnixSeconds, r#""""#, Reason::WrongType),
        ("DateTime64(3)", F::UnixSeconds, "01", Reason::InvalidJson),
        ("DateTime64(3)", F::UnixSeconds, "-", Reason::InvalidJson),
        ("DateTime64(3)", F::UnixSeconds, "true", Reason::WrongType),
        ("DateTime64(3)", F::UnixSeconds, "[1]", Reason::WrongType),
        ("DateTime64(3)", F::UnixSeconds, "1e99", Reason::OutOfRange),
        ("DateTime64(3)", F::UnixSeconds, "1700000000123", Reason::OutOfRange),
        ("DateTime64(9)", F::UnixSeconds, "9999999999", Reason::OutOfRange),
        ("DateTime64(3)", F::Rfc2822, "1700000000", Reason::WrongType),
        ("DateTime64(3)", F::Rfc2822, r#""Mon, 15 Nov 1994 08:12:31 GMT""#, Reason::WrongType),
        ("DateTime64(3)", F::CommonLog, r#""31/Jun/2000:13:55:36 -0700""#, Reason::WrongType),
        ("DateTime64(3)", F::Iso8601, "1700000000", Reason::WrongType),
        ("Date", F::UnixSeconds, "-1", Reason::OutOfRange),
        ("Date", F::UnixSeconds, "{}", Reason::WrongType),
    ] {
        assert_eq!(value(of, format, text), Err(reason), "{format:?} {text}");
    }
    let digits = "9".repeat(100_000);
    assert_eq!(value("DateTime64(3)", F::UnixSeconds, &digits), Err(Reason::OutOfRange));
    let zeros = format!("0.{}1", "0".repeat(100_000));
    assert_eq!(value("DateTime64(3)", F::UnixSeconds, &zeros).map(drop), Ok(()));
}
