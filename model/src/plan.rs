//! The plan: a pipeline in its resolved form, the one document that ingestor
//! and API server read (from a ConfigMap or `--plan FILE`).
//!
//! It holds no secrets; those come as files, see `caudal_service::credentials`.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::resource::{Delivery, TimestampFormat, UnknownFields};
use crate::types::ColumnType;

/// The plan format this build writes. Readers accept it and the one before.
pub const FORMAT_VERSION: u32 = 1;

/// Everything a pod needs to know about its pipeline.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Plan {
    /// [`FORMAT_VERSION`] of the writer.
    pub format_version: u32,
    pub pipeline: PipelineId,
    pub source: KafkaSource,
    pub fields: Vec<Field>,
    #[serde(default, skip_serializing_if = "UnknownFields::is_ignore")]
    pub unknown_fields: UnknownFields,
    pub sink: ClickHouseSink,
    /// Absent in the copy that only the API server reads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ingest: Option<Ingest>,
    /// Absent without `spec.api`, and in the copy that only the ingestor reads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api: Option<Api>,
}

/// Who the pipeline is: labels of every metric, and the owner in intents.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PipelineId {
    pub namespace: String,
    pub name: String,
}

/// Where messages come from.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct KafkaSource {
    pub connection: KafkaConnection,
    pub topic: String,
    /// Kafka's id of the topic (base64url, 22 characters): a topic deleted and
    /// made again under the same name is another topic.
    pub topic_id: String,
    /// Kafka's id of the cluster.
    pub cluster_id: String,
    /// The consumer group.
    pub group: String,
    pub start_from: StartFrom,
    pub isolation_level: IsolationLevel,
    pub dead_letter: DeadLetter,
}

impl KafkaSource {
    /// `_kafka_source`: the first eight bytes, big endian, of
    /// SHA-256(`<cluster id>/<topic id>`).
    pub fn source_id(&self) -> u64 {
        let digest = Sha256::digest(format!("{}/{}", self.cluster_id, self.topic_id));
        digest[..8].iter().fold(0, |id, byte| id << 8 | u64::from(*byte))
    }
}

/// How to reach a Kafka cluster; user and password are files.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct KafkaConnection {
    /// `host:port[,host:port…]`.
    pub bootstrap_servers: String,
    pub security_protocol: SecurityProtocol,
    /// Present exactly when the protocol is a SASL one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sasl_mechanism: Option<SaslMechanism>,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub enum SecurityProtocol {
    #[serde(rename = "PLAINTEXT")]
    Plaintext,
    #[serde(rename = "SSL")]
    Ssl,
    #[serde(rename = "SASL_PLAINTEXT")]
    SaslPlaintext,
    #[serde(rename = "SASL_SSL")]
    SaslSsl,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub enum SaslMechanism {
    #[serde(rename = "PLAIN")]
    Plain,
    #[serde(rename = "SCRAM-SHA-256")]
    ScramSha256,
    #[serde(rename = "SCRAM-SHA-512")]
    ScramSha512,
}

/// Where a consumer group that has committed nothing begins.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields, tag = "position")]
pub enum StartFrom {
    Earliest,
    Latest,
    /// The first message at or after this moment, milliseconds since 1970 UTC.
    #[serde(rename_all = "camelCase")]
    Timestamp {
        timestamp_ms: i64,
    },
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub enum IsolationLevel {
    ReadCommitted,
    ReadUncommitted,
}

#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DeadLetter {
    pub topic: String,
    /// How often a message that ClickHouse refuses for its values is tried
    /// alone before it becomes a dead letter; absent: for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_attempts: Option<u32>,
}

/// One value of the message and the column it goes to.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Field {
    pub name: String,
    /// The keys that lead to the value; empty: the member of the field's name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub path: Vec<String>,
    /// Without `Nullable`, see `nullable`.
    #[serde(rename = "type")]
    pub column_type: ColumnType,
    /// How messages write a moment; `default` is always in ISO 8601.
    #[serde(default, skip_serializing_if = "TimestampFormat::is_iso8601")]
    pub timestamp_format: TimestampFormat,
    /// Null or absent becomes NULL.
    #[serde(default)]
    pub nullable: bool,
    /// What an absent field becomes, as the JSON value a message would hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<serde_json::Value>,
}

impl Field {
    /// A member that must be there.
    pub fn new(name: &str, column_type: ColumnType) -> Self {
        Self {
            name: name.to_owned(),
            path: Vec::new(),
            column_type,
            timestamp_format: TimestampFormat::Iso8601,
            nullable: false,
            default: None,
        }
    }

    /// The keys that lead to the value.
    pub fn keys(&self) -> &[String] {
        if self.path.is_empty() { std::slice::from_ref(&self.name) } else { &self.path }
    }
}

/// The column of members that no field reads.
pub const UNKNOWN_COLUMN: &str = "_unknown";

/// The columns that rows of these fields fill, metadata aside.
pub fn columns(fields: &[Field], unknown_fields: UnknownFields) -> Vec<Field> {
    let kept = (unknown_fields == UnknownFields::Store)
        .then(|| Field { default: Some("{}".into()), ..Field::new(UNKNOWN_COLUMN, ColumnType::String) });
    fields.iter().cloned().chain(kept).collect()
}

/// Where rows go.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ClickHouseSink {
    pub connection: ClickHouseConnection,
    pub database: String,
    pub table: String,
    /// The table's UUID: a table dropped and made again is another table.
    pub table_uuid: String,
    /// `<table>__ledger`, in the same database.
    pub ledger_table: String,
    /// Fields of the sorting key, before the metadata columns.
    pub order_by: Vec<String>,
}

/// How to reach ClickHouse; user and password are files.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ClickHouseConnection {
    /// `http://host:port` or `https://host:port`.
    pub url: String,
}

/// How the ingestor batches.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Ingest {
    /// What was asked for and the table can hold.
    #[serde(default)]
    pub delivery: Delivery,
    /// Rows per block at most, below 1,048,449 (one part per insert).
    pub max_rows: u64,
    /// Bytes of rows per block at most.
    pub max_bytes: u64,
    /// A block is sent when its oldest message has waited this long.
    pub flush_delay_ms: u64,
    /// What the process may use in all; it pauses partitions to stay below.
    pub memory_limit_bytes: u64,
    /// The freshness objective's `within`, if any: the SLI's threshold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub freshness_within_ms: Option<u64>,
}

/// What the API server serves.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Api {
    /// The field behind `/v1/records/{key}`.
    pub key: String,
    pub auth: Auth,
    #[serde(default)]
    pub aliases: Vec<Alias>,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(tag = "mode", deny_unknown_fields)]
pub enum Auth {
    None,
}

/// A path of an earlier system: answers the bare JSON list.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Alias {
    /// Begins with `/`.
    pub path: String,
    /// Rows without a `limit` parameter; the general default when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
}

/// Why a plan file can't be used.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    #[error("parse the plan")]
    Parse(#[from] serde_json::Error),
    #[error("the plan has format version {found}; this build reads {FORMAT_VERSION} and the one before")]
    FormatVersion { found: u32 },
}

impl Plan {
    /// Parses a plan file.
    pub fn from_json(text: &str) -> Result<Self, PlanError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Version {
            format_version: u32,
        }
        let Version { format_version } = serde_json::from_str(text)?;
        if format_version > FORMAT_VERSION || format_version + 1 < FORMAT_VERSION || format_version == 0 {
            return Err(PlanError::FormatVersion { found: format_version });
        }
        Ok(serde_json::from_str(text)?)
    }

    /// The columns that rows fill, metadata aside.
    pub fn columns(&self) -> Vec<Field> {
        columns(&self.fields, self.unknown_fields)
    }

    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).expect("a plan has string keys and finite numbers only")
    }

    /// What identifies this plan's content: the first ten hex digits of its
    /// SHA-256. Equal plans have equal revisions, so nothing rolls needlessly.
    pub fn revision(&self) -> String {
        ten_digits(&self.to_json())
    }

    /// What identifies the rows that this plan makes of given messages: equal
    /// for plans that differ in addresses, batching or delays only.
    /// `decoder_version` is the ingestor's.
    pub fn content_revision(&self, decoder_version: u32) -> String {
        let mut content = serde_json::json!({
            "decoder": decoder_version,
            "fields": self.fields,
            "isolationLevel": self.source.isolation_level,
            // A message beyond it is rejected.
            "maxBytes": self.ingest.as_ref().map(|ingest| ingest.max_bytes),
        });
        if !self.unknown_fields.is_ignore() {
            content["unknownFields"] = serde_json::json!(self.unknown_fields);
        }
        ten_digits(&content.to_string())
    }

    /// The part the ingestor reads, so an API change rolls no ingestor.
    #[must_use]
    pub fn for_ingestor(&self) -> Self {
        Self { api: None, ..self.clone() }
    }

    /// The part the API server reads, so a change of batching or of how messages
    /// are written rolls no API.
    #[must_use]
    pub fn for_api_server(&self) -> Self {
        let as_stored = |field: &Field| Field {
            path: Vec::new(),
            timestamp_format: TimestampFormat::Iso8601,
            ..field.clone()
        };
        let unknown_fields = match self.unknown_fields {
            UnknownFields::Reject => UnknownFields::Ignore,
            stored => stored,
        };
        Self {
            ingest: None,
            fields: self.fields.iter().map(as_stored).collect(),
            unknown_fields,
            ..self.clone()
        }
    }
}

fn ten_digits(text: &str) -> String {
    let digest = Sha256::digest(text);
    let number = digest[..5].iter().fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    format!("{number:010x}")
}
