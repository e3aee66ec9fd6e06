//! What we send as Native equals what ClickHouse itself reads from the same
//! JSON, for every type and its edges.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::{Ipv4Addr, Ipv6Addr};

use caudal_ingestor::block::{Columns, Layout, RowId};
use caudal_ingestor::decode::Decoder;
use caudal_model::ColumnType;
use caudal_model::plan::Field;
use caudal_model::resource::UnknownFields;
use caudal_model::types::Element;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};

use super::pipeline::{DATABASE, Pipeline, Spec, field};
use super::stack::{Sent, Stack, stack};

/// Column name, type, and edges that must be among the values.
const TYPES: [(&str, &str, &[&str]); 42] = [
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
    ("e8", "Enum8('é\\'' = -128, '' = 0, 'new' = 127)", &["\"\"", r#""\u00e9'""#]),
    ("e16", "Enum16('日本' = -300, 'paid' = 3000)", &["\"日本\""]),
    ("ip4", "IPv4", &["\"0.0.0.0\"", "\"255.255.255.255\""]),
    (
        "ip6",
        "IPv6",
        &[
            "\"::\"",
            "\"::ffff:1.2.3.4\"",
            "\"1.2.3.4\"",
            "\"2001:DB8:0:0::1\"",
            "\"1:2:3:4:5:6:7::\"",
            "\"::1.2.3.4\"",
            "\"64:ff9b::192.0.2.33\"",
        ],
    ),
    ("ai", "Array(Nullable(Int32))", &["[]", "[null]", " [ 1 , null , -2147483648 ]"]),
    ("aa", "Array(Array(LowCardinality(String)))", &["[]", "[[]]", "[[],[\"\"],[]]"]),
    ("al", "Array(LowCardinality(Nullable(String)))", &["[]", "[null]", "[\"\",null]"]),
    ("at", "Array(DateTime64(3, 'UTC'))", &["[\"1969-12-31 23:59:59.999\"]"]),
    ("ae", "Array(Nullable(Enum16('a' = -300, 'b' = 1)))", &["[null,\"b\"]"]),
    ("ms", "Map(String, Float64)", &["{}", r#"{"":0.1}"#, r#"{"\u0000\"\\ é":-0.0}"#]),
    ("ml", "Map(LowCardinality(String), Array(Nullable(Decimal(38, 10))))", &["{}", r#"{"":[],"a":[null]}"#]),
    ("mi", "Map(Int16, Map(UUID, IPv6))", &[r#"{"-32768":{},"0":{}}"#]),
    ("me", "Map(Enum8('a' = 1, 'b' = 2), Bool)", &[r#"{"b":true,"a":false}"#]),
    ("mp", "Map(IPv4, Array(Map(Date, String)))", &[r#"{"1.2.3.4":[{},{"2024-02-29":""}]}"#]),
    (
        "j",
        "JSON",
        &[
            "{}",
            r#"{"a":{"b":[1,{"c":null,"d":[[]]},"x",true,null,1.5]},"":{"":0}}"#,
            r#"{"n":[9223372036854775807,18446744073709551615,-9223372036854775808],"f":[0.1,5e-324,1.7976931348623157e308]}"#,
            r#"{"t":["2026-01-01","2026-01-01 00:00:00"],"d":"2026-01-01T00:00:00Z","i":"1","b":[true,1],"s":[true,"x"]}"#,
            r#"{"\u0061\n\u0000\"`":"\ud83d\ude00\\","null":null,"e":{},"o":[{},{"x":{}}]}"#,
        ],
    ),
    ("aj", "Array(JSON)", &["[]", r#"[{},{"a":[{}]}]"#]),
    ("mj", "Map(String, JSON)", &["{}", r#"{"a":{"b":{"c":1}},"b":{}}"#]),
    ("k1", "Int64", &["0"]),
    ("k2", "String", &["\"x\""]),
];

const ROWS: usize = 2_000;

fn fields() -> Vec<Field> {
    let plain = TYPES.iter().map(|(name, of, _)| field(name, of));
    let nullable = TYPES
        .iter()
        .map(|(name, of, _)| Field { nullable: true, ..field(&format!("n_{name}"), of) })
        .filter(|field| !field.column_type.is_composite());
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
        "IPv4" => format!("\"{}\"", Ipv4Addr::from(random.random::<u32>())),
        "IPv6" => {
            // Words of zeros, so that something can be left out.
            let words = [(); 8].map(|()| if random.random() { 0 } else { random.random::<u16>() });
            format!("\"{}\"", Ipv6Addr::from(words))
        }
        "JSON" => object(random, 1).to_string(),
        other => composite(random, &other.parse().unwrap()),
    }
}

fn composite(random: &mut StdRng, of: &ColumnType) -> String {
    let count = if random.random_range(0..50) == 0 { 300 } else { random.random_range(0..4) };
    let element = |random: &mut StdRng, element: &Element| match random.random_range(0..4) {
        0 if element.nullable => "null".to_owned(),
        _ => value(random, &element.column_type.to_string()),
    };
    match of {
        ColumnType::Enum8(names) | ColumnType::Enum16(names) => {
            let (name, _) = names.iter().nth(random.random_range(0..2)).unwrap();
            serde_json::to_string(name).unwrap()
        }
        ColumnType::Array(of) => {
            let items: Vec<_> = (0..count).map(|_| element(random, of)).collect();
            format!("[{}]", items.join(","))
        }
        ColumnType::Map { key, value: of } => {
            let members: Vec<_> = (0..count)
                .filter_map(|number| {
                    Some(format!("{}:{}", key_of(random, key, number)?, element(random, of)))
                })
                .collect();
            format!("{{{}}}", members.join(","))
        }
        other => panic!("{other}"),
    }
}

/// The key of that number; no two are the same.
fn key_of(random: &mut StdRng, of: &ColumnType, number: u32) -> Option<String> {
    Some(match of {
        ColumnType::String => format!("\"{number}:{}", &text(random)[1..]),
        ColumnType::LowCardinalityString => format!("\"key {number}\""),
        ColumnType::Int16 => format!("\"{}\"", i64::from(number) - 3),
        ColumnType::Uuid => format!("\"00000000-0000-0000-0000-{number:012X}\""),
        ColumnType::Ipv4 => format!("\"{}\"", Ipv4Addr::from(number * 65_537)),
        ColumnType::Date => format!("\"2024-01-{:02}\"", Some(number + 1).filter(|day| *day <= 31)?),
        ColumnType::Enum8(names) => serde_json::to_string(names.iter().nth(number as usize)?.0).unwrap(),
        other => panic!("{other}"),
    })
}

fn object(random: &mut StdRng, depth: u32) -> Value {
    // The server makes a file, or more, of each path.
    const NAMES: [&str; 3] = ["a", "", "b`c é\"\\\n"];
    let members = (0..random.random_range(0..4)).map(|_| {
        let name = NAMES[random.random_range(0..NAMES.len())];
        (name.to_owned(), any(random, depth))
    });
    members.collect::<serde_json::Map<_, _>>().into()
}

fn any(random: &mut StdRng, depth: u32) -> Value {
    match random.random_range(0..if depth == 0 { 6 } else { 8 }) {
        0 => Value::Null,
        1 => Value::Bool(random.random()),
        2 => Value::from(random.random::<i64>() >> random.random_range(0..64)),
        3 => Value::from(random.random::<u64>()),
        4 => Value::from(f64::from(random.random::<i32>()) / 1024.0),
        5 => serde_json::from_str(&text(random)).unwrap(),
        6 => object(random, depth - 1),
        _ => {
            // Integers beside fractions would become fractions, and nulls alone
            // what other rows have in their arrays.
            let items = (0..random.random_range(0..4)).map(|_| any(random, depth - 1));
            let mut items: Vec<_> = items.filter(|item| !item.is_number() && !item.is_null()).collect();
            if items.first().is_some_and(Value::is_string) {
                items.push(Value::Null);
            }
            items.into()
        }
    }
}

fn message(random: &mut StdRng, id: usize) -> String {
    let mut out = format!("{{\"id\":{id}");
    for (prefix, nullable) in [("", false), ("n_", true)] {
        for (name, of, edges) in TYPES {
            if nullable && of.parse::<ColumnType>().unwrap().is_composite() {
                continue;
            }
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
    let layout = Layout::new(&fields);
    let (mut decoder, mut columns) =
        (Decoder::new(&fields, UnknownFields::Ignore, 1 << 20).unwrap(), Columns::new(&layout));
    for message in &messages {
        let row = RowId { offset: 0, timestamp_ms: 0 };
        let outcome = decoder.decode(&mut columns, message.as_bytes(), row);
        assert!(outcome.is_ok(), "{}: {message}", decoder.explain(&outcome.unwrap_err(), message.as_bytes()));
    }
    stack.publish(
        pipeline.topic(),
        (0..).zip(&messages).map(|(id, message): (i32, _)| Sent::value(id % 2, message.as_bytes())),
    );
    let plain = fields.iter().filter(|field| !field.column_type.is_composite());
    let names: Vec<String> = plain.map(|field| format!("`{}`", field.name)).collect();
    let names = names.join(", ");
    let other = format!("{DATABASE}.{}_json", pipeline.plan.sink.table);
    let columns: Vec<String> = fields
        .iter()
        .map(|field| format!("`{}` {}", field.name, caudal_model::ddl::column_type(field)))
        .collect();
    let create = format!("CREATE TABLE {other} ({}) ENGINE = MergeTree ORDER BY id", columns.join(", "));
    stack.clickhouse.query(&create).unwrap();
    // Differences decided: our floats are the nearest (the server's default
    // parser is off by a unit in the last place), our times without zone UTC,
    // and what stands in JSON stays what it was.
    let insert = format!(
        "INSERT INTO {other} SETTINGS input_format_skip_unknown_fields = 1, precise_float_parsing = 1, \
         date_time_input_format = 'best_effort', session_timezone = 'UTC', input_format_try_infer_dates = 0, \
         input_format_try_infer_datetimes = 0, input_format_json_read_bools_as_numbers = 0, \
         input_format_json_read_bools_as_strings = 0 FORMAT JSONEachRow {}",
        messages.join("\n")
    );
    stack.clickhouse.query(&insert).unwrap();

    let _ingestor = pipeline.start();
    pipeline.wait_rows(&stack, ROWS as u64);
    assert!(stack.read_all(pipeline.dead_letter_topic()).is_empty());
    for field in &fields {
        let name = &field.name;
        let equal = if field.column_type.is_composite() {
            format!("toString(a.`{name}`) = toString(b.`{name}`)")
        } else {
            format!("a.`{name}` <=> b.`{name}`")
        };
        let differences = stack.clickhouse.query(&format!(
            "SELECT id, toString(a.`{name}`), toString(b.`{name}`) FROM {} AS a INNER JOIN {other} AS b USING id \
             WHERE NOT ({equal}) ORDER BY id LIMIT 5",
            pipeline.table()
        ));
        assert_eq!(differences.unwrap(), "", "{name} {}", field.column_type);
    }
    let count = format!(
        "SELECT count() FROM (SELECT {names} FROM {} INTERSECT SELECT {names} FROM {other})",
        pipeline.table()
    );
    assert_eq!(stack.number(&count), ROWS as u64);
    keeps_json_as_it_was(&stack, &pipeline, &messages);
}

/// Apart from what a column for each path can't tell.
fn keeps_json_as_it_was(stack: &Stack, pipeline: &Pipeline, messages: &[String]) {
    let rows = format!(
        "SELECT id, j, aj, mj FROM {} ORDER BY id SETTINGS output_format_json_quote_64bit_integers = 0 \
         FORMAT JSONEachRow",
        pipeline.table()
    );
    let rows = stack.clickhouse.query(&rows).unwrap();
    for (row, message) in rows.lines().zip(messages) {
        let (row, message): (Value, Value) =
            (serde_json::from_str(row).unwrap(), serde_json::from_str(message).unwrap());
        let objects = |value: &Value| value.as_object().unwrap().values().map(seen).collect::<Vec<_>>();
        assert_eq!(seen(&row["j"]), seen(&message["j"]), "{message}");
        assert_eq!(seen(&json!([row["aj"]])), seen(&json!([message["aj"]])), "{message}");
        assert_eq!(objects(&row["mj"]), objects(&message["mj"]), "{message}");
    }
}

/// Without null members and empty objects, and numbers by their value.
fn seen(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let members = members.iter().map(|(name, value)| (name.clone(), seen(value)));
            let told = |value: &Value| !value.is_null() && value.as_object().is_none_or(|of| !of.is_empty());
            members.filter(|(_, value)| told(value)).collect::<BTreeMap<_, _>>().into_iter().collect()
        }
        Value::Array(items) => items.iter().map(seen).collect(),
        Value::Number(number) if number.is_f64() => match number.as_f64() {
            Some(float) if float.fract() == 0.0 && float.abs() < 1e15 => {
                serde_json::from_str(&format!("{float}")).unwrap()
            }
            _ => value.clone(),
        },
        other => other.clone(),
    }
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
        defaulted("tags", "Array(String)", json!([])),
        defaulted("more", "Map(String, Array(Nullable(Int8)))", json!({"a": [1, null]})),
        defaulted("state", "Enum8('new' = 1)", json!("new")),
        defaulted("address", "IPv6", json!("::1")),
        defaulted("other", "JSON", json!({})),
    ];
    let pipeline = Pipeline::create(&stack, Spec { fields, ..Spec::default() });
    let messages = [r#"{"id":1}"#, r#"{"id":2,"n":null,"m":"x","text":""}"#];
    stack.publish(pipeline.topic(), messages.map(|message| Sent::value(0, message)));
    let _ingestor = pipeline.start();
    pipeline.wait_rows(&stack, 2);
    let rows = stack
        .clickhouse
        .query(&format!(
            "SELECT id, text, kind, price, at, n, m, tags, more, state, address, other FROM {} ORDER BY id",
            pipeline.table()
        ))
        .unwrap();
    assert_eq!(
        rows,
        "1\tunknown\tplain\t9.99\t2026-11-22 13:00:00.000\t7\t\\N\t[]\t{'a':[1,NULL]}\tnew\t::1\t{}\n2\t\tplain\t9.99\t\
         2026-11-22 13:00:00.000\t\\N\tx\t[]\t{'a':[1,NULL]}\tnew\t::1\t{}"
    );
}
