//! `from` → the keys that lead to a value, and fields that stand in each
//! other's way.

use std::collections::BTreeMap;

use super::Violation;
use crate::plan::Field;

/// Keys of a path.
pub const MAX_KEYS: usize = 8;

/// `a.b\.c` → `a`, `b.c`; or what to write instead.
pub(super) fn parse(text: &str) -> Result<Vec<String>, &'static str> {
    let mut keys = vec![String::new()];
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        let key = keys.last_mut().expect("there is always one");
        match letter {
            '.' => keys.push(String::new()),
            '\\' => match letters.next() {
                Some(escaped @ ('.' | '\\')) => key.push(escaped),
                _ => return Err(r"within a key write \. for a dot and \\ for a backslash"),
            },
            plain => key.push(plain),
        }
    }
    if keys.len() > MAX_KEYS {
        return Err("write at most 8 keys");
    }
    if keys.iter().any(String::is_empty) {
        return Err("write keys that are not empty, separated by single dots");
    }
    Ok(keys)
}

/// Keys as `from` spells them.
pub fn spell<'a>(keys: impl IntoIterator<Item = &'a str>) -> String {
    let keys = keys.into_iter().map(|key| key.replace('\\', r"\\").replace('.', r"\."));
    keys.collect::<Vec<_>>().join(".")
}

/// Fields that read what another one reads, or a part of it.
pub(super) fn conflicts(fields: &[Field]) -> Vec<Violation> {
    let whole: BTreeMap<&[String], &str> =
        fields.iter().rev().map(|field| (field.keys(), field.name.as_str())).collect();
    let of = |field: &Field| {
        let keys = field.keys();
        let other = (1..=keys.len()).find_map(|length| {
            let other = *whole.get(&keys[..length])?;
            (other != field.name).then_some((length, other))
        });
        let (length, other) = other?;
        let said = spell(keys.iter().map(String::as_str));
        let message = if length == keys.len() {
            format!("{said:?} is what {other} reads; write another path, or leave one of them out")
        } else {
            format!(
                "{said:?} is a part of what {other} reads; write paths of which none is the beginning of another"
            )
        };
        Some(Violation::new(format!("spec.schema.fields[{}].from", field.name), message))
    };
    fields.iter().filter_map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ColumnType;

    #[test]
    fn keys_are_separated_by_dots_and_may_hold_them() {
        for (text, keys) in [
            ("a", &["a"][..]),
            ("a.b.c", &["a", "b", "c"]),
            (r"a\.b.c", &["a.b", "c"]),
            (r"a\\.b", &[r"a\", "b"]),
            ("event-time", &["event-time"]),
            ("día. ñ", &["día", " ñ"]),
            ("1.2.3.4.5.6.7.8", &["1", "2", "3", "4", "5", "6", "7", "8"]),
        ] {
            assert_eq!(parse(text).unwrap(), keys, "{text}");
            assert_eq!(spell(keys.iter().copied()), text);
        }
        for text in ["", ".", "a.", ".a", "a..b", r"a\b", r"a\", "1.2.3.4.5.6.7.8.9"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn no_two_fields_read_the_same() {
        let field = |(name, path): &(&str, &str)| Field {
            path: if path.is_empty() { Vec::new() } else { parse(path).unwrap() },
            ..Field::new(name, ColumnType::String)
        };
        let said = |fields: &[(&str, &str)]| {
            let found = conflicts(&fields.iter().map(field).collect::<Vec<_>>());
            found.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(said(&[("a", "x.a"), ("b", "x.b"), ("x", "a"), ("y", r"x\.a")]), [""; 0]);
        assert_eq!(
            said(&[("a", ""), ("b", "a")]),
            [
                r#"spec.schema.fields[b].from: "a" is what a reads; write another path, or leave one of them out"#
            ]
        );
        assert_eq!(
            said(&[("city", "home.city"), ("home", "")]),
            [
                r#"spec.schema.fields[city].from: "home.city" is a part of what home reads; write paths of which none is the beginning of another"#
            ]
        );
    }
}
