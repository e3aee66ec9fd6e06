use caudal_model::plan::Field;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::json;

use super::*;

mod moments;
mod paths;
mod unknown;

const TYPES: [&str; 19] = [
    "UInt64",
    "DateTime64(3)",
    "LowCardinality(String)",
    "String",
    "Float64",
    "Int32",
    "Bool",
    "Decimal(18, 2)",
    "UUID",
    "Date",
    "Float32",
    "Decimal(60, 4)",
    "Enum16('new' = -300, 'it\\'s é' = 7)",
    "IPv4",
    "IPv6",
    "Array(Nullable(Int32))",
    "Map(LowCardinality(String), Array(LowCardinality(Nullable(String))))",
    "Array(Map(UInt8, String))",
    "JSON",
];

fn field(name: &str, column_type: &str) -> Field {
    Field::new(name, column_type.parse().unwrap())
}

/// A decoder, its columns, and what was refused.
struct Table {
    layout: Layout,
    decoder: Decoder,
    columns: Columns,
}

impl Table {
    fn new(fields: &[Field]) -> Self {
        Self::with(fields, UnknownFields::Ignore)
    }

    fn with(fields: &[Field], unknown_fields: UnknownFields) -> Self {
        let layout = Layout::new(&caudal_model::plan::columns(fields, unknown_fields));
        let columns = Columns::new(&layout);
        Self { decoder: Decoder::new(fields, unknown_fields, 1 << 20).unwrap(), columns, layout }
    }

    fn of(fields: &[(&str, &str)]) -> Self {
        Self::new(&fields.iter().map(|(name, of)| field(name, of)).collect::<Vec<_>>())
    }

    fn decode(&mut self, message: &[u8]) -> Result<(), Reject> {
        self.decoder.decode(&mut self.columns, message, RowId { offset: 0, timestamp_ms: 0 })
    }

    fn reason(&mut self, message: &[u8]) -> Option<Reason> {
        self.decode(message).err().map(|reject| reject.reason)
    }

    fn wire(&mut self) -> Vec<u8> {
        self.columns.seal(&self.layout, 0, 0).pieces().concat()
    }
}

/// What a text column holds after `message`, or why it was refused.
fn text(message: &[u8]) -> Result<Vec<u8>, Reason> {
    let mut table = Table::of(&[("t", "String")]);
    table.decode(message).map_err(|reject| reject.reason)?;
    match table.columns.fields[0].single() {
        crate::block::Encoded::Text(text) => Ok(text),
        other => panic!("{other:?}"),
    }
}

#[test]
fn json_is_what_the_grammar_says() {
    let deep = |depth: usize| format!(r#"{{"x":{}{},"n":1}}"#, "[".repeat(depth), "]".repeat(depth));
    for good in [
        r#"{"n":1}"#,
        " \t\r\n{ \"n\" : 1 } \n",
        r#"{"x":[1,[],{},{"a":[null,true,false,"s",-0.5e+3]}],"n":1}"#,
        r#"{"n":1,"x":"\u0000\ud83d\ude00"}"#,
        r#"{"\u006e":1}"#,
        r#"{"":0,"n":1,"":2}"#,
        r#"{"x":1,"x":2,"n":1}"#,
        r#"{"n":-0}"#,
        r#"{"x":1e999,"n":1}"#,
        &deep(63),
    ] {
        assert_eq!(Table::of(&[("n", "Int8")]).reason(good.as_bytes()), None, "{good}");
    }
    for bad in [
        "{",
        "}",
        "{}{}",
        r#"{"n":1}x"#,
        r#"{"n":1}}"#,
        r#"{"n":1,}"#,
        r#"{,"n":1}"#,
        r#"{"n" 1}"#,
        r#"{"n":}"#,
        r#"{"n":1 "x":2}"#,
        r"{n:1}",
        r"{'n':1}",
        r#"{"n":01}"#,
        r#"{"n":+1}"#,
        r#"{"n":1.}"#,
        r#"{"n":.1}"#,
        r#"{"n":1e}"#,
        r#"{"n":--1}"#,
        r#"{"n":-}"#,
        r#"{"n":0x1}"#,
        r#"{"n":NaN}"#,
        r#"{"n":tru}"#,
        r#"{"x":nul,"n":1}"#,
        r#"{"x":True,"n":1}"#,
        r#"{"x":[1,],"n":1}"#,
        r#"{"x":[1 2],"n":1}"#,
        r#"{"x":[1}],"n":1}"#,
        r#"{"x":{"a"},"n":1}"#,
        r#"{"x":"\x","n":1}"#,
        r#"{"x":"\u12g4","n":1}"#,
        r#"{"x":"\ud800","n":1}"#,
        r#"{"x":"\ud800\u0041","n":1}"#,
        r#"{"x":"\udc00","n":1}"#,
        "{\"x\":\"\t\",\"n\":1}",
        "{\"x\":\"unterminated,\"n\":1}",
        "{\"n\":1}\0",
        "\u{feff}{\"n\":1}",
        "{\"n\":1/**/}",
        r#"{"n":1,"#,
        r#"{"n":"#,
        r#"{"n""#,
        r#"{"n"#,
        "x",
    ] {
        assert_eq!(Table::of(&[("n", "Int8")]).reason(bad.as_bytes()), Some(Reason::InvalidJson), "{bad}");
    }
    for (message, reason) in [
        ("", Reason::EmptyMessage),
        ("5", Reason::NotAnObject),
        ("null", Reason::NotAnObject),
        (" [{\"n\":1}] ", Reason::NotAnObject),
        ("[1]x", Reason::InvalidJson),
        ("{}", Reason::MissingField),
        (r#"{"N":1}"#, Reason::MissingField),
        (r#"{"n":null}"#, Reason::NullField),
        (r#"{"n":1,"n":1}"#, Reason::DuplicateKey),
        (r#"{"n":1,"\u006E":1}"#, Reason::DuplicateKey),
        (r#"{"n":"1"}"#, Reason::WrongType),
        (r#"{"n":1.0}"#, Reason::WrongType),
        (r#"{"n":[1]}"#, Reason::WrongType),
        (r#"{"n":128}"#, Reason::OutOfRange),
        (r#"{"n":99999999999999999999999}"#, Reason::OutOfRange),
        (&deep(64), Reason::TooDeep),
        (&deep(100_000), Reason::TooDeep),
    ] {
        assert_eq!(Table::of(&[("n", "Int8")]).reason(message.as_bytes()), Some(reason), "{message:.40}");
    }
}

#[test]
fn utf8_is_checked_everywhere() {
    for bad in
        [&b"\xff"[..], b"\xc3", b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"a\x80bcdefghijklmnopq"]
    {
        for (before, behind) in [
            (&b"{\"t\":\""[..], &b"\"}"[..]),
            (b"{\"t\":\"\\n", b"\"}"),
            (b"{\"t\":\"", b"\\n\"}"),
            (b"{\"x\":\"", b"\",\"t\":\"\"}"),
            (b"{\"x\":[{\"a", b"\":0}],\"t\":\"\"}"),
            (b"{\"", b"\":0,\"t\":\"\"}"),
            (b"{\"t\":\"\"} ", b""),
        ] {
            let message = [before, bad, behind].concat();
            assert_eq!(text(&message), Err(Reason::InvalidUtf8), "{}", message.escape_ascii());
        }
    }
    let good = "ö日本\u{1F600}\u{7f}\u{ffff}".repeat(9);
    assert_eq!(text(format!(r#"{{"t":"{good}"}}"#).as_bytes()), Ok(good.into_bytes()));
}

#[test]
fn escapes_become_what_they_stand_for() {
    for (escaped, plain) in [
        (r#"\"\\\/\b\f\n\r\t"#, "\"\\/\u{8}\u{c}\n\r\t"),
        (r"\u0000", "\0"),
        (r"\u00e9\u00E9", "éé"),
        (r"\ud83d\ude00x", "\u{1F600}x"),
        (
            r"a long text before an escape\n and one behind it",
            "a long text before an escape\n and one behind it",
        ),
        (r"\uffff", "\u{ffff}"),
    ] {
        assert_eq!(text(format!(r#"{{"t":"{escaped}"}}"#).as_bytes()), Ok(plain.into()), "{escaped}");
    }
}

#[test]
fn numbers_are_exact_or_refused() {
    let reason =
        |of: &str, value: &str| Table::of(&[("n", of)]).reason(format!(r#"{{"n":{value}}}"#).as_bytes());
    for (of, value) in [
        ("UInt64", "18446744073709551615"),
        ("UInt64", "\"18446744073709551615\""),
        ("Int64", "-9223372036854775808"),
        ("UInt8", "-0"),
        ("Float64", "1.7976931348623157e308"),
        ("Float64", "1e-999"),
        ("Decimal(3, 2)", "9.99000"),
        ("Decimal(3, 2)", "\"-1e0\""),
        ("Decimal(76, 0)", &"9".repeat(76)),
    ] {
        assert_eq!(reason(of, value), None, "{of} {value}");
    }
    for (of, value, refused) in [
        ("UInt64", "18446744073709551616", Reason::OutOfRange),
        ("UInt64", "-1", Reason::OutOfRange),
        ("UInt64", "1e3", Reason::WrongType),
        ("UInt64", "\"01\"", Reason::WrongType),
        ("UInt64", "\" 1\"", Reason::WrongType),
        ("Int64", "9223372036854775808", Reason::OutOfRange),
        ("Float64", "1e999", Reason::OutOfRange),
        ("Float64", "\"1\"", Reason::WrongType),
        ("Float32", "3.5e38", Reason::OutOfRange),
        ("Decimal(3, 2)", "10", Reason::OutOfRange),
        ("Decimal(3, 2)", "0.001", Reason::OutOfRange),
        ("Decimal(3, 2)", "true", Reason::WrongType),
        ("Bool", "1", Reason::WrongType),
        ("String", "1", Reason::WrongType),
        ("Date", "1", Reason::WrongType),
        ("UUID", "\"00000000-0000-0000-0000-00000000000g\"", Reason::WrongType),
        ("UUID", "\"00000000-0000-0000-0000-0000000000000\"", Reason::WrongType),
        ("UUID", "\"000000000000-0000-0000-0000-00000000\"", Reason::WrongType),
    ] {
        assert_eq!(reason(of, value), Some(refused), "{of} {value}");
    }
}

fn reason(of: &str, value: &str) -> Option<Reason> {
    Table::of(&[("n", of)]).reason(format!(r#"{{"n":{value}}}"#).as_bytes())
}

fn check(cases: &[(&str, &str, Option<Reason>)]) {
    for (of, value, expected) in cases {
        assert_eq!(reason(of, value), *expected, "{of} {value:.80}");
    }
}

#[test]
fn enums_and_addresses_are_texts() {
    let of = "Enum8('' = 0, 'new' = 1, 'é\\'' = -128)";
    check(&[
        (of, "\"\"", None),
        (of, "\"new\"", None),
        (of, r#""\u00e9'""#, None),
        (of, "\"New\"", Some(Reason::WrongType)),
        (of, "1", Some(Reason::WrongType)),
        (of, "\"1\"", Some(Reason::WrongType)),
        (of, "null", Some(Reason::NullField)),
        ("IPv4", "\"255.0.0.1\"", None),
        ("IPv4", "\"1.2.3\"", Some(Reason::WrongType)),
        ("IPv4", "\"1.2.3.04\"", Some(Reason::WrongType)),
        ("IPv4", "\"1.2.3.256\"", Some(Reason::WrongType)),
        ("IPv4", "\"1.2.3.4 \"", Some(Reason::WrongType)),
        ("IPv4", "\"::1\"", Some(Reason::WrongType)),
        ("IPv4", "16909060", Some(Reason::WrongType)),
        ("IPv6", "\"::\"", None),
        ("IPv6", "\"2001:DB8::1\"", None),
        ("IPv6", "\"::ffff:1.2.3.4\"", None),
        ("IPv6", "\"1.2.3.4\"", None),
        ("IPv6", "\"1:2:3:4:5:6:7::\"", None),
        ("IPv6", "\"1:2:3:4::5:6:7:8\"", Some(Reason::WrongType)),
        ("IPv6", "\"fe80::1%eth0\"", Some(Reason::WrongType)),
        ("IPv6", "\"[::1]\"", Some(Reason::WrongType)),
        ("IPv6", "\"::1/64\"", Some(Reason::WrongType)),
        ("IPv6", "\"\"", Some(Reason::WrongType)),
    ]);
}

#[test]
fn arrays_and_maps_hold_what_their_elements_take() {
    check(&[
        ("Array(Int8)", "[]", None),
        ("Array(Int8)", " [ 1 , -128 ] ", None),
        ("Array(Int8)", "[1,]", Some(Reason::InvalidJson)),
        ("Array(Int8)", "[1 2]", Some(Reason::InvalidJson)),
        ("Array(Int8)", "[1", Some(Reason::InvalidJson)),
        ("Array(Int8)", "{}", Some(Reason::WrongType)),
        ("Array(Int8)", "\"[]\"", Some(Reason::WrongType)),
        ("Array(Int8)", "null", Some(Reason::NullField)),
        ("Array(Int8)", "[null]", Some(Reason::NullField)),
        ("Array(Nullable(Int8))", "[null]", None),
        ("Array(Int8)", "[128]", Some(Reason::OutOfRange)),
        ("Array(Int8)", "[[1]]", Some(Reason::WrongType)),
        ("Array(Array(String))", r#"[[],["a"]]"#, None),
        ("Array(Array(String))", r#"[[],"a"]"#, Some(Reason::WrongType)),
        ("Map(String, Int8)", "{}", None),
        ("Map(String, Int8)", r#"{ "" : 1 , "a" : 2 }"#, None),
        ("Map(String, Int8)", r#"{"a":1,"\u0061":2}"#, Some(Reason::DuplicateKey)),
        ("Map(String, Int8)", r#"{"a":1,}"#, Some(Reason::InvalidJson)),
        ("Map(String, Int8)", r#"{"a"1}"#, Some(Reason::InvalidJson)),
        ("Map(String, Int8)", r"{1:1}", Some(Reason::InvalidJson)),
        ("Map(String, Int8)", "[]", Some(Reason::WrongType)),
        ("Map(LowCardinality(String), Int8)", r#"{"a":1,"":2,"b":1,"":3}"#, Some(Reason::DuplicateKey)),
        ("Map(Int16, Int8)", r#"{"-300":1,"0":2}"#, None),
        ("Map(Int16, Int8)", r#"{"0":1,"-0":2}"#, Some(Reason::DuplicateKey)),
        ("Map(Int16, Int8)", r#"{"x":1}"#, Some(Reason::WrongType)),
        ("Map(Int16, Int8)", r#"{"01":1}"#, Some(Reason::WrongType)),
        ("Map(UInt8, Int8)", r#"{"256":1}"#, Some(Reason::OutOfRange)),
        ("Map(IPv6, Int8)", r#"{"::1":1,"0::1":1}"#, Some(Reason::DuplicateKey)),
        (
            "Map(Enum8('a' = 1), Map(Date, UUID))",
            r#"{"a":{"2026-01-01":"00000000-0000-0000-0000-000000000001"}}"#,
            None,
        ),
        ("Map(String, Map(String, Int8))", r#"{"a":{"a":1},"b":{"a":1}}"#, None),
    ]);
    let long = "abcdefghijklmnopqrstuvwxyz".repeat(20);
    assert_eq!(reason("Map(String, Int8)", &format!(r#"{{"{long}":1,"{long}x":1}}"#)), None);
    let twice = format!(r#"{{"{long}":1,"b":3,"{long}":1}}"#);
    assert_eq!(reason("Map(String, Int8)", &twice), Some(Reason::DuplicateKey));
}

#[test]
fn json_is_an_object_that_the_server_takes() {
    let deep = |depth: usize| format!("{{\"a\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
    check(&[
        ("JSON", "{}", None),
        ("JSON", r#" { "a" : [ 1 , {"b":null}, "x", true, 1.5e3, [] ] } "#, None),
        ("JSON", "[]", Some(Reason::WrongType)),
        ("JSON", "\"{}\"", Some(Reason::WrongType)),
        ("JSON", "1", Some(Reason::WrongType)),
        ("JSON", "null", Some(Reason::NullField)),
        ("JSON", r#"{"a":1,"a":2}"#, Some(Reason::DuplicateKey)),
        ("JSON", r#"{"a":1,"\u0061":{}}"#, Some(Reason::DuplicateKey)),
        ("JSON", r#"{"a":{"b":1},"a.b":2}"#, Some(Reason::DuplicateKey)),
        ("JSON", r#"{"a.b.c":1,"a":{"b":{"c":2}}}"#, Some(Reason::DuplicateKey)),
        ("JSON", r#"{"x":[{"a":1,"a":1}]}"#, Some(Reason::DuplicateKey)),
        ("JSON", r#"{"x":[{"a":1},{"a":1}],"a":1,"y":[[{"a":1}]]}"#, None),
        ("JSON", r#"{"a.b":1,"a.c":2,"a":3,"ab":4,"":5,".":6}"#, None),
        ("JSON", r#"{"a.":1,"a":{"":2}}"#, Some(Reason::DuplicateKey)),
        ("JSON", r#"{"n":[18446744073709551615,-9223372036854775808]}"#, None),
        ("JSON", r#"{"n":18446744073709551616}"#, Some(Reason::OutOfRange)),
        ("JSON", r#"{"n":-9223372036854775809}"#, Some(Reason::OutOfRange)),
        ("JSON", r#"{"n":1e999}"#, Some(Reason::OutOfRange)),
        ("JSON", r#"{"n":18446744073709551616.0}"#, None),
        ("JSON", r#"{"n":01}"#, Some(Reason::InvalidJson)),
        ("JSON", r#"{"n":"\ud800"}"#, Some(Reason::InvalidJson)),
        ("Array(JSON)", r#"[{},{"a":1},{"a":1}]"#, None),
        ("Array(JSON)", "[1]", Some(Reason::WrongType)),
        ("Map(String, JSON)", r#"{"a":{"b":1},"c":{"b":1}}"#, None),
        ("JSON", &deep(62), None),
        ("JSON", &deep(63), Some(Reason::TooDeep)),
        ("Array(JSON)", &format!("[{}]", deep(61)), None),
        ("Array(JSON)", &format!("[{}]", deep(62)), Some(Reason::TooDeep)),
    ]);
}

/// Small values of a message that are large in memory.
#[test]
fn what_would_take_too_much_memory_is_refused() {
    let many = |item: &str| format!("{{\"n\":[{}]}}", vec![item; 10_000].join(","));
    let outcome = |of: &str, message: &str| {
        let fields = [field("n", of)];
        let mut table = Table::new(&fields);
        table.decoder = Decoder::new(&fields, UnknownFields::Ignore, 50_000).unwrap();
        let reason = table.reason(message.as_bytes());
        assert!(table.columns.bytes() == 0 || reason.is_none());
        reason
    };
    assert_eq!(outcome("Array(Int32)", &many("1")), None);
    assert_eq!(outcome("Array(UInt64)", &many("1")), Some(Reason::TooLarge));
    assert_eq!(outcome("Array(Decimal(76, 0))", &many("1")), Some(Reason::TooLarge));
    assert_eq!(outcome("Array(Array(Int8))", &many("[]")), Some(Reason::TooLarge));
    let map =
        format!("{{\"n\":{{{}}}}}", (0..3_000).map(|n| format!("\"{n}\":1")).collect::<Vec<_>>().join(","));
    assert_eq!(outcome("Map(String, Decimal(76, 0))", &map), Some(Reason::TooLarge));
    assert_eq!(outcome("Map(String, UInt64)", &map), None);
}

#[test]
fn uuids_are_two_words() {
    let mut table = Table::of(&[("u", "UUID")]);
    table.decode(br#"{"u":"00112233-4455-6677-8899-AABBccddeeff"}"#).unwrap();
    let words = [0x0011_2233_4455_6677_u64, 0x8899_aabb_ccdd_eeff].map(u64::to_le_bytes).concat();
    assert_eq!(table.columns.fields[0].single(), crate::block::Encoded::Fixed(words));
}

#[test]
fn absent_fields_become_their_default_or_null() {
    let fields = [
        Field { default: Some(json!("d")), ..field("d", "LowCardinality(String)") },
        Field { nullable: true, ..field("n", "Int8") },
        field("i", "Int8"),
    ];
    let mut given = Table::new(&fields);
    given.decode(br#"{"d":"d","n":null,"i":1}"#).unwrap();
    let mut absent = Table::new(&fields);
    absent.decode(br#"{"i":1}"#).unwrap();
    assert_eq!(given.wire(), absent.wire());
    assert_eq!(given.reason(br#"{"d":null,"i":1}"#), Some(Reason::NullField));
}

#[test]
fn what_is_too_large_is_not_read() {
    let fields = [field("n", "Int8")];
    let mut table = Table::new(&fields);
    table.decoder = Decoder::new(&fields, UnknownFields::Ignore, 7).unwrap();
    assert_eq!(table.reason(br#"{"n":1}"#), None);
    assert_eq!(table.reason(br#"{"n":1} "#), Some(Reason::TooLarge));
}

#[test]
fn the_explanation_names_field_and_byte() {
    let mut table = Table::of(&[("a", "Int8"), ("b", "Int8")]);
    for message in [&br#"{"a":1,"b":300}"#[..], br#"{"a":1,"b":1}"#, br#"{"a":1,"b":300}"#] {
        if let Err(reject) = table.decode(message) {
            assert_eq!(table.decoder.explain(&reject, message), "field \"b\" at byte 14");
        }
    }
    let message = br#"{"a":1}"#;
    let reject = table.decode(message).unwrap_err();
    assert_eq!(table.decoder.explain(&reject, message), "field \"b\" at byte 7");
}

/// All types, every second one nullable, some with defaults.
fn all_fields() -> Vec<Field> {
    let mut fields: Vec<Field> =
        TYPES.iter().enumerate().map(|(index, of)| field(&format!("field_{index}"), of)).collect();
    for field in fields.iter_mut().step_by(2).filter(|field| !field.column_type.is_composite()) {
        field.nullable = true;
    }
    fields[3].default = Some(json!("a default"));
    fields[5].default = Some(json!(-7));
    fields[15].default = Some(json!([1, null]));
    fields[18].default = Some(json!({}));
    fields
}

fn value(random: &mut StdRng, of: usize) -> String {
    let number: u64 = random.random::<u64>() >> random.random_range(0..64);
    match of {
        0 => number.to_string(),
        1 => format!("\"2026-11-{:02} 1{}:00:00.{}\"", 1 + number % 30, number % 10, number % 10_000),
        2 => format!("\"word {}\"", number % 50),
        3 => ["\"\"", "\"plain text of some length\"", "\"é日本\"", r#""\n\u00e9\"""#]
            [random.random_range(0..4)]
        .into(),
        4 | 10 => {
            ["0.1", "-1e300", "12345.6789", "0.30000000000000004", "1e39"][random.random_range(0..5)].into()
        }
        5 => format!("{}", number.cast_signed() >> 20),
        6 => ["true", "false"][random.random_range(0..2)].into(),
        7 => format!("{}.{:02}", number % 1_000_000, number % 100),
        8 => format!("\"00000000-0000-0000-0000-{:012x}\"", number % (1 << 48)),
        9 => format!("\"20{:02}-01-0{}\"", number % 100, 1 + number % 9),
        11 => format!("\"{number}{number}.{}\"", number % 10_000),
        12 => pick(random, &["\"new\"", r#""it's \u00e9""#], &["\"old\"", "-300"]),
        13 => format!("\"1.2.{}.{}\"", number % 260, number % 7),
        14 => pick(random, &["\"::1\"", "\"::ffff:1.2.3.4\"", "\"1.2.3.4\""], &["\"fe80::1%a\"", "1"]),
        15 => pick(random, &["[]", "[1,null,-3]", "[ 7 , 8 ]"], &["[1,\"x\"]", "[[1]]", "{}"]),
        16 => pick(
            random,
            &["{}", r#"{"a":[]}"#, r#"{"a":["x",null],"b":["y"]}"#],
            &[r#"{"a":[],"\u0061":[]}"#, r#"{"a":["q"],"b":[1]}"#, "[]"],
        ),
        17 => pick(
            random,
            &["[]", r#"[{},{"1":"a"}]"#, r#"[{"255":"","0":"b"}]"#],
            &[r#"[{"1":"a"},{"256":"b"}]"#, "[[]]"],
        ),
        18 => pick(
            random,
            &["{}", r#"{"a":{"b":[1,{"c":null}]}}"#],
            &[r#"{"a":{"b":1},"a.b":2}"#, r#"{"n":1e999}"#, "[]"],
        ),
        _ => ["null", "[1,{\"a\":\"\\u0041\"}]", "{}", "-5e-5", "\"x\""][random.random_range(0..5)].into(),
    }
}

/// Mostly one of `good`.
fn pick(random: &mut StdRng, good: &[&str], bad: &[&str]) -> String {
    let from = if random.random_range(0..25) == 0 { bad } else { good };
    from[random.random_range(0..from.len())].into()
}

/// A message of a producer with habits: mostly the same keys in the same
/// order and spacing, from time to time others.
fn message(random: &mut StdRng) -> Vec<u8> {
    let space = if random.random_range(0..4) == 0 { " " } else { "" };
    let mut members: Vec<usize> = (0..TYPES.len() + 2).collect();
    if random.random_range(0..3) == 0 {
        members.retain(|_| random.random_range(0..8) > 0);
    }
    if random.random_range(0..6) == 0 {
        let (one, other) = (random.random_range(0..members.len()), random.random_range(0..members.len()));
        members.swap(one, other);
    }
    if random.random_range(0..20) == 0 {
        members.push(members[0]);
    }
    let members: Vec<String> = members
        .into_iter()
        .map(|member| {
            let null = random.random_range(0..10) == 0;
            let value = if null { "null".into() } else { value(random, member) };
            format!("\"field_{member}\":{space}{value}")
        })
        .collect();
    let mut message = format!("{{{}}}", members.join(&format!(",{space}"))).into_bytes();
    if random.random_range(0..3) == 0 {
        mangle(random, &mut message);
    }
    message
}

/// Changes a byte or two.
fn mangle(random: &mut StdRng, message: &mut Vec<u8>) {
    const BYTES: &[u8] = b"\"\\{}[]:, 0123456789-+.eEntfau\n\t\0\x1f\x7f\x80\xbf\xc3\xa9\xff/";
    for _ in 0..random.random_range(1..3) {
        let at = random.random_range(0..message.len());
        let byte = BYTES[random.random_range(0..BYTES.len())];
        match random.random_range(0..4) {
            0 => message.insert(at, byte),
            1 => drop(message.remove(at)),
            2 => message.truncate(at.max(1)),
            _ => message[at] = byte,
        }
    }
}

/// Messages by the five hundred, `rounds` times, with the template and without;
/// how many were accepted, and how many refused.
fn guessed_as_parsed(
    [mut guessing, mut parsing]: [Table; 2],
    rounds: u32,
    mut message: impl FnMut() -> Vec<u8>,
) -> (u32, u32) {
    let (mut accepted, mut refused) = (0, 0);
    for round in 0..rounds {
        for _ in 0..500 {
            let message = message();
            parsing.decoder.template.forget();
            let (guessed, parsed) = (guessing.decode(&message), parsing.decode(&message));
            assert_eq!(guessed, parsed, "{}", message.escape_ascii());
            match parsed {
                Ok(()) => accepted += 1,
                Err(_) => refused += 1,
            }
        }
        assert!(guessing.wire() == parsing.wire(), "round {round}");
    }
    (accepted, refused)
}

/// The template never changes what becomes of a message.
#[test]
fn guessing_finds_what_parsing_finds() {
    let mut random = StdRng::seed_from_u64(20_261_125);
    let fields = all_fields();
    let tables = [Table::new(&fields), Table::new(&fields)];
    let (accepted, refused) = guessed_as_parsed(tables, 60, || message(&mut random));
    assert!(accepted > 1_000 && refused > 3_000, "{accepted} accepted, {refused} refused");
}

#[test]
fn a_guess_is_right_only_where_it_was_learned() {
    let mut table = Table::of(&[("a", "Int8"), ("b", "Int8")]);
    table.decode(br#"{"a":1,"b":2}"#).unwrap();
    for message in [&br#"{"x":1{"a":1,"b":2}"#[..], br#"{"b":1{"a":1}"#, br#",{"a":1,"b":2}"#, br#","b":1}"#]
    {
        assert_eq!(table.reason(message), Some(Reason::InvalidJson), "{}", message.escape_ascii());
    }
}

#[test]
fn a_refused_message_leaves_no_trace() {
    let fields = all_fields();
    let mut random = StdRng::seed_from_u64(7);
    let (mut clean, mut dirty) = (Table::new(&fields), Table::new(&fields));
    for _ in 0..5_000 {
        let message = message(&mut random);
        if dirty.decode(&message).is_ok() {
            clean.decode(&message).unwrap();
        } else {
            // Its texts may stay in a dictionary, where no row points at them.
            let columns = dirty.columns.fields.iter().zip(&clean.columns.fields);
            let dictionary =
                |of: &str| of.starts_with("LowCardinality") || of.starts_with("Map(LowCardinality");
            let mut plain = columns.zip(TYPES).filter(|(_, of)| !dictionary(of)).map(|(columns, _)| columns);
            assert!(plain.all(|(dirty, clean)| dirty.bytes() == clean.bytes()), "{}", message.escape_ascii());
        }
    }
    assert_eq!(dirty.columns.rows(), clean.columns.rows());
}
