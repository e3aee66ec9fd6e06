//! The real program against a real Kafka and a real ClickHouse.

#![allow(clippy::unwrap_used)]

mod basics;
mod beginnings;
mod chaos;
mod crashes;
mod delivery;
mod encryption;
mod faults;
mod fields;
mod frozen;
mod letters;
mod load;
mod log;
mod network;
mod pipeline;
mod plans;
mod proxy;
mod refused;
mod stack;
mod values;
