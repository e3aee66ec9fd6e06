//! Values within objects, moments in other formats, and members that no field
//! reads, from Kafka to the table and the dead letters.

use caudal_model::plan::Field;
use caudal_model::resource::{TimestampFormat, UnknownFields};

use super::letters::header;
use super::pipeline::{Pipeline, Spec, field};
use super::stack::{Sent, Stack, stack};

fn at(name: &str, path: &[&str], of: &str) -> Field {
    Field { path: path.iter().map(|key| (*key).to_owned()).collect(), ..field(name, of) }
}

fn fields() -> Vec<Field> {
    let moment = |name: &str, of: &str, timestamp_format| Field {
        timestamp_format,
        nullable: true,
        ..at(name, &["time", name], of)
    };
    vec![
        field("id", "Int64"),
        Field { nullable: true, ..at("city", &["customer", "address", "city"], "LowCardinality(String)") },
        Field { default: Some("none".into()), ..at("vat", &["customer", "vat.id"], "String") },
        moment("unix", "DateTime64(6, 'UTC')", TimestampFormat::UnixSeconds),
        moment("ms", "DateTime64(3, 'UTC')", TimestampFormat::UnixMilliseconds),
        moment("http", "DateTime64(0, 'UTC')", TimestampFormat::Rfc2822),
        moment("log", "DateTime64(0, 'UTC')", TimestampFormat::CommonLog),
        moment("day", "Date", TimestampFormat::Iso8601Basic),
    ]
}

/// All rows, and reason and detail of all dead letters.
fn outcome(stack: &Stack, pipeline: &Pipeline, columns: &str, messages: &[&str]) -> (String, Vec<String>) {
    stack.publish(pipeline.topic(), messages.iter().map(|message| Sent::value(0, *message)));
    let _ingestor = pipeline.start();
    pipeline.wait_committed(stack, 0, messages.len().try_into().unwrap());
    let sql = format!("SELECT {columns} FROM {} ORDER BY id FORMAT TSVRaw", pipeline.table());
    let letters = stack.read_all(pipeline.dead_letter_topic());
    let told = letters.iter().map(|letter| {
        let text = |name| header(letter, name).unwrap_or_default();
        format!("{}: {}", text("caudal.reason"), text("caudal.detail"))
    });
    (stack.clickhouse.query(&sql).unwrap(), told.collect())
}

#[test]
fn nested_messages_become_rows_and_keep_what_no_field_reads() {
    let stack = stack();
    let spec = Spec { fields: fields(), unknown_fields: UnknownFields::Store, ..Spec::default() };
    let pipeline = Pipeline::create(&stack, spec);
    let (rows, letters) = outcome(
        &stack,
        &pipeline,
        "*",
        &[
            r#"{"id":1,"customer":{"address":{"city":"Lima"},"vat.id":"PE1"},"time":{"unix":1700000000.123456,
               "ms":"1700000000123","http":"Tue, 14 Nov 2023 22:13:20 GMT","log":"14/Nov/2023:17:13:20 -0500","day":"20231114"}}"#,
            r#"{"id":2,"customer":{"address":null,"vip":true},"extra":[1, 2.50],"time":{"zone":"x"}}"#,
            r#"{"id":3,"c\u0075stomer":{"address":{"zip":"é\u0041"}},"extra":1,"extra":2}"#,
            r#"{"id":4,"customer":"none"}"#,
            r#"{"id":5,"customer":{},"customer":{}}"#,
            r#"{"id":6,"time":{"http":"Mon, 14 Nov 2023 22:13:20 GMT"}}"#,
            r#"{"id":7}"#,
        ],
    );
    let columns = [
        "1 Lima PE1 2023-11-14_22:13:20.123456 2023-11-14_22:13:20.123 2023-11-14_22:13:20 2023-11-14_22:13:20 2023-11-14 {}",
        r#"2 \N none \N \N \N \N \N {"customer":{"vip":true},"extra":[1,_2.50],"time":{"zone":"x"}}"#,
        r#"3 \N none \N \N \N \N \N {"c\u0075stomer":{"address":{"zip":"é\u0041"}},"extra":1,"extra":2}"#,
        r"7 \N none \N \N \N \N \N {}",
    ];
    // Metadata follows.
    let rows: Vec<String> = rows
        .lines()
        .map(|row| row.replace(' ', "_").split('\t').take(9).collect::<Vec<_>>().join(" "))
        .collect();
    assert_eq!(rows, columns);
    assert_eq!(
        letters,
        [
            r#"WrongType: object "customer" at byte 25"#,
            r#"DuplicateKey: object "customer" at byte 33"#,
            r#"WrongType: field "http" at byte 54"#,
        ]
    );
    // ClickHouse reads what is kept.
    let extract =
        format!("SELECT JSONExtractBool(_unknown, 'customer', 'vip') FROM {} WHERE id = 2", pipeline.table());
    assert_eq!(stack.number(&extract), 1);
}

#[test]
fn members_that_no_field_reads_are_refused_by_name() {
    let stack = stack();
    let spec = Spec { fields: fields(), unknown_fields: UnknownFields::Reject, ..Spec::default() };
    let pipeline = Pipeline::create(&stack, spec);
    let (rows, letters) = outcome(
        &stack,
        &pipeline,
        "id, city",
        &[
            r#"{"id":1,"customer":{"address":{"city":"Lima"}}}"#,
            r#"{"id":2,"customer":{"address":{"city":"Lima","zip":"1"}}}"#,
            r#"{"id":3,"customers":[]}"#,
            r#"{"id":4}"#,
        ],
    );
    assert_eq!(rows, "1\tLima\n4\t\\N");
    assert_eq!(
        letters,
        [
            r#"UnknownField: member "customer.address.zip" at byte 45"#,
            r#"UnknownField: member "customers" at byte 8"#
        ]
    );
}
