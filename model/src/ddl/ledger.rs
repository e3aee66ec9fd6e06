//! The ledger: one row per completed range of offsets.

use super::{Column, DURABLE, quote_identifier, quote_string, quote_table};

/// Columns of every ledger, in order.
pub const LEDGER_COLUMNS: [Column; 14] = [
    Column { name: "source", column_type: "UInt64" },
    Column { name: "partition", column_type: "Int32" },
    Column { name: "first_offset", column_type: "Int64" },
    Column { name: "next_offset", column_type: "Int64" },
    Column { name: "rows", column_type: "UInt64" },
    Column { name: "dead_letters", column_type: "UInt64" },
    Column { name: "filtered", column_type: "UInt64" },
    Column { name: "gap", column_type: "UInt64" },
    Column { name: "oldest_message", column_type: "Nullable(DateTime64(3, 'UTC'))" },
    Column { name: "newest_message", column_type: "Nullable(DateTime64(3, 'UTC'))" },
    Column { name: "high_watermark", column_type: "Int64" },
    Column { name: "inserted_at", column_type: "DateTime64(3, 'UTC')" },
    Column { name: "plan_revision", column_type: "String" },
    Column { name: "outcome", column_type: "LowCardinality(String)" },
];

/// The ledger of one table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedgerSpec {
    pub database: String,
    /// The ledger's own name, `<table>__ledger`.
    pub table: String,
    /// The owner, as in the table's comment.
    pub comment: String,
}

/// Idempotent by its engine: the same range written again replaces itself, so
/// it is read with FINAL.
pub fn create_ledger(spec: &LedgerSpec) -> String {
    let LedgerSpec { database, table, comment } = spec;
    let columns: Vec<_> = LEDGER_COLUMNS
        .iter()
        .map(|column| format!("    {} {}", quote_identifier(column.name), column.column_type))
        .collect();
    format!(
        "CREATE TABLE IF NOT EXISTS {}\n(\n{}\n)\nENGINE = ReplacingMergeTree(`inserted_at`)\n\
         ORDER BY (`source`, `partition`, `first_offset`)\nSETTINGS {DURABLE}\nCOMMENT {}",
        quote_table(database, table),
        columns.join(",\n"),
        quote_string(comment),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn creates_an_idempotent_durable_ledger() {
        let text = create_ledger(&LedgerSpec {
            database: "shop".into(),
            table: "orders__ledger".into(),
            comment: "caudal/shop/orders".into(),
        });
        assert!(
            text.starts_with("CREATE TABLE IF NOT EXISTS `shop`.`orders__ledger`\n(\n    `source` UInt64,\n")
        );
        assert!(text.contains("ENGINE = ReplacingMergeTree(`inserted_at`)"));
        assert!(text.contains("fsync_after_insert = 1, fsync_part_directory = 1"));
        assert!(text.ends_with("COMMENT 'caudal/shop/orders'"));
    }
}
