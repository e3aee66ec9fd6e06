//! Every operator on every type.

use serde_json::{Value, json};

use crate::common::{Api, Pipeline, clickhouse, encode};

/// Type, then three ascending values: as inserted, and as filtered for.
type Type = (&'static str, [Value; 3], [&'static str; 3]);

fn types() -> Vec<Type> {
    let same = |column_type, values: [Value; 3], texts| (column_type, values, texts);
    vec![
        same("Int8", [json!(-128), json!(0), json!(127)], ["-128", "0", "127"]),
        same("Int16", [json!(-32768), json!(0), json!(32767)], ["-32768", "0", "32767"]),
        same("Int32", [json!(i32::MIN), json!(-1), json!(i32::MAX)], ["-2147483648", "-1", "2147483647"]),
        same(
            "Int64",
            [json!(i64::MIN), json!(9_007_199_254_740_993_i64), json!(i64::MAX)],
            ["-9223372036854775808", "9007199254740993", "9223372036854775807"],
        ),
        same("UInt8", [json!(0), json!(1), json!(255)], ["0", "1", "255"]),
        same("UInt16", [json!(0), json!(1), json!(65535)], ["0", "1", "65535"]),
        same("UInt32", [json!(0), json!(1), json!(u32::MAX)], ["0", "1", "4294967295"]),
        same(
            "UInt64",
            [json!(0), json!(9_007_199_254_740_993_u64), json!(u64::MAX)],
            ["0", "9007199254740993", "18446744073709551615"],
        ),
        same("Float32", [json!(-1.5), json!(0.1), json!(3.0e38)], ["-1.5", "0.1", "3e38"]),
        same("Float64", [json!(-1e300), json!(0.1), json!(1e300)], ["-1e300", "0.1", "1e300"]),
        same(
            "Decimal(9, 2)",
            [json!("-9999999.99"), json!("0.01"), json!("12.50")],
            ["-9999999.99", "0.01", "12.5"],
        ),
        same(
            "Decimal(38, 10)",
            [json!("-1234567890123456789012345678.0123456789"), json!("0"), json!("0.0000000001")],
            ["-1234567890123456789012345678.0123456789", "0", "0.0000000001"],
        ),
        same(
            "String",
            [json!(""), json!("a,b\"c\\d'e\n\t\r\u{1}"), json!("ñ\u{1F600}")],
            ["", "a,b\"c\\d'e\n\t\r\u{1}", "ñ\u{1F600}"],
        ),
        same(
            "Date",
            [json!("1970-01-01"), json!("2024-02-29"), json!("2149-06-06")],
            ["1970-01-01", "2024-02-29", "2149-06-06"],
        ),
        same(
            "DateTime64(3)",
            [
                json!("1900-01-01T00:00:00.001Z"),
                json!("2024-03-31T01:30:00.120Z"),
                json!("2299-12-31T23:59:59.999Z"),
            ],
            ["1900-01-01T00:00:00.001Z", "2024-03-31T03:30:00.12+02:00", "2299-12-31 23:59:59.999"],
        ),
        same(
            "DateTime64(6, 'America/Argentina/Buenos_Aires')",
            [
                json!("2024-01-01T00:00:00.000001Z"),
                json!("2024-01-01T00:00:00.000002Z"),
                json!("2024-01-01T03:00:00Z"),
            ],
            ["2024-01-01T00:00:00.000001Z", "2024-01-01 00:00:00.000002", "2024-01-01T00:00:00-03:00"],
        ),
        same(
            "DateTime64(0, 'Asia/Tokyo')",
            [json!("2024-01-01T00:00:00Z"), json!("2024-01-01T00:00:01Z"), json!("2024-01-01T00:00:02Z")],
            ["2024-01-01T00:00:00Z", "2024-01-01T00:00:01Z", "2024-01-01T00:00:02Z"],
        ),
        same(
            "DateTime64(9)",
            [
                json!("1900-01-01T00:00:00.000000001Z"),
                json!("2262-01-01T00:00:00.000000000Z"),
                json!("2262-04-11T23:47:16.854775807Z"),
            ],
            ["1900-01-01T00:00:00.000000001Z", "2262-01-01T00:00:00Z", "2262-04-11T23:47:16.854775807Z"],
        ),
        same(
            "UUID",
            [
                json!("00000000-0000-0000-0000-000000000000"),
                json!("123e4567-e89b-12d3-a456-426614174000"),
                json!("ffffffff-ffff-ffff-ffff-ffffffffffff"),
            ],
            [
                "00000000-0000-0000-0000-000000000000",
                "123E4567-E89B-12D3-A456-426614174000",
                "ffffffff-ffff-ffff-ffff-ffffffffffff",
            ],
        ),
        // An enum is ordered by its numbers.
        same(
            "Enum8('z}' = -1, '' = 0, 'b\\'\\\\ é' = 1)",
            [json!("z}"), json!(""), json!("b'\\ é")],
            ["z}", "", "b'\\ é"],
        ),
        ("IPv4", [json!("0.0.0.0"), json!("9.0.0.1"), json!("10.0.0.1")], ["0.0.0.0", "9.0.0.1", "10.0.0.1"]),
        same(
            "IPv6",
            [json!("::"), json!("::ffff:192.0.2.1"), json!("2001:db8::1")],
            ["::", "192.0.2.1", "2001:DB8:0::1"],
        ),
    ]
}

const WORDS: [&str; 3] = ["", "b'", "ñ"];

/// What an operator selects of the rows 0, 1, 2, given the row it compares with.
type Operator = (&'static str, fn(usize, usize) -> bool);

const OPERATORS: [Operator; 6] = [
    ("eq", |row, with| row == with),
    ("neq", |row, with| row != with),
    ("gt", |row, with| row > with),
    ("gte", |row, with| row >= with),
    ("lt", |row, with| row < with),
    ("lte", |row, with| row <= with),
];

/// A table with a nullable field of each type, and three rows for it.
fn one_of_each() -> (Vec<Type>, Pipeline, Vec<Value>) {
    let types = types();
    let fields: Vec<String> = (types.iter().enumerate())
        .map(|(number, (column_type, ..))| format!("f{number}: {column_type}?"))
        .chain(["id: Int64".to_owned(), "word: LowCardinality(String)".to_owned(), "flag: Bool".to_owned()])
        .collect();
    let fields: Vec<&str> = fields.iter().map(String::as_str).collect();
    let pipeline = Pipeline::create(clickhouse(), &fields, &["id"]);
    let row = |row: usize| {
        let mut value = json!({"id": row, "word": WORDS[row], "flag": row == 2});
        for (number, (_, values, _)) in types.iter().enumerate() {
            value[format!("f{number}")] = values[row].clone();
        }
        value
    };
    let rows = (0..3).map(row).collect();
    (types, pipeline, rows)
}

#[test]
fn every_operator_compares_every_type_exactly_and_skips_nulls() {
    let (types, pipeline, mut rows) = one_of_each();
    rows.push(json!({"id": 3, "word": "~", "flag": true}));
    pipeline.insert(clickhouse(), &rows, |number| (0, number));
    let api = Api::serve(&pipeline);

    for (number, (column_type, _, texts)) in types.iter().enumerate() {
        for (with, text) in texts.iter().enumerate() {
            for (operator, selects) in OPERATORS {
                let found = api.column(&format!("/v1/records?f{number}={operator}.{}", encode(text)), "id");
                let expected: Vec<_> =
                    (0..3).filter(|row| selects(*row, with)).map(|row| json!(row)).collect();
                assert_eq!(found, expected, "{column_type} {operator} {text:?}");
            }
        }
        let quoted = |text: &str| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
        let list = format!("({},{})", quoted(texts[2]), quoted(texts[0]));
        let found = api.column(&format!("/v1/records?f{number}=in.{}", encode(&list)), "id");
        assert_eq!(found, [json!(0), json!(2)], "{column_type} in {list}");
    }
    assert_eq!(api.column(&format!("/v1/records?word=eq.{}", encode("b'")), "id"), [json!(1)]);
    assert_eq!(api.column("/v1/records?word=in.(%22%22,~)", "id"), [json!(0), json!(3)]);
    assert_eq!(api.column("/v1/records?flag=eq.true", "id"), [json!(2), json!(3)]);
    assert_eq!(api.column("/v1/records?flag=lt.true&id=gt.0", "id"), [json!(1)]);
    assert_eq!(api.column("/v1/records?_kafka_offset=gte.2&select=id", "id"), [json!(2), json!(3)]);
}

#[test]
fn values_come_out_as_they_went_in() {
    let (types, pipeline, rows) = one_of_each();
    pipeline.insert(clickhouse(), &rows, |number| (0, number));
    let api = Api::serve(&pipeline);
    for (row, inserted) in rows.iter().enumerate() {
        let text = api.get(&format!("/v1/records/{row}")).text().unwrap();
        let read: Value = serde_json::from_str(&text).unwrap();
        assert_eq!((&read["data"]["word"], &read["data"]["flag"]), (&inserted["word"], &inserted["flag"]));
        for (number, (column_type, ..)) in types.iter().enumerate() {
            let name = format!("f{number}");
            let expected = match &inserted[&name] {
                Value::Number(number) if column_type.starts_with("Float") => {
                    let (found, number) = (read["data"][&name].as_f64().unwrap(), number.as_f64().unwrap());
                    assert!((found - number).abs() <= number.abs() * 1e-7, "{column_type} {number}: {found}");
                    continue;
                }
                // Numbers, with every digit, without zeros at the end.
                Value::String(text) if column_type.starts_with("Decimal") => {
                    text.strip_suffix('0').filter(|rest| rest.contains('.')).unwrap_or(text).to_owned()
                }
                Value::String(text) if column_type.starts_with("DateTime64(6") && !text.contains('.') => {
                    format!("\"{}\"", text.replace('Z', ".000000Z"))
                }
                other => other.to_string(),
            };
            let part = format!("\"{name}\":{expected}");
            assert!(text.contains(&part), "{column_type}: {part} in\n{text}");
        }
    }
}
