//! What `/v1/records` takes.

use serde_json::{Map, Value, json};

use super::reference;
use super::schemas::value_schema;
use crate::query::{DEFAULT_LIMIT, MAX_IN_VALUES, MAX_LIMIT, MAX_OFFSET, OPERATORS, RESERVED};
use crate::table::{Column, Table};

/// The named parameters and one filter per column.
pub fn components(table: &Table) -> Value {
    let mut all = Map::new();
    all.insert("select".to_owned(), list("select", "Fields of the answer, such as `a,b`; all without it"));
    all.insert(
        "order".to_owned(),
        list(
            "order",
            "Fields to order by, such as `a.desc,b`; ties, and everything without it, in the table's own order. \
             Nulls come last",
        ),
    );
    all.insert("limit".to_owned(), limit(DEFAULT_LIMIT));
    all.insert("offset".to_owned(), query("offset", "Rows to skip", &number(0, MAX_OFFSET, 0)));
    let text = json!({"type": "string"});
    all.insert(
        "cursor".to_owned(),
        query("cursor", "`meta.next_cursor` of the page before, with the same filters and order", &text),
    );
    for column in comparable(table) {
        all.insert(component(column), filter(column));
    }
    Value::Object(all)
}

fn comparable(table: &Table) -> impl Iterator<Item = &Column> {
    table.columns.iter().filter(|column| !column.column_type.is_composite())
}

/// References to all of [`components`].
pub fn references(table: &Table) -> Value {
    let named = ["select", "order", "limit", "offset", "cursor"].map(str::to_owned);
    let filters = comparable(table).map(component);
    named.into_iter().chain(filters).map(|name| reference("parameters", &name)).collect()
}

/// `limit`, where its default is this.
pub fn limit(default: u64) -> Value {
    query("limit", "Rows of the answer at most", &number(1, MAX_LIMIT, default))
}

/// `{key}` of a path.
pub fn key(table: &Table) -> Value {
    let column = &table.columns[table.key];
    json!({
        "name": "key",
        "in": "path",
        "required": true,
        "description": format!("A value of `{}`, percent-encoded", column.name),
        "schema": value_schema(&column.column_type, false),
    })
}

/// Names of components take letters, digits, dot, dash and underscore only.
fn component(column: &Column) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_') { c } else { '_' };
    format!("filter.{}", column.name.chars().map(plain).collect::<String>())
}

fn filter(column: &Column) -> Value {
    let Column { name, column_type, .. } = column;
    let shown = if RESERVED.contains(&name.as_str()) { format!("\"{name}\"") } else { name.clone() };
    let description = format!(
        "`<operator>.<value>`: a condition on `{name}` ({column_type}). Operators: {OPERATORS}; `in.(a,b)` takes \
         at most {MAX_IN_VALUES} values. Several conditions must all hold"
    );
    let condition = json!({"type": "string", "pattern": r"^((eq|neq|gt|gte|lt|lte)\..*|in\.\(.*\))$"});
    query(&shown, &description, &json!({"type": "array", "items": condition}))
}

fn list(name: &str, description: &str) -> Value {
    let mut parameter = query(name, description, &json!({"type": "array", "items": {"type": "string"}}));
    // One parameter with commas, not one per item.
    parameter["style"] = json!("form");
    parameter["explode"] = json!(false);
    parameter
}

fn query(name: &str, description: &str, schema: &Value) -> Value {
    json!({"name": name, "in": "query", "required": false, "description": description, "schema": schema})
}

fn number(least: u64, most: u64, default: u64) -> Value {
    json!({"type": "integer", "minimum": least, "maximum": most, "default": default})
}
