//! `/v1/schema` and `/openapi.json`: what needs no database.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use serde_json::{Value, json};

use super::json as json_response;
use crate::app::App;
use crate::table::{Column, Table};

pub async fn schema(State(app): State<Arc<App>>) -> Json<Value> {
    Json(describe(&app.table))
}

pub async fn openapi(State(app): State<Arc<App>>) -> Response {
    json_response(app.openapi.clone())
}

fn describe(table: &Table) -> Value {
    let name = |id: &usize| table.columns[*id].name.as_str();
    json!({
        "key": name(&table.key),
        "order": table.unique_order.iter().map(name).collect::<Vec<_>>(),
        "fields": table.fields().iter().map(describe_column).collect::<Vec<_>>(),
        "metadata": table.metadata().iter().map(describe_column).collect::<Vec<_>>(),
    })
}

fn describe_column(column: &Column) -> Value {
    let mut text = json!({
        "name": column.name,
        "type": column.column_type,
        "nullable": column.nullable,
    });
    if let Some(default) = &column.default {
        text["default"] = default.clone();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::tests::table;

    #[test]
    fn names_fields_types_key_and_order() {
        let described = describe(&table(&["id: Int64", "n: Decimal(9, 2)?"], &["id"]));
        assert_eq!(described["fields"][1], json!({"name": "n", "type": "Decimal(9, 2)", "nullable": true}));
        assert_eq!(described["key"], "id");
        assert_eq!(described["order"][3], "_kafka_offset");
        assert_eq!(described["metadata"].as_array().unwrap().len(), 4);
    }
}
