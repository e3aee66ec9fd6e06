//! Connection + credentials → librdkafka settings.

use caudal_model::plan::{KafkaConnection, SaslMechanism, SecurityProtocol};
use rdkafka::ClientConfig;

use crate::Credentials;

/// Settings every client of this connection shares; callers add their own.
pub fn client_config(connection: &KafkaConnection, credentials: &Credentials) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", &connection.bootstrap_servers)
        .set("client.id", concat!("caudal/", env!("CARGO_PKG_VERSION")))
        .set("security.protocol", protocol(connection.security_protocol))
        .set("topic.metadata.refresh.interval.ms", "30000")
        .set("reconnect.backoff.max.ms", "5000");
    if let Some(mechanism) = connection.sasl_mechanism {
        config.set("sasl.mechanism", sasl(mechanism));
    }
    if let Some(login) = &credentials.kafka {
        config.set("sasl.username", &login.username).set("sasl.password", &login.password);
    }
    if let Some(ca) = &credentials.kafka_ca {
        config.set("ssl.ca.location", ca.to_string_lossy());
    }
    config
}

fn protocol(protocol: SecurityProtocol) -> &'static str {
    match protocol {
        SecurityProtocol::Plaintext => "plaintext",
        SecurityProtocol::Ssl => "ssl",
        SecurityProtocol::SaslPlaintext => "sasl_plaintext",
        SecurityProtocol::SaslSsl => "sasl_ssl",
    }
}

fn sasl(mechanism: SaslMechanism) -> &'static str {
    match mechanism {
        SaslMechanism::Plain => "PLAIN",
        SaslMechanism::ScramSha256 => "SCRAM-SHA-256",
        SaslMechanism::ScramSha512 => "SCRAM-SHA-512",
    }
}
