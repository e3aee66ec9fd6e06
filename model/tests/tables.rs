//! The DDL on a real ClickHouse: it is taken, what the server then tells of
//! the table compares as unchanged, and added fields show their defaults.

use caudal_model::ddl::{
    DEDUPLICATION_WINDOW, ExistingColumn, ExistingTable, LEDGER_COLUMNS, LedgerSpec, METADATA_COLUMNS,
    PartitionBy, TableSpec, Ttl, add_column, add_key_index, check_table, create_database, create_ledger,
    create_table, downgrades, drop_table, schema_changes,
};
use caudal_model::plan::Field;
use caudal_model::resource::{Engine, PartitionUnit};
use caudal_model::value::parse_default;
use caudal_testbed::clickhouse::ClickHouse;

/// Every type, with a default as a manifest spells it and as the server shows it.
const TYPES: [(&str, &str, &str); 30] = [
    ("Int8", "-128", "-128"),
    ("Int16", "-1", "-1"),
    ("Int32", "7", "7"),
    ("Int64", "-9223372036854775808", "-9223372036854775808"),
    ("UInt8", "255", "255"),
    ("UInt16", "1", "1"),
    ("UInt32", "0", "0"),
    ("UInt64", "18446744073709551615", "18446744073709551615"),
    ("Float32", "1.5", "1.5"),
    ("Float64", "-2.5e3", "-2500"),
    ("Decimal(10, 2)", "12.5", "12.5"),
    ("Decimal(76, 10)", "-0.0000000001", "-0.0000000001"),
    ("String", "it's `quoted` \\ here", "it\\'s `quoted` \\\\ here"),
    ("LowCardinality(String)", "", ""),
    ("Bool", "true", "true"),
    ("Date", "2149-06-06", "2149-06-06"),
    ("DateTime64(3)", "2026-01-31T12:00:00.5Z", "2026-01-31 12:00:00.500"),
    ("DateTime64(0, 'America/Santiago')", "2026-01-31T12:00:00Z", "2026-01-31 09:00:00"),
    ("UUID", "61f0c404-5cb3-11e7-907b-a6006ad3dba0", "61f0c404-5cb3-11e7-907b-a6006ad3dba0"),
    ("Enum8('b'=2,'a'=-1, ''=0)", "a", "a"),
    (
        "Enum16('it\\'s \\\\ \\t\\n\\r\\b\\f\\0 {p:Int8} `é`' = 300)",
        "it's \\ \t\n\r\u{8}\u{c}\0 {p:Int8} `é`",
        "it\\'s \\\\ \\t\\n\\r\\b\\f\\0 {p:Int8} `é`",
    ),
    ("IPv4", "192.0.2.1", "192.0.2.1"),
    ("IPv6", "192.0.2.1", "::ffff:192.0.2.1"),
    ("Array(Nullable(UInt8))", "[1, null]", "[1,NULL]"),
    ("Array(LowCardinality(Nullable(String)))", "[]", "[]"),
    (
        "Array(Array(DateTime64(3, 'Asia/Tokyo')))",
        r#"[[], ["2026-01-31T12:00:00Z"]]"#,
        "[[],['2026-01-31 21:00:00.000']]",
    ),
    ("Map(LowCardinality(String), Decimal(60,2))", r#"{"it's": "1.50"}"#, "{'it\\'s':1.5}"),
    ("Map(Int8, Map(UUID, Array(Enum8('a' = 1))))", r#"{"1": {}}"#, "{1:{}}"),
    ("Map(String, JSON)", "{}", "{}"),
    ("JSON", "{}", "{}"),
];

fn field(name: &str, column_type: &str) -> Field {
    Field::new(name, column_type.parse().expect("a type"))
}

/// One field of every type with a default, and one of every type that is nullable.
fn every_type() -> Vec<Field> {
    let with_default = TYPES.iter().enumerate().map(|(number, (column_type, default, _))| Field {
        default: Some(
            parse_default(&column_type.parse().expect("a type"), default).expect("a default of the type"),
        ),
        ..field(&format!("default_{number}"), column_type)
    });
    let nullable = TYPES.iter().enumerate().map(|(number, (column_type, ..))| Field {
        nullable: true,
        ..field(&format!("nullable_{number}"), column_type)
    });
    let nullable = nullable.filter(|field| !field.column_type.is_composite());
    with_default.chain(nullable).collect()
}

fn spec(table: &str, fields: Vec<Field>) -> TableSpec {
    TableSpec {
        database: "my-shop".into(),
        table: table.into(),
        fields,
        order_by: vec!["id".into()],
        partition_by: None,
        ttl: None,
        engine: Engine::MergeTree,
        comment: "caudal/my-shop/orders".into(),
        api_key: None,
        deduplication_window: DEDUPLICATION_WINDOW,
        existing: false,
    }
}

fn columns(server: &ClickHouse, table: &str) -> anyhow::Result<Vec<ExistingColumn>> {
    let sql = format!(
        "SELECT name, type, default_kind FROM system.columns WHERE table = '{table}' ORDER BY position FORMAT TSVRaw"
    );
    let rows = server.query(&sql)?;
    let cells = rows.lines().map(|row| row.split('\t').map(str::to_owned).collect::<Vec<_>>());
    Ok(cells
        .map(|cells| ExistingColumn {
            name: cells[0].clone(),
            column_type: cells[1].clone(),
            default_kind: cells[2].clone(),
        })
        .collect())
}

fn table(server: &ClickHouse, name: &str) -> anyhow::Result<ExistingTable> {
    let told = |column: &str| {
        server.query(&format!("SELECT {column} FROM system.tables WHERE name = '{name}' FORMAT TSVRaw"))
    };
    Ok(ExistingTable {
        engine: told("engine")?,
        sorting_key: told("sorting_key")?,
        partition_key: told("partition_key")?,
        comment: told("comment")?,
        engine_full: told("engine_full")?,
        views: server
            .query(&format!("SELECT arrayJoin(dependencies_table) FROM system.tables WHERE name = '{name}'"))?
            .lines()
            .map(str::to_owned)
            .collect(),
    })
}

#[test]
fn the_server_takes_every_statement_and_tells_the_same() -> anyhow::Result<()> {
    let server = ClickHouse::start()?;
    server.query(&create_database("my-shop"))?;
    creates_every_type(&server)?;
    adds_every_type(&server)?;
    partitions_expires_and_indexes(&server)?;
    creates_ledgers(&server)
}

fn creates_every_type(server: &ClickHouse) -> anyhow::Result<()> {
    let fields = [vec![field("id", "String")], every_type()].concat();
    let wanted = spec("created", fields);
    server.query(&create_table(&wanted))?;
    server.query(&create_table(&wanted))?;
    assert_eq!(schema_changes(&columns(server, "created")?, &wanted), Ok(vec![]));
    let told = table(server, "created")?;
    assert_eq!(check_table(&told, &wanted), Ok(()));
    assert_eq!(downgrades(&told, &wanted), vec![]);
    assert_eq!(told.comment, wanted.comment);
    let last: Vec<_> = columns(server, "created")?.into_iter().rev().take(METADATA_COLUMNS.len()).collect();
    assert_eq!(last[0].name, "_kafka_timestamp");
    Ok(())
}

fn adds_every_type(server: &ClickHouse) -> anyhow::Result<()> {
    server.query(&create_table(&spec("grown", vec![field("id", "String")])))?;
    server.query("INSERT INTO `my-shop`.grown (id) VALUES ('old')")?;
    let wanted = spec("grown", [vec![field("id", "String")], every_type()].concat());
    for add in schema_changes(&columns(server, "grown")?, &wanted)? {
        server.query(&add_column("my-shop", "grown", &add))?;
        server.query(&add_column("my-shop", "grown", &add))?;
    }
    assert_eq!(schema_changes(&columns(server, "grown")?, &wanted), Ok(vec![]));
    for (number, (column_type, _, shown)) in TYPES.iter().enumerate() {
        let sql = format!("SELECT default_{number} FROM `my-shop`.grown SETTINGS session_timezone = 'UTC'");
        assert_eq!(server.query(&sql)?, *shown, "{column_type}");
    }
    Ok(())
}

fn partitions_expires_and_indexes(server: &ClickHouse) -> anyhow::Result<()> {
    for (number, moment) in ["Date", "DateTime64(3)", "DateTime64(6, 'America/Lima')"].into_iter().enumerate()
    {
        for by in [PartitionUnit::Day, PartitionUnit::Month, PartitionUnit::Year] {
            let name = format!("by_{number}_{by:?}");
            let mut wanted = spec(&name, vec![field("id", "String"), field("at", moment)]);
            let column_type = wanted.fields[1].column_type.clone();
            wanted.partition_by =
                Some(PartitionBy { field: "at".into(), column_type: column_type.clone(), by });
            wanted.ttl = Some(Ttl { field: "at".into(), column_type, days: 36_500 });
            server.query(&create_table(&wanted))?;
            assert_eq!(check_table(&table(server, &name)?, &wanted), Ok(()));
            let sql = format!("INSERT INTO `my-shop`.{name} (id, at) VALUES ('last day', '2149-06-06')");
            server.query(&sql)?;
            server.query(&format!("OPTIMIZE TABLE `my-shop`.{name} FINAL"))?;
            let rows = server.query(&format!("SELECT count() FROM `my-shop`.{name}"))?;
            assert_eq!(rows, "1", "a row of the type's last day expired: {name}");
        }
    }
    let fields = [vec![field("id", "String")], every_type()].concat();
    for (number, key) in fields.iter().filter(|field| !field.column_type.is_composite()).enumerate() {
        let name = format!("indexed_{number}");
        let wanted = spec(&name, vec![field("id", "String"), key.clone()]);
        let wanted = TableSpec { api_key: Some(key.name.clone()), fields: fields.clone(), ..wanted };
        server.query(&create_table(&wanted))?;
        if let Some(index) = add_key_index(&wanted) {
            server.query(&index)?;
        }
        server.query(&drop_table("my-shop", &name))?;
    }
    Ok(())
}

fn creates_ledgers(server: &ClickHouse) -> anyhow::Result<()> {
    let ledger = LedgerSpec {
        database: "my-shop".into(),
        table: "orders__ledger".into(),
        comment: "caudal/my-shop/orders".into(),
    };
    server.query(&create_ledger(&ledger))?;
    let told = columns(server, "orders__ledger")?;
    let told: Vec<_> =
        told.iter().map(|column| (column.name.as_str(), column.column_type.as_str())).collect();
    assert_eq!(told, LEDGER_COLUMNS.map(|column| (column.name, column.column_type)));
    server.query(&drop_table("my-shop", "orders__ledger"))?;
    assert_eq!(columns(server, "orders__ledger")?, []);
    Ok(())
}
