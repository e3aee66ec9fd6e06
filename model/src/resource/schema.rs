//! `spec.schema`: what a message holds.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a message holds. Messages are JSON objects; members that no field names are ignored.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Schema {
    /// The fields, which are the table's columns in this order. Fields may be added later if they are nullable or have
    /// a default.
    #[schemars(length(min = 1, max = 256))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub fields: Vec<Field>,
}

/// A member of the message and the column of the same name.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Field {
    /// Name in the message and of the column: letters, digits and `_`.
    #[schemars(length(min = 1, max = 64))]
    pub name: String,
    /// The column's type as ClickHouse spells it: Int8…Int64, UInt8…UInt64, Float32, Float64, Decimal(precision, scale),
    /// String, LowCardinality(String), Bool, Date, DateTime64(precision[, 'zone']), UUID, Enum8('name' = number, …),
    /// Enum16('name' = number, …), IPv4, IPv6, Array(T), Map(K, V) or JSON. T and V are types of this list, arrays and
    /// maps at most three deep, or Nullable(T); K is String, LowCardinality(String), an integer, Date, UUID, an enum,
    /// IPv4 or IPv6. Messages are read strictly: a number is no String, 1.0 is no Int; quoted numbers are taken for
    /// Int64, UInt64 and Decimal; times are RFC 3339 or `YYYY-MM-DD hh:mm:ss[.f]`, UTC where no zone is named; an enum
    /// takes its names; an Array is a JSON array, Map and JSON are JSON objects. All rules: docs/types.md.
    #[serde(rename = "type")]
    #[schemars(length(min = 1, max = 256))]
    pub column_type: String,
    /// A member that is null or absent becomes NULL. Otherwise such a message is a dead letter. Not for Array, Map and
    /// JSON.
    #[serde(default)]
    pub nullable: bool,
    /// What an absent member becomes, as text: `"0"`, `"unknown"`, `"2026-01-31T12:00:00Z"`, for arrays and objects as
    /// JSON: `"[]"`. Null is still refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub default: Option<String>,
}
