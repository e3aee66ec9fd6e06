use serde_json::json;

use super::*;
use crate::plan::{Field, columns};
use crate::resource::{Engine, PartitionUnit, UnknownFields};

fn field(name: &str, column_type: &str) -> Field {
    Field::new(name, column_type.parse().unwrap())
}

fn nullable(name: &str, column_type: &str) -> Field {
    Field { nullable: true, ..field(name, column_type) }
}

fn defaulted(name: &str, column_type: &str, default: serde_json::Value) -> Field {
    Field { default: Some(default), ..field(name, column_type) }
}

fn spec() -> TableSpec {
    TableSpec {
        database: "shop".into(),
        table: "orders".into(),
        fields: vec![field("id", "Int64"), field("at", "DateTime64(3)"), nullable("note", "String")],
        order_by: vec!["id".into(), "at".into()],
        partition_by: None,
        ttl: None,
        engine: Engine::MergeTree,
        comment: "caudal/shop/orders".into(),
        api_key: None,
        deduplication_window: DEDUPLICATION_WINDOW,
        existing: false,
    }
}

/// The columns of `spec()`'s table as the server tells them.
fn existing() -> Vec<ExistingColumn> {
    let column = |name: &str, column_type: &str| ExistingColumn {
        name: name.into(),
        column_type: column_type.into(),
        default_kind: String::new(),
    };
    let fields = [("id", "Int64"), ("at", "DateTime64(3)"), ("note", "Nullable(String)")];
    let metadata = METADATA_COLUMNS.iter().map(|metadata| (metadata.name, metadata.column_type));
    fields.into_iter().chain(metadata).map(|(name, column_type)| column(name, column_type)).collect()
}

#[test]
fn a_table_has_fields_metadata_a_unique_order_and_an_owner() {
    assert_eq!(
        create_table(&spec()),
        "CREATE TABLE IF NOT EXISTS `shop`.`orders`\n(\n    `id` Int64,\n    `at` DateTime64(3),\n    `note` \
         Nullable(String),\n    `_kafka_source` UInt64,\n    `_kafka_partition` Int32,\n    `_kafka_offset` Int64,\n    \
         `_kafka_timestamp` DateTime64(3, 'UTC'),\n    INDEX `kafka_offset` `_kafka_offset` TYPE minmax GRANULARITY \
         1\n)\nENGINE = MergeTree\nPRIMARY KEY (`id`, `at`)\nORDER BY (`id`, `at`, `_kafka_source`, `_kafka_partition`, \
         `_kafka_offset`)\nSETTINGS non_replicated_deduplication_window = 10000, fsync_after_insert = 1, \
         fsync_part_directory = 1, merge_selector_base = 8\nCOMMENT 'caudal/shop/orders'"
    );
}

#[test]
fn partitions_and_ttl_depend_on_no_server_setting() {
    let partition_by = |column_type: &str, by| {
        Some(PartitionBy { field: "at".into(), column_type: column_type.parse().unwrap(), by })
    };
    for (column_type, by, expected) in [
        ("DateTime64(3)", PartitionUnit::Day, "PARTITION BY toYYYYMMDD(`at`, 'UTC')\n"),
        ("DateTime64(3, 'America/Lima')", PartitionUnit::Month, "PARTITION BY toYYYYMM(`at`)\n"),
        ("Date", PartitionUnit::Year, "PARTITION BY toYear(`at`)\n"),
    ] {
        let text = create_table(&TableSpec { partition_by: partition_by(column_type, by), ..spec() });
        assert!(text.contains(expected), "{text}");
    }
    for (column_type, expected) in [
        ("DateTime64(3)", "TTL `at` + toIntervalDay(30)\n"),
        ("Date", "TTL toDate32(`at`) + toIntervalDay(30)\n"),
    ] {
        let ttl = Some(Ttl { field: "at".into(), column_type: column_type.parse().unwrap(), days: 30 });
        let text = create_table(&TableSpec { ttl, ..spec() });
        assert!(text.contains(expected), "{text}");
    }
}

#[test]
fn the_api_key_has_an_index_unless_the_order_begins_with_it() {
    let with = |key: &str| TableSpec { api_key: Some(key.into()), ..spec() };
    assert_eq!(add_key_index(&with("id")), None);
    assert!(
        create_table(&with("at")).contains("INDEX `api_key_at` `at` TYPE bloom_filter(0.01) GRANULARITY 1")
    );
    assert_eq!(
        add_key_index(&with("note")).as_deref(),
        Some(
            "ALTER TABLE `shop`.`orders` ADD INDEX IF NOT EXISTS `api_key_note` `note` TYPE bloom_filter(0.01) GRANULARITY 1"
        )
    );
    assert_eq!(add_key_index(&TableSpec { existing: true, ..with("note") }), None);
}

#[test]
fn an_unchanged_table_needs_nothing() {
    assert_eq!(schema_changes(&existing(), &spec()), Ok(vec![]));
}

#[test]
fn nullable_and_defaulted_fields_are_added_in_their_places() {
    let mut wanted = spec();
    wanted.fields.insert(1, defaulted("status", "LowCardinality(String)", json!("new")));
    wanted.fields.push(nullable("paid", "Bool"));
    let changes = schema_changes(&existing(), &wanted).unwrap();
    let texts: Vec<_> = changes.iter().map(|add| add_column("shop", "orders", add)).collect();
    assert_eq!(
        texts,
        [
            "ALTER TABLE `shop`.`orders` ADD COLUMN IF NOT EXISTS `status` LowCardinality(String) DEFAULT 'new' AFTER `id`",
            "ALTER TABLE `shop`.`orders` ADD COLUMN IF NOT EXISTS `paid` Nullable(Bool) AFTER `note`",
        ]
    );
}

#[test]
fn the_column_of_unknown_members_is_added_and_may_stay() {
    let storing = |fields: Vec<Field>| TableSpec { fields: columns(&fields, UnknownFields::Store), ..spec() };
    let changes = schema_changes(&existing(), &storing(spec().fields)).unwrap();
    let texts: Vec<_> = changes.iter().map(|add| add_column("shop", "orders", add)).collect();
    let add =
        "ALTER TABLE `shop`.`orders` ADD COLUMN IF NOT EXISTS `_unknown` String DEFAULT '{}' AFTER `note`";
    assert_eq!(texts, [add]);
    let kept = ExistingColumn {
        name: "_unknown".into(),
        column_type: "String".into(),
        default_kind: "DEFAULT".into(),
    };
    let mut there = existing();
    there.insert(3, kept);
    assert_eq!(schema_changes(&there, &storing(spec().fields)), Ok(vec![]));
    assert_eq!(schema_changes(&there, &spec()), Ok(vec![]), "what is no longer stored stays");
    let more = [spec().fields, vec![nullable("paid", "Bool")]].concat();
    let changes = schema_changes(&there, &storing(more)).unwrap();
    assert_eq!(changes[0].after.as_deref(), Some("note"), "fields stand before it");
}

#[test]
fn times_by_default_are_moments_in_any_zone() {
    let add = AddColumn {
        field: defaulted("seen", "DateTime64(3, 'America/Lima')", json!("2026-01-31 12:00:00.000")),
        after: None,
    };
    assert_eq!(
        add_column("shop", "orders", &add),
        "ALTER TABLE `shop`.`orders` ADD COLUMN IF NOT EXISTS `seen` DateTime64(3, 'America/Lima') DEFAULT \
         toDateTime64('2026-01-31 12:00:00.000', 3, 'UTC') FIRST"
    );
}

#[test]
fn everything_else_is_incompatible_and_says_what_to_do() {
    let change = |edit: &dyn Fn(&mut TableSpec)| {
        let mut wanted = spec();
        edit(&mut wanted);
        schema_changes(&existing(), &wanted).unwrap_err().to_string()
    };
    assert_eq!(
        change(&|spec| spec.fields.push(field("paid", "Bool"))),
        "field paid can't be added, for older rows have no value: write nullable: true or a default"
    );
    assert_eq!(
        change(&|spec| spec.fields[0] = field("id", "String")),
        "column id is Int64, not String: types can't be changed; give the field the column's type, or use a new field name"
    );
    assert!(
        change(&|spec| spec.fields[2] = field("note", "String"))
            .starts_with("column note is Nullable(String), not")
    );
    assert_eq!(
        change(&|spec| drop(spec.fields.remove(2))),
        "field note was removed or renamed, but its column stays in the table: put the field back"
    );
    let mut foreign = existing();
    foreign.retain(|column| column.name != "_kafka_offset");
    let error = schema_changes(&foreign, &spec()).unwrap_err().to_string();
    assert!(error.starts_with("the table has no column _kafka_offset Int64"), "{error}");
    let mut computed = existing();
    computed[0].default_kind = "MATERIALIZED".into();
    assert!(
        schema_changes(&computed, &spec()).unwrap_err().to_string().contains("column id is MATERIALIZED")
    );
}

#[test]
fn a_table_of_somebody_else_is_checked_and_never_altered() {
    let ours = TableSpec { existing: true, ..spec() };
    let mut wanted = ours.clone();
    wanted.fields.push(nullable("paid", "Bool"));
    let error = schema_changes(&existing(), &wanted).unwrap_err().to_string();
    assert!(error.contains("column paid Nullable(Bool): add it yourself"), "{error}");

    let mut more = existing();
    let extra = |column_type: &str, kind: &str| ExistingColumn {
        name: "extra".into(),
        column_type: column_type.into(),
        default_kind: kind.into(),
    };
    for column in [extra("Nullable(String)", ""), extra("DateTime", "DEFAULT"), extra("String", "ALIAS")] {
        more.push(column);
        assert_eq!(schema_changes(&more, &ours), Ok(vec![]));
        more.pop();
    }
    more.push(extra("String", ""));
    assert!(
        schema_changes(&more, &ours)
            .unwrap_err()
            .to_string()
            .contains("column extra of the table is in no field")
    );
}

const SETTINGS: &str = "index_granularity = 8192, non_replicated_deduplication_window = 10000, \
                        fsync_after_insert = 1, fsync_part_directory = 1";

fn table_of(settings: &str) -> ExistingTable {
    ExistingTable {
        engine: "MergeTree".into(),
        sorting_key: String::new(),
        partition_key: String::new(),
        comment: String::new(),
        engine_full: format!("MergeTree PRIMARY KEY id ORDER BY (id, at) {settings}"),
        views: Vec::new(),
    }
}

#[test]
fn a_table_that_can_not_hold_rows_exactly_once_is_told_how_to() {
    let found = |table: &ExistingTable| downgrades(table, &spec());
    let settings = |settings: &str| {
        let found = found(&table_of(settings));
        assert!(found.iter().all(|one| one.obstacle == Obstacle::Settings) && found.len() < 2);
        found.first().map(|one| one.message.clone()).unwrap_or_default()
    };
    assert_eq!(settings(&format!("SETTINGS {SETTINGS}")), "");
    let message = settings("");
    let all = "ALTER TABLE `shop`.`orders` MODIFY SETTING non_replicated_deduplication_window = 10000, \
               fsync_after_insert = 1, fsync_part_directory = 1";
    assert!(message.contains(all), "{message}");
    let small = SETTINGS.replace("10000", "100").replace("directory = 1", "directory = 0");
    let message = settings(&format!("SETTINGS {small}"));
    let some = "MODIFY SETTING non_replicated_deduplication_window = 10000, fsync_part_directory = 1";
    assert!(message.ends_with(some), "{message}");
    let mut viewed = table_of(&format!("SETTINGS {SETTINGS}"));
    viewed.views = vec!["shop.totals".into(), "shop.days".into()];
    let obstacles: Vec<_> = found(&viewed).into_iter().map(|one| one.obstacle).collect();
    assert_eq!(obstacles, [Obstacle::MaterializedView; 2]);
    assert!(found(&viewed)[0].message.contains("view shop.totals"));
    for engine in ["ReplacingMergeTree", "ReplicatedMergeTree", "Distributed", "Buffer", "Null"] {
        let other = ExistingTable { engine: engine.into(), ..table_of("") };
        let [Downgrade { obstacle: Obstacle::Engine, message }] = &found(&other)[..] else {
            panic!("{engine}")
        };
        assert!(message.contains(engine), "{message}");
    }
}

#[test]
fn a_table_that_was_there_may_have_any_engine_that_takes_rows() {
    let check = |engine: &str| {
        let table = ExistingTable { engine: engine.into(), sorting_key: "id".into(), ..table_of("") };
        check_table(&table, &TableSpec { existing: true, ..spec() }).map_err(|error| error.to_string())
    };
    for engine in ["ReplacingMergeTree", "ReplicatedSummingMergeTree", "Distributed", "Null", "Buffer"] {
        assert_eq!(check(engine), Ok(()));
    }
    assert!(check("View").unwrap_err().contains("engine is View"));
    assert!(check("MergeTree").unwrap_err().contains("sorted by (id)"));
}

#[test]
fn engine_and_keys_are_compared() {
    let right = ExistingTable {
        engine: "MergeTree".into(),
        sorting_key: "id, at, _kafka_source, _kafka_partition, _kafka_offset".into(),
        ..table_of(&format!("SETTINGS {SETTINGS}"))
    };
    assert_eq!(check_table(&right, &spec()), Ok(()));
    for (wrong, expected) in [
        (
            ExistingTable { engine: "ReplacingMergeTree".into(), ..right.clone() },
            "engine is ReplacingMergeTree",
        ),
        (
            ExistingTable { sorting_key: "id".into(), ..right.clone() },
            "sorted by (id), not by (id, at, _kafka_source",
        ),
        (
            ExistingTable { partition_key: "toYYYYMM(at)".into(), ..right.clone() },
            "partitioned by (toYYYYMM(at))",
        ),
    ] {
        let error = check_table(&wrong, &spec()).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn quotes_hold_whatever_is_inside() {
    assert_eq!(quote_identifier("a`; DROP TABLE t -- \\"), "`a\\`; DROP TABLE t -- \\\\`");
    assert_eq!(quote_string("it's \\"), "'it\\'s \\\\'");
    assert_eq!(quote_table("my-db", "t"), "`my-db`.`t`");
}

#[test]
fn databases_are_only_created() {
    assert_eq!(create_database("shop"), "CREATE DATABASE IF NOT EXISTS `shop`");
    assert_eq!(drop_table("shop", "orders"), "DROP TABLE IF EXISTS `shop`.`orders` SYNC");
}
