//! Is the table the one the plan names, with the columns we send?

use caudal_model::ddl::deduplication_window;
use serde::Deserialize;

use super::{Connection, Form, Sink, SinkError};

/// What SETTLE and the window need to know of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableFacts {
    /// Empty without `PARTITION BY`: then every block is one unit.
    pub partition_key: String,
    /// The moment at which a row expires, if that is one plain expression.
    pub ttl: Option<String>,
    /// How many insert tokens it remembers, if it says so.
    pub window: Option<u64>,
}

#[derive(Deserialize)]
struct Row {
    uuid: String,
    partition_key: String,
    engine_full: String,
    columns: Vec<(String, String, String)>,
}

impl Sink {
    /// Rule 4: an unknown column would be ignored, a missing one filled.
    pub async fn check_table(
        &self,
        connection: &mut Connection,
        form: &Form,
    ) -> Result<TableFacts, SinkError> {
        let sql = "SELECT toString(uuid) AS uuid, partition_key, engine_full, \
                   (SELECT groupArray((name, type, default_kind)) FROM system.columns \
                    WHERE database = {d:String} AND table = {t:String}) AS columns \
                   FROM system.tables WHERE database = {d:String} AND name = {t:String} FORMAT JSONEachRow";
        let parameters = [
            ("param_d", self.database.as_str()),
            ("param_t", self.table.as_str()),
            ("output_format_json_named_tuples_as_objects", "0"),
            ("wait_end_of_query", "1"),
        ];
        let body =
            self.server.request(connection, "look up the table", &parameters, vec![sql.into()], None).await?;
        let name = format!("{}.{}", self.database, self.table);
        if body.is_empty() {
            return Err(SinkError::table(format!(
                "table {name} does not exist or is not visible to the user"
            )));
        }
        let row: Row = serde_json::from_slice(&body)
            .map_err(|error| SinkError::unreachable("look up the table", error))?;
        if row.uuid != self.table_uuid {
            return Err(SinkError::table(format!(
                "table {name} is another one than the plan's: its UUID is {}, not {}",
                row.uuid, self.table_uuid
            )));
        }
        for (column, wanted) in &form.columns {
            match row.columns.iter().find(|(name, ..)| name == column) {
                None => {
                    return Err(SinkError::table(format!("table {name} has no column {column} {wanted}")));
                }
                Some((_, found, _)) if found != wanted => {
                    return Err(SinkError::table(format!(
                        "column {column} of table {name} is {found}, not {wanted}"
                    )));
                }
                Some((_, _, kind)) if !matches!(kind.as_str(), "" | "DEFAULT") => {
                    return Err(SinkError::table(format!("column {column} of table {name} is {kind}")));
                }
                Some(_) => {}
            }
        }
        let facts = TableFacts {
            ttl: ttl(&row.engine_full),
            window: deduplication_window(&row.engine_full),
            partition_key: row.partition_key,
        };
        self.window.learn(&facts);
        Ok(facts)
    }
}

/// The table's TTL, unless it does something else than delete a row at a moment.
fn ttl(engine: &str) -> Option<String> {
    let (_, rest) = engine.split_once(" TTL ")?;
    let expression = rest.split_once(" SETTINGS ").map_or(rest, |(expression, _)| expression).trim();
    let expression = expression.strip_suffix(" DELETE").unwrap_or(expression);
    let mut depth = 0_i32;
    let several = expression.chars().any(|character| {
        depth += i32::from(character == '(') - i32::from(character == ')');
        character == ',' && depth == 0
    });
    let more = [" WHERE ", " GROUP BY ", " TO DISK ", " TO VOLUME ", " RECOMPRESS "];
    (!several && !more.iter().any(|word| expression.contains(word))).then(|| expression.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_ttl_is_understood_and_others_are_left_alone() {
        let engine = |ttl: &str| format!("MergeTree PARTITION BY d ORDER BY (a, b){ttl} SETTINGS x = 1");
        for (text, expected) in [
            ("", None),
            (" TTL d + toIntervalDay(30)", Some("d + toIntervalDay(30)")),
            (" TTL addDays(d, 3) DELETE", Some("addDays(d, 3)")),
            (" TTL d + toIntervalDay(30) WHERE a = 1", None),
            (" TTL d + toIntervalDay(1), e + toIntervalDay(2) TO DISK 'x'", None),
        ] {
            assert_eq!(ttl(&engine(text)).as_deref(), expected, "{text}");
        }
    }
}
