//! Where a connection comes from (fleet or Secret) + the Secret's content →
//! addresses and credentials, or what is missing. Pure.

use std::collections::BTreeMap;

use caudal_model::fleet::{ClickHouseFleetConnection, Fleet, KafkaFleetConnection};
use caudal_model::plan::{ClickHouseConnection, KafkaConnection, SaslMechanism, SecurityProtocol};
use caudal_model::resolve::ConnectionSource;
use caudal_service::credentials::Login;
use k8s_openapi::api::core::v1::Secret;
use serde::de::DeserializeOwned;

use super::reason::{Problem, Reason};
use crate::external::clickhouse::ClickHouseAccess;
use crate::external::kafka::KafkaAccess;

/// On connection Secrets: `kafka` or `clickhouse`.
pub const CONNECTION_LABEL: &str = "caudal.dev/connection";

/// Which kind of connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Part {
    Kafka,
    ClickHouse,
}

impl Part {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Kafka => "kafka",
            Self::ClickHouse => "clickhouse",
        }
    }

    /// The keys a Secret of this kind may have.
    fn keys(self) -> &'static str {
        match self {
            Self::Kafka => {
                "bootstrapServers, securityProtocol, saslMechanism, ca.crt, admin-username, admin-password, \
                 username, password"
            }
            Self::ClickHouse => {
                "url, ca.crt, admin-username, admin-password, username, password, reader-username, \
                 reader-password"
            }
        }
    }
}

/// A Secret to look up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretReference {
    pub namespace: String,
    pub name: String,
    /// A user's Secret must say by its label that pipelines may use it.
    pub labelled: bool,
}

/// The Secret behind a connection; none for a fleet connection without
/// authentication.
pub fn secret_reference(
    part: Part,
    source: &ConnectionSource,
    namespace: &str,
    fleet: &Fleet,
    operator_namespace: &str,
) -> Option<SecretReference> {
    match source {
        ConnectionSource::Secret(name) => {
            Some(SecretReference { namespace: namespace.to_owned(), name: name.clone(), labelled: true })
        }
        ConnectionSource::Fleet(name) => {
            let secret = match part {
                Part::Kafka => fleet.connections.kafka.get(name)?.secret_name.clone(),
                Part::ClickHouse => fleet.connections.clickhouse.get(name)?.secret_name.clone(),
            };
            Some(SecretReference { namespace: operator_namespace.to_owned(), name: secret?, labelled: false })
        }
    }
}

/// A Kafka cluster with both credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kafka {
    /// Names the shared client.
    pub name: String,
    /// What the operator uses; never leaves it.
    pub access: KafkaAccess,
    /// What pods use.
    pub data: Option<Login>,
}

/// A ClickHouse server with its credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClickHouse {
    /// Names the shared client.
    pub name: String,
    /// What the operator uses; never leaves it.
    pub access: ClickHouseAccess,
    /// What ingestors use: INSERT and SELECT.
    pub ingest: Option<Login>,
    /// What API servers use: SELECT only.
    pub reader: Option<Login>,
}

impl ClickHouse {
    pub fn address(&self) -> ClickHouseConnection {
        ClickHouseConnection { url: self.access.url.clone() }
    }
}

/// The text values of a Secret that was found to be usable.
#[derive(Clone, Default)]
pub struct SecretText {
    described: String,
    values: BTreeMap<String, String>,
}

/// Checks that the Secret is there, labelled, and text.
pub fn secret_text(
    part: Part,
    reference: &SecretReference,
    secret: Option<Secret>,
) -> Result<SecretText, Problem> {
    let SecretReference { namespace, name, labelled } = reference;
    let label = format!("{CONNECTION_LABEL}: {}", part.as_str());
    let Some(secret) = secret else {
        let labelled = if *labelled { format!(", labelled {label}") } else { String::new() };
        return Err(Problem::new(
            Reason::SecretNotFound,
            format!(
                "there is no Secret {name:?} in namespace {namespace:?}; create it{labelled}, with those of the \
                 keys {} that the connection needs",
                part.keys()
            ),
        ));
    };
    let found = secret.metadata.labels.as_ref().and_then(|labels| labels.get(CONNECTION_LABEL));
    if *labelled && found.map(String::as_str) != Some(part.as_str()) {
        return Err(Problem::new(
            Reason::SecretNotFound,
            format!(
                "Secret {name:?} in namespace {namespace:?} has no label {label}; add it to let pipelines use it"
            ),
        ));
    }
    let described = format!("Secret {name:?} in namespace {namespace:?}");
    let mut values = BTreeMap::new();
    for (key, value) in secret.data.unwrap_or_default() {
        let text = String::from_utf8(value.0).map_err(|_| {
            Problem::new(Reason::SecretInvalid, format!("{described}: {key} is no UTF-8 text; write it anew"))
        })?;
        let text = if key == "ca.crt" { text } else { text.trim_end_matches(['\r', '\n']).to_owned() };
        values.insert(key, text);
    }
    Ok(SecretText { described, values })
}

impl SecretText {
    fn get(&self, key: &str) -> Option<&str> {
        self.values.get(key).map(String::as_str).filter(|value| !value.is_empty())
    }

    fn login(&self, prefix: &str) -> Option<Login> {
        let username = self.get(&format!("{prefix}username"))?.to_owned();
        let password = self.get(&format!("{prefix}password")).unwrap_or_default().to_owned();
        Some(Login { username, password })
    }

    /// A setting that is one of a few words.
    fn word<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, Problem> {
        let Some(text) = self.get(key) else { return Ok(None) };
        let value = serde_json::Value::String(text.to_owned());
        serde_json::from_value(value).map(Some).map_err(|error| {
            Problem::new(Reason::SecretInvalid, format!("{}: {key}: {error}", self.described))
        })
    }

    fn missing(&self, source: &ConnectionSource, key: &str) -> Problem {
        let place = match source {
            ConnectionSource::Secret(_) => format!("{} has no key {key}; add it", self.described),
            ConnectionSource::Fleet(name) => {
                format!(
                    "the fleet's connection {name:?} has no {key}; add it to the chart's values or to its Secret"
                )
            }
        };
        Problem::new(Reason::SecretInvalid, place)
    }
}

/// What the shared client of a connection is called.
pub fn client_name(source: &ConnectionSource, namespace: &str) -> String {
    match source {
        ConnectionSource::Fleet(_) => source.to_string(),
        ConnectionSource::Secret(_) => format!("{namespace}/{source}"),
    }
}

pub fn kafka(
    source: &ConnectionSource,
    namespace: &str,
    settings: Option<&KafkaFleetConnection>,
    secret: &SecretText,
) -> Result<Kafka, Problem> {
    let bootstrap_servers = settings
        .and_then(|settings| settings.bootstrap_servers.clone())
        .or_else(|| secret.get("bootstrapServers").map(str::to_owned))
        .ok_or_else(|| secret.missing(source, "bootstrapServers"))?;
    let security_protocol = match settings.and_then(|settings| settings.security_protocol) {
        Some(protocol) => protocol,
        None => secret.word("securityProtocol")?.unwrap_or(SecurityProtocol::Plaintext),
    };
    let mechanism = match settings.and_then(|settings| settings.sasl_mechanism) {
        Some(mechanism) => Some(mechanism),
        None => secret.word("saslMechanism")?,
    };
    let sasl = matches!(security_protocol, SecurityProtocol::SaslPlaintext | SecurityProtocol::SaslSsl);
    let data = secret.login("").filter(|_| sasl);
    if sasl && data.is_none() {
        return Err(secret.missing(source, "username"));
    }
    let admin = secret.login("admin-").filter(|_| sasl).or_else(|| data.clone());
    Ok(Kafka {
        name: client_name(source, namespace),
        access: KafkaAccess {
            connection: KafkaConnection {
                bootstrap_servers,
                security_protocol,
                sasl_mechanism: sasl.then(|| mechanism.unwrap_or(SaslMechanism::ScramSha512)),
            },
            admin,
            ca: secret.get("ca.crt").map(str::to_owned),
        },
        data,
    })
}

pub fn clickhouse(
    source: &ConnectionSource,
    namespace: &str,
    settings: Option<&ClickHouseFleetConnection>,
    secret: &SecretText,
) -> Result<ClickHouse, Problem> {
    let url = settings
        .and_then(|settings| settings.url.clone())
        .or_else(|| secret.get("url").map(str::to_owned))
        .ok_or_else(|| secret.missing(source, "url"))?;
    check_address(&url)?;
    let url = url.trim_end_matches('/').to_owned();
    let (admin, ingest, reader) = (secret.login("admin-"), secret.login(""), secret.login("reader-"));
    // None stands in for another: the API must not get what may insert.
    if admin.is_some() || ingest.is_some() || reader.is_some() {
        for (login, key) in [(&ingest, "username"), (&reader, "reader-username")] {
            if login.is_none() {
                return Err(secret.missing(source, key));
            }
        }
    }
    Ok(ClickHouse {
        name: client_name(source, namespace),
        access: ClickHouseAccess {
            url,
            admin: admin.or_else(|| ingest.clone()),
            ca: secret.get("ca.crt").map(str::to_owned),
        },
        reader,
        ingest,
    })
}

/// Addresses go into plans and messages, so they hold no credentials; the text
/// is not repeated, since it may.
fn check_address(url: &str) -> Result<(), Problem> {
    let rest = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"));
    if rest.is_some_and(|rest| !rest.is_empty() && !rest.contains(['@', '?', '#'])) {
        return Ok(());
    }
    let message = "url is no address of ClickHouse's HTTP port alone; write http://host:port or https://host:port, and \
                   users and passwords under their own keys";
    Err(Problem::new(Reason::SecretInvalid, message))
}

#[cfg(test)]
mod tests {
    use k8s_openapi::ByteString;

    use super::*;

    fn secret(label: Option<&str>, values: &[(&str, &str)]) -> Secret {
        let mut secret = Secret::default();
        secret.metadata.labels = label.map(|label| [(CONNECTION_LABEL.to_owned(), label.to_owned())].into());
        let bytes = |(key, value): &(&str, &str)| ((*key).to_owned(), ByteString(value.as_bytes().to_vec()));
        secret.data = Some(values.iter().map(bytes).collect());
        secret
    }

    fn reference() -> SecretReference {
        SecretReference { namespace: "shop".into(), name: "mine".into(), labelled: true }
    }

    fn text(part: Part, values: &[(&str, &str)]) -> SecretText {
        secret_text(part, &reference(), Some(secret(Some(part.as_str()), values))).unwrap()
    }

    fn named() -> ConnectionSource {
        ConnectionSource::Secret("mine".into())
    }

    #[test]
    fn a_missing_secret_is_named_with_its_label_and_keys() {
        let problem = secret_text(Part::Kafka, &reference(), None).err().unwrap();
        assert_eq!(problem.reason, Reason::SecretNotFound);
        for part in ["\"mine\"", "\"shop\"", "caudal.dev/connection: kafka", "bootstrapServers"] {
            assert!(problem.message.contains(part), "{part} in {}", problem.message);
        }
    }

    #[test]
    fn a_secret_without_the_label_is_not_used() {
        for label in [None, Some("clickhouse")] {
            let problem = secret_text(Part::Kafka, &reference(), Some(secret(label, &[]))).err().unwrap();
            assert_eq!(problem.reason, Reason::SecretNotFound);
            assert!(
                problem.message.contains("has no label caudal.dev/connection: kafka"),
                "{}",
                problem.message
            );
        }
    }

    #[test]
    fn admin_falls_back_to_the_data_credentials() {
        let values = [
            ("bootstrapServers", "k:9092"),
            ("securityProtocol", "SASL_PLAINTEXT"),
            ("username", "u\n"),
            ("password", "p"),
        ];
        let found = kafka(&named(), "shop", None, &text(Part::Kafka, &values)).unwrap();
        assert_eq!(found.name, "shop/secret/mine");
        assert_eq!(found.access.admin, found.data);
        assert_eq!(found.data.unwrap().username, "u");
        assert_eq!(found.access.connection.sasl_mechanism, Some(SaslMechanism::ScramSha512));
    }

    #[test]
    fn sasl_without_a_user_and_unknown_words_are_said() {
        let values = [("bootstrapServers", "k:9092"), ("securityProtocol", "SASL_SSL")];
        let problem = kafka(&named(), "shop", None, &text(Part::Kafka, &values)).unwrap_err();
        assert!(problem.message.contains("has no key username"), "{}", problem.message);
        let values = [("bootstrapServers", "k:9092"), ("securityProtocol", "TLS")];
        let problem = kafka(&named(), "shop", None, &text(Part::Kafka, &values)).unwrap_err();
        assert!(problem.message.contains("securityProtocol"), "{}", problem.message);
        let problem = kafka(&named(), "shop", None, &text(Part::Kafka, &[])).unwrap_err();
        assert!(problem.message.contains("bootstrapServers"), "{}", problem.message);
    }

    #[test]
    fn the_api_never_gets_the_login_that_inserts() {
        let values = [("url", "http://ch:8123/"), ("username", "ingest"), ("password", "p")];
        for source in [named(), ConnectionSource::Fleet("default".into())] {
            let of = |more: &[(&str, &str)]| {
                let secret = text(Part::ClickHouse, &[&values[..], more].concat());
                clickhouse(&source, "shop", None, &secret)
            };
            let problem = of(&[]).unwrap_err();
            assert!(problem.message.contains("reader-username"), "{}", problem.message);
            let found = of(&[("reader-username", "reader")]).unwrap();
            assert_eq!(found.access.url, "http://ch:8123");
            assert_eq!(found.access.admin, found.ingest);
            assert_eq!(found.reader.unwrap().username, "reader");
        }
        let admin = text(Part::ClickHouse, &[("url", "http://ch:8123"), ("admin-username", "admin")]);
        let problem = clickhouse(&named(), "shop", None, &admin).unwrap_err();
        assert!(problem.message.contains("has no key username"), "{}", problem.message);
        let open = text(Part::ClickHouse, &[("url", "http://ch:8123")]);
        assert_eq!(clickhouse(&named(), "shop", None, &open).unwrap().reader, None);
    }

    #[test]
    fn an_address_with_credentials_is_refused_and_not_repeated() {
        for url in ["http://me:hidden@ch:8123", "https://ch?password=hidden", "tcp://me:hidden@ch", "http://"]
        {
            let problem =
                clickhouse(&named(), "shop", None, &text(Part::ClickHouse, &[("url", url)])).unwrap_err();
            assert_eq!(problem.reason, Reason::SecretInvalid);
            assert!(!problem.message.contains("hidden"), "{}", problem.message);
        }
    }
}
