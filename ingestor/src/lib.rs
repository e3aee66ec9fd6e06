//! Moves a Kafka topic into a ClickHouse table, every message exactly once.
//!
//! messages → [`decode`] → [`block`] → [`sink`], with [`protocol`] saying what
//! may happen when, [`source`] owning consumer and partitions, and
//! [`worker`] everything that waits for ClickHouse.

pub mod block;
mod content;
mod dead_letter;
pub mod decode;
mod fail;
pub mod kafka;
mod metrics;
pub mod protocol;
pub mod run;
mod sink;
mod source;
mod state;
mod worker;
