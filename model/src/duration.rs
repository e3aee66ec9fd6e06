//! Durations as Go writes them: `1h30m`, `500ms`.

use std::time::Duration;

/// Parses `^([0-9]{1,5}(ms|s|m|h)){1,4}$`.
pub fn parse(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut total = Duration::ZERO;
    let mut parts = 0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        if digits == 0 || digits > 5 || parts == 4 {
            return None;
        }
        let number: u64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let unit = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        total += match &rest[..unit] {
            "ms" => Duration::from_millis(number),
            "s" => Duration::from_secs(number),
            "m" => Duration::from_secs(number * 60),
            "h" => Duration::from_secs(number * 3600),
            _ => return None,
        };
        rest = &rest[unit..];
        parts += 1;
    }
    (parts > 0).then_some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_go_durations() {
        assert_eq!(parse("1h30m"), Some(Duration::from_mins(90)));
        assert_eq!(parse("1s500ms"), Some(Duration::from_millis(1500)));
    }

    #[test]
    fn refuses_what_the_pattern_refuses() {
        for bad in ["", "1", "s", "1d", "123456s", "1s1s1s1s1s", "-1s", "1 s"] {
            assert_eq!(parse(bad), None, "{bad:?}");
        }
    }
}
