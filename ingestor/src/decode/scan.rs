//! Many bytes at a time: where plain text ends, and what digits say.

/// Where plain text that begins at `at` ends: at a quote, a backslash, a
/// control character or the end of `bytes`; and whether all of it is ASCII.
#[inline]
pub fn plain_text(bytes: &[u8], at: usize) -> (usize, bool) {
    let (mut at, mut high) = (at, 0);
    for window in bytes[at..].as_chunks().0 {
        let (ends, highs) = masks(window);
        if ends != 0 {
            let length = ends.trailing_zeros();
            return (at + length as usize, high | (highs & !(u32::MAX << length)) == 0);
        }
        high |= highs;
        at += WINDOW;
    }
    // The last window again, without what has been looked at.
    let left = bytes.len() - at;
    if let Some(window) = bytes.last_chunk() {
        let (ends, highs) = masks(window);
        let (ends, highs) = (ends >> (WINDOW - left), highs >> (WINDOW - left));
        let length = ends.trailing_zeros().min(u32::try_from(left).unwrap_or(u32::MAX));
        return (at + length as usize, high | (highs & !(u32::MAX << length)) == 0);
    }
    let rest = &bytes[at..];
    let length = rest.iter().position(|byte| ends_text(*byte)).unwrap_or(left);
    (at + length, high == 0 && rest[..length].is_ascii())
}

const WINDOW: usize = 16;

#[inline]
fn ends_text(byte: u8) -> bool {
    matches!(byte, b'"' | b'\\' | 0..0x20)
}

/// One bit per byte: does it end plain text, and is it not ASCII?
#[cfg(target_arch = "x86_64")]
#[inline]
fn masks(window: &[u8; WINDOW]) -> (u32, u32) {
    // SSE2 belongs to x86-64: there is nothing to ask the processor.
    use std::arch::x86_64::{
        _mm_cmpeq_epi8, _mm_loadu_si128, _mm_min_epu8, _mm_movemask_epi8, _mm_or_si128, _mm_set1_epi8,
    };
    // SAFETY: SSE2 is there, 16 bytes are readable, the load needs no alignment.
    unsafe {
        let text = _mm_loadu_si128(window.as_ptr().cast());
        let quotes = _mm_cmpeq_epi8(text, _mm_set1_epi8(0x22));
        let backslashes = _mm_cmpeq_epi8(text, _mm_set1_epi8(0x5c));
        let controls = _mm_cmpeq_epi8(_mm_min_epu8(text, _mm_set1_epi8(0x1f)), text);
        let ends = _mm_or_si128(_mm_or_si128(quotes, backslashes), controls);
        (_mm_movemask_epi8(ends).cast_unsigned(), _mm_movemask_epi8(text).cast_unsigned())
    }
}

#[cfg(not(target_arch = "x86_64"))]
#[inline]
fn masks(window: &[u8; WINDOW]) -> (u32, u32) {
    window.iter().rev().fold((0, 0), |(ends, highs), byte| {
        (ends << 1 | u32::from(ends_text(*byte)), highs << 1 | u32::from(byte >> 7))
    })
}

/// Digits that a `u64` holds, whatever they are.
pub const SAFE_DIGITS: usize = 19;

/// `value` followed by the digits from `at` on, and where these end. Wraps
/// beyond [`SAFE_DIGITS`]: whoever calls has to count.
#[inline]
pub fn digits(bytes: &[u8], at: usize, value: u64) -> (u64, usize) {
    let (mut value, mut at) = (value, at);
    while let Some(window) = bytes.get(at..).and_then(<[u8]>::first_chunk) {
        let text = u64::from_le_bytes(*window) ^ ZEROS;
        // A byte above 9 sets its top bit here. One that carries has it set
        // already; what is above the first one does not matter.
        let others = (text.wrapping_add(0x7676_7676_7676_7676) | text) & 0x8080_8080_8080_8080;
        if others == 0 {
            value = value.wrapping_mul(100_000_000).wrapping_add(eight(text));
            at += 8;
            continue;
        }
        let count = others.trailing_zeros() as usize / 8;
        if count > 0 {
            // Zeros in front of the digits.
            let number = eight(text << (64 - 8 * count));
            value = value.wrapping_mul(POWERS[count]).wrapping_add(number);
        }
        return (value, at + count);
    }
    while let Some(digit) = bytes.get(at).map(|byte| byte.wrapping_sub(b'0')).filter(|digit| *digit < 10) {
        value = value.wrapping_mul(10).wrapping_add(u64::from(digit));
        at += 1;
    }
    (value, at)
}

const ZEROS: u64 = u64::from_le_bytes([b'0'; 8]);

/// Powers of ten that a `u64` holds.
pub const POWERS: [u64; 20] = {
    let mut powers = [1; 20];
    let mut power = 1;
    while power < 20 {
        powers[power] = powers[power - 1] * 10;
        power += 1;
    }
    powers
};

/// Eight digits of a byte each, the first one lowest: pairs, then fours, then
/// all of them.
#[inline]
fn eight(digits: u64) -> u64 {
    const LANES: u64 = 0x0000_00FF_0000_00FF;
    let pairs = digits.wrapping_mul(10).wrapping_add(digits >> 8);
    let high = (pairs & LANES).wrapping_mul(100 + (1_000_000 << 32));
    let low = (pairs >> 16 & LANES).wrapping_mul(1 + (10_000 << 32));
    high.wrapping_add(low) >> 32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_ends_at_the_first_byte_that_ends_it_wherever_that_is() {
        for length in 0..70 {
            for end in [b'"', b'\\', 0, 0x1f] {
                for behind in [0, 1, 15, 16, 40] {
                    for high in [None, Some(0), Some(length / 2), Some(length), Some(length + 3)] {
                        let mut bytes = vec![b'x'; length];
                        bytes.push(end);
                        bytes.extend(vec![b'"'; behind]);
                        let high = high.filter(|at| *at != length && *at < bytes.len());
                        if let Some(at) = high {
                            bytes[at] = 0x80;
                        }
                        let ascii = high.is_none_or(|at| at > length);
                        for start in 0..=length.min(18) {
                            let ascii = ascii || high.is_some_and(|at| at < start);
                            assert_eq!(plain_text(&bytes, start), (length, ascii), "{bytes:?} {start}");
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn text_may_have_no_end() {
        for length in 0..40 {
            let bytes = vec![b' '; length];
            assert_eq!(plain_text(&bytes, 0), (length, true));
            assert_eq!(plain_text(&bytes, length), (length, true));
            assert_eq!(plain_text(&vec![0xff; length], 0), (length, length == 0));
        }
    }

    #[test]
    fn digits_are_read_to_their_end() {
        for text in ["0", "7", "12345678", "123456789", "9999999999999999999", "00000000000000000001"] {
            for behind in ["", ".", "/", ":", "e5", "\u{ff}xxxxxxx", "\0\0\0\0\0\0\0\0\0"] {
                let bytes = format!("{text}{behind}");
                let expected = (text.parse().unwrap(), text.len());
                assert_eq!(digits(bytes.as_bytes(), 0, 0), expected, "{bytes:?}");
            }
        }
        assert_eq!(digits(b"x34,", 1, 12), (1234, 3));
        assert_eq!(digits(b"x", 0, 5), (5, 0));
        assert_eq!(digits(b"", 0, 5), (5, 0));
    }
}
