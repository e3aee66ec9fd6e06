//! `operator.value` + column → [`Filter`].

use super::parse::shorten;
use super::{MAX_IN_VALUES, list, value};
use crate::table::{Column, ColumnId};

/// A condition on one column. Values are canonical text of the column's type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    pub column: ColumnId,
    pub comparison: Comparison,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Comparison {
    Compare(Operator, String),
    In(Vec<String>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    Eq,
    Neq,
    Gt,
    Gte,
    Lt,
    Lte,
}

impl Operator {
    fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "eq" => Self::Eq,
            "neq" => Self::Neq,
            "gt" => Self::Gt,
            "gte" => Self::Gte,
            "lt" => Self::Lt,
            "lte" => Self::Lte,
            _ => return None,
        })
    }

    pub fn sql(self) -> &'static str {
        match self {
            Self::Eq => "=",
            Self::Neq => "!=",
            Self::Gt => ">",
            Self::Gte => ">=",
            Self::Lt => "<",
            Self::Lte => "<=",
        }
    }
}

/// The operators, for messages.
pub const OPERATORS: &str = "eq, neq, gt, gte, lt, lte, in";

/// Why a filter is refused.
#[derive(Debug, PartialEq, Eq)]
pub enum FilterError {
    UnknownOperator(String),
    WrongType(String),
    TooManyValues(String),
    BadList(String),
}

pub fn parse(column: &Column, text: &str) -> Result<Comparison, FilterError> {
    let unknown = |name: &str| {
        FilterError::UnknownOperator(format!(
            "{:?} is no operator; write {1}=<operator>.<value> with one of {OPERATORS}, such as {1}=eq.<value>",
            shorten(name),
            column.name
        ))
    };
    if column.column_type.is_composite() {
        let Column { name, column_type, .. } = column;
        return Err(FilterError::WrongType(format!("{name} is {column_type}: rows can't be filtered by it")));
    }
    let (name, rest) = text.split_once('.').ok_or_else(|| unknown(text))?;
    if name == "in" {
        return in_list(column, rest).map(Comparison::In);
    }
    let operator = Operator::from_name(name).ok_or_else(|| unknown(name))?;
    typed(column, rest).map(|value| Comparison::Compare(operator, value))
}

fn in_list(column: &Column, text: &str) -> Result<Vec<String>, FilterError> {
    let inner = text
        .strip_prefix('(')
        .and_then(|rest| rest.strip_suffix(')'))
        .ok_or_else(|| FilterError::BadList(format!("write {}=in.(a,b)", column.name)))?;
    let items = list::split(inner).map_err(|detail| FilterError::BadList(detail.to_owned()))?;
    if items.len() > MAX_IN_VALUES {
        return Err(FilterError::TooManyValues(format!(
            "{} values are listed; at most {MAX_IN_VALUES} are allowed",
            items.len()
        )));
    }
    items
        .iter()
        .map(|item| {
            if item.suffix.is_empty() {
                typed(column, &item.text)
            } else {
                Err(FilterError::BadList(
                    "between a closing quote and the next comma nothing may stand".to_owned(),
                ))
            }
        })
        .collect()
}

fn typed(column: &Column, text: &str) -> Result<String, FilterError> {
    value::parse(&column.column_type, text).map_err(|expected| {
        FilterError::WrongType(format!("{} is {} and takes {expected}", column.name, column.column_type))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::tests::table;

    fn check(text: &str) -> Result<Comparison, FilterError> {
        parse(&table(&["id: Int64"], &["id"]).columns[0], text)
    }

    #[test]
    fn reads_operators_and_lists() {
        assert_eq!(check("gte.5"), Ok(Comparison::Compare(Operator::Gte, "5".into())));
        assert_eq!(check("in.(1,\"2\")"), Ok(Comparison::In(vec!["1".into(), "2".into()])));
    }

    #[test]
    fn names_what_is_wrong_and_what_is_allowed() {
        let text = |error: FilterError| match error {
            FilterError::UnknownOperator(text)
            | FilterError::WrongType(text)
            | FilterError::TooManyValues(text)
            | FilterError::BadList(text) => text,
        };
        for (filter, expected) in [
            ("5", OPERATORS),
            ("like.5", "\"like\" is no operator"),
            ("eq.x", "id is Int64 and takes a whole number"),
            ("in.1,2", "in.(a,b)"),
            ("in.()", "whole number"),
            ("in.(\"1\"2)", "closing quote"),
            ("in.(\"1)", "not closed"),
        ] {
            let message = text(check(filter).unwrap_err());
            assert!(message.contains(expected), "{filter}: {message}");
        }
        let long = vec!["1"; MAX_IN_VALUES + 1].join(",");
        assert!(matches!(check(&format!("in.({long})")), Err(FilterError::TooManyValues(_))));
    }
}
