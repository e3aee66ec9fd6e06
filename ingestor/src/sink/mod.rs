//! Blocks → ClickHouse over HTTP, and what ClickHouse is asked back.

mod check;
mod error;
#[cfg(test)]
pub mod fake;
mod http;
mod lease;
mod ledger;
mod read_back;
mod send;
mod store;
mod tls;
mod window;

use check::TableFacts;
pub use error::{Class, Refusals, SinkError};
pub use http::{Connection, Server};
pub use lease::Lease;
pub use ledger::LedgerRow;
pub use read_back::{Asked, Stored as Known};
pub use store::{Backoff, Effort, Report, Store, Stored};

use std::time::Duration;

use caudal_model::Plan;
use caudal_model::ddl::{LONGEST_REQUEST_SECONDS, quote_identifier, quote_table};
use caudal_model::plan::ClickHouseSink;
use tokio::sync::Semaphore;

use crate::block::Layout;
use crate::fail;
use window::{Full, Window};

/// Blocks on the wire at the same time: enough to keep the server busy while
/// answers travel, few enough to leave it alone with its merges.
const CONCURRENT_BLOCKS: usize = 4;

/// A block is in the table at the latest after this, or the server gives up.
pub const MAX_EXECUTION_SECONDS: u64 = LONGEST_REQUEST_SECONDS - 60;

/// Z, the longest life of a request: our connections live half of ClickHouse's
/// keep-alive (30 s), its receive timeout is 30 s, and then it has its limit.
pub fn longest_request() -> Duration {
    Duration::from_millis(fail::limit("CAUDAL_LONGEST_REQUEST_MS", LONGEST_REQUEST_SECONDS * 1_000))
}

/// ClickHouse, and the names of what belongs to this pipeline there.
pub struct Sink {
    pub server: Server,
    database: String,
    table: String,
    /// Quoted.
    target: String,
    ledger: String,
    source: u64,
    table_uuid: String,
    /// Who may send a block or read one back now.
    turns: Semaphore,
    pub window: Window,
}

/// The columns of a block, and the statement that inserts it.
pub struct Form {
    columns: Vec<(String, String)>,
    insert: String,
}

impl Form {
    pub fn new(sink: &ClickHouseSink, layout: &Layout) -> Self {
        let columns: Vec<_> =
            layout.columns().map(|(name, native)| (name.to_owned(), native.to_owned())).collect();
        let names = columns.iter().map(|(name, _)| quote_identifier(name)).collect::<Vec<_>>().join(", ");
        let target = quote_table(&sink.database, &sink.table);
        Self { insert: format!("INSERT INTO {target} ({names}) FORMAT Native"), columns }
    }
}

impl Sink {
    pub fn new(plan: &Plan, server: Server) -> Self {
        Self {
            server,
            database: plan.sink.database.clone(),
            table: plan.sink.table.clone(),
            target: quote_table(&plan.sink.database, &plan.sink.table),
            ledger: quote_table(&plan.sink.database, &plan.sink.ledger_table),
            source: plan.source.source_id(),
            table_uuid: plan.sink.table_uuid.clone(),
            turns: Semaphore::new(CONCURRENT_BLOCKS),
            window: Window::new(longest_request()),
        }
    }
}
