use super::*;

#[test]
fn prints_what_it_parsed() {
    for text in [
        "Int8",
        "UInt64",
        "Float32",
        "Decimal(18, 2)",
        "String",
        "LowCardinality(String)",
        "Bool",
        "Date",
        "DateTime64(3)",
        "DateTime64(6, 'America/Argentina/Buenos_Aires')",
        "UUID",
        "Enum8('a' = -128, 'b' = 127)",
        "Enum16('' = -300, 'it\\'s \\\\ \\t\\n\\r\\b\\f\\0 é' = 5)",
        "IPv4",
        "IPv6",
        "JSON",
        "Array(Int8)",
        "Array(Nullable(Enum8('),(' = 1)))",
        "Array(LowCardinality(Nullable(String)))",
        "Array(Array(Array(JSON)))",
        "Map(String, Map(Enum8('x' = 1), Array(Nullable(DateTime64(3, 'UTC')))))",
        "Map(LowCardinality(String), LowCardinality(String))",
    ] {
        assert_eq!(text.parse::<ColumnType>().unwrap().to_string(), text);
    }
    for (text, canonical) in [
        ("Decimal(18,2)", "Decimal(18, 2)"),
        ("Enum8('b'=2,'a'=1)", "Enum8('a' = 1, 'b' = 2)"),
        ("Map(String,Array(UInt8))", "Map(String, Array(UInt8))"),
    ] {
        assert_eq!(text.parse::<ColumnType>().unwrap().to_string(), canonical);
    }
}

#[test]
fn refuses_what_is_no_type() {
    let deep = format!("{}Int8{}", "Array(".repeat(100_000), ")".repeat(100_000));
    for text in [
        "",
        "int",
        "Int128",
        "Int8 ",
        "Nullable(String)",
        "Decimal(77, 0)",
        "Decimal(2, 3)",
        "Decimal(0, 0)",
        "Decimal(02, 1)",
        "DateTime64(10)",
        "DateTime64(3, 'a'b')",
        "DateTime64(3, '')",
        "String; DROP TABLE t",
        "Enum8()",
        "Enum8('a')",
        "Enum8('a' = 128)",
        "Enum8('a' = 1, 'a' = 2)",
        "Enum8('a' = 1, 'b' = 1)",
        "Enum8('a = 1)",
        "Enum8('a\\x41' = 1)",
        "Enum16('a' = 32768)",
        "Enum('a' = 1)",
        "Array()",
        "Array(Int8",
        "Array(Nullable(Array(Int8)))",
        "Array(Nullable(JSON))",
        "Array(Nullable(LowCardinality(String)))",
        "Array(Nullable(Nullable(Int8)))",
        "Array(Array(Array(Array(Int8))))",
        "Map(String)",
        "Map(Float64, String)",
        "Map(Array(Int8), String)",
        "Map(Nullable(String), String)",
        "Map(String, Map(String, Map(String, Map(String, Int8))))",
        "LowCardinality(UUID)",
        "LowCardinality(Nullable(String))",
        &deep,
    ] {
        assert!(text.parse::<ColumnType>().is_err(), "{text:.60}");
    }
}
