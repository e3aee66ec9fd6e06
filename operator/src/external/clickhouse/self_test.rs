//! Does the server take of a resent block just what is new (rule 17)? That is
//! found out by doing it, in a scratch table, once per server.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use caudal_model::ddl::{SCRATCH_PREFIX, create_scratch, drop_table, quote_table};
use rand::RngExt as _;
use tokio::sync::Mutex as Turn;

use super::{Admin, ClickHouseError};

/// Which server answered.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Server {
    /// Name of the connection.
    pub connection: String,
    pub version: String,
    pub host: String,
}

/// Where the scratch table is made, and whose it is.
#[derive(Clone, Copy, Debug)]
pub struct Scratch<'a> {
    pub installation: &'a str,
    /// `<installation>/<namespace>/<name>`.
    pub owner: &'a str,
    pub database: &'a str,
}

/// Servers that have passed; on each host one test at a time.
#[derive(Default)]
pub struct SelfTests {
    hosts: Mutex<HashMap<String, Arc<Turn<HashSet<Server>>>>>,
}

impl SelfTests {
    /// Tests the server unless it has passed before. The answer says what is
    /// wrong with it.
    pub async fn run(
        &self,
        admin: &Admin,
        server: Server,
        scratch: Scratch<'_>,
    ) -> Result<Result<(), String>, ClickHouseError> {
        let host = {
            let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(hosts.entry(server.host.clone()).or_default())
        };
        let mut passed = host.lock().await;
        if passed.contains(&server) {
            return Ok(Ok(()));
        }
        let verdict = test(admin, scratch).await?;
        tracing::info!(?server, ?verdict, "tested how the server deduplicates");
        if verdict.is_ok() {
            passed.insert(server);
        }
        Ok(verdict)
    }
}

async fn test(admin: &Admin, scratch: Scratch<'_>) -> Result<Result<(), String>, ClickHouseError> {
    let Scratch { installation, owner, database } = scratch;
    // Whoever made them did not get to drop them.
    for (database, table) in admin.tables_like(SCRATCH_PREFIX, &format!("{installation}/")).await? {
        admin.execute("drop a former scratch table", &drop_table(&database, &table)).await?;
    }
    let table = format!("{SCRATCH_PREFIX}{:016x}", rand::rng().random::<u64>());
    let act = format!("create the scratch table {database}.{table}");
    admin.execute(&act, &create_scratch(database, &table, owner)).await?;
    let verdict = units(admin, &quote_table(database, &table)).await;
    let dropped = admin.execute("drop the scratch table", &drop_table(database, &table)).await;
    let verdict = verdict?;
    dropped?;
    Ok(verdict)
}

/// One unit, then the same with another one under the same token, twice: each
/// must be there once.
async fn units(admin: &Admin, table: &str) -> Result<Result<(), String>, ClickHouseError> {
    for units in [&[1][..], &[1, 2], &[1, 2]] {
        admin.insert_units(table, "caudal-self-test", units).await?;
    }
    let found = admin.count_units(table).await?;
    if found == [(1, 1), (2, 1)] {
        return Ok(Ok(()));
    }
    let counts: Vec<_> = found.iter().map(|(unit, rows)| format!("unit {unit} {rows} times")).collect();
    Ok(Err(format!("units 1 and 2 should be there once each, but there are: {}", counts.join(", "))))
}
