//! [`Query`] → [`Statement`]. Values become typed parameters `{p0:Int64}`,
//! names come from the table; no text of a client is ever part of the SQL.

use std::fmt::Write;

use super::{Comparison, Filter, Query, Term};
use crate::table::{Column, ColumnId, OFFSET, PARTITION, TIMESTAMP, Table};

/// A SELECT whose answer is one JSON array per line.
#[derive(Debug, PartialEq, Eq)]
pub struct Statement {
    pub sql: String,
    /// Values of `p0`, `p1` …, as canonical text.
    pub parameters: Vec<String>,
    /// More rows than this can't come, unless something is wrong.
    pub max_rows: u64,
    /// Read in the table's own order or its reverse. ClickHouse then counts as
    /// rows to read all that the index leaves, although it ends after a page.
    pub in_table_order: bool,
    /// The columns of the answer, in order.
    pub columns: Vec<ColumnId>,
}

/// Rows of a watermark's answer.
const MAX_PARTITIONS: u64 = 100_000;

#[derive(Default)]
struct Builder {
    sql: String,
    parameters: Vec<String>,
}

impl Builder {
    /// Adds a parameter and returns its placeholder.
    fn bind(&mut self, column: &Column, value: &str) -> String {
        let placeholder = format!("{{p{}:{}}}", self.parameters.len(), column.parameter_type());
        self.parameters.push(value.to_owned());
        placeholder
    }

    fn push(&mut self, text: &str) {
        self.sql.push_str(text);
    }
}

/// The rows of a page and one more, which tells whether another page follows.
/// After the selected columns come those of the order that are not among them.
pub fn records(table: &Table, query: &Query) -> Statement {
    let mut columns = query.select.clone();
    for term in &query.order {
        if !columns.contains(&term.column) {
            columns.push(term.column);
        }
    }
    let mut builder = Builder::default();
    builder.push("SELECT ");
    builder.push(&expressions(table, &columns));
    let _ = write!(builder.sql, " FROM {}", table.quoted);
    let mut glue = " WHERE ";
    for filter in &query.filters {
        builder.push(std::mem::replace(&mut glue, " AND "));
        condition(&mut builder, table, filter);
    }
    if let Some(after) = &query.after {
        builder.push(glue);
        keyset(&mut builder, table, &query.order, after);
    }
    let order: Vec<_> = query.order.iter().map(|term| direction(table, *term)).collect();
    let max_rows = query.limit + 1;
    let _ = write!(builder.sql, " ORDER BY {} LIMIT {max_rows}", order.join(", "));
    if query.offset > 0 {
        let _ = write!(builder.sql, " OFFSET {}", query.offset);
    }
    let in_table_order = follows(&query.order, &table.unique_order);
    Statement { sql: builder.sql, parameters: builder.parameters, max_rows, in_table_order, columns }
}

/// One row: how many rows have this key, then the newest of them. With none,
/// the count is 0 and the rest is filler.
pub fn record_by_key(table: &Table, key: &str) -> Statement {
    let columns: Vec<ColumnId> = (0..table.field_count).collect();
    let mut builder = Builder::default();
    let inner: Vec<_> = columns.iter().map(|id| table.columns[*id].expression()).collect();
    let outer: Vec<_> = (1..=columns.len()).map(|position| format!("newest.{position}")).collect();
    let key_column = &table.columns[table.key];
    let placeholder = builder.bind(key_column, key);
    let sql = format!(
        "SELECT matches, {} FROM (SELECT count() AS matches, argMax(tuple({}), tuple({TIMESTAMP}, {PARTITION}, \
         {OFFSET})) AS newest FROM {} WHERE {} = {placeholder})",
        outer.join(", "),
        inner.join(", "),
        table.quoted,
        key_column.quoted,
    );
    Statement { sql, parameters: builder.parameters, max_rows: 1, in_table_order: false, columns }
}

/// A statement of our own without parameters.
pub fn fixed(sql: String, max_rows: u64) -> Statement {
    Statement { sql, parameters: Vec::new(), max_rows, in_table_order: false, columns: Vec::new() }
}

/// Per partition: the last completed range, the newest message so far, what
/// became of all messages, and of those of the last range.
///
/// `known` are first offsets of the ranges seen last, so that a refresh reads
/// the end of each partition and not its whole history.
pub fn watermark(table: &Table, known: &[(i32, i64)]) -> Statement {
    let mut recent = String::new();
    if !known.is_empty() {
        let partitions: Vec<_> = known.iter().map(|(partition, _)| partition.to_string()).collect();
        let _ = write!(recent, " AND (partition NOT IN ({})", partitions.join(", "));
        for (partition, first) in known {
            let _ = write!(recent, " OR (partition = {partition} AND first_offset >= {first})");
        }
        recent.push(')');
    }
    let sql = format!(
        "SELECT partition, max(first_offset), max(next_offset), argMax(high_watermark, first_offset), \
         toUnixTimestamp64Milli(max(newest_message)), \
         toUnixTimestamp64Milli(argMax(tuple(oldest_message), first_offset).1), \
         toUnixTimestamp64Milli(argMax(inserted_at, first_offset)), sum(rows), sum(dead_letters), sum(filtered), \
         sum(gap), argMax(rows, first_offset), argMax(dead_letters, first_offset), argMax(filtered, first_offset), \
         argMax(gap, first_offset) FROM {} FINAL \
         WHERE source = {}{recent} GROUP BY partition ORDER BY partition",
        table.quoted_ledger, table.source
    );
    fixed(sql, MAX_PARTITIONS)
}

fn follows(order: &[Term], sorting_key: &[ColumnId]) -> bool {
    let one_way = order.iter().all(|term| term.descending == order[0].descending);
    one_way && order.iter().map(|term| term.column).eq(sorting_key.iter().copied())
}

fn expressions(table: &Table, columns: &[ColumnId]) -> String {
    columns.iter().map(|id| table.columns[*id].expression()).collect::<Vec<_>>().join(", ")
}

fn direction(table: &Table, term: Term) -> String {
    let name = &table.columns[term.column].quoted;
    if term.descending { format!("{name} DESC") } else { name.clone() }
}

fn condition(builder: &mut Builder, table: &Table, filter: &Filter) {
    let column = &table.columns[filter.column];
    match &filter.comparison {
        Comparison::Compare(operator, value) => {
            let placeholder = builder.bind(column, value);
            let _ = write!(builder.sql, "{} {} {placeholder}", column.quoted, operator.sql());
        }
        Comparison::In(values) => {
            let placeholders: Vec<_> = values.iter().map(|value| builder.bind(column, value)).collect();
            let _ = write!(builder.sql, "{} IN ({})", column.quoted, placeholders.join(", "));
        }
    }
}

/// `(a > x OR (a = x AND b > y) OR …)`: spelled out, since ClickHouse uses its
/// primary key for this and not for a comparison of tuples.
fn keyset(builder: &mut Builder, table: &Table, order: &[Term], after: &[Option<String>]) {
    let mut alternatives = Vec::new();
    let mut equal = String::new();
    for (term, value) in order.iter().zip(after) {
        let column = &table.columns[term.column];
        let name = &column.quoted;
        let (beyond, same) = match value {
            // NULLs come last: nothing is beyond, and all NULLs are the same.
            None => (None, format!("isNull({name})")),
            Some(value) => {
                let placeholder = builder.bind(column, value);
                let operator = if term.descending { '<' } else { '>' };
                let beyond = format!("{name} {operator} {placeholder}");
                let beyond = if column.nullable { format!("({beyond} OR isNull({name}))") } else { beyond };
                (Some(beyond), format!("{name} = {placeholder}"))
            }
        };
        if let Some(beyond) = beyond {
            alternatives.push(format!("({equal}{beyond})"));
        }
        let _ = write!(equal, "{same} AND ");
    }
    let _ = write!(builder.sql, "({})", alternatives.join(" OR "));
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::*;
    use crate::cursor;
    use crate::table::tests::table;

    #[test]
    fn values_are_parameters_and_names_are_quoted() {
        let table = table(&["id: Int64", "a`b: String"], &["id"]);
        let raw = "select=id&a%60b=eq.x%27%20OR%201=1&id=in.(1,2)&limit=5&offset=7";
        let statement = records(&table, &parse(&table, raw).unwrap());
        assert_eq!(
            statement.sql,
            "SELECT `id`, `_kafka_source`, `_kafka_partition`, `_kafka_offset` FROM `shop`.`orders` \
             WHERE `a\\`b` = {p0:String} AND `id` IN ({p1:Int64}, {p2:Int64}) \
             ORDER BY `id`, `_kafka_source`, `_kafka_partition`, `_kafka_offset` LIMIT 6 OFFSET 7"
        );
        assert_eq!(statement.parameters, ["x' OR 1=1", "1", "2"]);
    }

    #[test]
    fn times_are_asked_for_in_utc() {
        let table = table(&["at: DateTime64(6, 'Asia/Tokyo')"], &["at"]);
        let raw = "at=gt.2024-01-01T00:00:00Z";
        let statement = records(&table, &parse(&table, raw).unwrap());
        assert!(statement.sql.starts_with("SELECT toString(toTimeZone(`at`, 'UTC')), "), "{}", statement.sql);
        assert!(statement.sql.contains("WHERE `at` > {p0:DateTime64(6, 'UTC')} ORDER BY `at`"));
    }

    #[test]
    fn a_cursor_becomes_a_condition_the_primary_key_can_use() {
        let table = table(&["id: Int64", "n: Int8?"], &["id"]);
        let first = parse(&table, "order=n.desc,id").unwrap();
        let page = |n: Option<&str>| {
            let values = [n, Some("7"), Some("1"), Some("0"), Some("9")].map(|v| v.map(str::to_owned));
            let cursor = cursor::encode(&first.fingerprint, values.to_vec());
            records(&table, &parse(&table, &format!("order=n.desc,id&cursor={cursor}")).unwrap()).sql
        };
        assert!(page(Some("3")).contains(
            "WHERE (((`n` < {p0:Int8} OR isNull(`n`))) OR (`n` = {p0:Int8} AND `id` > {p1:Int64}) OR (`n` = \
             {p0:Int8} AND `id` = {p1:Int64} AND `_kafka_source` > {p2:UInt64}) OR "
        ));
        assert!(page(None).contains("WHERE ((isNull(`n`) AND `id` > {p0:Int64}) OR (isNull(`n`) AND "));
    }

    #[test]
    fn knows_which_orders_are_one_read_of_the_table() {
        let table = table(&["id: Int64", "day: Date", "n: Int8?"], &["day", "id"]);
        for (raw, expected) in [
            ("", true),
            ("order=day&id=gt.3", true),
            ("order=day,id", true),
            ("order=day.desc,id.desc", true),
            ("order=day,id.desc", false),
            ("order=id", false),
            ("order=n,day,id", false),
        ] {
            let statement = records(&table, &parse(&table, raw).unwrap());
            assert_eq!(statement.in_table_order, expected, "{raw}");
        }
    }

    #[test]
    fn a_refresh_of_the_watermark_reads_only_the_end() {
        let table = table(&["id: Int64"], &["id"]);
        assert!(!watermark(&table, &[]).sql.contains("first_offset >="));
        let sql = watermark(&table, &[(0, 5), (2, 9)]).sql;
        assert!(sql.contains(
            "(partition NOT IN (0, 2) OR (partition = 0 AND first_offset >= 5) OR (partition = 2 AND \
             first_offset >= 9))"
        ));
    }
}
