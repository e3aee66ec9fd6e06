//! Everything outside Kubernetes: Kafka and ClickHouse administration, and
//! what running ingestors say of themselves.

pub mod cache;
pub mod clickhouse;
mod gate;
pub mod ingestors;
pub mod kafka;
