//! For every rule a manifest that breaks it, and its twin that does not.

use caudal_model::resource::rules::RULES;
use serde_json::{Value, json};

/// One way to break a rule.
pub struct Case {
    /// Where the API server should name the fault.
    pub at: String,
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
                {"name": "city", "type": "String", "from": "customer.address.city"},
                {"name": "zip", "type": "String", "from": "customer.address.zip"},
            ], "unknownFields": "Store"},
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

/// `/spec/schema/fields/5/name` → `spec.schema.fields[5].name`.
fn path(pointer: &str) -> String {
    let steps = pointer.split('/').skip(1);
    let path = steps.map(|step| match step.parse::<usize>() {
        Ok(index) => format!("[{index}]"),
        Err(_) => format!(".{step}"),
    });
    path.collect::<String>().split_off(1)
}

/// One value that breaks the rule that says `fragment`, and what to write instead.
fn case(fragment: &str, pointer: &'static str, wrong: Value, right: Value) -> Case {
    Case {
        at: path(pointer),
        message: message(fragment),
        before: vec![],
        wrong: vec![(pointer, wrong)],
        right: vec![(pointer, right)],
    }
}

/// [`case`] with text for values.
fn text(fragment: &str, pointer: &'static str, wrong: &str, right: &str) -> Case {
    case(fragment, pointer, wrong.into(), right.into())
}

/// Manifests that may not be created.
pub fn creations() -> Vec<Case> {
    [names(), fields(), paths(), moments(), topics(), start(), table(), resources(), aliases(), objectives()]
        .into_iter()
        .flatten()
        .collect()
}

fn names() -> Vec<Case> {
    const NAME: &str = "/metadata/name";
    vec![
        text("metadata.name", NAME, "1-begins-with-a-digit", "begins-with-a-letter"),
        text("metadata.name", NAME, "dots.are.not.taken", "hyphens-are-taken"),
        text("metadata.name", NAME, &"n".repeat(41), &"n".repeat(40)),
    ]
}

fn fields() -> Vec<Case> {
    const NAME: &str = "/spec/schema/fields/5/name";
    const TYPE: &str = "/spec/schema/fields/5/type";
    let zone = "DateTime64(3, 'America/Argentina/Buenos_Aires')";
    vec![
        text("write a name of letters", NAME, "fare-paid", "fare_paid"),
        text("write a name of letters", NAME, "2nd", "_2nd"),
        text("write a name of letters", NAME, "año", "anno"),
        text("begin with _kafka_", NAME, "_kafka_offset", "kafka_offset"),
        text("column of members that no field reads", NAME, "_unknown", "_unknowns"),
        text("has a column of this name", NAME, "_partition_id", "_id"),
        text("write one type of", TYPE, "int", "Int32"),
        text("write one type of", TYPE, "Nullable(String)", "String"),
        text("write one type of", TYPE, "String; DROP TABLE t", "LowCardinality(String)"),
        text("write one type of", TYPE, "DateTime64(10)", "DateTime64(9)"),
        text("write one type of", TYPE, "Decimal(77, 2)", "Decimal(76,2)"),
        text("write one type of", TYPE, "DateTime64(3, 'a'b')", zone),
        text("more digits after the point", TYPE, "Decimal(2, 3)", "Decimal(3, 3)"),
        text("more digits after the point", TYPE, "Decimal(9,10)", "Decimal(10,9)"),
        case("absent nullable member", "/spec/schema/fields/3/default", json!("none"), Value::Null),
    ]
}

fn paths() -> Vec<Case> {
    const FROM: &str = "/spec/schema/fields/6/from";
    vec![
        text("at most 8 keys", FROM, "a..b", "event-time"),
        text("at most 8 keys", FROM, ".a", " .a"),
        text("at most 8 keys", FROM, r"a\b", r"a\\b\.c"),
        text("at most 8 keys", FROM, r"a.b\", r"a.b\\"),
        text("at most 8 keys", FROM, "1.2.3.4.5.6.7.8.9", r"1.2.3.4.5.6.7.8\.9"),
    ]
}

fn moments() -> Vec<Case> {
    let field = |of: &str, format: &str| json!({"name": "fare", "type": of, "timestampFormat": format});
    let case = |wrong: &str, right: &str, format: &str| Case {
        at: "spec.schema.fields[5].timestampFormat".into(),
        ..case("only a Date", "/spec/schema/fields/5", field(wrong, format), field(right, format))
    };
    vec![
        case("Int64", "DateTime64(3)", "UnixMilliseconds"),
        case("String", "Date", "Rfc2822"),
        case("LowCardinality(String)", "DateTime64(0, 'UTC')", "Iso8601"),
    ]
}

fn topics() -> Vec<Case> {
    const TOPIC: &str = "/spec/source/kafka/topic";
    const DEAD_LETTERS: &str = "/spec/deadLetter/topic";
    const CONFIG: &str = "/spec/source/kafka/create/config";
    const CONNECTION: &str = "/spec/source/kafka/connectionRef/name";
    vec![
        text("write such a name for topic", TOPIC, "a b", "a.b_C-1"),
        text("write such a name for topic", TOPIC, "..", "..a"),
        text("write such a name for deadLetter", DEAD_LETTERS, "a/b", "a.b"),
        text("would be read again", DEAD_LETTERS, "events", "refused"),
        text("write the name of a Secret", CONNECTION, "-secret", "my.secret"),
        case(
            "as Kafka spells them",
            CONFIG,
            json!({"retentionMs": "1"}),
            json!({"cleanup.policy": "compact"}),
        ),
    ]
}

fn start() -> Vec<Case> {
    const START: &str = "/spec/source/kafka/startFrom";
    let at = |timestamp: &str| json!({"position": "Timestamp", "timestamp": timestamp});
    let moment = "2026-01-31T12:00:00Z";
    vec![
        case("needs a timestamp", START, json!({"position": "Timestamp"}), at(moment)),
        case(
            "needs a timestamp",
            START,
            json!({"position": "Latest", "timestamp": moment}),
            json!({"position": "Latest"}),
        ),
        case("write a timestamp like", START, at("2026-01-31 12:00"), at("2026-01-31T12:00:00.5+02:00")),
    ]
}

fn table() -> Vec<Case> {
    const ORDER_BY: &str = "/spec/sink/clickhouse/orderBy";
    const PARTITION_BY: &str = "/spec/sink/clickhouse/partitionBy/field";
    const TTL: &str = "/spec/sink/clickhouse/ttl/field";
    const DATABASE: &str = "/spec/sink/clickhouse/database";
    const TABLE: &str = "/spec/sink/clickhouse/table";
    const CONNECTION: &str = "/spec/sink/clickhouse/connectionRef/name";
    vec![
        case("orderBy sorts by fields", ORDER_BY, json!(["id", "missing"]), json!(["id"])),
        case("orderBy can't hold a nullable", ORDER_BY, json!(["note"]), json!(["day"])),
        case("orderBy names a field twice", ORDER_BY, json!(["id", "at", "id"]), json!(["id", "at", "day"])),
        text("partitionBy.field: write", PARTITION_BY, "missing", "day"),
        text("partitionBy.field: write", PARTITION_BY, "id", "at"),
        text("partitionBy.field: write", PARTITION_BY, "seen", "at"),
        text("ttl.field: write", TTL, "note", "at"),
        text("ttl.field: write", TTL, "seen", "day"),
        text("write a database name", DATABASE, "my-shop", "my_shop"),
        text("belongs to ClickHouse itself", DATABASE, "system", "systems"),
        text("write a table name", TABLE, "my`events", "my_events"),
        text("those of ledgers", TABLE, "events__ledger", "events_ledger"),
        text("write the name of a Secret", CONNECTION, "My_Secret", "my-secret"),
        Case {
            before: vec![("/spec/sink/clickhouse/existingTable", json!(true))],
            wrong: vec![],
            ..case("keeps its own TTL", "/spec/sink/clickhouse/ttl", Value::Null, Value::Null)
        },
    ]
}

fn resources() -> Vec<Case> {
    const INGEST: &str = "/spec/ingest/resources";
    const API: &str = "/spec/api/resources";
    let cpu = |request: Value, limit: Value| json!({"requests": {"cpu": request}, "limits": {"cpu": limit}});
    let memory =
        |request: &str, limit: &str| json!({"requests": {"memory": request}, "limits": {"memory": limit}});
    let mut cases = vec![
        case("requests.cpu is above", INGEST, cpu(json!("2"), json!(1)), cpu(json!("1000m"), json!(1))),
        case(
            "requests.cpu is above",
            API,
            cpu(json!("1.5"), json!("1400m")),
            cpu(json!("1.5"), json!("1500m")),
        ),
        case("requests.memory is above", INGEST, memory("1Gi", "1G"), memory("1Gi", "1024Mi")),
        case("requests.memory is above", API, memory("65Mi", "64Mi"), memory("64Mi", "64Mi")),
    ];
    for (cpu, memory) in [
        ("/spec/ingest/resources/requests/cpu", "/spec/ingest/resources/requests/memory"),
        ("/spec/ingest/resources/limits/cpu", "/spec/ingest/resources/limits/memory"),
        ("/spec/api/resources/requests/cpu", "/spec/api/resources/requests/memory"),
        ("/spec/api/resources/limits/cpu", "/spec/api/resources/limits/memory"),
    ] {
        cases.push(text("write cores like", cpu, "much", "500m"));
        cases.push(case("write memory like", memory, json!("-1"), json!(200 << 20)));
    }
    cases
}

fn aliases() -> Vec<Case> {
    const ALIASES: &str = "/spec/api/aliases";
    let paths = |paths: &[&str]| paths.iter().map(|path| json!({"path": path})).collect::<Value>();
    vec![
        text("api.key finds records", "/spec/api/key", "missing", "fare"),
        case("write a path like", ALIASES, paths(&["events"]), paths(&["/old/events"])),
        case("write a path like", ALIASES, paths(&["/events/"]), paths(&["/events.json"])),
        case("write a path like", ALIASES, paths(&["/{a}"]), paths(&["/a"])),
        case("the API's own", ALIASES, paths(&["/v1/records"]), paths(&["/v10/records"])),
        case("the API's own", ALIASES, paths(&["/docs"]), paths(&["/doc"])),
        case("the API's own", ALIASES, paths(&["/openapi.json"]), paths(&["/openapi"])),
        case("none may lie below another", ALIASES, paths(&["/a", "/a/b"]), paths(&["/a", "/ab"])),
    ]
}

fn objectives() -> Vec<Case> {
    const OBJECTIVE: &str = "/spec/slo/freshness/objective";
    const WITHIN: &str = "/spec/slo/freshness/within";
    vec![
        case("from 95 to 99.999", OBJECTIVE, json!(94.999), json!(95)),
        case("from 95 to 99.999", OBJECTIVE, json!(100), json!(99.999)),
        case("three decimals", OBJECTIVE, json!(99.9899), json!(99.989)),
        case("three decimals", OBJECTIVE, json!(95.0005), json!(95.001)),
        text("as a duration", WITHIN, "10 s", "10s"),
        text("as a duration", WITHIN, "1d", "24h"),
        text("from 1s to 24h", WITHIN, "999ms", "1000ms"),
        text("from 1s to 24h", WITHIN, "24h1s", "23h59m"),
    ]
}

/// Changes that may not be made to a pipeline that exists.
pub fn changes() -> Vec<Case> {
    const TOPIC: &str = "/spec/source/kafka/topic";
    const PARTITIONS: &str = "/spec/source/kafka/create/partitions";
    const KAFKA: &str = "/spec/source/kafka/connectionRef";
    const CLICKHOUSE: &str = "/spec/sink/clickhouse/connectionRef";
    const PARTITION_BY: &str = "/spec/sink/clickhouse/partitionBy";
    let fixed = |fragment: &str, pointer: &'static str, value: Value| Case {
        right: vec![("/spec/ingest/replicas", json!(3))],
        ..case(fragment, pointer, value, Value::Null)
    };
    let secret = json!({"kind": "Secret", "name": "another"});
    vec![
        fixed("the topic is fixed", TOPIC, json!("others")),
        fixed("the topic is fixed", TOPIC, Value::Null),
        Case { before: vec![(TOPIC, Value::Null)], ..fixed("the topic is fixed", TOPIC, json!("others")) },
        fixed("the Kafka connection", KAFKA, secret.clone()),
        fixed("the Kafka connection", KAFKA, Value::Null),
        case("can't take partitions away", PARTITIONS, json!(2), json!(4)),
        fixed("dead letters is fixed", "/spec/deadLetter/topic", Value::Null),
        fixed("the ClickHouse connection", CLICKHOUSE, secret),
        fixed("the database is fixed", "/spec/sink/clickhouse/database", json!("others")),
        fixed("the table is fixed", "/spec/sink/clickhouse/table", Value::Null),
        fixed("the order of a table", "/spec/sink/clickhouse/orderBy", json!(["at", "id"])),
        fixed("how a table is partitioned", PARTITION_BY, json!({"field": "at", "by": "Day"})),
        fixed("how a table is partitioned", PARTITION_BY, Value::Null),
        fixed("the ttl of a table", "/spec/sink/clickhouse/ttl", json!({"field": "day", "days": 31})),
        fixed("existingTable is fixed", "/spec/sink/clickhouse/existingTable", json!(true)),
    ]
}
