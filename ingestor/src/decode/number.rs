//! Number texts → integers and floats, exactly or not at all.

use super::json::Short;
use super::reject::Reason;

/// An integer's sign and magnitude. `text` is a JSON number: one with a
/// fraction or an exponent is no integer, whatever its value.
#[inline]
pub fn integer(text: &[u8]) -> Result<(bool, u64), Reason> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    let mut value = 0_u64;
    for (index, byte) in digits.iter().enumerate() {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return Err(Reason::WrongType);
        }
        if index < 19 {
            // 19 digits always fit.
            value = value * 10 + u64::from(digit);
        } else {
            let next = value.checked_mul(10).and_then(|value| value.checked_add(u64::from(digit)));
            let Some(next) = next else {
                let integer = digits.iter().all(u8::is_ascii_digit);
                return Err(if integer { Reason::OutOfRange } else { Reason::WrongType });
            };
            value = next;
        }
    }
    Ok((negative, value))
}

/// Whether `text` is an integer as JSON writes one: how quoted ones are checked.
pub fn is_integer(text: &[u8]) -> bool {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    match digits {
        [] | [b'0', _, ..] => false,
        digits => digits.iter().all(u8::is_ascii_digit),
    }
}

/// The value in two's complement, if `width` bytes hold it.
#[inline]
pub fn signed((negative, magnitude): (bool, u64), width: u8) -> Result<i64, Reason> {
    let limit = 1_u64 << (u32::from(width) * 8 - 1);
    if negative {
        if magnitude > limit {
            return Err(Reason::OutOfRange);
        }
        return Ok(0_i64.wrapping_sub_unsigned(magnitude));
    }
    if magnitude >= limit {
        return Err(Reason::OutOfRange);
    }
    Ok(magnitude.cast_signed())
}

#[inline]
pub fn unsigned((negative, magnitude): (bool, u64), width: u8) -> Result<u64, Reason> {
    let limit = u64::MAX >> (64 - u32::from(width) * 8);
    if magnitude > limit || (negative && magnitude > 0) {
        return Err(Reason::OutOfRange);
    }
    Ok(magnitude)
}

/// A float from few digits: integers up to 2^53 and powers of ten up to 10^22
/// are floats themselves, so that one division rounds once (Clinger 1990).
#[inline]
pub fn short_float(number: Short) -> Option<f64> {
    const POWERS: [f64; 23] = [
        1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17,
        1e18, 1e19, 1e20, 1e21, 1e22,
    ];
    if number.digits > 1 << 53 {
        return None;
    }
    #[expect(clippy::cast_precision_loss, reason = "exact up to 2^53")]
    let value = number.digits as f64 / POWERS.get(number.decimals)?;
    Some(if number.negative { -value } else { value })
}

/// The nearest float, ties to even; nothing that would be infinite.
#[inline]
pub fn float64(text: &[u8]) -> Result<f64, Reason> {
    let text = std::str::from_utf8(text).map_err(|_| Reason::InvalidUtf8)?;
    let value: f64 = text.parse().map_err(|_| Reason::WrongType)?;
    if value.is_finite() { Ok(value) } else { Err(Reason::OutOfRange) }
}

/// As [`float64`], rounded once, from the text.
#[inline]
pub fn float32(text: &[u8]) -> Result<f32, Reason> {
    let text = std::str::from_utf8(text).map_err(|_| Reason::InvalidUtf8)?;
    let value: f32 = text.parse().map_err(|_| Reason::WrongType)?;
    if value.is_finite() { Ok(value) } else { Err(Reason::OutOfRange) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signed(text: &[u8], width: u8) -> Result<i64, Reason> {
        super::signed(integer(text)?, width)
    }

    fn unsigned(text: &[u8], width: u8) -> Result<u64, Reason> {
        super::unsigned(integer(text)?, width)
    }

    #[test]
    fn integers_fit_or_are_refused() {
        assert_eq!(signed(b"-128", 1), Ok(-128));
        assert_eq!(signed(b"127", 1), Ok(127));
        assert_eq!(signed(b"128", 1), Err(Reason::OutOfRange));
        assert_eq!(signed(b"-129", 1), Err(Reason::OutOfRange));
        assert_eq!(signed(b"-9223372036854775808", 8), Ok(i64::MIN));
        assert_eq!(signed(b"9223372036854775807", 8), Ok(i64::MAX));
        assert_eq!(signed(b"9223372036854775808", 8), Err(Reason::OutOfRange));
        assert_eq!(unsigned(b"18446744073709551615", 8), Ok(u64::MAX));
        assert_eq!(unsigned(b"18446744073709551616", 8), Err(Reason::OutOfRange));
        assert_eq!(unsigned(b"99999999999999999999999", 8), Err(Reason::OutOfRange));
        assert_eq!(unsigned(b"-1", 8), Err(Reason::OutOfRange));
        assert_eq!(unsigned(b"-0", 8), Ok(0));
        assert_eq!(unsigned(b"256", 1), Err(Reason::OutOfRange));
    }

    #[test]
    fn what_is_no_integer_is_the_wrong_type() {
        for text in [&b"1.0"[..], b"1e3", b"99999999999999999999999.5"] {
            assert_eq!(signed(text, 8), Err(Reason::WrongType), "{}", String::from_utf8_lossy(text));
        }
    }

    #[test]
    fn floats_are_the_nearest() {
        assert_eq!(float64(b"0.1"), Ok(0.1));
        assert_eq!(float64(b"9007199254740993"), Ok(9_007_199_254_740_992.0));
        assert_eq!(float64(b"1e999"), Err(Reason::OutOfRange));
        assert_eq!(float32(b"16777217"), Ok(16_777_216.0));
        assert_eq!(float32(b"1e39"), Err(Reason::OutOfRange));
        assert!(float64(b"-0.0").is_ok_and(f64::is_sign_negative));
    }

    #[test]
    fn few_digits_give_the_float_that_the_text_does() {
        for text in [
            "0",
            "-0",
            "-0.0",
            "0.1",
            "123456.7891",
            "9007199254740992",
            "9007199254740993",
            "0.30000000000000004",
        ] {
            let number = super::super::json::Cursor::new(text.as_bytes()).short_number().unwrap();
            if let Some(value) = short_float(number) {
                let expected: f64 = text.parse().unwrap();
                assert_eq!(value.to_bits(), expected.to_bits(), "{text}");
            }
        }
        let short = |digits| short_float(Short { negative: false, digits, decimals: 0 });
        assert_eq!((short((1 << 53) + 1), short(1 << 53)), (None, Some(9_007_199_254_740_992.0)));
    }
}
