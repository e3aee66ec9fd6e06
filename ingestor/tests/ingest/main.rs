//! The real program against a real Kafka and a real ClickHouse.

#![allow(clippy::unwrap_used)]

mod basics;
mod pipeline;
mod stack;
