//! The operator against a real API server, Kafka and ClickHouse. There is no
//! node, so no pod ever runs and `ConsumersReady` stays false.

#![allow(clippy::unwrap_used)]

mod applying;
mod conflicts;
mod deleting;
mod delivery;
mod intents;
mod leading;
mod outages;
mod schema;
mod secrets;
mod stage;
