//! What we send as Native equals what ClickHouse itself reads from the same
//! JSON, for every type and its edges.

use std::fmt::Write as _;

use caudal_model::plan::Field;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::pipeline::{DATABASE, Pipeline, Spec, field};
use super::stack::{Sent, stack};

/// Column name, type, and edges that must be among the values.
const TYPES: [(&str, &str, &[&str]); 25] = [
    ("i8", "Int8", &["-128", "127", "0"]),
    ("i16", "Int16", &["-32768", "32767"]),
    ("i32", "Int32", &["-2147483648", "2147483647"]),
    ("i64", "Int64", &["-9223372036854775808", "9223372036854775807", "\"-42\""]),
    ("u8", "UInt8", &["0", "255"]),
    ("u16", "UInt16", &["65535"]),
    ("u32", "UInt32", &["4294967295"]),
    ("u64", "UInt64", &["18446744073709551615", "\"18446744073709551615\""]),
    ("f32", "Float32", &["0.1", "-0.0", "3.4028234e38", "1e-45", "16777217", "5e-324"]),
    (
        "f64",
        "Float64",
        &[
            "0.1",
            "1.7976931348623157e308",
            "5e-324",
            "9007199254740993",
            "123456789.123456789e-7",
            "2.2250738585072011e-308",
        ],
    ),
    ("d9", "Decimal(9, 2)", &["9999999.99", "-9999999.99", "\"1.5\"", "1e3", "0.010"]),
    ("d18", "Decimal(18, 4)", &["99999999999999.9999", "-0.0001"]),
    ("d38", "Decimal(38, 10)", &["9999999999999999999999999999.9999999999", "-1.5e-9"]),
    (
        "d76",
        "Decimal(76, 20)",
        &[
            "99999999999999999999999999999999999999999999999999999999.99999999999999999999",
            "-0.00000000000000000001",
        ],
    ),
    (
        "s",
        "String",
        &["\"\"", r#""\u0000\u00e9\ud83d\ude00\/\\\"\b\f\n\r\t""#, "\"日本 é\u{1F600}\"", "\"\u{7f}\""],
    ),
    ("lc", "LowCardinality(String)", &["\"\"", "\"ä\"", r#""\u0061""#]),
    ("b", "Bool", &["true", "false"]),
    ("d", "Date", &["\"1970-01-01\"", "\"2149-06-06\"", "\"2024-02-29\""]),
    ("t0", "DateTime64(0)", &["\"1900-01-01 00:00:00\"", "\"2299-12-31 23:59:59\""]),
    ("t3", "DateTime64(3, 'UTC')", &["\"1969-12-31 23:59:59.999\"", "\"2026-11-22T13:00:00.001Z\""]),
    (
        "t6",
        "DateTime64(6, 'America/Argentina/Buenos_Aires')",
        &["\"2026-11-22T13:00:00.123456Z\"", "\"2026-11-22T13:00:00+02:30\""],
    ),
    (
        "t9",
        "DateTime64(9, 'UTC')",
        &["\"1900-01-01 00:00:00.000000001\"", "\"2262-04-11 23:47:16.854775807\""],
    ),
    ("u", "UUID", &["\"00000000-0000-0000-0000-000000000001\"", "\"FFFFFFFF-0000-0000-0000-0000DEADBEEF\""]),
    ("k1", "Int64", &["0"]),
    ("k2", "String", &["\"x\""]),
];

const ROWS: usize = 2_000;

fn fields() -> Vec<Field> {
    let plain = TYPES.iter().map(|(name, of, _)| field(name, of));
    let nullable =
        TYPES.iter().map(|(name, of, _)| Field { nullable: true, ..field(&format!("n_{name}"), of) });
    std::iter::once(field("id", "UInt32")).chain(plain).chain(nullable).collect()
}

fn integer(random: &mut StdRng, bits: u32, signed: bool) -> String {
    let value: u64 = random.random::<u64>() >> random.random_range(64 - bits..64);
    if signed {
        format!("{}", (value >> 1).cast_signed() * if random.random() { -1 } else { 1 })
    } else {
        value.to_string()
    }
}

fn digits(random: &mut StdRng, most: usize) -> String {
    let len = random.random_range(1..=most);
    let text: String = (0..len).map(|_| char::from(b'0' + random.random_range(0..10_u8))).collect();
    let trimmed = text.trim_start_matches('0');
    if trimmed.is_empty() { "0".into() } else { trimmed.into() }
}

fn decimal(random: &mut StdRng, precision: usize, scale: usize) -> String {
    let sign = if random.random() { "-" } else { "" };
    let whole = digits(random, precision - scale);
    let fraction: String = (0..random.random_range(1..=scale))
        .map(|_| char::from(b'0' + random.random_range(0..10_u8)))
        .collect();
    format!("{sign}{whole}.{fraction}")
}

fn text(random: &mut StdRng) -> String {
    let alphabet: Vec<char> = "abc XYZ09\"\\/\u{1}\n\té日本\u{1F600}".chars().collect();
    let len = if random.random_range(0..20) == 0 { 300 } else { random.random_range(0..12) };
    let text: String = (0..len).map(|_| alphabet[random.random_range(0..alphabet.len())]).collect();
    serde_json::to_string(&text).unwrap()
}

fn time(random: &mut StdRng, fraction: usize) -> String {
    let (year, month, day) =
        (random.random_range(1901..2261), random.random_range(1..13), random.random_range(1..29));
    let (hour, minute, second) =
        (random.random_range(0..24), random.random_range(0..60), random.random_range(0..60));
    let mut out = format!("\"{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}");
    if fraction > 0 {
        out.push('.');
        (0..fraction).for_each(|_| out.push(char::from(b'0' + random.random_range(0..10_u8))));
    }
    out.push('"');
    out
}

fn value(random: &mut StdRng, of: &str) -> String {
    match of {
        "Int8" => integer(random, 8, true),
        "Int16" => integer(random, 16, true),
        "Int32" => integer(random, 32, true),
        "Int64" => integer(random, 64, true),
        "UInt8" => integer(random, 8, false),
        "UInt16" => integer(random, 16, false),
        "UInt32" => integer(random, 32, false),
        "UInt64" => integer(random, 64, false),
        "Float32" => {
            let value = f32::from_bits(random.random());
            if value.is_finite() { format!("{value:e}") } else { "1.5".into() }
        }
        "Float64" => {
            let value = f64::from_bits(random.random());
            if value.is_finite() { format!("{value:e}") } else { "-2.5".into() }
        }
        "Decimal(9, 2)" => decimal(random, 9, 2),
        "Decimal(18, 4)" => decimal(random, 18, 4),
        "Decimal(38, 10)" => decimal(random, 38, 10),
        "Decimal(76, 20)" => decimal(random, 76, 20),
        "String" => text(random),
        "LowCardinality(String)" => format!("\"value {}\"", random.random_range(0..500)),
        "Bool" => random.random::<bool>().to_string(),
        "Date" => format!(
            "\"{:04}-{:02}-{:02}\"",
            random.random_range(1970..2149),
            random.random_range(1..13),
            random.random_range(1..29)
        ),
        "DateTime64(0)" => time(random, 0),
        "DateTime64(3, 'UTC')" => time(random, 3),
        // The other reader would take a time without zone for a local one.
        "DateTime64(6, 'America/Argentina/Buenos_Aires')" => {
            time(random, 6).replace(' ', "T").trim_end_matches('"').to_owned() + "Z\""
        }
        "DateTime64(9, 'UTC')" => time(random, 9),
        "UUID" => {
            let hex = format!("{:032x}", random.random::<u128>());
            format!("\"{}-{}-{}-{}-{}\"", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
        }
        other => panic!("{other}"),
    }
}

fn message(random: &mut StdRng, id: usize) -> String {
    let mut out = format!("{{\"id\":{id}");
    for (prefix, nullable) in [("", false), ("n_", true)] {
        for (name, of, edges) in TYPES {
            if nullable && random.random_range(0..6) == 0 {
                if random.random() {
                    write!(out, ",\"{prefix}{name}\":null").unwrap();
                }
                continue;
            }
            let value = match edges.get(id) {
                Some(edge) => (*edge).to_owned(),
                None => value(random, of),
            };
            write!(out, ",\"{prefix}{name}\":{value}").unwrap();
        }
    }
    if random.random_range(0..10) == 0 {
        out.push_str(r#","ignored":{"a":[1,2.5e-3,"x\u00e9",null,true,{}]}"#);
    }
    out + "}"
}

#[test]
fn native_equals_what_clickhouse_reads_from_the_same_json() {
    let stack = stack();
    let fields = fields();
    let pipeline =
        Pipeline::create(&stack, Spec { fields: fields.clone(), partitions: 2, ..Spec::default() });
    let mut random = StdRng::seed_from_u64(20_261_122);
    let messages: Vec<String> = (0..ROWS).map(|id| message(&mut random, id)).collect();
    stack.publish(
        pipeline.topic(),
        (0..).zip(&messages).map(|(id, message): (i32, _)| Sent::value(id % 2, message.as_bytes())),
    );
    let names: Vec<String> = fields.iter().map(|field| format!("`{}`", field.name)).collect();
    let names = names.join(", ");
    let other = format!("{DATABASE}.{}_json", pipeline.plan.sink.table);
    let columns: Vec<String> = fields
        .iter()
        .map(|field| format!("`{}` {}", field.name, caudal_model::ddl::column_type(field)))
        .collect();
    let create = format!("CREATE TABLE {other} ({}) ENGINE = MergeTree ORDER BY id", columns.join(", "));
    stack.clickhouse.query(&create).unwrap();
    // Differences decided: our floats are the nearest (the server's default
    // parser is off by a unit in the last place), our times without zone UTC.
    let insert = format!(
        "INSERT INTO {other} SETTINGS input_format_skip_unknown_fields = 1, precise_float_parsing = 1, \
         date_time_input_format = 'best_effort', session_timezone = 'UTC' FORMAT JSONEachRow {}",
        messages.join("\n")
    );
    stack.clickhouse.query(&insert).unwrap();

    let _ingestor = pipeline.start();
    pipeline.wait_rows(&stack, ROWS as u64);
    assert!(stack.read_all(pipeline.dead_letter_topic()).is_empty());
    for field in &fields {
        let name = &field.name;
        let differences = stack.clickhouse.query(&format!(
            "SELECT id, toString(a.`{name}`), toString(b.`{name}`) FROM {} AS a INNER JOIN {other} AS b USING id \
             WHERE NOT (a.`{name}` <=> b.`{name}`) ORDER BY id LIMIT 5",
            pipeline.table()
        ));
        assert_eq!(differences.unwrap(), "", "{name} {}", field.column_type);
    }
    let count = format!(
        "SELECT count() FROM (SELECT {names} FROM {} INTERSECT SELECT {names} FROM {other})",
        pipeline.table()
    );
    assert_eq!(stack.number(&count), ROWS as u64);
}

#[test]
fn absent_fields_take_their_default_or_null() {
    let stack = stack();
    let defaulted = |name, of, default| Field { default: Some(default), ..field(name, of) };
    let fields = vec![
        field("id", "Int64"),
        defaulted("text", "String", serde_json::json!("unknown")),
        defaulted("kind", "LowCardinality(String)", serde_json::json!("plain")),
        defaulted("price", "Decimal(18, 2)", serde_json::json!("9.99")),
        defaulted("at", "DateTime64(3)", serde_json::json!("2026-11-22 13:00:00")),
        Field { nullable: true, ..defaulted("n", "Int32", serde_json::json!(7)) },
        Field { nullable: true, ..field("m", "LowCardinality(String)") },
    ];
    let pipeline = Pipeline::create(&stack, Spec { fields, ..Spec::default() });
    let messages = [r#"{"id":1}"#, r#"{"id":2,"n":null,"m":"x","text":""}"#];
    stack.publish(pipeline.topic(), messages.map(|message| Sent::value(0, message)));
    let _ingestor = pipeline.start();
    pipeline.wait_rows(&stack, 2);
    let rows = stack
        .clickhouse
        .query(&format!("SELECT id, text, kind, price, at, n, m FROM {} ORDER BY id", pipeline.table()))
        .unwrap();
    assert_eq!(
        rows,
        "1\tunknown\tplain\t9.99\t2026-11-22 13:00:00.000\t7\t\\N\n2\t\tplain\t9.99\t2026-11-22 13:00:00.000\t\\N\tx"
    );
}
