//! The four example systems, a generator of messages for them, and what the
//! demo and the end-to-end tests share: publishing and collecting what came out.

pub mod collect;
pub mod generate;
pub mod malform;
pub mod publish;

pub use generate::{Generator, Message, Outcome, System};
