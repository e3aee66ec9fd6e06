//! Kubernetes quantities → numbers.

/// Bytes of a quantity like `512Mi`, `1.5Gi`, `1e9` or `1000`; rounded up.
pub fn bytes(text: &str) -> Option<u64> {
    milli(text)?.div_ceil(1000).try_into().ok()
}

/// Thousandths of a quantity like `250m`, `1.5` or `512Mi`; rounded up.
pub fn milli(text: &str) -> Option<u128> {
    let split = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, suffix) = text.split_at(split);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
        return None;
    }
    let digits: u128 = format!("{whole}{fraction}").parse().ok()?;
    let below = 10u128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let times = match suffix {
        "m" => 1,
        "" => 1000,
        "k" => 1_000_000,
        "M" => 1_000_000_000,
        "G" => 1_000_000_000_000,
        "T" => 1_000_000_000_000_000,
        "P" => 1_000_000_000_000_000_000,
        "Ki" => 1000 << 10,
        "Mi" => 1000 << 20,
        "Gi" => 1000 << 30,
        "Ti" => 1000 << 40,
        "Pi" => 1000 << 50,
        _ => 10u128.checked_pow(exponent(suffix)?)?.checked_mul(1000)?,
    };
    Some(digits.checked_mul(times)?.div_ceil(below))
}

/// `e9` or `E9`; pods are never so small that a negative one makes sense.
fn exponent(suffix: &str) -> Option<u32> {
    let digits = suffix.strip_prefix(['e', 'E'])?;
    (digits.len() <= 2 && digits.bytes().all(|b| b.is_ascii_digit())).then(|| digits.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_kubernetes_reads() {
        for (text, expected) in [
            ("512Mi", 512 << 20),
            ("1.5Gi", 3 << 29),
            ("1e9", 1_000_000_000),
            ("1000", 1000),
            ("0.1", 1),
            ("1k", 1000),
        ] {
            assert_eq!(bytes(text), Some(expected), "{text}");
        }
        assert_eq!((milli("250m"), milli("1.5"), milli("2")), (Some(250), Some(1500), Some(2000)));
    }

    #[test]
    fn refuses_what_is_no_memory() {
        for text in
            ["", ".", "Mi", "1 Mi", "-1", "1.2.3", "12x", "1e-3", "99999999999999999999999999999999999999999"]
        {
            assert_eq!(bytes(text), None, "{text}");
        }
    }
}
