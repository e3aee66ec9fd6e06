use std::time::Duration;

use serde_json::json;

use super::*;
use crate::ColumnType;
use crate::plan::SecurityProtocol;
use crate::resource::{PartitionUnit, TimestampFormat};

const FLEET: &str = "
installation: caudal
image: {name: ghcr.io/caudal-dev/caudal, tag: 0.1.0}
connections:
  kafka:
    default: {namespaces: ['*'], bootstrapServers: 'kafka:9092'}
    payments: {namespaces: [payments], secretName: payments-kafka}
  clickhouse:
    default: {namespaces: ['*'], url: 'http://clickhouse:8123'}
";

const SHORTEST: &str = "
schema: {fields: [{name: id, type: String}, {name: at, type: DateTime64(3)}]}
sink: {clickhouse: {orderBy: [id]}}
";

fn fleet() -> Fleet {
    Fleet::from_yaml(FLEET).unwrap()
}

fn pipeline_in(namespace: &str, spec: &str) -> DataPipeline {
    let spec = serde_yaml_ng::from_str(spec).unwrap();
    let mut pipeline = DataPipeline::new("card-events", spec);
    pipeline.metadata.namespace = Some(namespace.to_owned());
    pipeline
}

fn pipeline(spec: &str) -> DataPipeline {
    pipeline_in("my-shop", spec)
}

fn resolved(spec: &str) -> Resolution {
    resolve(&pipeline(spec), &fleet(), None).unwrap()
}

fn violations(spec: &str) -> Vec<String> {
    let found = resolve(&pipeline(spec), &fleet(), None).unwrap_err();
    found.iter().map(ToString::to_string).collect()
}

fn edited(edit: impl FnOnce(&mut serde_json::Value)) -> String {
    let mut spec: serde_json::Value = serde_yaml_ng::from_str(SHORTEST).unwrap();
    edit(&mut spec);
    spec.to_string()
}

#[test]
fn the_shortest_pipeline_gets_its_names_from_itself() {
    let identity = resolved(SHORTEST).identity;
    assert_eq!(identity.topic, "my-shop.card-events");
    assert_eq!(identity.dead_letter_topic, "my-shop.card-events.dead-letters");
    assert_eq!(identity.group, "caudal.my-shop.card-events");
    assert_eq!(identity.database, "my_shop");
    assert_eq!(identity.table, "card_events");
    assert_eq!(identity.engine, "MergeTree");
    assert_eq!(identity.order_by, ["id"]);
    assert_eq!(identity.partitions, Some(3));
    assert_eq!(identity.kafka_connection, "fleet/default");
    assert!(!identity.topic_created && !identity.table_created && identity.topic_id.is_none());
}

#[test]
fn what_the_spec_names_wins_over_defaults() {
    let spec = edited(|spec| {
        spec["source"]["kafka"] = json!({
            "topic": "events",
            "connectionRef": {"kind": "Secret", "name": "mine"},
            "create": {"partitions": 12, "config": {"retention.ms": "1000"}},
        });
        spec["sink"]["clickhouse"]["database"] = json!("shop");
        spec["sink"]["clickhouse"]["table"] = json!("cards");
        spec["deadLetter"] = json!({"topic": "refused", "retentionDays": 3});
    });
    let resolution = resolved(&spec);
    assert_eq!(resolution.kafka, ConnectionSource::Secret("mine".into()));
    assert_eq!(resolution.identity.topic, "events");
    assert_eq!(resolution.identity.dead_letter_topic, "refused");
    assert_eq!(resolution.identity.database, "shop");
    assert_eq!(resolution.table_spec().table, "cards");
    assert_eq!(resolution.ledger_spec().table, "cards__ledger");
    assert_eq!(resolution.topic.partitions, 12);
    assert_eq!(resolution.topic.replication_factor, 3);
    assert_eq!(resolution.topic.config["retention.ms"], "1000");
    assert_eq!(resolution.dead_letter_retention_days, 3);
}

#[test]
fn a_connection_that_lists_the_namespace_wins_over_the_one_for_all() {
    let resolution = resolve(&pipeline_in("payments", SHORTEST), &fleet(), None).unwrap();
    assert_eq!(resolution.kafka, ConnectionSource::Fleet("payments".into()));
    assert_eq!(resolution.clickhouse, ConnectionSource::Fleet("default".into()));
}

#[test]
fn a_namespace_that_no_connection_serves_is_told_what_to_do() {
    let fleet = Fleet::from_yaml(&FLEET.replace("['*']", "[other]")).unwrap();
    let found = resolve(&pipeline(SHORTEST), &fleet, None).unwrap_err();
    assert_eq!(found.len(), 2);
    assert_eq!(found[0].field, "spec.source.kafka.connectionRef");
    assert!(found[1].message.contains("connections.clickhouse.<name>.namespaces"), "{}", found[1]);
}

#[test]
fn the_record_wins_and_what_differs_is_listed() {
    let recorded = Resolved {
        topic_created: true,
        topic_id: Some("AAAAAAAAAAAAAAAAAAAAAA".into()),
        ..resolved(SHORTEST).identity
    };
    let moved = FLEET.replace("payments: {namespaces: [payments]", "payments: {namespaces: [my-shop]");
    let fleet = Fleet::from_yaml(&format!("{moved}\ndefaults: {{topic: {{partitions: 6}}}}")).unwrap();
    let again = resolve(&pipeline(SHORTEST), &fleet, Some(&recorded)).unwrap();
    assert_eq!(again.identity, recorded);
    assert_eq!(again.kafka, ConnectionSource::Fleet("default".into()));
    assert_eq!(again.topic.partitions, 3, "a changed default grows no topic");
    let said: Vec<_> = again.differences.iter().map(ToString::to_string).collect();
    assert_eq!(
        said,
        [
            "kafkaConnection stays fleet/default, although it would now be fleet/payments",
            "partitions stays 3, although it would now be 6",
        ]
    );
}

#[test]
fn resolving_again_differs_in_nothing() {
    let first = resolved(SHORTEST);
    let again = resolve(&pipeline(SHORTEST), &fleet(), Some(&first.identity)).unwrap();
    assert_eq!(again, first);
}

#[test]
fn partitions_of_a_topic_that_was_there_differ_from_no_default() {
    let recorded = Resolved { partitions: Some(7), ..resolved(SHORTEST).identity };
    let again = resolve(&pipeline(SHORTEST), &fleet(), Some(&recorded)).unwrap();
    assert_eq!(again.differences, []);
}

#[test]
fn asking_for_more_partitions_grows_the_topic() {
    let recorded = Resolved { topic_created: true, ..resolved(SHORTEST).identity };
    let spec = edited(|spec| spec["source"]["kafka"]["create"]["partitions"] = json!(5));
    assert_eq!(resolve(&pipeline(&spec), &fleet(), Some(&recorded)).unwrap().topic.partitions, 5);
}

#[test]
fn a_recorded_connection_that_is_gone_is_no_reason_to_take_another() {
    let recorded = Resolved { kafka_connection: "fleet/old".into(), ..resolved(SHORTEST).identity };
    let found = resolve(&pipeline(SHORTEST), &fleet(), Some(&recorded)).unwrap_err();
    assert!(
        found[0].message.contains("connection old no longer serves the namespace my-shop"),
        "{}",
        found[0]
    );
}

#[test]
fn types_and_defaults_are_parsed() {
    let spec = edited(|spec| {
        spec["schema"]["fields"] = json!([
            {"name": "id", "type": "Int64", "default": "7"},
            {"name": "fare", "type": "Decimal(10,2)", "nullable": true},
        ]);
    });
    let fields = resolved(&spec).fields;
    assert_eq!(fields[0].default, Some(json!(7)));
    assert_eq!(fields[1].column_type, ColumnType::Decimal { precision: 10, scale: 2 });
    assert!(fields[1].nullable);
}

#[test]
fn paths_and_formats_are_resolved() {
    let spec = edited(|spec| {
        spec["schema"] = json!({"unknownFields": "Store", "fields": [
            {"name": "id", "from": "id", "type": "Int64"},
            {"name": "city", "from": r"customer.address\.home.city", "type": "String"},
            {"name": "at", "type": "DateTime64(3)", "timestampFormat": "UnixMilliseconds", "default": "1769860800500"},
        ]});
    });
    let resolution = resolved(&spec);
    let fields = &resolution.fields;
    assert_eq!(fields[0].path, [""; 0], "the member of the field's name, as without `from`");
    assert_eq!(fields[1].path, ["customer", "address.home", "city"]);
    assert_eq!(
        fields[2].default,
        Some(json!("2026-01-31 12:00:00.500")),
        "defaults are ISO 8601 in the plan"
    );
    let columns: Vec<_> = resolution.table_spec().fields.into_iter().map(|field| field.name).collect();
    assert_eq!(columns, ["id", "city", "at", "_unknown"]);
}

#[test]
fn everything_wrong_is_said_at_once() {
    let spec = edited(|spec| {
        spec["schema"]["fields"] = json!([
            {"name": "id", "type": "Int8", "default": "300"},
            {"name": "at", "type": "Timestamp"},
            {"name": "lc", "type": "LowCardinality(String)", "nullable": true, "default": "x"},
            {"name": "tags", "type": "Array(String)", "nullable": true},
            {"name": "deep", "type": "Array(Array(Array(Array(Int8))))"},
            {"name": "state", "type": "Enum8('new' = 1)", "default": "old"},
            {"name": "n", "type": "Int64", "timestampFormat": "UnixSeconds"},
            {"name": "p", "type": "Int64", "from": "a..b"},
            {"name": "d", "type": "Date", "timestampFormat": "UnixSeconds", "default": "2026-01-31"},
        ]);
        spec["slo"] = json!({"freshness": {"objective": 99, "within": "soon"}});
        spec["source"]["kafka"]["startFrom"] =
            json!({"position": "Timestamp", "timestamp": "2026-02-30T00:00:00Z"});
    });
    let said = violations(&spec);
    for expected in [
        "spec.schema.fields[id].default: \"300\" is no Int8: write a whole number from -128 to 127",
        "spec.schema.fields[at].type: \"Timestamp\" is no type",
        "spec.schema.fields[lc].default: an absent nullable field becomes NULL",
        "spec.schema.fields[tags].nullable: there is no NULL of Array(String)",
        "spec.schema.fields[deep].type: \"Array(Array(Array(Array(Int8))))\" is no type",
        "spec.schema.fields[state].default: \"old\" is no Enum8('new' = 1): write one of new",
        "spec.schema.fields[n].timestampFormat: Int64 is no moment",
        "spec.schema.fields[p].from: \"a..b\": write keys that are not empty",
        "spec.schema.fields[d].default: \"2026-01-31\" is no Date: write a moment like 1769860800",
        "spec.slo.freshness.within: \"soon\" is no duration",
        "spec.source.kafka.startFrom.timestamp: position Timestamp needs a time",
    ] {
        assert!(said.iter().any(|line| line.starts_with(expected)), "{expected}\n{said:#?}");
    }
}

#[test]
fn names_that_are_no_fields_are_refused() {
    let spec = edited(|spec| {
        spec["sink"]["clickhouse"]["orderBy"] = json!(["id", "missing"]);
        spec["sink"]["clickhouse"]["partitionBy"] = json!({"field": "id", "by": "Day"});
        spec["api"] = json!({"key": "absent", "auth": {"mode": "None"}});
    });
    let said = violations(&spec);
    assert_eq!(said.len(), 3, "{said:#?}");
    assert!(said[0].starts_with("spec.sink.clickhouse.orderBy: \"missing\" is no field"));
    assert!(said[1].starts_with("spec.api.key: \"absent\" is no field"));
    assert!(
        said[2].starts_with("spec.sink.clickhouse.partitionBy.field: \"id\" must be a Date or DateTime64")
    );
}

#[test]
fn a_namespace_may_not_name_a_database_of_the_server() {
    let found = resolve(&pipeline_in("system", SHORTEST), &fleet(), None).unwrap_err();
    assert_eq!(found[0].field, "spec.sink.clickhouse.database");
}

#[test]
fn the_flush_delay_follows_the_objective() {
    for (within, expected) in [("1s", 250), ("10s", 2_500), ("1m", 15_000), ("5m", 30_000), ("24h", 30_000)] {
        let within = crate::duration::parse(within).unwrap();
        assert_eq!(flush_delay(within), Duration::from_millis(expected));
    }
    let plan = resolved(SHORTEST).ingest.plan;
    assert_eq!((plan.flush_delay_ms, plan.freshness_within_ms), (2_500, Some(10_000)));
}

#[test]
fn memory_follows_the_limit_and_must_hold_the_blocks() {
    let with = |limit: &str, max_bytes: u64| {
        edited(|spec| {
            spec["ingest"] = json!({
                "batch": {"maxBytes": max_bytes},
                "resources": {"requests": {"memory": "64Mi"}, "limits": {"memory": limit}},
            });
        })
    };
    assert_eq!(resolved(&with("1000Mi", 32 << 20)).ingest.plan.memory_limit_bytes, 800 << 20);
    assert_eq!(
        violations(&with("128Mi", 32 << 20)),
        [
            "spec.ingest.resources.limits.memory: blocks of 33554432 bytes need 192Mi; write so much, or a smaller batch.maxBytes"
        ]
    );
    let without = |limit: &str| {
        edited(|spec| {
            spec["ingest"] =
                json!({"resources": {"requests": {"memory": "64Mi"}, "limits": {"memory": limit}}});
        })
    };
    for (limit, expected) in
        [("128Mi", 16 << 20), ("256Mi", 48 << 20), ("512Mi", 64 << 20), ("4Gi", 64 << 20)]
    {
        assert_eq!(resolved(&without(limit)).ingest.plan.max_bytes, expected, "{limit}");
    }
    assert!(violations(&without("64Mi"))[0].contains("blocks of 65536 bytes need 65Mi"));
}

#[test]
fn resources_are_merged_and_compared_with_the_fleets() {
    let spec = edited(|spec| spec["ingest"] = json!({"resources": {"limits": {"cpu": "2"}}}));
    let resources = resolved(&spec).ingest.resources.to_requirements();
    let amount = |list: Option<&std::collections::BTreeMap<String, _>>, name: &str| {
        list.and_then(|list| list.get(name))
            .map(|quantity: &k8s_openapi::apimachinery::pkg::api::resource::Quantity| quantity.0.clone())
    };
    assert_eq!(amount(resources.limits.as_ref(), "cpu").as_deref(), Some("2"));
    assert_eq!(amount(resources.limits.as_ref(), "memory").as_deref(), Some("512Mi"));
    assert_eq!(amount(resources.requests.as_ref(), "memory").as_deref(), Some("256Mi"));
    let spec = edited(|spec| spec["ingest"] = json!({"resources": {"limits": {"memory": "200Mi"}}}));
    assert!(violations(&spec)[0].contains("the request of memory (256Mi) is above the limit (200Mi)"));
}

#[test]
fn a_paused_pipeline_has_no_consumers() {
    let spec = edited(|spec| {
        spec["paused"] = json!(true);
        spec["ingest"] = json!({"replicas": 4});
    });
    assert_eq!(resolved(&spec).ingest.replicas, 0);
}

#[test]
fn dead_letters_take_what_the_source_takes_and_more() {
    let spec =
        edited(|spec| spec["source"]["kafka"]["create"]["config"] = json!({"min.insync.replicas": "2"}));
    let settings = resolved(&spec).dead_letter_topic(1_048_588);
    assert_eq!((settings.partitions, settings.replication_factor), (1, 3));
    assert_eq!(settings.config["max.message.bytes"], "1114124");
    assert_eq!(settings.config["retention.ms"], "1209600000");
    assert_eq!(settings.config["min.insync.replicas"], "2");
    assert_eq!(
        resolved(SHORTEST).dead_letter_topic(u64::from(u32::MAX)).config["max.message.bytes"],
        "2147483647"
    );
}

#[test]
fn the_plan_holds_what_pods_need() {
    let spec = edited(|spec| {
        spec["source"]["kafka"]["startFrom"] =
            json!({"position": "Timestamp", "timestamp": "1970-01-01T00:00:01Z"});
        spec["sink"]["clickhouse"]["partitionBy"] = json!({"field": "at", "by": "Month"});
        spec["api"] =
            json!({"key": "id", "auth": {"mode": "None"}, "aliases": [{"path": "/cards", "limit": 10}]});
    });
    let resolution = resolved(&spec);
    let addresses = Addresses {
        kafka: KafkaConnection {
            bootstrap_servers: "kafka:9092".into(),
            security_protocol: SecurityProtocol::Plaintext,
            sasl_mechanism: None,
        },
        clickhouse: ClickHouseConnection { url: "http://clickhouse:8123".into() },
    };
    let facts = Facts {
        cluster_id: "cluster".into(),
        topic_id: "topic".into(),
        table_uuid: "table".into(),
        delivery: Delivery::AtLeastOnce,
    };
    let plan = resolution.plan(&addresses, &facts);
    assert_eq!(plan.source.start_from, StartFrom::Timestamp { timestamp_ms: 1000 });
    assert_eq!(plan.sink.ledger_table, "card_events__ledger");
    assert_eq!(plan.api.as_ref().unwrap().aliases[0].limit, Some(10));
    assert_eq!(Plan::from_json(&plan.to_json()).unwrap(), plan);
    assert_eq!(plan.revision(), resolution.plan(&addresses, &facts).revision());
    assert_ne!(plan.for_ingestor().revision(), plan.for_api_server().revision());
    for unused in ["path", "timestampFormat", "unknownFields"] {
        assert!(!plan.for_ingestor().to_json().contains(unused), "{unused} would change every revision");
    }
    let mut rewritten = plan.clone();
    rewritten.fields[0].path = vec!["key".into()];
    rewritten.fields[1].timestamp_format = TimestampFormat::UnixSeconds;
    rewritten.unknown_fields = UnknownFields::Reject;
    assert_ne!(rewritten.for_ingestor().revision(), plan.for_ingestor().revision());
    assert_eq!(rewritten.for_api_server(), plan.for_api_server(), "how messages are written rolls no API");

    let table = resolution.table_spec();
    assert_eq!(table.comment, "caudal/my-shop/card-events");
    assert_eq!(table.api_key.as_deref(), Some("id"));
    assert_eq!(table.partition_by.unwrap().by, PartitionUnit::Month);
}

#[test]
fn the_window_of_a_new_table_follows_partitions_and_delay() {
    let window = |partitions: i32, within: &str, partitioned: bool| {
        let spec = edited(|spec| {
            spec["source"]["kafka"]["create"] = json!({"partitions": partitions});
            spec["slo"] = json!({"freshness": {"objective": 99, "within": within}});
            spec["schema"]["fields"] =
                json!([{"name": "id", "type": "String"}, {"name": "at", "type": "Date"}]);
            if partitioned {
                spec["sink"]["clickhouse"]["partitionBy"] = json!({"field": "at", "by": "Day"});
            }
        });
        resolved(&spec).table_spec().deduplication_window
    };
    assert_eq!(window(3, "10s", false), 10_000);
    // 48 blocks every 250 ms, 480 times in two minutes.
    assert_eq!(window(48, "1s", false), 100_000);
    assert_eq!(window(48, "1s", true), 190_000);
    assert_eq!(window(1_000, "1s", true), 1_000_000);
}
