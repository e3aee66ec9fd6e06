//! What a resource must be beyond its schema: CEL rules that the API server
//! checks at `kubectl apply`, each with a message that says what to write.
//!
//! Transition rules (`oldSelf`) stand on a parent that is always there and
//! compare `has()`, since on an optional leaf they could be got round by
//! unsetting it first.

/// One rule at one or more places of the schema.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// Dotted paths from the root; `[]` goes into the items of a list.
    pub at: &'static [&'static str],
    /// The CEL expression.
    pub expression: &'static str,
    /// What to write instead.
    pub message: &'static str,
    /// The field the API server names, relative to the place.
    pub field: Option<&'static str>,
}

const fn rule(
    at: &'static [&'static str],
    field: &'static str,
    expression: &'static str,
    message: &'static str,
) -> Rule {
    Rule { at, expression, message, field: Some(field) }
}

const fn whole(at: &'static [&'static str], expression: &'static str, message: &'static str) -> Rule {
    Rule { at, expression, message, field: None }
}

const ROOT: &[&str] = &[""];
const SPEC: &[&str] = &["spec"];
const KAFKA: &[&str] = &["spec.source.kafka"];
const CREATE: &[&str] = &["spec.source.kafka.create"];
const START: &[&str] = &["spec.source.kafka.startFrom"];
const CONNECTION: &[&str] = &["spec.source.kafka.connectionRef", "spec.sink.clickhouse.connectionRef"];
const FIELD: &[&str] = &["spec.schema.fields[]"];
const SINK: &[&str] = &["spec.sink.clickhouse"];
const DEAD_LETTER: &[&str] = &["spec.deadLetter"];
const RESOURCES: &[&str] = &["spec.ingest.resources", "spec.api.resources"];
const AMOUNTS: &[&str] = &[
    "spec.ingest.resources.requests",
    "spec.ingest.resources.limits",
    "spec.api.resources.requests",
    "spec.api.resources.limits",
];
const API: &[&str] = &["spec.api"];
const ALIAS: &[&str] = &["spec.api.aliases[]"];
const FRESHNESS: &[&str] = &["spec.slo.freshness"];

/// All rules. Those of one place are in the order of its fields.
pub const RULES: &[Rule] = &[
    whole(
        ROOT,
        "self.metadata.name.matches('^[a-z]([-a-z0-9]{0,38}[a-z0-9])?$')",
        "metadata.name names topics, tables and pods: write at most 40 characters a-z, 0-9 and -, beginning with a \
         letter and not ending with -",
    ),
    // Fields.
    rule(
        FIELD,
        ".name",
        "self.name.matches('^[a-zA-Z_][a-zA-Z0-9_]*$')",
        "write a name of letters, digits and _ that does not begin with a digit",
    ),
    rule(
        FIELD,
        ".name",
        "!self.name.startsWith('_kafka_')",
        "names that begin with _kafka_ are the columns Caudal adds: write another name",
    ),
    rule(
        FIELD,
        ".name",
        "self.name != '_unknown'",
        "_unknown is the column of members that no field reads: write another name",
    ),
    rule(
        FIELD,
        ".name",
        "!(self.name in ['_part', '_part_index', '_part_starting_offset', '_part_uuid', '_part_offset', \
         '_part_granule_offset', '_part_data_version', '_partition_id', '_partition_value', '_sample_factor', \
         '_row_exists', '_block_number', '_block_offset', '_database', '_table', '_disk_name', '_distance'])",
        "ClickHouse has a column of this name in every table: write another name",
    ),
    rule(
        FIELD,
        ".from",
        r"!has(self.from) || self.from.matches(r'^([^.\\]|\\[.\\])+([.]([^.\\]|\\[.\\])+){0,7}$')",
        "write at most 8 keys that are not empty, separated by dots, like customer.address.city; within a key \\. is a dot \
         and \\\\ a backslash",
    ),
    rule(
        FIELD,
        ".type",
        "self.type.matches(\"^(U?Int(8|16|32|64)|Float(32|64)|Decimal[(]([1-9]|[1-6][0-9]|7[0-6]), \
         ?(0|[1-9]|[1-6][0-9]|7[0-6])[)]|String|LowCardinality[(]String[)]|Bool|Date|DateTime64[(][0-9](, \
         ?'[A-Za-z0-9/_+-]{1,64}')?[)]|UUID)$\")",
        "write one type of Int8, Int16, Int32, Int64, UInt8, UInt16, UInt32, UInt64, Float32, Float64, \
         Decimal(precision, scale), String, LowCardinality(String), Bool, Date, DateTime64(precision[, 'zone']), UUID; \
         for Nullable(T) write nullable: true",
    ),
    rule(
        FIELD,
        ".type",
        "!self.type.matches('^Decimal[(][0-9]{1,2}, ?[0-9]{1,2}[)]$') || \
         int(self.type.substring(self.type.indexOf(',') + 1, self.type.indexOf(')')).trim()) <= \
         int(self.type.substring(8, self.type.indexOf(',')))",
        "a decimal can't have more digits after the point than in all: write Decimal(precision, scale) with the larger \
         number first",
    ),
    rule(
        FIELD,
        ".timestampFormat",
        "!has(self.timestampFormat) || self.type.matches('^Date')",
        "only a Date or DateTime64 has a timestampFormat: leave it out, or write such a type",
    ),
    rule(
        FIELD,
        ".default",
        "!self.?nullable.orValue(false) || !has(self.default)",
        "an absent nullable member becomes NULL: leave out default, or nullable",
    ),
    // References between fields, sink and API.
    rule(
        SPEC,
        ".sink.clickhouse.orderBy",
        "self.sink.clickhouse.orderBy.all(name, self.schema.fields.exists(field, field.name == name))",
        "orderBy sorts by fields: write names that stand in schema.fields",
    ),
    rule(
        SPEC,
        ".sink.clickhouse.orderBy",
        "self.sink.clickhouse.orderBy.all(name, self.schema.fields.all(field, field.name != name || !field.?nullable.orValue(false)))",
        "orderBy can't hold a nullable field: give the field a default instead of nullable, or leave it out",
    ),
    rule(
        SPEC,
        ".sink.clickhouse.partitionBy.field",
        "!has(self.sink.clickhouse.partitionBy) || self.schema.fields.exists(field, field.name == \
         self.sink.clickhouse.partitionBy.field && !field.?nullable.orValue(false) && field.type.matches('^Date'))",
        "partitionBy.field: write a field of type Date or DateTime64 that is not nullable",
    ),
    rule(
        SPEC,
        ".sink.clickhouse.ttl.field",
        "!has(self.sink.clickhouse.ttl) || self.schema.fields.exists(field, field.name == \
         self.sink.clickhouse.ttl.field && !field.?nullable.orValue(false) && field.type.matches('^Date'))",
        "ttl.field: write a field of type Date or DateTime64 that is not nullable",
    ),
    rule(
        SPEC,
        ".api.key",
        "!has(self.api) || self.schema.fields.exists(field, field.name == self.api.key)",
        "api.key finds records by a field: write a name that stands in schema.fields",
    ),
    rule(
        SPEC,
        ".deadLetter.topic",
        "!has(self.deadLetter.topic) || !has(self.source.kafka.topic) || self.deadLetter.topic != \
         self.source.kafka.topic",
        "dead letters in the source topic would be read again: write another topic",
    ),
    // Topics.
    rule(
        KAFKA,
        ".topic",
        "!has(self.topic) || (self.topic.matches('^[a-zA-Z0-9._-]+$') && !(self.topic in ['.', '..']))",
        "Kafka's topic names are letters, digits, '.', '_' and '-': write such a name for topic",
    ),
    rule(
        KAFKA,
        ".topic",
        "has(self.topic) == has(oldSelf.topic) && (!has(self.topic) || self.topic == oldSelf.topic)",
        "the topic is fixed: put the old value back, or make another pipeline",
    ),
    rule(
        KAFKA,
        ".connectionRef",
        "has(self.connectionRef) == has(oldSelf.connectionRef) && (!has(self.connectionRef) || \
         self.connectionRef.name == oldSelf.connectionRef.name)",
        "the Kafka connection is fixed: put the old value back and change the Secret, or make another pipeline",
    ),
    rule(
        CREATE,
        ".partitions",
        "!has(self.partitions) || !has(oldSelf.partitions) || self.partitions >= oldSelf.partitions",
        "Kafka can't take partitions away: write as many as before, or more",
    ),
    rule(
        CREATE,
        ".config",
        "!has(self.config) || self.config.all(key, key.matches('^[a-z][a-z.]{0,127}$'))",
        "write names of topic configuration as Kafka spells them, like retention.ms",
    ),
    rule(
        START,
        ".timestamp",
        "has(self.timestamp) == (self.position == 'Timestamp')",
        "position Timestamp needs a timestamp like 2026-01-31T12:00:00Z, and no other position takes one",
    ),
    rule(
        START,
        ".timestamp",
        "!has(self.timestamp) || self.timestamp.matches('^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\
         ([.][0-9]{1,9})?(Z|[+-][0-9]{2}:[0-9]{2})$')",
        "write a timestamp like 2026-01-31T12:00:00Z",
    ),
    rule(
        DEAD_LETTER,
        ".topic",
        "!has(self.topic) || (self.topic.matches('^[a-zA-Z0-9._-]+$') && !(self.topic in ['.', '..']))",
        "Kafka's topic names are letters, digits, '.', '_' and '-': write such a name for deadLetter.topic",
    ),
    rule(
        DEAD_LETTER,
        ".topic",
        "has(self.topic) == has(oldSelf.topic) && (!has(self.topic) || self.topic == oldSelf.topic)",
        "the topic of dead letters is fixed: put the old value back, or make another pipeline",
    ),
    rule(
        CONNECTION,
        ".name",
        "self.name.matches('^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$')",
        "write the name of a Secret in the pipeline's namespace",
    ),
    // The table.
    rule(
        SINK,
        ".database",
        "!has(self.database) || self.database.matches('^[a-zA-Z_][a-zA-Z0-9_]*$')",
        "write a database name of letters, digits and _ that does not begin with a digit",
    ),
    rule(
        SINK,
        ".database",
        "!has(self.database) || !(self.database in ['system', 'information_schema', 'INFORMATION_SCHEMA'])",
        "this database belongs to ClickHouse itself: write another",
    ),
    rule(
        SINK,
        ".table",
        "!has(self.table) || self.table.matches('^[a-zA-Z_][a-zA-Z0-9_]*$')",
        "write a table name of letters, digits and _ that does not begin with a digit",
    ),
    rule(
        SINK,
        ".table",
        "!has(self.table) || !self.table.endsWith('__ledger')",
        "names that end with __ledger are those of ledgers: write another table",
    ),
    rule(
        SINK,
        ".orderBy",
        "self.orderBy.all(a, self.orderBy.exists_one(b, a == b))",
        "orderBy names a field twice: write each once",
    ),
    rule(
        SINK,
        ".ttl",
        "!self.existingTable || !has(self.ttl)",
        "a table used by existingTable keeps its own TTL: leave out ttl",
    ),
    rule(
        SINK,
        ".connectionRef",
        "has(self.connectionRef) == has(oldSelf.connectionRef) && (!has(self.connectionRef) || \
         self.connectionRef.name == oldSelf.connectionRef.name)",
        "the ClickHouse connection is fixed: put the old value back and change the Secret, or make another pipeline",
    ),
    rule(
        SINK,
        ".database",
        "has(self.database) == has(oldSelf.database) && (!has(self.database) || self.database == oldSelf.database)",
        "the database is fixed: put the old value back, or make another pipeline",
    ),
    rule(
        SINK,
        ".table",
        "has(self.table) == has(oldSelf.table) && (!has(self.table) || self.table == oldSelf.table)",
        "the table is fixed: put the old value back, or make another pipeline",
    ),
    rule(
        SINK,
        ".orderBy",
        "self.orderBy == oldSelf.orderBy",
        "the order of a table is fixed: put the old value back, or make another pipeline",
    ),
    rule(
        SINK,
        ".partitionBy",
        "has(self.partitionBy) == has(oldSelf.partitionBy) && (!has(self.partitionBy) || self.partitionBy == \
         oldSelf.partitionBy)",
        "how a table is partitioned is fixed: put the old value back, or make another pipeline",
    ),
    rule(
        SINK,
        ".ttl",
        "has(self.ttl) == has(oldSelf.ttl) && (!has(self.ttl) || self.ttl == oldSelf.ttl)",
        "the ttl of a table is fixed: put the old value back, or make another pipeline",
    ),
    rule(
        SINK,
        ".existingTable",
        "self.existingTable == oldSelf.existingTable",
        "existingTable is fixed: put the old value back, or make another pipeline",
    ),
    // Pods.
    rule(
        AMOUNTS,
        ".cpu",
        "!has(self.cpu) || (isQuantity(string(self.cpu)) && quantity(string(self.cpu)).isGreaterThan(quantity('0')))",
        "write cores like 250m or 2",
    ),
    rule(
        AMOUNTS,
        ".memory",
        "!has(self.memory) || (isQuantity(string(self.memory)) && \
         quantity(string(self.memory)).isGreaterThan(quantity('0')))",
        "write memory like 256Mi",
    ),
    rule(
        RESOURCES,
        ".limits",
        "!has(self.requests) || !has(self.limits) || !has(self.requests.cpu) || !has(self.limits.cpu) || \
         !isQuantity(string(self.requests.cpu)) || !isQuantity(string(self.limits.cpu)) || \
         !quantity(string(self.requests.cpu)).isGreaterThan(quantity(string(self.limits.cpu)))",
        "requests.cpu is above limits.cpu: write a limit that is not below the request",
    ),
    rule(
        RESOURCES,
        ".limits",
        "!has(self.requests) || !has(self.limits) || !has(self.requests.memory) || !has(self.limits.memory) || \
         !isQuantity(string(self.requests.memory)) || !isQuantity(string(self.limits.memory)) || \
         !quantity(string(self.requests.memory)).isGreaterThan(quantity(string(self.limits.memory)))",
        "requests.memory is above limits.memory: write a limit that is not below the request",
    ),
    // The API.
    rule(
        ALIAS,
        ".path",
        "self.path.matches('^(/[A-Za-z0-9][A-Za-z0-9._~-]*)+$')",
        "write a path like /orders: it begins with /, does not end with it, and holds letters, digits, '.', '_', '~' and '-'",
    ),
    rule(
        ALIAS,
        ".path",
        "!self.path.matches('^/(v1|docs|openapi[.]json)(/|$)')",
        "/v1, /docs and /openapi.json are the API's own: write another path",
    ),
    rule(
        API,
        ".aliases",
        "!has(self.aliases) || self.aliases.all(a, !self.aliases.exists(b, b.path.startsWith(a.path + '/')))",
        "an alias also answers <path>/<key>, so none may lie below another: write paths apart from each other",
    ),
    // Objectives.
    rule(
        FRESHNESS,
        ".objective",
        "self.objective >= 95.0 && self.objective <= 99.999",
        "write an objective from 95 to 99.999: below, no fast burn can be told; above, no error is allowed at all",
    ),
    rule(
        FRESHNESS,
        ".objective",
        "double(int(self.objective * 1000.0 + 0.5)) / 1000.0 == self.objective",
        "write an objective with at most three decimals, like 99.95",
    ),
    rule(
        FRESHNESS,
        ".within",
        "self.within.matches('^([0-9]{1,5}(ms|s|m|h)){1,4}$')",
        "write within as a duration like 10s, 1m30s or 500ms",
    ),
    rule(
        FRESHNESS,
        ".within",
        "!self.within.matches('^([0-9]{1,5}(ms|s|m|h)){1,4}$') || (duration(self.within) >= duration('1s') && \
         duration(self.within) <= duration('24h'))",
        "write a within from 1s to 24h",
    ),
];
