//! Why Kafka did not do what was asked.

/// An error of an administrative request.
#[derive(Debug, thiserror::Error)]
pub enum KafkaError {
    #[error("{act}: no answer from {servers}: {detail}")]
    Unreachable { act: String, servers: String, detail: String },
    #[error("{act}: {servers} refuses the credentials: {detail}")]
    Authentication { act: String, servers: String, detail: String },
    #[error("{act}: Kafka refuses: {detail}")]
    Refused { act: String, detail: String },
    #[error("set up a Kafka client for {servers}: {detail}")]
    Settings { servers: String, detail: String },
}
