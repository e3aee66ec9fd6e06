//! A real server: accounts, and what survives which kind of end.

#![allow(clippy::unwrap_used)]

use caudal_testbed::User;
use caudal_testbed::clickhouse::{ClickHouse, INGEST, READER};

#[test]
fn rows_survive_kill_and_restart_and_accounts_have_their_rights() {
    let clickhouse = ClickHouse::start().unwrap();
    clickhouse.query("CREATE DATABASE shop").unwrap();
    clickhouse.query("CREATE TABLE shop.orders (id Int64) ENGINE = MergeTree ORDER BY id").unwrap();
    clickhouse.query_as(INGEST, "INSERT INTO shop.orders VALUES (7)").unwrap();
    assert!(clickhouse.query_as(INGEST, "DROP TABLE shop.orders").is_err());
    assert_eq!(
        clickhouse.query_as(READER, "SELECT id FROM shop.orders SETTINGS max_threads = 1").unwrap(),
        "7"
    );
    let refused = clickhouse.query_as(READER, "INSERT INTO shop.orders VALUES (8)").unwrap_err().to_string();
    assert!(refused.contains("ACCESS_DENIED"), "{refused}");
    let nobody = User { name: "default", password: "" };
    assert!(clickhouse.query_as(nobody, "SELECT id FROM shop.orders").is_err());

    let url = clickhouse.url();
    clickhouse.kill();
    assert!(clickhouse.query("SELECT 1").is_err());
    clickhouse.restart().unwrap();
    assert_eq!(clickhouse.url(), url);
    assert_eq!(clickhouse.query("SELECT id FROM shop.orders").unwrap(), "7");

    clickhouse.pause().unwrap();
    clickhouse.resume().unwrap();
    assert_eq!(clickhouse.query("SELECT count() FROM shop.orders").unwrap(), "1");

    let (pid, folder) = (clickhouse.pid().unwrap(), clickhouse.log().parent().unwrap().to_owned());
    drop(clickhouse);
    assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists());
    assert!(!folder.exists());
}
