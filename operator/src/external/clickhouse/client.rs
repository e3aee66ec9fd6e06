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

    /// The server's version, like `26.7.1.1`, and its host.
    pub async fn version_and_host(&self) -> Result<(String, String), ClickHouseError> {
        let query = self.client.query("SELECT version(), hostName()");
        self.within("ask for the version", query.fetch_one::<(String, String)>()).await
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

    /// Names of the row policies by which `user` sees less of the table.
    pub async fn row_policies(
        &self,
        database: &str,
        table: &str,
        user: &str,
    ) -> Result<Vec<String>, ClickHouseError> {
        let text = "SELECT name FROM system.row_policies \
                    WHERE database = {database:String} AND table IN ({table:String}, '') \
                    AND if(apply_to_all, NOT has(apply_to_except, {user:String}), \
                    has(apply_to_list, {user:String}) OR hasAny(apply_to_list, \
                    (SELECT groupArray(granted_role_name) FROM system.role_grants WHERE user_name = {user:String})))";
        let query = self.named(text, database, table).param("user", user).fetch_all::<String>();
        self.within(&format!("read the row policies of {database}.{table}"), query).await
    }

    /// Database and name of tables whose name and comment begin so.
    pub async fn tables_like(
        &self,
        name: &str,
        comment: &str,
    ) -> Result<Vec<(String, String)>, ClickHouseError> {
        let text = "SELECT database, name FROM system.tables \
                    WHERE startsWith(name, {name:String}) AND startsWith(comment, {comment:String})";
        let query = self.client.query(text).param("name", name).param("comment", comment);
        self.within("look for scratch tables", query.fetch_all::<(String, String)>()).await
    }

    /// Inserts a block as ingestors do; the quoted table has one column `unit`.
    pub async fn insert_units(&self, table: &str, token: &str, units: &[u8]) -> Result<(), ClickHouseError> {
        let settings = [
            ("insert_deduplication_token", token),
            ("async_insert", "0"),
            ("insert_deduplicate", "1"),
            ("deduplicate_insert", "enable"),
            ("max_partitions_per_insert_block", "0"),
            ("wait_end_of_query", "1"),
        ];
        let sql = format!("INSERT INTO {table} (unit) FORMAT Native");
        let insert = self.client.insert_formatted_with(sql);
        let mut insert =
            settings.into_iter().fold(insert, |insert, (name, value)| insert.with_setting(name, value));
        // One column, so many rows; its name and type, each behind its length.
        let rows = u8::try_from(units.len()).unwrap_or(u8::MAX);
        let block = [&[1, rows][..], b"\x04unit\x05UInt8", units].concat();
        let request = async {
            insert.send(block.into()).await?;
            insert.end().await
        };
        self.within("insert into the scratch table", request).await
    }

    /// How often each unit is there.
    pub async fn count_units(&self, table: &str) -> Result<Vec<(u8, u64)>, ClickHouseError> {
        let sql = format!("SELECT unit, count() FROM {table} GROUP BY unit ORDER BY unit");
        self.within("count the scratch table's rows", self.client.query(&sql).fetch_all::<(u8, u64)>()).await
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
