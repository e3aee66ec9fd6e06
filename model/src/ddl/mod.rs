//! Table specs → ClickHouse DDL text with quoted identifiers, and the columns
//! every table and ledger has. The only place where DDL is written.

mod existing;
mod ledger;
mod table;

pub use existing::{
    AddColumn, Downgrade, ExistingColumn, ExistingTable, Incompatible, Obstacle, check_table,
    deduplication_window, downgrades, schema_changes,
};
pub use ledger::{LEDGER_COLUMNS, LedgerSpec, create_ledger};
pub use table::{
    DEDUPLICATION_WINDOW, LONGEST_REQUEST_SECONDS, METADATA_COLUMNS, METADATA_PREFIX, PartitionBy,
    SCRATCH_PREFIX, TableSpec, Ttl, add_column, add_key_index, column_type, create_scratch, create_table,
};

/// A column that Caudal itself adds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column {
    pub name: &'static str,
    /// As `system.columns` prints it.
    pub column_type: &'static str,
}

/// As durable as a write can be: fsync before the answer, file and folder.
const DURABLE: &str = "fsync_after_insert = 1, fsync_part_directory = 1";

/// `` `name` ``, whatever the name holds.
pub fn quote_identifier(name: &str) -> String {
    format!("`{}`", name.replace('\\', "\\\\").replace('`', "\\`"))
}

/// `'text'`, whatever the text holds.
pub fn quote_string(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}

/// `` `database`.`table` ``.
pub fn quote_table(database: &str, table: &str) -> String {
    format!("{}.{}", quote_identifier(database), quote_identifier(table))
}

/// `` `a`, `b` ``.
fn quote_identifiers<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    names.into_iter().map(quote_identifier).collect::<Vec<_>>().join(", ")
}

pub fn create_database(database: &str) -> String {
    format!("CREATE DATABASE IF NOT EXISTS {}", quote_identifier(database))
}

/// Table and ledger alike; waits until the data is gone. There is no statement
/// that drops a database.
pub fn drop_table(database: &str, table: &str) -> String {
    format!("DROP TABLE IF EXISTS {} SYNC", quote_table(database, table))
}

#[cfg(test)]
mod tests;
