//! Values within objects.

use super::*;
use crate::block::Encoded;

/// `path` as `from` spells it, without escapes.
fn at(name: &str, path: &str, of: &str) -> Field {
    Field { path: path.split('/').map(str::to_owned).collect(), ..field(name, of) }
}

fn nullable(field: Field) -> Field {
    Field { nullable: true, ..field }
}

/// A customer with an address, and a key with a dot.
fn customer() -> Vec<Field> {
    vec![
        field("id", "Int32"),
        at("name", "customer/name", "String"),
        nullable(at("city", "customer/address/city", "LowCardinality(String)")),
        Field { default: Some(json!("00000")), ..at("zip", "customer/address/zip", "String") },
        nullable(at("deep", "a/b/c/d/e/f/g/h", "Int8")),
        nullable(at("time", "event.time", "String")),
    ]
}

/// The text columns `name`, `city` and `zip` of the only row; `-` is NULL.
fn row(table: &mut Table, message: &str) -> Result<String, Reason> {
    table.decode(message.as_bytes()).map_err(|reject| reject.reason)?;
    let texts = table.columns.fields[1..4].iter().map(|column| match column.single() {
        Encoded::Text(text) => String::from_utf8(text).unwrap(),
        Encoded::Null => "-".into(),
        Encoded::Fixed(bytes) => panic!("{bytes:?}"),
    });
    let row = texts.collect::<Vec<_>>().join(" ");
    table.columns.discard(&table.layout);
    Ok(row)
}

#[test]
fn values_are_read_where_their_paths_lead() {
    for (message, expected) in [
        (r#"{"id":1,"customer":{"name":"n","address":{"city":"c","zip":"z"}}}"#, "n c z"),
        (r#"{"customer":{"address":{"zip":"z","city":"c"},"name":"n"},"id":1}"#, "n c z"),
        (" { \"customer\" : { \"name\" : \"n\" , \"address\" : { } } , \"id\" : 1 } ", "n - 00000"),
        // Absent and null objects are the same.
        (r#"{"id":1,"customer":{"name":"n"}}"#, "n - 00000"),
        (r#"{"id":1,"customer":{"name":"n","address":null}}"#, "n - 00000"),
        (r#"{"id":1,"customer":{"address":null,"name":"n"},"a":null}"#, "n - 00000"),
        (r#"{"id":1,"customer":{"name":"n","address":{"city":null}}}"#, "n - 00000"),
        // Names in other places are other members.
        (r#"{"name":"x","city":"x","customer":{"zip":"x","name":"n","id":"x"},"id":1}"#, "n - 00000"),
        // Keys are compared as what they say.
        (r#"{"id":1,"c\u0075stomer":{"n\u0061me":"n","address":{"\u0063ity":"c"}}}"#, "n c 00000"),
        (r#"{"id":1,"customer":{"name":"n"},"a":{"b":{"c":{"d":{"e":{"f":{"g":{"h":1}}}}}}}}"#, "n - 00000"),
    ] {
        assert_eq!(row(&mut Table::new(&customer()), message).as_deref(), Ok(expected), "{message}");
    }
}

#[test]
fn what_is_on_the_way_has_to_be_an_object_and_there_once() {
    for (message, reason, explained) in [
        (r#"{"id":1}"#, Reason::MissingField, r#"field "name" at byte 8"#),
        (r#"{"id":1,"customer":null}"#, Reason::MissingField, r#"field "name" at byte 24"#),
        (r#"{"id":1,"customer":{"name":null}}"#, Reason::NullField, r#"field "name" at byte 31"#),
        (
            r#"{"customer":{"name":"n","address":{"zip":null}}}"#,
            Reason::NullField,
            r#"field "zip" at byte 45"#,
        ),
        (r#"{"customer":5}"#, Reason::WrongType, r#"object "customer" at byte 13"#),
        (r#"{"customer":[{"name":"n"}]}"#, Reason::WrongType, r#"object "customer" at byte 26"#),
        (r#"{"customer":{"address":"n"}}"#, Reason::WrongType, r#"object "customer.address" at byte 26"#),
        (r#"{"customer":true}"#, Reason::WrongType, r#"object "customer" at byte 16"#),
        (
            r#"{"customer":{},"customer":{"name":"n"}}"#,
            Reason::DuplicateKey,
            r#"object "customer" at byte 26"#,
        ),
        (r#"{"customer":null,"customer":{}}"#, Reason::DuplicateKey, r#"object "customer" at byte 28"#),
        (r#"{"customer":{},"c\u0075stomer":null}"#, Reason::DuplicateKey, r#"object "customer" at byte 31"#),
        (
            r#"{"customer":{"address":{"zip":"1","zip":"1"}}}"#,
            Reason::DuplicateKey,
            r#"field "zip" at byte 40"#,
        ),
        (
            r#"{"customer":{"address":{},"address":{}}}"#,
            Reason::DuplicateKey,
            r#"object "customer.address" at byte 36"#,
        ),
        (r#"{"event.time":1}"#, Reason::WrongType, r#"field "time" at byte 15"#),
        (r#"{"customer":{"name":"n"}"#, Reason::InvalidJson, "at byte 24"),
        (r#"{"customer":{"name":"n",}}"#, Reason::InvalidJson, "at byte 24"),
        (r#"{"customer":{,"name":"n"}}"#, Reason::InvalidJson, "at byte 13"),
        (r#"{"customer":{"name":"n"]}"#, Reason::InvalidJson, "at byte 23"),
        (r#"{"customer":nul,"id":1}"#, Reason::InvalidJson, r#"object "customer" at byte 12"#),
        (r#"{"customer":}"#, Reason::InvalidJson, "at byte 12"),
        (r#"{"customer":{"name":"n"}}}"#, Reason::InvalidJson, "at byte 25"),
    ] {
        // With and without a guess.
        let mut table = Table::new(&customer());
        for _ in 0..2 {
            let reject = table.decode(message.as_bytes()).unwrap_err();
            let said = table.decoder.explain(&reject, message.as_bytes());
            assert_eq!((reject.reason, said.as_str()), (reason, explained), "{message}");
            table
                .decode(br#"{"id":1,"customer":{"name":"n","address":{"zip":"z"}},"event.time":"t"}"#)
                .unwrap();
        }
    }
}

#[test]
fn depth_is_counted_from_the_message() {
    let mut table = Table::new(&[nullable(at("n", "a/b/n", "Int8"))]);
    let deep =
        |depth: usize| format!(r#"{{"a":{{"b":{{"x":{}{}}}}}}}"#, "[".repeat(depth), "]".repeat(depth));
    assert_eq!(table.reason(deep(61).as_bytes()), None);
    assert_eq!(table.reason(deep(62).as_bytes()), Some(Reason::TooDeep));
    assert_eq!(table.reason(deep(1_000_000 / 2 - 20).as_bytes()), Some(Reason::TooDeep));
    let objects = |depth: usize| format!(r#"{{"a":{}"#, r#"{"b":"#.repeat(depth));
    assert_eq!(table.reason(objects(100_000).as_bytes()), Some(Reason::TooDeep));
}

#[test]
fn fields_that_stand_in_each_others_way_are_no_plan() {
    for fields in [
        [at("a", "x/y", "Int8"), at("b", "x/y", "Int8")],
        [at("a", "x/y", "Int8"), at("b", "x", "Int8")],
        [at("a", "x", "Int8"), at("b", "x/y", "Int8")],
    ] {
        let error = Decoder::new(&fields, UnknownFields::Ignore, 1).err().unwrap();
        assert!(error.to_string().contains("read field \"b\""), "{error}");
    }
}

const KEYS: [&str; 14] =
    ["id", "customer", "name", "address", "city", "zip", "a", "b", "c", "x", "y", "event.time", "", "sen"];

/// Habits of a producer that only sends what fields read.
const PLAIN: u32 = 100;

/// The members of an object in its usual order, with what else there may be.
fn object(random: &mut StdRng, keys: &[(&str, &str)], habits: u32) -> String {
    let mut members: Vec<String> = Vec::new();
    let plain = habits == PLAIN;
    for (key, usual) in keys.iter().filter(|(_, usual)| !plain || *usual != "any") {
        let value = match usual.split_once('/') {
            Some(("customer", _)) => {
                let keys = [("name", "text"), ("address", "address/"), ("x", "any")];
                object(random, &keys, habits)
            }
            Some(("address", _)) => object(random, &[("city", "text"), ("zip", "text")], habits),
            Some(("a", _)) => object(random, &[("b", "b/")], habits),
            Some(_) => object(random, &[("c", "number"), ("x", "any")], habits),
            None if *usual == "number" => random.random_range(-5..300_i32).to_string(),
            None if *usual == "text" => {
                format!("\"{}\"", ["", "abc", "é\\n", "0"][random.random_range(0..4)])
            }
            None => ["null", "[1,{\"a\":\"\\u0041\"}]", "{}", "-5e-5", "{\"id\":1}"]
                [random.random_range(0..5)]
            .into(),
        };
        match random.random_range(0..habits) {
            0 => members.push(format!("\"{key}\":null")),
            1 => {}
            2 => members.push(format!("\"{key}\" : {value}")),
            3 => {
                members.push(format!("\"{key}\":{value}"));
                members.push(format!("\"{}\":{value}", KEYS[random.random_range(0..KEYS.len())]));
            }
            4 => members.insert(0, format!("\"{key}\":{value}")),
            _ => members.push(format!("\"{key}\":{value}")),
        }
    }
    format!("{{{}}}", members.join(","))
}

/// A message of a producer with habits, mostly.
fn message(random: &mut StdRng) -> Vec<u8> {
    let keys =
        [("id", "number"), ("customer", "customer/"), ("x", "any"), ("a", "a/"), ("event.time", "text")];
    let habits = [PLAIN, 1_000, 40, 8][random.random_range(0..4)];
    let mut message = object(random, &keys, habits).into_bytes();
    if random.random_range(0..6) == 0 {
        mangle(random, &mut message);
    }
    message
}

/// The template never changes what becomes of a message, nested or not, and
/// whatever becomes of unknown members.
#[test]
fn guessing_finds_what_parsing_finds_in_objects() {
    for unknown_fields in [UnknownFields::Ignore, UnknownFields::Reject, UnknownFields::Store] {
        let mut random = StdRng::seed_from_u64(20_261_126);
        let mut fields = customer();
        fields[4] = nullable(at("deep", "a/b/c", "Int8"));
        let tables = [(); 2].map(|()| Table::with(&fields, unknown_fields));
        let (accepted, refused) = guessed_as_parsed(tables, 40, || message(&mut random));
        assert!(refused > 2_000, "{unknown_fields:?}: {accepted} accepted, {refused} refused");
        assert!(accepted > 500, "{unknown_fields:?}: {accepted} accepted, {refused} refused");
    }
}

#[test]
fn a_producer_with_habits_surprises_once() {
    let fields = customer();
    let mut table = Table::new(&fields);
    let message = |id: i32| {
        let city = if id % 2 == 0 { "\"c\"" } else { "null" };
        format!(
            r#"{{"id":{id},"x":[{id}],"customer":{{"name":"n{id}","address":{{"city":{city},"zip":"{id}"}},"y":{id}}},"a":null,"event.time":"t"}}"#
        )
    };
    table.decode(message(0).as_bytes()).unwrap();
    for id in 1..100 {
        table.decode(message(id).as_bytes()).unwrap();
        assert!(!table.decoder.template.surprised(), "{id}");
    }
}
