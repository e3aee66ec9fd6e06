//! The operator's configuration file (YAML, from the chart's values): which
//! connections there are and what a pipeline gets that does not say otherwise.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::plan::{SaslMechanism, SecurityProtocol};
use crate::quantity;
use crate::resource::{FreshnessObjective, ResourceList, Resources};

/// In `namespaces`: every namespace that no other connection names.
pub const ANY_NAMESPACE: &str = "*";

/// The whole file. Only `installation`, `image` and `connections` have no
/// defaults.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Fleet {
    /// First part of the owner in table comments; two installations that share
    /// a ClickHouse need two names.
    pub installation: String,
    pub image: Image,
    pub connections: Connections,
    #[serde(default)]
    pub defaults: Defaults,
}

/// The image of ingestor and API pods.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Image {
    pub name: String,
    pub tag: String,
    #[serde(default)]
    pub pull_policy: PullPolicy,
    /// Names of image pull Secrets in the pipelines' namespaces.
    #[serde(default)]
    pub pull_secrets: Vec<String>,
}

impl Image {
    /// `name:tag`, or `name@sha256:…` for a digest in place of the tag.
    pub fn reference(&self) -> String {
        let separator = if self.tag.starts_with("sha256:") { '@' } else { ':' };
        format!("{}{separator}{}", self.name, self.tag)
    }
}

#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
pub enum PullPolicy {
    Always,
    #[default]
    IfNotPresent,
    Never,
}

impl PullPolicy {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Always => "Always",
            Self::IfNotPresent => "IfNotPresent",
            Self::Never => "Never",
        }
    }
}

/// Connections by name.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Connections {
    #[serde(default)]
    pub kafka: BTreeMap<String, KafkaFleetConnection>,
    #[serde(default)]
    pub clickhouse: BTreeMap<String, ClickHouseFleetConnection>,
}

/// A Kafka cluster; what is absent here stands in the Secret.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct KafkaFleetConnection {
    /// Who may use it: names, or `*` for whoever has no connection by name.
    pub namespaces: Vec<String>,
    pub bootstrap_servers: Option<String>,
    pub security_protocol: Option<SecurityProtocol>,
    pub sasl_mechanism: Option<SaslMechanism>,
    /// A Secret in the operator's namespace; absent without authentication.
    pub secret_name: Option<String>,
}

/// A ClickHouse server; what is absent here stands in the Secret.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ClickHouseFleetConnection {
    /// Who may use it: names, or `*` for whoever has no connection by name.
    pub namespaces: Vec<String>,
    pub url: Option<String>,
    /// A Secret in the operator's namespace; absent without authentication.
    pub secret_name: Option<String>,
}

/// What a pipeline gets that does not say otherwise.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Defaults {
    pub topic: TopicDefaults,
    pub dead_letter: DeadLetterDefaults,
    pub ingest: IngestDefaults,
    pub api: ApiDefaults,
    pub slo: SloDefaults,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct TopicDefaults {
    pub partitions: i32,
    pub replication_factor: i32,
    /// Topic configuration, as Kafka spells it.
    pub config: BTreeMap<String, String>,
}

impl Default for TopicDefaults {
    fn default() -> Self {
        Self { partitions: 3, replication_factor: 3, config: BTreeMap::new() }
    }
}

#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct DeadLetterDefaults {
    pub retention_days: i32,
}

impl Default for DeadLetterDefaults {
    fn default() -> Self {
        Self { retention_days: 14 }
    }
}

#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct IngestDefaults {
    pub batch: BatchDefaults,
    pub resources: Resources,
}

impl Default for IngestDefaults {
    fn default() -> Self {
        Self { batch: BatchDefaults::default(), resources: resources("100m", "256Mi", "512Mi") }
    }
}

#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct BatchDefaults {
    pub max_rows: i64,
    pub max_bytes: i64,
}

impl Default for BatchDefaults {
    fn default() -> Self {
        Self { max_rows: 500_000, max_bytes: 64 << 20 }
    }
}

#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ApiDefaults {
    pub resources: Resources,
}

impl Default for ApiDefaults {
    fn default() -> Self {
        Self { resources: resources("50m", "64Mi", "256Mi") }
    }
}

#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct SloDefaults {
    pub freshness: FreshnessObjective,
}

impl Default for SloDefaults {
    fn default() -> Self {
        Self { freshness: FreshnessObjective { objective: 99.0, within: "10s".to_owned() } }
    }
}

fn resources(cpu: &str, request: &str, limit: &str) -> Resources {
    Resources {
        requests: ResourceList { cpu: Some(cpu.into()), memory: Some(request.into()) },
        limits: ResourceList { cpu: None, memory: Some(limit.into()) },
    }
}

/// Why the file can't be used.
#[derive(Debug, thiserror::Error)]
pub enum FleetError {
    #[error("parse the fleet configuration")]
    Parse(#[from] serde_yaml_ng::Error),
    #[error("fleet configuration: {0}")]
    Invalid(String),
}

impl Fleet {
    /// Parses and checks a fleet configuration.
    pub fn from_yaml(text: &str) -> Result<Self, FleetError> {
        let fleet: Self = serde_yaml_ng::from_str(text)?;
        fleet.check().map_err(FleetError::Invalid)?;
        Ok(fleet)
    }

    /// Name and settings of the Kafka connection for pipelines of `namespace`
    /// that name none: the one that lists the namespace, else the one for `*`.
    pub fn kafka_for(&self, namespace: &str) -> Option<(&str, &KafkaFleetConnection)> {
        serving(&self.connections.kafka, |connection| &connection.namespaces, namespace)
    }

    /// As [`Fleet::kafka_for`], for ClickHouse.
    pub fn clickhouse_for(&self, namespace: &str) -> Option<(&str, &ClickHouseFleetConnection)> {
        serving(&self.connections.clickhouse, |connection| &connection.namespaces, namespace)
    }

    fn check(&self) -> Result<(), String> {
        if !is_name(&self.installation) {
            return Err(format!(
                "installation {:?} must match [a-z0-9]([-a-z0-9]*[a-z0-9])?",
                self.installation
            ));
        }
        one_each("kafka", self.connections.kafka.values().map(|connection| &connection.namespaces))?;
        one_each(
            "clickhouse",
            self.connections.clickhouse.values().map(|connection| &connection.namespaces),
        )?;
        let Defaults { topic, dead_letter, ingest, api, slo } = &self.defaults;
        // Those of the resource definition.
        let bounded = [
            ("defaults.topic.partitions", i64::from(topic.partitions), 1..=10_000),
            ("defaults.topic.replicationFactor", i64::from(topic.replication_factor), 1..=15),
            ("defaults.deadLetter.retentionDays", i64::from(dead_letter.retention_days), 1..=3650),
            ("defaults.ingest.batch.maxRows", ingest.batch.max_rows, 1..=1_048_448),
            ("defaults.ingest.batch.maxBytes", ingest.batch.max_bytes, 65_536..=268_435_455),
        ];
        if let Some((name, value, bounds)) = bounded.iter().find(|(_, value, bounds)| !bounds.contains(value))
        {
            return Err(format!("{name} is {value}; it must be {} to {}", bounds.start(), bounds.end()));
        }
        for (name, resources) in [("ingest", &ingest.resources), ("api", &api.resources)] {
            for text in resources.cpu() {
                quantity::milli(text)
                    .ok_or_else(|| format!("defaults.{name}.resources: {text:?} is no amount of CPU"))?;
            }
            for text in resources.memory() {
                quantity::bytes(text)
                    .ok_or_else(|| format!("defaults.{name}.resources: {text:?} is no amount of memory"))?;
            }
        }
        slo.freshness.duration().ok_or_else(|| {
            format!(
                "defaults.slo.freshness.within: {:?} is no duration; write one like 10s",
                slo.freshness.within
            )
        })?;
        Ok(())
    }
}

fn serving<'a, C>(
    connections: &'a BTreeMap<String, C>,
    namespaces: impl Fn(&C) -> &Vec<String>,
    namespace: &str,
) -> Option<(&'a str, &'a C)> {
    let lists = |wanted: &str| {
        connections.iter().find(|(_, connection)| namespaces(connection).iter().any(|name| name == wanted))
    };
    lists(namespace).or_else(|| lists(ANY_NAMESPACE)).map(|(name, connection)| (name.as_str(), connection))
}

/// A namespace listed by two connections would make the choice a matter of luck.
fn one_each<'a>(part: &str, lists: impl Iterator<Item = &'a Vec<String>>) -> Result<(), String> {
    let mut seen = std::collections::BTreeSet::new();
    match lists.flatten().find(|name| !seen.insert(*name)) {
        Some(name) => Err(format!("two connections of {part} list the namespace {name:?}; leave it in one")),
        None => Ok(()),
    }
}

fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 63
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && !text.starts_with('-')
        && !text.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: &str = "
installation: caudal
image: {name: caudal, tag: 0.1.0}
connections: {}
";

    #[test]
    fn a_small_file_gets_defaults() {
        let fleet = Fleet::from_yaml(SMALL).unwrap();
        assert_eq!(fleet.image.reference(), "caudal:0.1.0");
        assert_eq!(fleet.image.pull_policy.as_str(), "IfNotPresent");
        assert_eq!(
            fleet.defaults.topic,
            TopicDefaults { partitions: 3, replication_factor: 3, config: BTreeMap::new() }
        );
        assert_eq!(fleet.defaults.slo.freshness.within, "10s");
        assert_eq!(fleet.kafka_for("shop"), None);
    }

    #[test]
    fn one_default_changed_leaves_the_others() {
        let text = format!(
            "{SMALL}defaults: {{ingest: {{batch: {{maxRows: 10}}}}, topic: {{replicationFactor: 1}}}}"
        );
        let defaults = Fleet::from_yaml(&text).unwrap().defaults;
        assert_eq!(defaults.ingest.batch, BatchDefaults { max_rows: 10, max_bytes: 64 << 20 });
        assert_eq!((defaults.topic.partitions, defaults.topic.replication_factor), (3, 1));
    }

    #[test]
    fn an_image_may_be_named_by_digest() {
        let text = SMALL.replace("0.1.0", "'sha256:abc'");
        assert_eq!(Fleet::from_yaml(&text).unwrap().image.reference(), "caudal@sha256:abc");
    }

    #[test]
    fn mistakes_are_named() {
        let twice = "connections: {kafka: {a: {namespaces: [shop]}, b: {namespaces: [shop, '*']}}}";
        for (from, to, expected) in [
            ("installation: caudal", "installation: My Caudal", "installation \"My Caudal\" must match"),
            ("connections: {}", twice, "two connections of kafka list the namespace \"shop\""),
            ("connections: {}", "connections: {}\ndefaults: {topic: {partitions: 0}}", "partitions is 0"),
            (
                "connections: {}",
                "connections: {}\ndefaults: {api: {resources: {limits: {memory: lots}}}}",
                "\"lots\"",
            ),
            (
                "connections: {}",
                "connections: {}\ndefaults: {api: {resources: {limits: {cpu: many}}}}",
                "\"many\"",
            ),
            (
                "connections: {}",
                "connections: {}\ndefaults: {topic: {replicationFactor: 16}}",
                "it must be 1 to 15",
            ),
            (
                "connections: {}",
                "connections: {}\ndefaults: {slo: {freshness: {objective: 99, within: soon}}}",
                "soon",
            ),
        ] {
            let error = Fleet::from_yaml(&SMALL.replace(from, to)).unwrap_err().to_string();
            assert!(error.contains(expected), "{expected}\n{error}");
        }
        let unknown = Fleet::from_yaml(&format!("{SMALL}default: {{}}"));
        assert!(matches!(unknown, Err(FleetError::Parse(_))));
    }
}
