//! The four example systems and a generator of messages for them.

pub mod generate;
pub mod malform;
pub mod publish;

pub use generate::{Generator, Message, Outcome, System};
