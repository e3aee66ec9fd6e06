//! ClickHouse administration: version, tables, columns, DDL.

mod client;
mod error;

pub use client::{Admin, ClickHouseAccess, Table};
pub use error::ClickHouseError;

/// Admin clients, one per connection.
pub type ClickHouses = super::cache::Cache<ClickHouseAccess, Admin>;
