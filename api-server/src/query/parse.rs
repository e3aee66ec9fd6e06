//! Query string → [`Query`], or the first parameters that are wrong.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use super::errors::{ErrorCode, ParameterError};
use super::filter::{self, Filter, FilterError};
use super::{
    DEFAULT_LIMIT, MAX_ERRORS, MAX_FILTERS, MAX_LIMIT, MAX_OFFSET, MAX_ORDER_TERMS, Query, Term, list,
};
use crate::cursor;
use crate::table::{ColumnId, Table};

/// Names with a meaning of their own. A column of such a name is reached in
/// quotes: `"order"=gt.1`.
pub const RESERVED: [&str; 10] =
    ["select", "order", "limit", "offset", "cursor", "format", "count", "and", "or", "not"];
const AVAILABLE: &str = "select, order, limit, offset, cursor";

/// Longest piece of a client's text that an error repeats.
const ECHO: usize = 80;

/// Reads every parameter of `/v1/records`.
pub fn parse(table: &Table, raw: &str) -> Result<Query, Vec<ParameterError>> {
    let mut reader = Reader::new(table, DEFAULT_LIMIT, "follow meta.next_cursor");
    reader.read(raw, Reader::records_parameter);
    reader.finish()
}

/// Reads `limit` and `offset`, all that an alias takes; `limit` is its default.
pub fn parse_page(table: &Table, raw: &str, limit: u64) -> Result<Query, Vec<ParameterError>> {
    let mut reader = Reader::new(table, limit, "walk /v1/records, which has cursors");
    reader.read(raw, Reader::page_parameter);
    reader.finish()
}

struct Reader<'a> {
    table: &'a Table,
    default_limit: u64,
    /// What leads beyond the largest offset.
    deeper: &'static str,
    select: Option<Vec<ColumnId>>,
    order: Option<Vec<Term>>,
    limit: Option<u64>,
    offset: Option<u64>,
    cursor: Option<String>,
    filters: Vec<Filter>,
    errors: Vec<ParameterError>,
}

impl<'a> Reader<'a> {
    fn new(table: &'a Table, default_limit: u64, deeper: &'static str) -> Self {
        Self {
            table,
            default_limit,
            deeper,
            select: None,
            order: None,
            limit: None,
            offset: None,
            cursor: None,
            filters: Vec::new(),
            errors: Vec::new(),
        }
    }

    fn read(&mut self, raw: &str, parameter: fn(&mut Self, &str, &str)) {
        for pair in raw.split('&').filter(|pair| !pair.is_empty()) {
            if self.is_full() {
                return;
            }
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            match (decode(name), decode(value)) {
                (Some(name), Some(value)) => parameter(self, &name, &value),
                (decoded, _) => {
                    let shown = decoded.as_deref().unwrap_or(name);
                    self.error(shown, ErrorCode::BadSyntax, "it is not percent-encoded UTF-8".to_owned());
                }
            }
        }
    }

    fn records_parameter(&mut self, name: &str, value: &str) {
        match name {
            "select" => self.select(value),
            "order" => self.order(value),
            "cursor" => once(&mut self.cursor, value.to_owned()).unwrap_or_else(|| self.repeated(name)),
            "limit" | "offset" => self.page_parameter(name, value),
            _ if RESERVED.contains(&name) => self.unknown_parameter(name),
            _ => self.filter(name, value),
        }
    }

    fn page_parameter(&mut self, name: &str, value: &str) {
        match name {
            "limit" => {
                if let Some(limit) = self.number(name, value, 1, MAX_LIMIT) {
                    once(&mut self.limit, limit).unwrap_or_else(|| self.repeated(name));
                }
            }
            "offset" => {
                if let Some(offset) = self.number(name, value, 0, MAX_OFFSET) {
                    once(&mut self.offset, offset).unwrap_or_else(|| self.repeated(name));
                }
            }
            _ => self.error(name, ErrorCode::UnknownParameter, "allowed here: limit, offset".to_owned()),
        }
    }

    fn number(&mut self, name: &str, value: &str, least: u64, most: u64) -> Option<u64> {
        let digits = !value.is_empty() && value.len() < 16 && value.bytes().all(|byte| byte.is_ascii_digit());
        let number = digits.then(|| value.parse().ok()).flatten().filter(|n| (least..=most).contains(n));
        if number.is_none() {
            let hint =
                if name == "offset" { format!("; for deeper pages {}", self.deeper) } else { String::new() };
            let detail = format!("{name} is a whole number from {least} to {most}{hint}");
            self.error(name, ErrorCode::OutOfRange, detail);
        }
        number
    }

    fn select(&mut self, value: &str) {
        let Some(items) = self.list("select", value) else { return };
        let mut columns = Vec::new();
        for item in items {
            if self.is_full() {
                return;
            }
            if !item.suffix.is_empty() {
                let detail = format!("{:?} follows a closing quote", shorten(&item.suffix));
                self.error("select", ErrorCode::BadSyntax, detail);
            } else if let Some(column) = self.column("select", &item.text) {
                if columns.contains(&column) {
                    self.error("select", ErrorCode::Repeated, format!("{} is named twice", item.text));
                } else {
                    columns.push(column);
                }
            }
        }
        once(&mut self.select, columns).unwrap_or_else(|| self.repeated("select"));
    }

    fn order(&mut self, value: &str) {
        let Some(items) = self.list("order", value) else { return };
        if items.len() > MAX_ORDER_TERMS {
            let detail = format!("{} terms; at most {MAX_ORDER_TERMS} are allowed", items.len());
            return self.error("order", ErrorCode::TooMany, detail);
        }
        let mut terms: Vec<Term> = Vec::new();
        for item in items {
            let (name, direction) = if item.quoted {
                (item.text.as_str(), item.suffix.strip_prefix('.').unwrap_or(&item.suffix))
            } else {
                item.text.rsplit_once('.').unwrap_or((&item.text, ""))
            };
            let descending = match direction {
                "" | "asc" => false,
                "desc" => true,
                other => {
                    let detail =
                        format!("{:?} is no direction; write <field>.asc or <field>.desc", shorten(other));
                    self.error("order", ErrorCode::BadSyntax, detail);
                    continue;
                }
            };
            let Some(column) = self.column("order", name) else { continue };
            let column_type = &self.table.columns[column].column_type;
            if column_type.is_composite() {
                let detail = format!("{name} is {column_type}: rows can't be ordered by it");
                self.error("order", ErrorCode::WrongType, detail);
                continue;
            }
            if terms.iter().any(|term| term.column == column) {
                self.error("order", ErrorCode::Repeated, format!("{name} is named twice"));
            }
            terms.push(Term { column, descending });
        }
        once(&mut self.order, terms).unwrap_or_else(|| self.repeated("order"));
    }

    fn filter(&mut self, name: &str, value: &str) {
        let Some(column) = self.table.find(&unquote(name)) else {
            let detail =
                format!("no parameter or field; parameters: {AVAILABLE}; fields: {}", self.table.names());
            return self.error(name, ErrorCode::UnknownParameter, detail);
        };
        if self.filters.len() == MAX_FILTERS {
            return self.error(
                name,
                ErrorCode::TooMany,
                format!("at most {MAX_FILTERS} filters are allowed"),
            );
        }
        match filter::parse(&self.table.columns[column], value) {
            Ok(comparison) => self.filters.push(Filter { column, comparison }),
            Err(error) => {
                let (code, detail) = match error {
                    FilterError::UnknownOperator(detail) => (ErrorCode::UnknownOperator, detail),
                    FilterError::WrongType(detail) => (ErrorCode::WrongType, detail),
                    FilterError::TooManyValues(detail) => (ErrorCode::TooMany, detail),
                    FilterError::BadList(detail) => (ErrorCode::BadSyntax, detail),
                };
                self.error(name, code, detail);
            }
        }
    }

    fn list(&mut self, parameter: &str, value: &str) -> Option<Vec<list::Item>> {
        list::split(value)
            .map_err(|detail| self.error(parameter, ErrorCode::BadSyntax, detail.to_owned()))
            .ok()
    }

    fn column(&mut self, parameter: &str, name: &str) -> Option<ColumnId> {
        let column = self.table.find(name);
        if column.is_none() {
            let detail = format!("{:?} is no field; fields: {}", shorten(name), self.table.names());
            self.error(parameter, ErrorCode::UnknownField, detail);
        }
        column
    }

    fn unknown_parameter(&mut self, name: &str) {
        let quoted = format!("; a field of this name is reached as \"{name}\"=<operator>.<value>");
        let hint = if self.table.find(name).is_some() { quoted.as_str() } else { "" };
        let detail = format!("no parameter here; parameters: {AVAILABLE}{hint}");
        self.error(name, ErrorCode::UnknownParameter, detail);
    }

    fn repeated(&mut self, name: &str) {
        self.error(name, ErrorCode::Repeated, "it may stand once".to_owned());
    }

    /// Enough is wrong: more would help nobody and cost time and memory.
    fn is_full(&self) -> bool {
        self.errors.len() >= MAX_ERRORS
    }

    fn error(&mut self, parameter: &str, code: ErrorCode, detail: String) {
        self.errors.push(ParameterError { parameter: shorten(parameter).to_owned(), code, detail });
    }

    fn finish(mut self) -> Result<Query, Vec<ParameterError>> {
        if self.is_full() {
            return Err(self.errors);
        }
        let order = unique_order(self.table, self.order.take().unwrap_or_default());
        let fingerprint = cursor::fingerprint(self.table, &self.filters, &order);
        let after = match self.cursor.take() {
            None => None,
            Some(_) if self.offset.is_some() => {
                let detail = "a cursor already says where to go on; leave offset out".to_owned();
                self.error("cursor", ErrorCode::Conflict, detail);
                None
            }
            Some(text) => match cursor::decode(&text, &fingerprint, self.table, &order) {
                Ok(values) => Some(values),
                Err(detail) => {
                    self.error("cursor", ErrorCode::BadCursor, detail.to_owned());
                    None
                }
            },
        };
        if !self.errors.is_empty() {
            return Err(self.errors);
        }
        Ok(Query {
            select: self.select.unwrap_or_else(|| (0..self.table.field_count).collect()),
            filters: self.filters,
            order,
            limit: self.limit.unwrap_or(self.default_limit),
            offset: self.offset.unwrap_or(0),
            after,
            fingerprint,
        })
    }
}

/// Completes `terms` so that no two rows compare equal. What is added goes the
/// way of the last term, so that a table read backwards stays one read.
fn unique_order(table: &Table, mut terms: Vec<Term>) -> Vec<Term> {
    let descending = terms.last().is_some_and(|term| term.descending);
    for column in &table.unique_order {
        if terms.iter().all(|term| term.column != *column) {
            terms.push(Term { column: *column, descending });
        }
    }
    terms
}

/// Fills an empty slot; `None` if it was filled before.
fn once<T>(slot: &mut Option<T>, value: T) -> Option<()> {
    if slot.is_some() {
        return None;
    }
    *slot = Some(value);
    Some(())
}

/// The name in a quoted one; any other stays as it is.
fn unquote(name: &str) -> Cow<'_, str> {
    let items = if name.starts_with('"') { list::split(name).unwrap_or_default() } else { Vec::new() };
    match <[list::Item; 1]>::try_from(items) {
        Ok([item]) if item.suffix.is_empty() => Cow::Owned(item.text),
        _ => Cow::Borrowed(name),
    }
}

/// Percent-decodes a piece of a query string, `+` standing for a space.
pub fn decode(text: &str) -> Option<String> {
    let spaced = text.replace('+', " ");
    percent_decode_str(&spaced).decode_utf8().ok().map(Cow::into_owned)
}

/// What an error repeats of a client's text.
pub fn shorten(text: &str) -> &str {
    &text[..text.floor_char_boundary(ECHO)]
}

#[cfg(test)]
#[path = "parse_tests.rs"]
mod tests;
