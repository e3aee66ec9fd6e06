use super::super::{Comparison, Operator};
use super::*;
use crate::table::tests::table;

fn shop() -> Table {
    table(
        &["id: Int64", "country: LowCardinality(String)", "name: String?", "order: Int32"],
        &["country", "id"],
    )
}

fn ok(raw: &str) -> Query {
    parse(&shop(), raw).unwrap()
}

fn errors(raw: &str) -> Vec<ParameterError> {
    parse(&shop(), raw).unwrap_err()
}

fn names(table: &Table, order: &[Term]) -> Vec<String> {
    let name = |term: &Term| {
        format!("{}{}", if term.descending { "-" } else { "" }, table.columns[term.column].name)
    };
    order.iter().map(name).collect()
}

#[test]
fn nothing_asked_means_all_fields_in_table_order() {
    let query = ok("");
    assert_eq!(query.select, [0, 1, 2, 3]);
    assert_eq!((query.limit, query.offset), (100, 0));
    assert_eq!(
        names(&shop(), &query.order),
        ["country", "id", "_kafka_source", "_kafka_partition", "_kafka_offset"]
    );
}

#[test]
fn reads_every_parameter() {
    let query = ok(
        "select=name,_kafka_offset&order=name.desc,id&limit=7&offset=3&country=eq.Per%C3%BA+y&id=gt.1&id=lt.9",
    );
    assert_eq!(query.select, [2, 6]);
    assert_eq!((query.limit, query.offset), (7, 3));
    assert_eq!(
        names(&shop(), &query.order),
        ["-name", "id", "country", "_kafka_source", "_kafka_partition", "_kafka_offset"]
    );
    assert_eq!(
        query.filters[0],
        Filter { column: 1, comparison: Comparison::Compare(Operator::Eq, "Perú y".into()) }
    );
    assert_eq!(query.filters.len(), 3);
}

#[test]
fn what_is_added_to_an_order_goes_its_way() {
    let order = ok("order=country.desc").order;
    assert!(order.iter().all(|term| term.descending));
}

#[test]
fn a_field_with_a_reserved_name_is_reached_in_quotes() {
    let query = ok("%22order%22=gt.1&select=%22order%22,id&order=%22order%22.desc");
    assert_eq!(query.filters[0].column, 3);
    assert_eq!(query.select, [3, 0]);
    assert_eq!(query.order[0], Term { column: 3, descending: true });
}

#[test]
fn names_every_wrong_parameter_at_once() {
    for (raw, parameter, code, detail) in [
        ("nope=eq.1", "nope", ErrorCode::UnknownParameter, "fields: id, country"),
        ("count=exact", "count", ErrorCode::UnknownParameter, "parameters: select"),
        ("id=like.1", "id", ErrorCode::UnknownOperator, "eq, neq"),
        ("id=eq.x", "id", ErrorCode::WrongType, "Int64"),
        ("id", "id", ErrorCode::UnknownOperator, "eq, neq"),
        ("select=", "select", ErrorCode::UnknownField, "\"\" is no field"),
        ("select=id,id", "select", ErrorCode::Repeated, "twice"),
        ("select=%22id", "select", ErrorCode::BadSyntax, "not closed"),
        ("select=id;drop", "select", ErrorCode::UnknownField, "is no field"),
        ("order=id.up", "order", ErrorCode::BadSyntax, "<field>.desc"),
        ("order=x", "order", ErrorCode::UnknownField, "is no field"),
        ("order=id,id.desc", "order", ErrorCode::Repeated, "twice"),
        ("limit=0", "limit", ErrorCode::OutOfRange, "1 to 10000"),
        ("limit=10001", "limit", ErrorCode::OutOfRange, "1 to 10000"),
        ("limit=-1", "limit", ErrorCode::OutOfRange, "1 to 10000"),
        ("limit=1&limit=2", "limit", ErrorCode::Repeated, "once"),
        ("offset=100001", "offset", ErrorCode::OutOfRange, "next_cursor"),
        ("cursor=zzz", "cursor", ErrorCode::BadCursor, ""),
        ("cursor=zzz&offset=1", "cursor", ErrorCode::Conflict, "offset"),
        ("id=eq.%FF", "id", ErrorCode::BadSyntax, "UTF-8"),
    ] {
        let errors = errors(raw);
        assert_eq!((errors[0].parameter.as_str(), errors[0].code), (parameter, code), "{raw}: {errors:?}");
        assert!(errors[0].detail.contains(detail), "{raw}: {errors:?}");
    }
    assert_eq!(errors("a=eq.1&id=eq.x&limit=0").len(), 3);
}

#[test]
fn arrays_and_objects_are_read_and_not_compared() {
    let table = table(&["id: Int64", "tags: Array(String)", "more: JSON", "m: Map(String, Int8)"], &["id"]);
    for name in ["tags", "more", "m"] {
        assert!(parse(&table, &format!("select={name}")).is_ok());
        for raw in [format!("{name}=eq.x"), format!("{name}=in.(x)"), format!("order={name}.desc")] {
            let errors = parse(&table, &raw).unwrap_err();
            assert_eq!(errors[0].code, ErrorCode::WrongType, "{raw}");
            assert!(errors[0].detail.contains("rows can't be"), "{errors:?}");
        }
    }
}

#[test]
fn bounds_filters_and_order() {
    assert_eq!(errors(&"id=gt.1&".repeat(33))[0].code, ErrorCode::TooMany);
    assert_eq!(errors(&format!("order={}", "id,".repeat(9)))[0].code, ErrorCode::TooMany);
}

#[test]
fn a_quoted_name_may_hold_escaped_quotes() {
    let table = table(&["say \"hi\": Int64", "\"half: Int64"], &["\"half"]);
    let query = parse(&table, "%22say%20%5C%22hi%5C%22%22=gt.1&%22half=gt.2").unwrap();
    assert_eq!(query.filters.iter().map(|filter| filter.column).collect::<Vec<_>>(), [0, 1]);
}

#[test]
fn repeats_no_long_text() {
    let long = "é".repeat(500);
    for raw in [
        format!("{long}=eq.1"),
        format!("id={long}"),
        format!("id={long}.1"),
        format!("select={long}"),
        format!("select=%22id%22{long}"),
        format!("order={long}"),
        format!("order={long}.up"),
        format!("order=id.{long}"),
    ] {
        let errors = errors(&raw);
        assert_eq!(errors.len(), 1);
        assert!(errors[0].parameter.len() <= ECHO && errors[0].detail.len() < 500, "{errors:?}");
    }
}

#[test]
fn stops_after_a_few_errors() {
    for raw in ["a&".repeat(4000), format!("select={}", "a,".repeat(4000)), "limit=0&".repeat(100)] {
        assert_eq!(errors(&raw).len(), MAX_ERRORS);
    }
}

#[test]
fn an_alias_takes_a_page_and_nothing_else() {
    let table = shop();
    let query = parse_page(&table, "offset=5", 10).unwrap();
    assert_eq!((query.limit, query.offset), (10, 5));
    assert_eq!(parse_page(&table, "id=eq.1", 10).unwrap_err()[0].code, ErrorCode::UnknownParameter);
    let errors = parse_page(&table, "offset=100001", 10).unwrap_err();
    assert!(errors[0].detail.contains("/v1/records") && !errors[0].detail.contains("meta."), "{errors:?}");
}
