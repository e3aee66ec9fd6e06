//! The server's binary against a real ClickHouse, over HTTP.

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
