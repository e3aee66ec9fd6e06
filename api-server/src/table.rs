//! Plan → the columns a request may name and how SQL spells them.
//!
//! Everything a statement names comes from here; nothing a client wrote does.

use std::collections::HashMap;

use caudal_model::ddl::{self, METADATA_COLUMNS, quote_identifier};
use caudal_model::plan::Field;
use caudal_model::{ColumnType, Plan};

use crate::routes::SCHEMA;

/// Index into [`Table::columns`].
pub type ColumnId = usize;

/// The table of one pipeline.
#[derive(Debug)]
pub struct Table {
    /// `` `database`.`table` ``.
    pub quoted: String,
    /// `` `database`.`table__ledger` ``.
    pub quoted_ledger: String,
    /// Binds cursors to this table.
    pub uuid: String,
    /// `_kafka_source` of the pipeline's topic.
    pub source: u64,
    /// The pipeline's fields, then the metadata columns.
    pub columns: Vec<Column>,
    /// How many of `columns` are fields.
    pub field_count: usize,
    /// The field behind `/v1/records/{key}`.
    pub key: ColumnId,
    /// The table's sorting key, which no two rows share.
    pub unique_order: Vec<ColumnId>,
    by_name: HashMap<String, ColumnId>,
}

/// One column.
#[derive(Debug)]
pub struct Column {
    pub name: String,
    pub column_type: ColumnType,
    pub nullable: bool,
    pub default: Option<serde_json::Value>,
    /// The name as SQL spells it.
    pub quoted: String,
}

/// A plan that can't be served.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum TableError {
    #[error("the plan has no api part")]
    NoApi,
    #[error("{part} names {name:?}, which is no field")]
    UnknownField { part: &'static str, name: String },
}

/// Where a row comes from: the columns after the fields, in table order.
pub const SOURCE: &str = METADATA_COLUMNS[0].name;
pub const PARTITION: &str = METADATA_COLUMNS[1].name;
pub const OFFSET: &str = METADATA_COLUMNS[2].name;
pub const TIMESTAMP: &str = METADATA_COLUMNS[3].name;

/// Names that a message lists.
const MAX_NAMES: usize = 24;

impl Table {
    pub fn from_plan(plan: &Plan) -> Result<Self, TableError> {
        let api = plan.api.as_ref().ok_or(TableError::NoApi)?;
        let mut columns: Vec<Column> = plan.columns().iter().map(Column::from_field).collect();
        let field_count = columns.len();
        columns.extend(metadata_columns());
        let by_name: HashMap<_, _> =
            columns.iter().enumerate().map(|(id, column)| (column.name.clone(), id)).collect();
        let find = |part, name: &str| {
            by_name.get(name).copied().ok_or_else(|| TableError::UnknownField { part, name: name.to_owned() })
        };
        let key = find("api.key", &api.key)?;
        let sorting = plan.sink.order_by.iter().map(String::as_str).chain([SOURCE, PARTITION, OFFSET]);
        let unique_order = sorting.map(|name| find("orderBy", name)).collect::<Result<_, _>>()?;
        let database = quote_identifier(&plan.sink.database);
        Ok(Self {
            quoted: format!("{database}.{}", quote_identifier(&plan.sink.table)),
            quoted_ledger: format!("{database}.{}", quote_identifier(&plan.sink.ledger_table)),
            uuid: plan.sink.table_uuid.clone(),
            source: plan.source.source_id(),
            columns,
            field_count,
            key,
            unique_order,
            by_name,
        })
    }

    pub fn find(&self, name: &str) -> Option<ColumnId> {
        self.by_name.get(name).copied()
    }

    /// The pipeline's fields, without metadata.
    pub fn fields(&self) -> &[Column] {
        &self.columns[..self.field_count]
    }

    /// The columns Caudal adds.
    pub fn metadata(&self) -> &[Column] {
        &self.columns[self.field_count..]
    }

    /// The names a request may use, for messages; of many only the first.
    pub fn names(&self) -> String {
        let shown: Vec<_> = self.columns.iter().take(MAX_NAMES).map(|column| column.name.as_str()).collect();
        let rest = self.columns.len() - shown.len();
        let more = if rest > 0 { format!(" and {rest} more, see {SCHEMA}") } else { String::new() };
        shown.join(", ") + &more
    }
}

impl Column {
    fn from_field(field: &Field) -> Self {
        let Field { name, column_type, nullable, default, path: _, timestamp_format: _ } = field;
        Self {
            name: name.clone(),
            column_type: column_type.clone(),
            nullable: *nullable,
            default: default.clone(),
            quoted: quote_identifier(name),
        }
    }

    /// What a SELECT asks for: times in UTC whatever zone the column or the
    /// server has, and as text whatever the user's profile says of formats.
    pub fn expression(&self) -> String {
        match self.column_type {
            ColumnType::DateTime64 { .. } => format!("toString(toTimeZone({}, 'UTC'))", self.quoted),
            _ => self.quoted.clone(),
        }
    }

    /// The type of a query parameter that is compared with this column.
    pub fn parameter_type(&self) -> String {
        match &self.column_type {
            ColumnType::LowCardinalityString => "String".to_owned(),
            ColumnType::DateTime64 { precision, .. } => format!("DateTime64({precision}, 'UTC')"),
            other => other.to_string(),
        }
    }
}

fn metadata_columns() -> [Column; 4] {
    METADATA_COLUMNS.map(|ddl::Column { name, column_type }| Column {
        name: name.to_owned(),
        column_type: column_type.parse().expect("the types of our own columns are types"),
        nullable: false,
        default: None,
        quoted: quote_identifier(name),
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use caudal_model::resource::UnknownFields;

    use super::*;

    /// A plan with the given fields (`name: type`, `?` at the end: nullable).
    pub fn plan(fields: &[&str], order_by: &[&str]) -> Plan {
        let fields: Vec<_> = fields
            .iter()
            .map(|field| {
                let (name, column_type) = field.split_once(": ").unwrap();
                serde_json::json!({
                    "name": name,
                    "type": column_type.trim_end_matches('?'),
                    "nullable": column_type.ends_with('?'),
                })
            })
            .collect();
        let key = order_by.first().unwrap();
        let text = serde_json::json!({
            "formatVersion": 1,
            "pipeline": {"namespace": "shop", "name": "orders"},
            "source": {
                "connection": {"bootstrapServers": "kafka:9092", "securityProtocol": "PLAINTEXT"},
                "topic": "shop.orders", "topicId": "AAAAAAAAAAAAAAAAAAAAAA", "clusterId": "c",
                "group": "caudal.shop.orders", "startFrom": {"position": "earliest"},
                "isolationLevel": "ReadCommitted", "deadLetter": {"topic": "shop.orders.dead-letters"},
            },
            "fields": fields,
            "sink": {
                "connection": {"url": "http://127.0.0.1:1"}, "database": "shop", "table": "orders",
                "tableUuid": "00000000-0000-4000-8000-000000000001", "ledgerTable": "orders__ledger",
                "orderBy": order_by,
            },
            "api": {"key": key, "auth": {"mode": "None"}, "aliases": [{"path": "/orders", "limit": 10}]},
        });
        Plan::from_json(&text.to_string()).unwrap()
    }

    pub fn table(fields: &[&str], order_by: &[&str]) -> Table {
        Table::from_plan(&plan(fields, order_by)).unwrap()
    }

    #[test]
    fn ends_the_order_with_what_makes_it_unique() {
        let table = table(&["id: Int64", "name: String"], &["name"]);
        let names: Vec<_> = table.unique_order.iter().map(|id| table.columns[*id].name.as_str()).collect();
        assert_eq!(names, ["name", SOURCE, PARTITION, OFFSET]);
        assert_eq!(table.quoted, "`shop`.`orders`");
    }

    #[test]
    fn unknown_members_that_are_stored_are_a_field() {
        let plan = Plan { unknown_fields: UnknownFields::Store, ..plan(&["id: Int64"], &["id"]) };
        let table = Table::from_plan(&plan).unwrap();
        let names: Vec<_> = table.fields().iter().map(|column| column.name.as_str()).collect();
        assert_eq!(names, ["id", "_unknown"]);
    }

    #[test]
    fn lists_few_of_many_names() {
        let fields: Vec<String> = (0..256).map(|number| format!("f{number}: Int8")).collect();
        let fields: Vec<&str> = fields.iter().map(String::as_str).collect();
        let names = table(&fields, &["f0"]).names();
        assert!(names.ends_with("f23 and 236 more, see /v1/schema"), "{names}");
    }

    #[test]
    fn refuses_a_plan_it_cannot_serve() {
        let mut plan = plan(&["id: Int64"], &["id"]);
        plan.api.as_mut().unwrap().key = "nope".to_owned();
        assert_eq!(
            Table::from_plan(&plan).unwrap_err(),
            TableError::UnknownField { part: "api.key", name: "nope".to_owned() }
        );
        plan.api = None;
        assert_eq!(Table::from_plan(&plan).unwrap_err(), TableError::NoApi);
    }
}
