//! ClickHouse administration: version, tables, columns, DDL, the self-test.

mod client;
mod error;
mod self_test;

pub use client::{Admin, ClickHouseAccess, Table};
pub use error::ClickHouseError;
pub use self_test::{Scratch, SelfTests, Server};

/// Admin clients, one per connection.
pub type ClickHouses = super::cache::Cache<ClickHouseAccess, Admin>;
