//! For every rule a manifest that breaks it, and its twin that does not.

use caudal_model::resource::rules::RULES;
use serde_json::{Value, json};

/// One way to break a rule.
pub struct Case {
    /// Where the API server should name the fault.
    pub at: &'static str,
    pub message: &'static str,
    /// Changes to [`base`] on both sides.
    pub before: Vec<(&'static str, Value)>,
    pub wrong: Vec<(&'static str, Value)>,
    pub right: Vec<(&'static str, Value)>,
}

/// A pipeline that says everything, and is right.
pub fn base(name: &str) -> Value {
    json!({
        "apiVersion": "caudal.dev/v1alpha1",
        "kind": "DataPipeline",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "source": {"kafka": {
                "topic": "events",
                "connectionRef": {"kind": "Secret", "name": "kafka"},
                "create": {"partitions": 3, "replicationFactor": 1, "config": {"retention.ms": "604800000"}},
                "startFrom": {"position": "Latest"},
            }},
            "schema": {"fields": [
                {"name": "id", "type": "Int64"},
                {"name": "at", "type": "DateTime64(3)"},
                {"name": "day", "type": "Date", "default": "2026-01-31"},
                {"name": "note", "type": "String", "nullable": true},
                {"name": "seen", "type": "DateTime64(3)", "nullable": true},
                {"name": "fare", "type": "Decimal(10, 2)"},
            ]},
            "sink": {"clickhouse": {
                "connectionRef": {"kind": "Secret", "name": "clickhouse"},
                "database": "shop",
                "table": "events",
                "orderBy": ["id", "at"],
                "partitionBy": {"field": "at", "by": "Month"},
                "ttl": {"field": "day", "days": 30},
            }},
            "deadLetter": {"topic": "events-refused", "retentionDays": 7},
            "ingest": {"replicas": 2, "batch": {"maxRows": 1000, "maxBytes": 1_048_576}, "resources": {
                "requests": {"cpu": "100m", "memory": "128Mi"},
                "limits": {"cpu": 1, "memory": "256Mi"},
            }},
            "api": {
                "key": "id",
                "auth": {"mode": "None"},
                "replicas": 2,
                "aliases": [{"path": "/events", "limit": 10}],
                "resources": {"requests": {"cpu": "50m"}, "limits": {"memory": "256Mi"}},
            },
            "slo": {"freshness": {"objective": 99.95, "within": "1m30s"}},
            "deletionPolicy": "Delete",
        },
    })
}

/// Sets what `pointer` names, making what is missing on the way; null removes.
pub fn set(manifest: &mut Value, pointer: &str, value: Value) {
    let (parent, leaf) = pointer.rsplit_once('/').unwrap_or(("", pointer));
    let parent = parent.split('/').skip(1).fold(manifest, |at, step| match step.parse::<usize>() {
        Ok(index) => &mut at[index],
        Err(_) => &mut at[step],
    });
    match (parent, leaf.parse::<usize>()) {
        (Value::Array(items), Ok(index)) if index < items.len() => items[index] = value,
        (Value::Object(members), _) if value.is_null() => drop(members.remove(leaf)),
        (parent, _) => parent[leaf] = value,
    }
}

/// The whole message of the rule that says `fragment`.
fn message(fragment: &str) -> &'static str {
    let mut rules = RULES.iter().filter(|rule| rule.message.contains(fragment));
    let rule = rules.next().unwrap_or_else(|| panic!("no rule says {fragment:?}"));
    assert!(rules.all(|other| other.message == rule.message), "two rules say {fragment:?}");
    rule.message
}

/// One leaf that breaks a rule, and what to write instead.
fn leaf(at: &'static str, fragment: &str, pointer: &'static str, wrong: Value, right: Value) -> Case {
    Case {
        at,
        message: message(fragment),
        before: vec![],
        wrong: vec![(pointer, wrong)],
        right: vec![(pointer, right)],
    }
}

fn field(fragment: &str, leaf_name: &'static str, wrong: &str, right: &str) -> Case {
    leaf("spec.schema.fields", fragment, leaf_name, wrong.into(), right.into())
}

/// Manifests that may not be created.
pub fn creations() -> Vec<Case> {
    const NAME: &str = "/spec/schema/fields/5/name";
    const TYPE: &str = "/spec/schema/fields/5/type";
    const DEFAULT: &str = "/spec/schema/fields/3/default";
    const ORDER_BY: &str = "/spec/sink/clickhouse/orderBy";
    const ALIASES: &str = "/spec/api/aliases";
    const OBJECTIVE: &str = "/spec/slo/freshness/objective";
    const WITHIN: &str = "/spec/slo/freshness/within";
    const AT_ORDER_BY: &str = "spec.sink.clickhouse.orderBy";
    let mut cases = vec![
        leaf(
            "metadata",
            "metadata.name",
            "/metadata/name",
            json!("1-begins-with-a-digit"),
            json!("begins-with-a-letter"),
        ),
        leaf(
            "metadata",
            "metadata.name",
            "/metadata/name",
            json!("dots.are.not.taken"),
            json!("hyphens-are-taken"),
        ),
        leaf("metadata", "metadata.name", "/metadata/name", json!("n".repeat(41)), json!("n".repeat(40))),
        field("write a name of letters", NAME, "fare-paid", "fare_paid"),
        field("write a name of letters", NAME, "2nd", "_2nd"),
        field("write a name of letters", NAME, "año", "anno"),
        field("begin with _kafka_", NAME, "_kafka_offset", "kafka_offset"),
        field("has a column of this name", NAME, "_partition_id", "_id"),
        field("write one type of", TYPE, "int", "Int32"),
        field("write one type of", TYPE, "Nullable(String)", "String"),
        field("write one type of", TYPE, "String; DROP TABLE t", "LowCardinality(String)"),
        field("write one type of", TYPE, "DateTime64(10)", "DateTime64(9)"),
        field("write one type of", TYPE, "Decimal(77, 2)", "Decimal(76,2)"),
        field(
            "write one type of",
            TYPE,
            "DateTime64(3, 'a'b')",
            "DateTime64(3, 'America/Argentina/Buenos_Aires')",
        ),
        field("more digits after the point", TYPE, "Decimal(2, 3)", "Decimal(3, 3)"),
        field("more digits after the point", TYPE, "Decimal(9,10)", "Decimal(10,9)"),
        leaf("spec.schema.fields", "absent nullable member", DEFAULT, json!("none"), Value::Null),
        field(
            "LowCardinality(String) can't be nullable",
            "/spec/schema/fields/3/type",
            "LowCardinality(String)",
            "String",
        ),
        leaf(AT_ORDER_BY, "orderBy sorts by fields", ORDER_BY, json!(["id", "missing"]), json!(["id"])),
        leaf(AT_ORDER_BY, "orderBy can't hold a nullable", ORDER_BY, json!(["note"]), json!(["day"])),
        leaf(
            AT_ORDER_BY,
            "orderBy names a field twice",
            ORDER_BY,
            json!(["id", "at", "id"]),
            json!(["id", "at", "day"]),
        ),
        leaf("spec.api.key", "api.key finds records", "/spec/api/key", json!("missing"), json!("fare")),
        leaf(
            "spec.deadLetter.topic",
            "would be read again",
            "/spec/deadLetter/topic",
            json!("events"),
            json!("refused"),
        ),
        leaf(
            "spec.source.kafka.topic",
            "write such a name for topic",
            "/spec/source/kafka/topic",
            json!("a b"),
            json!("a.b_C-1"),
        ),
        leaf(
            "spec.source.kafka.topic",
            "write such a name for topic",
            "/spec/source/kafka/topic",
            json!(".."),
            json!("..a"),
        ),
        leaf(
            "spec.deadLetter.topic",
            "write such a name for deadLetter",
            "/spec/deadLetter/topic",
            json!("a/b"),
            json!("a.b"),
        ),
        leaf(
            "spec.source.kafka.create.config",
            "as Kafka spells them",
            "/spec/source/kafka/create/config",
            json!({"retentionMs": "1"}),
            json!({"cleanup.policy": "compact"}),
        ),
        leaf(
            ALIAS_AT,
            "write a path like",
            ALIASES,
            json!([{"path": "events"}]),
            json!([{"path": "/old/events"}]),
        ),
        leaf(
            ALIAS_AT,
            "write a path like",
            ALIASES,
            json!([{"path": "/events/"}]),
            json!([{"path": "/events.json"}]),
        ),
        leaf(ALIAS_AT, "write a path like", ALIASES, json!([{"path": "/{a}"}]), json!([{"path": "/a"}])),
        leaf(
            ALIAS_AT,
            "the API's own",
            ALIASES,
            json!([{"path": "/v1/records"}]),
            json!([{"path": "/v10/records"}]),
        ),
        leaf(ALIAS_AT, "the API's own", ALIASES, json!([{"path": "/docs"}]), json!([{"path": "/doc"}])),
        leaf(
            ALIAS_AT,
            "the API's own",
            ALIASES,
            json!([{"path": "/openapi.json"}]),
            json!([{"path": "/openapi"}]),
        ),
        leaf(
            ALIAS_AT,
            "none may lie below another",
            ALIASES,
            json!([{"path": "/a"}, {"path": "/a/b"}]),
            json!([{"path": "/a"}, {"path": "/ab"}]),
        ),
        leaf(
            "spec.slo.freshness.objective",
            "three decimals",
            OBJECTIVE,
            json!(99.9999 - 0.01),
            json!(99.989),
        ),
        leaf("spec.slo.freshness.objective", "from 95 to 99.999", OBJECTIVE, json!(94.999), json!(95)),
        leaf("spec.slo.freshness.objective", "from 95 to 99.999", OBJECTIVE, json!(100), json!(99.999)),
        leaf("spec.slo.freshness.objective", "three decimals", OBJECTIVE, json!(95.0005), json!(95)),
        leaf("spec.slo.freshness.within", "as a duration", WITHIN, json!("10 s"), json!("10s")),
        leaf("spec.slo.freshness.within", "as a duration", WITHIN, json!("1d"), json!("24h")),
        leaf("spec.slo.freshness.within", "from 1s to 24h", WITHIN, json!("999ms"), json!("1000ms")),
        leaf("spec.slo.freshness.within", "from 1s to 24h", WITHIN, json!("24h1s"), json!("23h59m")),
    ];
    cases.extend(start());
    cases.extend(table());
    cases.extend(resources());
    cases
}

const ALIAS_AT: &str = "spec.api.aliases";

fn start() -> Vec<Case> {
    const START: &str = "/spec/source/kafka/startFrom";
    const AT: &str = "spec.source.kafka.startFrom.timestamp";
    let at = |timestamp: &str| json!({"position": "Timestamp", "timestamp": timestamp});
    vec![
        leaf(AT, "needs a timestamp", START, json!({"position": "Timestamp"}), at("2026-01-31T12:00:00Z")),
        leaf(
            AT,
            "needs a timestamp",
            START,
            json!({"position": "Latest", "timestamp": "2026-01-31T12:00:00Z"}),
            json!({"position": "Latest"}),
        ),
        leaf(AT, "write a timestamp like", START, at("2026-01-31 12:00"), at("2026-01-31T12:00:00.5+02:00")),
    ]
}

fn table() -> Vec<Case> {
    const PARTITION_BY: &str = "/spec/sink/clickhouse/partitionBy/field";
    const TTL: &str = "/spec/sink/clickhouse/ttl/field";
    const DATABASE: &str = "/spec/sink/clickhouse/database";
    const TABLE: &str = "/spec/sink/clickhouse/table";
    const AT: &str = "spec.sink.clickhouse.";
    let secret = |name: &str| json!({"kind": "Secret", "name": name});
    vec![
        leaf(
            "spec.sink.clickhouse.partitionBy",
            "partitionBy.field: write",
            PARTITION_BY,
            json!("missing"),
            json!("day"),
        ),
        leaf(
            "spec.sink.clickhouse.partitionBy",
            "partitionBy.field: write",
            PARTITION_BY,
            json!("id"),
            json!("at"),
        ),
        leaf(
            "spec.sink.clickhouse.partitionBy",
            "partitionBy.field: write",
            PARTITION_BY,
            json!("seen"),
            json!("at"),
        ),
        leaf("spec.sink.clickhouse.ttl", "ttl.field: write", TTL, json!("note"), json!("at")),
        leaf("spec.sink.clickhouse.ttl", "ttl.field: write", TTL, json!("seen"), json!("day")),
        leaf(AT, "write a database name", DATABASE, json!("my-shop"), json!("my_shop")),
        leaf(AT, "belongs to ClickHouse itself", DATABASE, json!("system"), json!("systems")),
        leaf(AT, "write a table name", TABLE, json!("my`events"), json!("my_events")),
        leaf(AT, "those of ledgers", TABLE, json!("events__ledger"), json!("events_ledger")),
        Case {
            at: "spec.sink.clickhouse.ttl",
            message: message("keeps its own TTL"),
            before: vec![("/spec/sink/clickhouse/existingTable", json!(true))],
            wrong: vec![],
            right: vec![("/spec/sink/clickhouse/ttl", Value::Null)],
        },
        leaf(
            "spec.sink.clickhouse.connectionRef.name",
            "write the name of a Secret",
            "/spec/sink/clickhouse/connectionRef",
            secret("My_Secret"),
            secret("my-secret"),
        ),
        leaf(
            "spec.source.kafka.connectionRef.name",
            "write the name of a Secret",
            "/spec/source/kafka/connectionRef",
            secret("-secret"),
            secret("my.secret"),
        ),
    ]
}

fn resources() -> Vec<Case> {
    const INGEST_LIMITS: &str = "spec.ingest.resources.limits";
    const API_LIMITS: &str = "spec.api.resources.limits";
    let both = |request: Value, limit: Value| json!({"requests": request, "limits": limit});
    let cpu = |amount: &str| json!({"cpu": amount});
    let memory = |amount: &str| json!({"memory": amount});
    let mut cases = vec![
        leaf(
            INGEST_LIMITS,
            "requests.cpu is above",
            "/spec/ingest/resources",
            both(cpu("2"), json!({"cpu": 1})),
            both(cpu("1000m"), json!({"cpu": 1})),
        ),
        leaf(
            INGEST_LIMITS,
            "requests.memory is above",
            "/spec/ingest/resources",
            both(memory("1Gi"), memory("1G")),
            both(memory("1Gi"), memory("1024Mi")),
        ),
        leaf(
            API_LIMITS,
            "requests.cpu is above",
            "/spec/api/resources",
            both(cpu("1.5"), cpu("1400m")),
            both(cpu("1.5"), cpu("1500m")),
        ),
        leaf(
            API_LIMITS,
            "requests.memory is above",
            "/spec/api/resources",
            both(memory("65Mi"), memory("64Mi")),
            both(memory("64Mi"), memory("64Mi")),
        ),
    ];
    for (at, cpu, memory) in [
        (
            "spec.ingest.resources.requests",
            "/spec/ingest/resources/requests/cpu",
            "/spec/ingest/resources/requests/memory",
        ),
        (INGEST_LIMITS, "/spec/ingest/resources/limits/cpu", "/spec/ingest/resources/limits/memory"),
        (
            "spec.api.resources.requests",
            "/spec/api/resources/requests/cpu",
            "/spec/api/resources/requests/memory",
        ),
        (API_LIMITS, "/spec/api/resources/limits/cpu", "/spec/api/resources/limits/memory"),
    ] {
        cases.push(leaf(at, "write cores like", cpu, json!("much"), json!("500m")));
        cases.push(leaf(at, "write memory like", memory, json!("-1"), json!(200 << 20)));
    }
    cases
}

/// Changes that may not be made to a pipeline that exists.
pub fn changes() -> Vec<Case> {
    let secret = json!({"kind": "Secret", "name": "another"});
    let fixed = |at: &'static str, fragment: &str, pointer: &'static str, value: Value| Case {
        at,
        message: message(fragment),
        before: vec![],
        wrong: vec![(pointer, value)],
        right: vec![("/spec/ingest/replicas", json!(3))],
    };
    let topic = "/spec/source/kafka/topic";
    let sink = "spec.sink.clickhouse";
    vec![
        fixed("spec.source.kafka.topic", "the topic is fixed", topic, json!("others")),
        fixed("spec.source.kafka.topic", "the topic is fixed", topic, Value::Null),
        Case {
            before: vec![(topic, Value::Null)],
            ..fixed("spec.source.kafka.topic", "the topic is fixed", topic, json!("others"))
        },
        fixed(
            "spec.source.kafka.connectionRef",
            "the Kafka connection",
            "/spec/source/kafka/connectionRef",
            secret.clone(),
        ),
        fixed(
            "spec.source.kafka.connectionRef",
            "the Kafka connection",
            "/spec/source/kafka/connectionRef",
            Value::Null,
        ),
        leaf(
            "spec.source.kafka.create.partitions",
            "can't take partitions away",
            "/spec/source/kafka/create/partitions",
            json!(2),
            json!(4),
        ),
        fixed("spec.deadLetter.topic", "dead letters is fixed", "/spec/deadLetter/topic", Value::Null),
        fixed(sink, "the ClickHouse connection", "/spec/sink/clickhouse/connectionRef", secret),
        fixed(sink, "the database is fixed", "/spec/sink/clickhouse/database", json!("others")),
        fixed(sink, "the table is fixed", "/spec/sink/clickhouse/table", Value::Null),
        fixed(sink, "the order of a table", "/spec/sink/clickhouse/orderBy", json!(["at", "id"])),
        fixed(sink, "how a table is partitioned", "/spec/sink/clickhouse/partitionBy/by", json!("Day")),
        fixed(sink, "how a table is partitioned", "/spec/sink/clickhouse/partitionBy", Value::Null),
        fixed(sink, "the ttl of a table", "/spec/sink/clickhouse/ttl/days", json!(31)),
        fixed(sink, "existingTable is fixed", "/spec/sink/clickhouse/existingTable", json!(true)),
    ]
}
