//! The last row of a page ⇄ an opaque text that says where the next begins.
//!
//! Base64url of JSON: a version, the fingerprint of the query it belongs to,
//! and the row's value for each term of the (unique) order, null for NULL.
//! Nothing in it is trusted: values are checked like those of filters.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::query::{Comparison, Filter, Term, parse_value};
use crate::table::Table;

const VERSION: u8 = 1;

#[derive(Serialize, Deserialize)]
struct Payload {
    v: u8,
    q: String,
    a: Vec<Option<String>>,
}

/// Names table, filters and order: a cursor of one query is of no use in
/// another, where it would silently skip rows.
pub fn fingerprint(table: &Table, filters: &[Filter], order: &[Term]) -> String {
    let mut hash = Sha256::new();
    let mut part = |text: &str| {
        hash.update(text.len().to_le_bytes());
        hash.update(text);
    };
    part(&table.uuid);
    for Filter { column, comparison } in filters {
        part(&table.columns[*column].name);
        match comparison {
            Comparison::Compare(operator, value) => {
                part(operator.sql());
                part(value);
            }
            Comparison::In(values) => {
                part(&values.len().to_string());
                for value in values {
                    part(value);
                }
            }
        }
    }
    part("order");
    for Term { column, descending } in order {
        part(&table.columns[*column].name);
        part(if *descending { "desc" } else { "asc" });
    }
    URL_SAFE_NO_PAD.encode(&hash.finalize()[..9])
}

pub fn encode(fingerprint: &str, values: Vec<Option<String>>) -> String {
    let payload = Payload { v: VERSION, q: fingerprint.to_owned(), a: values };
    URL_SAFE_NO_PAD.encode(serde_json::to_vec(&payload).expect("strings are JSON"))
}

/// The values of `order` after which to go on, canonical as filter values are.
pub fn decode(
    text: &str,
    fingerprint: &str,
    table: &Table,
    order: &[Term],
) -> Result<Vec<Option<String>>, &'static str> {
    const BROKEN: &str = "it is no cursor of this API; send meta.next_cursor back as it came";
    let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| BROKEN)?;
    let Payload { v, q, a } = serde_json::from_slice(&bytes).map_err(|_| BROKEN)?;
    if v != VERSION {
        return Err("it is of another version of this API; begin again without cursor");
    }
    if q != fingerprint {
        return Err(
            "it belongs to a query with other filters or another order; keep these from page to page",
        );
    }
    if a.len() != order.len() {
        return Err(BROKEN);
    }
    let checked = a.into_iter().zip(order).map(|(value, term)| {
        let column = &table.columns[term.column];
        match value {
            None if column.nullable => Ok(None),
            None => Err(BROKEN),
            Some(text) => parse_value(&column.column_type, &text).map(Some).map_err(|_| BROKEN),
        }
    });
    checked.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::parse;
    use crate::table::tests::table;

    fn values() -> Vec<Option<String>> {
        ["5", "1", "2", "3"].map(|value| Some(value.to_owned())).to_vec()
    }

    #[test]
    fn comes_back_as_it_was() {
        let table = table(&["id: Int64"], &["id"]);
        let query = parse(&table, "").unwrap();
        let text = encode(&query.fingerprint, values());
        assert_eq!(parse(&table, &format!("cursor={text}")).unwrap().after, Some(values()));
    }

    #[test]
    fn is_bound_to_filters_and_order_but_not_to_page_size_or_selection() {
        let table = table(&["id: Int64"], &["id"]);
        let text = encode(&parse(&table, "id=gt.1").unwrap().fingerprint, values());
        assert!(parse(&table, &format!("id=gt.1&limit=5&select=id&cursor={text}")).is_ok());
        for other in ["id=gt.2", "id=gte.1", "", "id=gt.1&order=id.desc", "id=in.(1)"] {
            let errors = parse(&table, &format!("{other}&cursor={text}")).unwrap_err();
            assert!(errors[0].detail.contains("other filters"), "{other}: {errors:?}");
        }
    }

    #[test]
    fn values_of_the_wrong_type_are_refused() {
        let table = table(&["id: Int64"], &["id"]);
        let fingerprint = parse(&table, "").unwrap().fingerprint;
        for bad in [Some("1 OR 1=1".to_owned()), None] {
            let mut values = values();
            values[0] = bad;
            assert!(parse(&table, &format!("cursor={}", encode(&fingerprint, values))).is_err());
        }
        let short = encode(&fingerprint, vec![Some("1".to_owned())]);
        assert!(parse(&table, &format!("cursor={short}")).is_err());
    }
}
