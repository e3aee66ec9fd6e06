//! librdkafka handles → owned Rust values. The only module with `unsafe`
//! around the C interface: per-partition queues, commits with metadata and
//! per-partition answers, and headers byte for byte are not in the safe crate.

mod admin;
mod consumer;
mod list;
mod message;
mod producer;

pub use consumer::{CommitAnswer, Consumer, PartitionQueue, Rebalance};
pub use list::{Committed, Position};
pub use message::{Batch, Message};
pub use producer::{DeadLetterMessage, Letter, Producer};

use std::ffi::CStr;

use rdkafka_sys as sys;
pub use sys::rd_kafka_resp_err_t as Code;

/// A failed call, by librdkafka's code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", describe(*.0))]
pub struct KafkaError(pub Code);

impl KafkaError {
    fn check(code: Code) -> Result<(), Self> {
        if code == Code::RD_KAFKA_RESP_ERR_NO_ERROR { Ok(()) } else { Err(Self(code)) }
    }
}

/// librdkafka's own words for a code.
pub fn describe(code: Code) -> String {
    // SAFETY: returns a static string for every code.
    unsafe { CStr::from_ptr(sys::rd_kafka_err2str(code)) }.to_string_lossy().into_owned()
}
