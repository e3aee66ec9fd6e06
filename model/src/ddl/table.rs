//! The table of a pipeline: its fields, then the metadata columns.

use serde_json::Value;

use super::{Column, DURABLE, quote_identifier, quote_identifiers, quote_string, quote_table};
use crate::ColumnType;
use crate::plan::Field;
use crate::resource::{Engine, PartitionUnit};

/// Insert tokens the server remembers at least. It must hold twice the partition records
/// of the longest life of an old request; at ten blocks a second this is over
/// eight minutes.
pub const DEDUPLICATION_WINDOW: u64 = 10_000;

/// The longest life of a request to ClickHouse: how long a connection may be
/// idle, the server's receive timeout and `max_execution_time`.
pub const LONGEST_REQUEST_SECONDS: u64 = 120;

/// The setting that bounds them.
pub(super) const WINDOW: &str = "non_replicated_deduplication_window";

/// How much larger than its largest part a merge has to become to be worth it.
/// ClickHouse's 5 fits small inserts; for large blocks 8 writes half as much
/// again and again, with about as many parts (docs/performance.md).
const MERGE_BASE: &str = "merge_selector_base = 8";

/// No field of a message may begin so.
pub const METADATA_PREFIX: &str = "_kafka_";

/// Where a row came from; in every table, after the fields.
pub const METADATA_COLUMNS: [Column; 4] = [
    Column { name: "_kafka_source", column_type: "UInt64" },
    Column { name: "_kafka_partition", column_type: "Int32" },
    Column { name: "_kafka_offset", column_type: "Int64" },
    Column { name: "_kafka_timestamp", column_type: "DateTime64(3, 'UTC')" },
];

/// What makes the order of rows unique, behind the fields of `order_by`.
const ORDER_SUFFIX: [&str; 3] = ["_kafka_source", "_kafka_partition", "_kafka_offset"];

/// Everything that decides a table.
#[derive(Clone, Debug, PartialEq)]
pub struct TableSpec {
    pub database: String,
    pub table: String,
    /// What rows fill, before the metadata columns.
    pub fields: Vec<Field>,
    /// Fields of the sorting key, before the metadata columns.
    pub order_by: Vec<String>,
    pub partition_by: Option<PartitionBy>,
    pub ttl: Option<Ttl>,
    pub engine: Engine,
    /// The owner: `<installation>/<namespace>/<name>`.
    pub comment: String,
    /// The field that the API looks records up by.
    pub api_key: Option<String>,
    pub deduplication_window: u64,
    /// Somebody else made the table and keeps it: it is checked, never altered.
    pub existing: bool,
}

/// Parts are kept apart by this.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionBy {
    pub field: String,
    /// `Date` or `DateTime64`.
    pub column_type: ColumnType,
    pub by: PartitionUnit,
}

/// Rows go this long after the moment in the field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ttl {
    pub field: String,
    /// `Date` or `DateTime64`.
    pub column_type: ColumnType,
    pub days: u32,
}

impl PartitionBy {
    /// The expression, in the column's own zone or UTC: never in the server's,
    /// which a restart could change.
    pub(super) fn expression(&self) -> String {
        let function = match self.by {
            PartitionUnit::Day => "toYYYYMMDD",
            PartitionUnit::Month => "toYYYYMM",
            PartitionUnit::Year => "toYear",
        };
        let zone = match &self.column_type {
            ColumnType::DateTime64 { timezone: None, .. } => ", 'UTC'",
            _ => "",
        };
        format!("{function}({}{zone})", quote_identifier(&self.field))
    }
}

impl Ttl {
    /// In types that reach past 2149: a moment that wraps would drop fresh rows.
    fn expression(&self) -> String {
        let field = quote_identifier(&self.field);
        let moment = match self.column_type {
            ColumnType::Date => format!("toDate32({field})"),
            _ => field,
        };
        format!("{moment} + toIntervalDay({})", self.days)
    }
}

impl TableSpec {
    /// Names of the sorting key, metadata columns included.
    pub fn sorting_key(&self) -> impl Iterator<Item = &str> {
        self.order_by.iter().map(String::as_str).chain(ORDER_SUFFIX)
    }

    /// The index by which the API finds records; none where the sorting key
    /// begins with the API's key.
    fn key_index(&self) -> Option<String> {
        let key =
            self.api_key.as_deref().filter(|key| self.order_by.first().is_none_or(|first| first != key))?;
        let field = self.fields.iter().find(|field| field.name == key)?;
        let index = match field.column_type {
            // Bloom filters know no decimals.
            ColumnType::Decimal { .. } => "minmax",
            _ => "bloom_filter(0.01)",
        };
        Some(format!(
            "{} {} TYPE {index} GRANULARITY 1",
            quote_identifier(&format!("api_key_{key}")),
            quote_identifier(key)
        ))
    }
}

/// The type of a field's column as `system.columns` prints it.
pub fn column_type(field: &Field) -> String {
    field.column_type.spelled(field.nullable)
}

/// `` `name` Type[ DEFAULT …] ``.
fn column(field: &Field) -> String {
    let mut text = format!("{} {}", quote_identifier(&field.name), column_type(field));
    if let Some(default) = &field.default {
        text.push_str(" DEFAULT ");
        text.push_str(&default_expression(&field.column_type, default));
    }
    text
}

/// What rows that are older than the column show.
fn default_expression(column_type: &ColumnType, default: &Value) -> String {
    let literal = literal(column_type, default);
    match column_type {
        ColumnType::Array(_) | ColumnType::Map { .. } => {
            format!("CAST({literal}, {})", quote_string(&column_type.to_string()))
        }
        _ => literal,
    }
}

/// An expression that a cast to the type makes the value of.
fn literal(column_type: &ColumnType, value: &Value) -> String {
    let list = |items: Vec<String>| items.join(", ");
    match (column_type, value) {
        (_, Value::Null) => "NULL".to_owned(),
        (ColumnType::Array(element), Value::Array(items)) => {
            format!("[{}]", list(items.iter().map(|item| literal(&element.column_type, item)).collect()))
        }
        (ColumnType::Map { value: element, .. }, Value::Object(members)) => {
            let pair = |(key, value): (&String, &Value)| {
                format!("{}, {}", quote_string(key), literal(&element.column_type, value))
            };
            format!("map({})", list(members.iter().map(pair).collect()))
        }
        (ColumnType::DateTime64 { precision, .. }, Value::String(text)) => {
            format!("toDateTime64({}, {precision}, 'UTC')", quote_string(text))
        }
        (_, Value::String(text)) => quote_string(text),
        (_, other) => quote_string(&other.to_string()),
    }
}

pub fn create_table(spec: &TableSpec) -> String {
    let mut lines: Vec<String> = spec.fields.iter().map(column).collect();
    lines.extend(
        METADATA_COLUMNS
            .iter()
            .map(|column| format!("{} {}", quote_identifier(column.name), column.column_type)),
    );
    lines.push("INDEX `kafka_offset` `_kafka_offset` TYPE minmax GRANULARITY 1".to_owned());
    lines.extend(spec.key_index().map(|index| format!("INDEX {index}")));
    let order_by = spec.order_by.iter().map(String::as_str);
    let clauses = [
        Some(format!("CREATE TABLE IF NOT EXISTS {}", quote_table(&spec.database, &spec.table))),
        Some(format!("(\n    {}\n)", lines.join(",\n    "))),
        Some(format!("ENGINE = {}", spec.engine.as_str())),
        spec.partition_by.as_ref().map(|by| format!("PARTITION BY {}", by.expression())),
        Some(format!("PRIMARY KEY ({})", quote_identifiers(order_by))),
        Some(format!("ORDER BY ({})", quote_identifiers(spec.sorting_key()))),
        spec.ttl.as_ref().map(|ttl| format!("TTL {}", ttl.expression())),
        Some(format!("SETTINGS {WINDOW} = {}, {DURABLE}, {MERGE_BASE}", spec.deduplication_window)),
        Some(format!("COMMENT {}", quote_string(&spec.comment))),
    ];
    clauses.into_iter().flatten().collect::<Vec<_>>().join("\n")
}

/// Names of scratch tables begin so.
pub const SCRATCH_PREFIX: &str = "caudal_self_test_";

/// A table with one ClickHouse partition per value of its one column, `unit`.
pub fn create_scratch(database: &str, table: &str, comment: &str) -> String {
    format!(
        "CREATE TABLE {} (`unit` UInt8) ENGINE = MergeTree PARTITION BY `unit` ORDER BY `unit` \
         SETTINGS {WINDOW} = 100, {DURABLE} COMMENT {}",
        quote_table(database, table),
        quote_string(comment)
    )
}

/// Adds one column in its place; nothing happens where it is already there.
pub fn add_column(database: &str, table: &str, add: &super::AddColumn) -> String {
    let place = match &add.after {
        Some(before) => format!("AFTER {}", quote_identifier(before)),
        None => "FIRST".to_owned(),
    };
    format!(
        "ALTER TABLE {} ADD COLUMN IF NOT EXISTS {} {place}",
        quote_table(database, table),
        column(&add.field)
    )
}

/// The statement that gives a table of ours the index its API's key needs, for
/// parts written from now on; absent where none is needed.
pub fn add_key_index(spec: &TableSpec) -> Option<String> {
    let index = spec.key_index().filter(|_| !spec.existing)?;
    Some(format!("ALTER TABLE {} ADD INDEX IF NOT EXISTS {index}", quote_table(&spec.database, &spec.table)))
}
