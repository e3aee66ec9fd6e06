//! The server's binary against a real ClickHouse, over HTTP.

#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod aliases;
mod bounds;
mod common;
mod cursors;
mod documents;
mod errors;
mod fake;
mod filters;
mod outages;
mod protocol;
mod records;
mod watermark;
