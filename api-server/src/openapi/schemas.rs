//! What answers hold, as JSON Schema.

use caudal_model::ColumnType;
use caudal_model::types::Element;
use serde_json::{Map, Value, json};

use super::reference;
use crate::table::Table;

pub fn components(table: &Table) -> Value {
    let mut all = json!({"Record": record(table), "Page": page(), "One": one(table)});
    all["Schema"] = schema();
    all["Watermark"] = watermark();
    all["Problem"] = problem();
    all["Error"] = object(&[("error", json!({"type": "string"}))]);
    all
}

/// A value of this type, or null where that may stand for one, as JSON.
pub fn value_schema(column_type: &ColumnType, nullable: bool) -> Value {
    use ColumnType as T;
    let element = |element: &Element| value_schema(&element.column_type, element.nullable);
    let integer = |least: Value, most: Value| json!({"type": "integer", "minimum": least, "maximum": most});
    let mut schema = match column_type {
        T::Int8 => integer(i8::MIN.into(), i8::MAX.into()),
        T::Int16 => integer(i16::MIN.into(), i16::MAX.into()),
        T::Int32 => integer(i32::MIN.into(), i32::MAX.into()),
        T::Int64 => json!({"type": "integer", "format": "int64"}),
        T::UInt8 => integer(0.into(), u8::MAX.into()),
        T::UInt16 => integer(0.into(), u16::MAX.into()),
        T::UInt32 => integer(0.into(), u32::MAX.into()),
        T::UInt64 => json!({"type": "integer", "minimum": 0}),
        T::Float32 => json!({"type": "number", "format": "float"}),
        T::Float64 => json!({"type": "number", "format": "double"}),
        T::Decimal { .. } => json!({"type": "number"}),
        T::String | T::LowCardinalityString => json!({"type": "string"}),
        T::Bool => json!({"type": "boolean"}),
        T::Date => json!({"type": "string", "format": "date"}),
        T::DateTime64 { .. } => json!({"type": "string", "format": "date-time"}),
        T::Uuid => json!({"type": "string", "format": "uuid"}),
        T::Enum8(names) | T::Enum16(names) => {
            json!({"type": "string", "enum": names.iter().map(|(name, _)| name).collect::<Vec<_>>()})
        }
        T::Ipv4 => json!({"type": "string", "format": "ipv4"}),
        T::Ipv6 => json!({"type": "string", "format": "ipv6"}),
        T::Array(items) => json!({"type": "array", "items": element(items)}),
        T::Map { value, .. } => json!({"type": "object", "additionalProperties": element(value)}),
        T::Json => json!({"type": "object"}),
    };
    if nullable {
        schema["type"] = json!([schema["type"], "null"]);
        if let Some(names) = schema.get_mut("enum").and_then(Value::as_array_mut) {
            names.push(Value::Null);
        }
    }
    schema
}

fn record(table: &Table) -> Value {
    let properties: Map<_, _> = table
        .columns
        .iter()
        .enumerate()
        .map(|(id, column)| {
            let mut schema = value_schema(&column.column_type, column.nullable);
            let description = if id < table.field_count {
                column.column_type.to_string()
            } else {
                format!("{}, metadata: only when selected", column.column_type)
            };
            schema["description"] = json!(description);
            (column.name.clone(), schema)
        })
        .collect();
    json!({"type": "object", "description": "A row; with `select` only what it names", "properties": properties})
}

fn page() -> Value {
    let meta = object(&[
        ("count", json!({"type": "integer", "minimum": 0, "description": "Rows of this page"})),
        ("next_cursor", json!({"type": ["string", "null"], "description": "null on the last page"})),
        ("elapsed_ms", json!({"type": "number"})),
        ("watermark", watermark_time()),
    ]);
    object(&[("data", json!({"type": "array", "items": reference("schemas", "Record")})), ("meta", meta)])
}

fn one(table: &Table) -> Value {
    let names: Vec<_> = table.fields().iter().map(|column| column.name.as_str()).collect();
    let meta = object(&[
        ("count", json!({"type": "integer", "minimum": 1, "description": "Rows with this key"})),
        ("elapsed_ms", json!({"type": "number"})),
        ("watermark", watermark_time()),
    ]);
    object(&[("data", json!({"allOf": [reference("schemas", "Record")], "required": names})), ("meta", meta)])
}

fn watermark_time() -> Value {
    let mut time = nullable_time();
    time["description"] =
        json!("Time of the newest message that was stored before the rows were read; null while unknown");
    time
}

fn schema() -> Value {
    let mut column = object(&[
        ("name", json!({"type": "string"})),
        ("type", json!({"type": "string", "description": "As ClickHouse spells it"})),
        ("nullable", json!({"type": "boolean"})),
    ]);
    column["properties"]["default"] = json!({"description": "What an absent field became"});
    let columns = json!({"type": "array", "items": column});
    object(&[
        ("key", json!({"type": "string"})),
        ("order", json!({"type": "array", "items": {"type": "string"}})),
        ("fields", columns.clone()),
        ("metadata", columns),
    ])
}

fn watermark() -> Value {
    let offset = json!({"type": "integer", "format": "int64", "minimum": 0});
    let mark = [
        ("message_time", nullable_time()),
        ("stored_at", nullable_time()),
        ("lag", offset.clone()),
        ("freshness_seconds", json!({"type": ["number", "null"]})),
    ];
    let mut partition =
        vec![("partition", json!({"type": "integer", "format": "int32"})), ("next_offset", offset.clone())];
    partition.extend(mark.clone());
    partition.extend(["rows", "dead_letters", "filtered", "gap"].map(|count| (count, offset.clone())));
    let mut overall = mark.to_vec();
    overall.push(("partitions", json!({"type": "array", "items": object(&partition)})));
    object(&overall)
}

fn problem() -> Value {
    let text = json!({"type": "string"});
    let mut problem = object(&[
        ("type", json!({"type": "string", "format": "uri"})),
        ("title", text.clone()),
        ("status", json!({"type": "integer"})),
        ("detail", text.clone()),
        ("code", text.clone()),
        ("request_id", text.clone()),
    ]);
    let error = object(&[("parameter", text.clone()), ("code", text.clone()), ("detail", text)]);
    problem["properties"]["errors"] = json!({"type": "array", "items": error});
    problem
}

fn nullable_time() -> Value {
    json!({"type": ["string", "null"], "format": "date-time"})
}

/// An object that has all of `properties`.
fn object(properties: &[(&str, Value)]) -> Value {
    let names: Vec<_> = properties.iter().map(|(name, _)| *name).collect();
    let properties: Map<_, _> =
        properties.iter().map(|(name, schema)| ((*name).to_owned(), schema.clone())).collect();
    json!({"type": "object", "required": names, "properties": properties})
}
