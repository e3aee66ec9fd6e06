//! `spec.schema`: what a message holds.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a message holds. Messages are JSON objects.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Schema {
    /// The fields, which are the table's columns in this order. Fields may be added later if they are nullable or have
    /// a default.
    #[schemars(length(min = 1, max = 256))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub fields: Vec<Field>,
    /// What becomes of members that no field reads. `Ignore`: nothing. `Reject`: such a message is a dead letter, with
    /// the reason UnknownField. `Store`: they are kept in a column `_unknown`, as the text of a JSON object with their
    /// values as in the message, `{}` where there are none. The column is added when this is chosen later, and stays
    /// when it is taken back.
    #[serde(default)]
    pub unknown_fields: UnknownFields,
}

#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, JsonSchema, PartialEq, Eq)]
pub enum UnknownFields {
    #[default]
    Ignore,
    Reject,
    Store,
}

impl UnknownFields {
    pub fn is_ignore(&self) -> bool {
        *self == Self::Ignore
    }
}

/// A value of the message and the column it goes to.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Field {
    /// Name of the column, and of the member of the message where `from` names no other: letters, digits and `_`.
    #[schemars(length(min = 1, max = 64))]
    pub name: String,
    /// Where the value stands in the message: up to 8 keys separated by dots, like `customer.address.city`. Within a key
    /// `\.` is a dot and `\\` a backslash. Where an object on the way is absent or null, so is the value: it becomes NULL
    /// or the default. No two fields may read the same value, and none may read a part of what another reads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub from: Option<String>,
    /// The column's type as ClickHouse spells it: Int8…Int64, UInt8…UInt64, Float32, Float64, Decimal(precision, scale),
    /// String, LowCardinality(String), Bool, Date, DateTime64(precision[, 'zone']) or UUID. Messages are read strictly:
    /// a number is no String, 1.0 is no Int; quoted numbers are taken for Int64, UInt64 and Decimal; times are RFC 3339
    /// or `YYYY-MM-DD hh:mm:ss[.f]`, UTC where no zone is named, unless `timestampFormat` says otherwise.
    #[serde(rename = "type")]
    #[schemars(length(min = 1, max = 256))]
    pub column_type: String,
    /// How a Date or DateTime64 is written, in messages and in `default`. `Iso8601`, where nothing is said: as `type`
    /// tells. `UnixSeconds`, `UnixMilliseconds`, `UnixMicroseconds`, `UnixNanoseconds`: a number since 1970, also quoted
    /// or with a fraction. `Rfc2822`: `Tue, 15 Nov 1994 08:12:31 GMT`, as in mails and HTTP. `CommonLog`:
    /// `10/Oct/2000:13:55:36 -0700`. `Iso8601Basic`: `20001010T135536Z`. Digits of a second that the column can't hold
    /// are cut off; a Date is the day in UTC.
    #[serde(default, skip_serializing_if = "TimestampFormat::is_iso8601")]
    pub timestamp_format: TimestampFormat,
    /// A member that is null or absent becomes NULL. Otherwise such a message is a dead letter.
    #[serde(default)]
    pub nullable: bool,
    /// What an absent member becomes, as text: `"0"`, `"unknown"`, `"2026-01-31T12:00:00Z"`. Null is still refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub default: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, JsonSchema, PartialEq, Eq)]
pub enum TimestampFormat {
    #[default]
    Iso8601,
    UnixSeconds,
    UnixMilliseconds,
    UnixMicroseconds,
    UnixNanoseconds,
    Rfc2822,
    CommonLog,
    Iso8601Basic,
}

impl TimestampFormat {
    pub fn is_iso8601(&self) -> bool {
        *self == Self::Iso8601
    }

    /// Of a number since 1970: its unit is 10^-this seconds.
    pub fn unix_digits(self) -> Option<u8> {
        match self {
            Self::UnixSeconds => Some(0),
            Self::UnixMilliseconds => Some(3),
            Self::UnixMicroseconds => Some(6),
            Self::UnixNanoseconds => Some(9),
            Self::Iso8601 | Self::Rfc2822 | Self::CommonLog | Self::Iso8601Basic => None,
        }
    }
}
