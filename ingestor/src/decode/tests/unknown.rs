//! Members that no field reads.

use serde_json::Value;

use super::*;
use crate::block::Encoded;

fn fields() -> Vec<Field> {
    let at = |name: &str, path: &str| Field {
        path: path.split('.').map(str::to_owned).collect(),
        nullable: true,
        ..field(name, "String")
    };
    vec![
        Field { nullable: true, ..field("id", "Int32") },
        at("city", "customer.address.city"),
        at("name", "customer.name"),
        at("e", "other.e"),
    ]
}

/// What is kept of a message.
fn kept(table: &mut Table, message: &[u8]) -> String {
    table.decode(message).unwrap();
    let text = match table.columns.fields.last().unwrap().single() {
        Encoded::Text(text) => String::from_utf8(text).unwrap(),
        other => panic!("{other:?}"),
    };
    table.columns.discard(&table.layout);
    text
}

#[test]
fn unknown_members_are_kept_as_they_are_written() {
    for (message, expected) in [
        ("{}", "{}"),
        (r#"{"id":1,"customer":{"name":"n","address":{"city":"c"}}}"#, "{}"),
        (r#"{"customer":{"address":{}},"other":null}"#, "{}"),
        (r#"{"a":1,"id":1,"b":"é\u0041"}"#, r#"{"a":1,"b":"é\u0041"}"#),
        ("{ \"a\" : [ 1 , 2.50e+1 ] , \"b\"\n:\t{ } }", "{\"a\":[ 1 , 2.50e+1 ],\"b\":{ }}"),
        // Of objects that paths lead through, only what no field reads.
        (
            r#"{"customer":{"name":"n","vip":true,"address":{"zip":"1","city":"c"}}}"#,
            r#"{"customer":{"vip":true,"address":{"zip":"1"}}}"#,
        ),
        (
            r#"{"customer":{"address":{"zip":"1"},"vip":true},"x":0,"other":{"f":null}}"#,
            r#"{"customer":{"address":{"zip":"1"},"vip":true},"x":0,"other":{"f":null}}"#,
        ),
        (
            r#"{"customer":{"address":{"zip":1}},"other":{"f":2}}"#,
            r#"{"customer":{"address":{"zip":1}},"other":{"f":2}}"#,
        ),
        // Keys as they are spelled; the same one as often as it comes.
        (r#"{"\u0061":1,"a":2,"a":{"a":1,"a":1}}"#, r#"{"\u0061":1,"a":2,"a":{"a":1,"a":1}}"#),
        (r#"{"c\u0075stomer":{"x":1}}"#, r#"{"c\u0075stomer":{"x":1}}"#),
        (r#"{"":{"":0},"_unknown":1,"name":"no path"}"#, r#"{"":{"":0},"_unknown":1,"name":"no path"}"#),
        (r#"{"n":123456789012345678901234567890e999}"#, r#"{"n":123456789012345678901234567890e999}"#),
    ] {
        let mut table = Table::with(&fields(), UnknownFields::Store);
        for _ in 0..3 {
            assert_eq!(kept(&mut table, message.as_bytes()), expected, "{message}");
        }
    }
}

/// What no field reads, by another parser; `None` where objects on the way are
/// none.
fn expected(mut message: Value) -> Value {
    fn without(object: &mut Value, keys: &[&str]) {
        let Some(members) = object.as_object_mut() else { return };
        match keys {
            [] => {}
            [last] => drop(members.remove(*last)),
            [first, rest @ ..] => {
                let Some(inner) = members.get_mut(*first) else { return };
                without(inner, rest);
                if inner.is_null() || inner.as_object().is_some_and(serde_json::Map::is_empty) {
                    members.remove(*first);
                }
            }
        }
    }
    for path in [&["id"][..], &["customer", "address", "city"], &["customer", "name"], &["other", "e"]] {
        without(&mut message, path);
    }
    message
}

fn any(random: &mut StdRng, depth: u32) -> Value {
    match random.random_range(0..if depth == 0 { 4 } else { 6 }) {
        0 => Value::Null,
        1 => json!(random.random_range(0..10)),
        2 => json!("text \"quoted\" é\n"),
        3 => json!(true),
        4 => (0..random.random_range(0..3)).map(|_| any(random, depth - 1)).collect(),
        _ => {
            let keys = ["a", "id", "city", "x.y", "", "\"", "customer"];
            let members = (0..random.random_range(0..4))
                .map(|_| (keys[random.random_range(0..keys.len())].to_owned(), any(random, depth - 1)));
            Value::Object(members.collect())
        }
    }
}

#[test]
fn what_is_kept_is_what_another_parser_finds_besides_the_fields() {
    let mut random = StdRng::seed_from_u64(3);
    let mut table = Table::with(&fields(), UnknownFields::Store);
    for _ in 0..5_000 {
        let mut message = json!({"id": random.random_range(0..9)});
        for key in ["b", "customer", "other", "z"] {
            let object = matches!(key, "customer" | "other");
            let mut value = any(&mut random, 3);
            if object && !value.is_null() {
                value = json!({"name": "n", "e": "e", "more": value});
                if random.random_range(0..3) > 0 {
                    value["address"] = json!({"city": "c", "more": any(&mut random, 1)});
                }
            }
            if random.random_range(0..4) > 0 {
                message[key] = value;
            }
        }
        if let Some(inner) = message["other"].as_object_mut() {
            inner.remove("address");
        }
        let text = message.to_string();
        let found: Value = serde_json::from_str(&kept(&mut table, text.as_bytes())).unwrap();
        // A null that was looked up.
        let message: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(found, expected(message), "{text}");
    }
}

#[test]
fn an_unknown_member_is_refused_by_its_name_and_place() {
    let long = "k".repeat(5_000);
    for (message, explained) in [
        (r#"{"id":1,"x":1}"#.to_owned(), r#"member "x" at byte 8"#.to_owned()),
        (r#"{"id":1,"ID":1}"#.to_owned(), r#"member "ID" at byte 8"#.to_owned()),
        (
            r#"{"customer":{"name":"n","x.y":[]}}"#.to_owned(),
            r#"member "customer.x\\.y" at byte 24"#.to_owned(),
        ),
        (
            r#"{"customer":{"address":{"\u0000\"":{}}}}"#.to_owned(),
            r#"member "customer.address.\0\"" at byte 24"#.to_owned(),
        ),
        (format!("{{\"{long}\":1}}"), format!("member \"{}…\" at byte 1", &long[..100])),
    ] {
        let mut table = Table::with(&fields(), UnknownFields::Reject);
        for _ in 0..3 {
            let reject = table.decode(message.as_bytes()).unwrap_err();
            assert_eq!(reject.reason, Reason::UnknownField, "{message:.60}");
            assert_eq!(table.decoder.explain(&reject, message.as_bytes()), explained);
            table.decode(br#"{"id":1,"customer":{"name":"n","address":{"city":"c"}}}"#).unwrap();
            table.decode(br#"{"id":1,"customer":null}"#).unwrap();
        }
    }
}

/// Whatever members come: what is remembered of them is bounded.
#[test]
fn a_million_unknown_members_leave_nothing_behind() {
    for unknown_fields in [UnknownFields::Ignore, UnknownFields::Store] {
        let mut table = Table::with(&fields(), unknown_fields);
        let mut sizes = Vec::new();
        for number in 0..100_000 {
            let members = (0..10).map(|n| format!(",\"k{number}_{n}\":{n}")).collect::<Vec<_>>().concat();
            let message = format!(r#"{{"id":1,"customer":{{"m{number}":0{members}}}{members}}}"#);
            table.decode(message.as_bytes()).unwrap();
            if number % 1_000 == 999 {
                table.columns.discard(&table.layout);
                sizes.push(table.decoder.held());
            }
        }
        assert!(sizes.iter().all(|size| *size < 64 << 10), "{unknown_fields:?} {sizes:?}");
        assert!(sizes[1..].windows(2).all(|pair| pair[0] + 1_000 > pair[1]), "{unknown_fields:?} {sizes:?}");
    }
}

#[test]
fn large_keys_are_not_remembered() {
    let mut table = Table::with(&fields(), UnknownFields::Ignore);
    for number in 0..100 {
        let key = |n: u32| format!(",\"{number}{}{n}\":0", "k".repeat(4_000));
        let members = (0..200).map(key).collect::<Vec<_>>().concat();
        table.decode(format!("{{\"id\":1{members}}}").as_bytes()).unwrap();
        assert!(table.decoder.held() < 256 << 10, "{}", table.decoder.held());
    }
}
