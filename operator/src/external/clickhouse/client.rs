//! One admin client per connection. Every request has a deadline.

use std::fmt;
use std::time::Duration;

use caudal_model::ddl::{ExistingColumn, ExistingTable};
use caudal_service::credentials::Login;
use clickhouse::query::Query;
use clickhouse::{Client, Row};
use serde::Deserialize;

use super::ClickHouseError;
use super::error::classify;
use crate::external::gate::Gate;

/// How long one request may take.
const TIMEOUT: Duration = Duration::from_secs(8);

/// What it takes to administer a server.
#[derive(Clone, PartialEq, Eq)]
pub struct ClickHouseAccess {
    pub url: String,
    pub admin: Option<Login>,
    /// PEM text with the authorities to trust instead of the well-known ones.
    pub ca: Option<String>,
}

impl fmt::Debug for ClickHouseAccess {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("ClickHouseAccess").field("url", &self.url).finish_non_exhaustive()
    }
}

/// A table as `system.tables` shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    pub uuid: String,
    pub definition: ExistingTable,
}

#[derive(Row, Deserialize)]
struct TableRow {
    uuid: String,
    engine: String,
    comment: String,
    sorting_key: String,
    partition_key: String,
    engine_full: String,
    views: Vec<String>,
}

#[derive(Row, Deserialize)]
struct ColumnRow {
    name: String,
    column_type: String,
    default_kind: String,
}

/// An admin client.
pub struct Admin {
    client: Client,
    url: String,
    gate: Gate<ClickHouseError>,
}

impl Admin {
    pub fn connect(access: &ClickHouseAccess) -> Result<Self, ClickHouseError> {
        let ClickHouseAccess { url, admin, ca } = access;
        let client = caudal_service::clickhouse::client(url, admin.as_ref(), ca.as_deref())
            .map_err(|error| ClickHouseError::Settings { url: url.clone(), detail: format!("{error:#}") })?
            .with_product_info("caudal-operator", caudal_service::VERSION);
        Ok(Self { client, url: url.clone(), gate: Gate::default() })
    }

    /// The server's version, like `26.7.1.1`.
    pub async fn version(&self) -> Result<String, ClickHouseError> {
        let act = "ask for the version";
        self.within(act, self.client.query("SELECT version()").fetch_one::<String>()).await
    }

    /// The table, or `None` when there is none of that name.
    pub async fn table(&self, database: &str, table: &str) -> Result<Option<Table>, ClickHouseError> {
        let text = "SELECT toString(uuid) AS uuid, engine, comment, sorting_key, partition_key, engine_full, \
                    arrayMap((base, name) -> concat(base, '.', name), dependencies_database, dependencies_table) \
                    AS views FROM system.tables WHERE database = {database:String} AND name = {table:String}";
        let query = self.named(text, database, table).fetch_optional::<TableRow>();
        let row = self.within(&format!("look up table {database}.{table}"), query).await?;
        Ok(row.map(|row| {
            let TableRow { uuid, engine, comment, sorting_key, partition_key, engine_full, views } = row;
            let definition =
                ExistingTable { engine, sorting_key, partition_key, comment, engine_full, views };
            Table { uuid, definition }
        }))
    }

    /// The table's columns in their order.
    pub async fn columns(&self, database: &str, table: &str) -> Result<Vec<ExistingColumn>, ClickHouseError> {
        let text = "SELECT name, type AS column_type, default_kind FROM system.columns \
                    WHERE database = {database:String} AND table = {table:String} ORDER BY position";
        let query = self.named(text, database, table).fetch_all::<ColumnRow>();
        let rows = self.within(&format!("read the columns of {database}.{table}"), query).await?;
        let column = |ColumnRow { name, column_type, default_kind }| ExistingColumn {
            name,
            column_type,
            default_kind,
        };
        Ok(rows.into_iter().map(column).collect())
    }

    /// Names of the table's skipping indices.
    pub async fn indices(&self, database: &str, table: &str) -> Result<Vec<String>, ClickHouseError> {
        let text = "SELECT name FROM system.data_skipping_indices \
                    WHERE database = {database:String} AND table = {table:String}";
        let query = self.named(text, database, table).fetch_all::<String>();
        self.within(&format!("read the indices of {database}.{table}"), query).await
    }

    /// Runs DDL; `act` says what it does, like `create table "a"."b"`.
    pub async fn execute(&self, act: &str, ddl: &str) -> Result<(), ClickHouseError> {
        self.within(act, self.client.query_raw(ddl).execute()).await
    }

    fn named(&self, text: &str, database: &str, table: &str) -> Query {
        self.client.query(text).param("database", database).param("table", table)
    }

    /// Whether the server answers. While it does not, all requests fail at once.
    pub async fn check(&self) -> bool {
        let request = self.client.query("SELECT 1").fetch_one::<u8>();
        let outage =
            self.timed("ask whether it answers", request).await.err().filter(ClickHouseError::is_outage);
        let answers = outage.is_none();
        self.gate.set(outage);
        answers
    }

    /// Awaits a request, unless the server is known to be down.
    async fn within<T>(
        &self,
        act: &str,
        request: impl Future<Output = clickhouse::error::Result<T>>,
    ) -> Result<T, ClickHouseError> {
        self.gate.pass()?;
        self.timed(act, request).await
    }

    async fn timed<T>(
        &self,
        act: &str,
        request: impl Future<Output = clickhouse::error::Result<T>>,
    ) -> Result<T, ClickHouseError> {
        match tokio::time::timeout(TIMEOUT, request).await {
            Ok(done) => done.map_err(|error| classify(act, &self.url, &error)),
            Err(_) => Err(ClickHouseError::Unreachable {
                act: act.to_owned(),
                url: self.url.clone(),
                detail: format!("within {} s", TIMEOUT.as_secs()),
            }),
        }
    }
}
