//! Why Kafka did not do what was asked.

/// An error of an administrative request.
#[derive(Clone, Debug, thiserror::Error)]
pub enum KafkaError {
    #[error("{act}: no answer from {servers}: {detail}")]
    Unreachable { act: String, servers: String, detail: String },
    #[error("{act}: {servers} refuses the credentials: {detail}")]
    Authentication { act: String, servers: String, detail: String },
    /// The credentials are right, but not enough.
    #[error("{act}: {servers} denies the right: {detail}")]
    Unauthorized { act: String, servers: String, detail: String },
    #[error("{act}: Kafka refuses: {detail}")]
    Refused { act: String, detail: String },
    #[error("set up a Kafka client for {servers}: {detail}")]
    Settings { servers: String, detail: String },
}

impl KafkaError {
    /// Nothing can be done with the cluster for now. A right that is missing
    /// for one thing says nothing about the others.
    pub fn is_outage(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Authentication { .. })
    }
}
