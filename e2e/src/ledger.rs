//! The account of a stream: what was published = stored + distinct dead letters + filtered, no miss, no repeat.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, ensure};
use caudal_examples::collect::DeadLetter;
use caudal_examples::{Message, Outcome};
use serde_json::{Map, Value};

/// Compares what came out with what every published message said of itself.
pub fn balance(
    key: &str,
    published: &[Message],
    rows: &[Map<String, Value>],
    letters: &[DeadLetter],
) -> anyhow::Result<()> {
    let mut expected_rows = BTreeMap::new();
    let mut expected_letters = BTreeMap::new();
    for message in published {
        match &message.outcome {
            Outcome::Row(row) => {
                ensure!(
                    expected_rows.insert(row[key].to_string(), row).is_none(),
                    "a key was published twice"
                );
            }
            Outcome::DeadLetter(reason) => {
                expected_letters.insert(message.key.clone(), (*reason, message));
            }
            Outcome::Filtered => (),
        }
    }
    let mut found = BTreeSet::new();
    for row in rows {
        let at = row.get(key).with_context(|| format!("a row without {key}: {row:?}"))?.to_string();
        let expected = expected_rows.get(&at).with_context(|| format!("nobody published the row {row:?}"))?;
        for (field, value) in *expected {
            ensure!(
                same(row.get(field).unwrap_or(&Value::Null), value),
                "{key} {at}, field {field}: published {value}, stored {:?}",
                row.get(field)
            );
        }
        ensure!(found.insert(at.clone()), "{key} {at} is stored twice");
    }
    let missing: Vec<_> = expected_rows.keys().filter(|key| !found.contains(*key)).take(5).collect();
    ensure!(missing.is_empty(), "{} of {} rows; missing are {missing:?}…", rows.len(), expected_rows.len());
    let distinct: BTreeMap<_, _> = letters.iter().map(|letter| (letter.origin(), letter)).collect();
    ensure!(
        distinct.len() == expected_letters.len(),
        "{} distinct dead letters, {} malformed messages",
        distinct.len(),
        expected_letters.len()
    );
    for letter in distinct.values() {
        let key = letter.key.clone().unwrap_or_default();
        let (reason, message) = expected_letters
            .get(&key)
            .with_context(|| format!("nobody published a bad message with key {key:?}"))?;
        ensure!(
            letter.header("caudal.reason") == *reason,
            "dead letter {:?}: reason {:?}, expected {reason:?} ({})",
            letter.origin(),
            letter.header("caudal.reason"),
            letter.header("caudal.detail")
        );
        ensure!(
            letter.value == message.value,
            "dead letter {:?}: the value is not what was sent",
            letter.origin()
        );
    }
    Ok(())
}

/// Whether two JSON values say the same: 20 and 20.0 are one number.
pub fn same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        // Two integers are equal or not; as floats, neighbours could meet.
        (Value::Number(one), Value::Number(other)) if one.is_f64() != other.is_f64() => {
            one.as_f64() == other.as_f64()
        }
        _ => one == other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn numbers_are_compared_by_value_and_big_ones_exactly() {
        assert!(same(&json!(20), &json!(20.0)));
        assert!(!same(&json!(20), &json!(20.01)));
        assert!(!same(&json!(1), &json!("1")));
        assert!(!same(&json!(9_007_199_254_740_993_i64), &json!(9_007_199_254_740_992_i64)));
    }
}
