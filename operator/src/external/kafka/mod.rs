//! Kafka administration: describe, create and delete topics and groups.

mod client;
mod error;
mod native;
mod topics;

pub use client::{Admin, KafkaAccess};
pub use error::KafkaError;
pub use native::TopicDescription;
pub use topics::{Creation, NewTopic};

/// Admin clients, one per connection.
pub type Kafkas = super::cache::Cache<KafkaAccess, Admin>;
