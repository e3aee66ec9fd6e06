//! Decimal texts → scaled integers of up to 256 bits, exactly.

use super::json::Short;
use super::reject::Reason;
use super::scan;

/// 256 bits, lowest word first.
type Wide = [u64; 4];

/// `text` × 10^`scale` as a two's complement integer of 256 bits. A digit
/// behind the scale that is not 0 is out of range, as is a value of more than
/// `precision` digits: nothing is rounded.
pub fn scaled(text: &[u8], precision: u8, scale: u8) -> Result<Wide, Reason> {
    let (negative, unsigned) = match text {
        [b'-', rest @ ..] => (true, rest),
        rest => (false, rest),
    };
    let (mantissa, exponent) = match unsigned.iter().position(|byte| byte | 0x20 == b'e') {
        None => (unsigned, 0),
        Some(at) => (&unsigned[..at], exponent(&unsigned[at + 1..])),
    };
    let point = mantissa.iter().position(|byte| *byte == b'.').unwrap_or(mantissa.len());
    // The digit at `index` counts 10^(power); powers fall by one per digit.
    let mut power = i64::try_from(point).unwrap_or(i64::MAX).saturating_add(exponent);
    let mut value = Growing::default();
    let mut digits = 0_u32;
    let scale = i64::from(scale);
    for byte in mantissa.iter().filter(|byte| **byte != b'.') {
        power -= 1;
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return Err(Reason::WrongType);
        }
        if power < -scale {
            if digit != 0 {
                return Err(Reason::OutOfRange);
            }
            continue;
        }
        if digits > 0 || digit > 0 {
            digits += 1;
            if digits > u32::from(precision) {
                return Err(Reason::OutOfRange);
            }
            value.append(digit);
        }
    }
    // Zeros between the last digit and the scale.
    if digits > 0 {
        let zeros = power.max(-scale).saturating_add(scale);
        if zeros.saturating_add(i64::from(digits)) > i64::from(precision) {
            return Err(Reason::OutOfRange);
        }
        (0..zeros).for_each(|_| value.append(0));
    }
    let value = value.done();
    Ok(if negative { negated(value) } else { value })
}

/// Saturates: an exponent of many digits is out of range anyway.
fn exponent(text: &[u8]) -> i64 {
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] | rest => (false, rest),
    };
    let value = digits
        .iter()
        .fold(0_i64, |value, byte| (value * 10 + i64::from(byte.wrapping_sub(b'0'))).min(1_000_000_000));
    if negative { -value } else { value }
}

/// Digits one after the other → their number, a word of them at a time.
#[derive(Default)]
struct Growing {
    value: Wide,
    /// Digits that are not in `value`, and how many.
    last: u64,
    count: usize,
}

impl Growing {
    #[inline]
    fn append(&mut self, digit: u8) {
        if self.count == scan::SAFE_DIGITS {
            self.fold();
        }
        self.last = self.last * 10 + u64::from(digit);
        self.count += 1;
    }

    #[allow(clippy::cast_possible_truncation)]
    fn fold(&mut self) {
        let mut carry = u128::from(self.last);
        for word in &mut self.value {
            let product = u128::from(*word) * u128::from(scan::POWERS[self.count]) + carry;
            *word = product as u64;
            carry = product >> 64;
        }
        (self.last, self.count) = (0, 0);
    }

    fn done(mut self) -> Wide {
        self.fold();
        self.value
    }
}

/// As [`scaled`] for a number of few digits, if the result fits; `None` says
/// that [`scaled`] has to look.
#[inline]
pub fn short(number: Short, precision: u8, scale: u8) -> Option<i128> {
    let zeros = usize::from(scale).checked_sub(number.decimals)?;
    let value = u128::from(number.digits) * u128::from(*scan::POWERS.get(zeros)?);
    // Beyond 38 digits a decimal does not fit into what is returned.
    let fits = match usize::from(precision) {
        precision @ 0..20 => value < u128::from(scan::POWERS[precision]),
        precision @ 20..=38 => value < 10_u128.pow(u32::try_from(precision).unwrap_or(38)),
        _ => false,
    };
    let value = value.cast_signed();
    fits.then_some(if number.negative { -value } else { value })
}

fn negated(value: Wide) -> Wide {
    let mut carry = true;
    value.map(|word| {
        let (word, overflow) = (!word).overflowing_add(u64::from(carry));
        carry = overflow;
        word
    })
}

/// Whether `text` is a number as JSON writes one.
pub fn is_number(text: &[u8]) -> bool {
    let mut cursor = super::json::Cursor::new(text);
    cursor.number().is_ok_and(|number| number.len() == text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn small(text: &str, precision: u8, scale: u8) -> Result<i128, Reason> {
        scaled(text.as_bytes(), precision, scale)
            .map(|wide| (u128::from(wide[0]) | u128::from(wide[1]) << 64).cast_signed())
    }

    #[test]
    fn keeps_every_digit() {
        assert_eq!(small("12.34", 18, 2), Ok(1234));
        assert_eq!(small("-12.3", 18, 2), Ok(-1230));
        assert_eq!(small("0.01", 2, 2), Ok(1));
        assert_eq!(small("-0", 18, 2), Ok(0));
        assert_eq!(small("1e2", 18, 2), Ok(10_000));
        assert_eq!(small("123e-2", 18, 2), Ok(123));
        assert_eq!(small("1.2300", 18, 2), Ok(123));
        assert_eq!(small("0e999999999999", 9, 2), Ok(0));
        assert_eq!(small("99999999999999999999999999999999999999", 38, 0), Ok(10_i128.pow(38) - 1));
    }

    #[test]
    fn rounds_nothing() {
        for (text, precision, scale) in
            [("0.001", 18, 2), ("1e-3", 18, 2), ("100", 2, 0), ("9.9", 2, 2), ("1e999999999999", 9, 2)]
        {
            assert_eq!(small(text, precision, scale), Err(Reason::OutOfRange), "{text}");
        }
    }

    #[test]
    fn fills_256_bits() {
        let nines = "9".repeat(76);
        let wide = scaled(nines.as_bytes(), 76, 0).unwrap();
        assert_eq!(wide[3] >> 63, 0);
        let minus = scaled(format!("-{nines}").as_bytes(), 76, 0).unwrap();
        assert_eq!(negated(minus), wide);
        assert_eq!(scaled(format!("{nines}0").as_bytes(), 76, 0), Err(Reason::OutOfRange));
    }
}
