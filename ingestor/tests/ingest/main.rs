//! The real program against a real Kafka and a real ClickHouse.

#![allow(clippy::unwrap_used)]

mod basics;
mod beginnings;
mod encryption;
mod faults;
mod letters;
mod pipeline;
mod stack;
mod values;
