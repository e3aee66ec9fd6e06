//! Query string + table → [`Query`] (what is asked, checked and typed) →
//! [`Statement`] (SQL text and parameters). Pure.

mod errors;
mod filter;
mod list;
mod parse;
mod sql;
mod value;

use crate::table::ColumnId;

pub use errors::{ErrorCode, ParameterError};
pub use filter::{Comparison, Filter, OPERATORS, Operator};
pub use parse::{RESERVED, decode, parse, parse_page};
pub use sql::{Statement, fixed, record_by_key, records, watermark};
pub use value::parse as parse_value;

/// Rows per answer without `limit`.
pub const DEFAULT_LIMIT: u64 = 100;
/// Rows per answer at most.
pub const MAX_LIMIT: u64 = 10_000;
/// Rows that may be skipped; beyond that a cursor is the way.
pub const MAX_OFFSET: u64 = 100_000;
/// Filters per request.
pub const MAX_FILTERS: usize = 32;
/// Values of one `in` list.
pub const MAX_IN_VALUES: usize = 200;
/// Wrong parameters that are named; what comes after them is not read.
pub const MAX_ERRORS: usize = 8;
/// Terms of `order`.
pub const MAX_ORDER_TERMS: usize = 8;

/// A checked request for rows.
#[derive(Debug, PartialEq, Eq)]
pub struct Query {
    pub select: Vec<ColumnId>,
    pub filters: Vec<Filter>,
    /// Always unique: what the client asked for, then the rest of the table's
    /// own order.
    pub order: Vec<Term>,
    pub limit: u64,
    pub offset: u64,
    /// Values of `order` in the last row of the page before.
    pub after: Option<Vec<Option<String>>>,
    /// What a cursor of this query is bound to.
    pub fingerprint: String,
}

/// One term of the order. NULLs come last in both directions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Term {
    pub column: ColumnId,
    pub descending: bool,
}
