//! The pipeline's own fields → an OpenAPI 3.1 document.

mod parameters;
mod schemas;

use caudal_model::plan::{Alias, PipelineId};
use serde_json::{Map, Value, json};

use crate::alias;
use crate::routes::{OPENAPI, RECORD, RECORDS, SCHEMA, WATERMARK};
use crate::table::Table;

pub fn document(pipeline: &PipelineId, table: &Table, aliases: &[Alias]) -> Value {
    let PipelineId { namespace, name } = pipeline;
    let mut paths = Map::new();
    let mut add = |path: &str, operation: Value| {
        paths.insert(path.to_owned(), json!({"get": operation}));
    };
    add(RECORDS, list(table));
    add(RECORD, by_key(table));
    add(SCHEMA, plain_get("getSchema", "The fields and their types", "Schema", &[]));
    add(
        WATERMARK,
        plain_get("getWatermark", "Up to where everything is stored", "Watermark", &DATABASE_PROBLEMS),
    );
    add(OPENAPI, openapi());
    for (number, entry) in aliases.iter().enumerate() {
        add(&entry.path, alias_list(number, entry));
        add(&format!("{}/{{key}}", entry.path), alias_by_key(number, entry, table));
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": format!("{namespace}/{name}"),
            "version": "v1",
            "description": format!(
                "Rows of the pipeline {name} in the namespace {namespace}. Only GET and HEAD. Errors are \
                 problem details (RFC 9457); every answer carries X-Request-Id."
            ),
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "parameters": parameters::components(table),
            "schemas": schemas::components(table),
            "responses": responses(),
        },
    })
}

/// Problems that any answer from the database may become.
const DATABASE_PROBLEMS: [&str; 3] = ["500", "503", "504"];

fn list(table: &Table) -> Value {
    json!({
        "operationId": "listRecords",
        "summary": "Rows: filter, select, order, page",
        "parameters": parameters::references(table),
        "responses": with_problems(
            json!({"200": {
                "description": "A page of rows",
                "headers": {"Link": {
                    "description": "The next page, `rel=\"next\"`, if there is one",
                    "schema": {"type": "string"},
                }},
                "content": content(&reference("schemas", "Page")),
            }}),
            &["400", "500", "503", "504"],
        ),
    })
}

fn by_key(table: &Table) -> Value {
    json!({
        "operationId": "getRecord",
        "summary": "The newest row with this key",
        "parameters": [parameters::key(table)],
        "responses": with_problems(
            json!({"200": {"description": "The row", "content": content(&reference("schemas", "One"))}}),
            &["400", "404", "500", "503", "504"],
        ),
    })
}

fn plain_get(operation: &str, summary: &str, schema: &str, problems: &[&str]) -> Value {
    json!({
        "operationId": operation,
        "summary": summary,
        "responses": with_problems(
            json!({"200": {"description": summary, "content": content(&reference("schemas", schema))}}),
            problems,
        ),
    })
}

fn openapi() -> Value {
    let content = content(&json!({"type": "object"}));
    json!({
        "operationId": "getOpenApi",
        "summary": "This document",
        "responses": {"200": {"description": "This document", "content": content}},
    })
}

fn alias_list(number: usize, entry: &Alias) -> Value {
    let limit = alias::default_limit(entry);
    json!({
        "operationId": format!("list{}", alias_name(number, entry)),
        "summary": format!("The bare list of rows, {limit} unless `limit` says otherwise"),
        "parameters": [parameters::limit(limit), reference("parameters", "offset")],
        "responses": with_errors(
            json!({"200": {
                "description": "Rows",
                "content": content(&json!({"type": "array", "items": reference("schemas", "Record")})),
            }}),
            &["400", "500", "503"],
        ),
    })
}

fn alias_by_key(number: usize, entry: &Alias, table: &Table) -> Value {
    json!({
        "operationId": format!("get{}", alias_name(number, entry)),
        "summary": "The newest row with this key, bare",
        "parameters": [parameters::key(table)],
        "responses": with_errors(
            json!({"200": {"description": "The row", "content": content(&reference("schemas", "Record"))}}),
            &["400", "404", "500", "503"],
        ),
    })
}

/// `/old/orders` → `Alias1OldOrders`. The number keeps it apart from the API's
/// own names and from those of paths that differ in punctuation only.
fn alias_name(number: usize, entry: &Alias) -> String {
    let mut out = format!("Alias{}", number + 1);
    for word in entry.path.split(|c: char| !c.is_ascii_alphanumeric()) {
        let mut letters = word.chars();
        out.extend(letters.next().map(|first| first.to_ascii_uppercase()));
        out.extend(letters);
    }
    out
}

fn with_problems(mut responses: Value, statuses: &[&str]) -> Value {
    for status in statuses {
        responses[*status] = reference("responses", &format!("Problem{status}"));
    }
    responses
}

fn with_errors(mut responses: Value, statuses: &[&str]) -> Value {
    for status in statuses {
        responses[*status] = reference("responses", "Error");
    }
    responses
}

fn responses() -> Value {
    let mut all = json!({"Error": {
        "description": "What went wrong",
        "content": content(&reference("schemas", "Error")),
    }});
    for (status, description) in [
        ("400", "A parameter is wrong, or too much is asked for"),
        ("404", "There is no such record"),
        ("500", "The server failed"),
        ("503", "Too much is asked at once, or the database is away"),
        ("504", "The database took too long"),
    ] {
        let mut response = json!({
            "description": description,
            "content": {"application/problem+json": {"schema": reference("schemas", "Problem")}},
        });
        if status == "503" {
            let header = json!({"description": "Seconds to wait", "schema": {"type": "integer"}});
            response["headers"] = json!({"Retry-After": header});
        }
        all[format!("Problem{status}")] = response;
    }
    all
}

fn content(schema: &Value) -> Value {
    json!({"application/json": {"schema": schema}})
}

fn reference(part: &str, name: &str) -> Value {
    json!({"$ref": format!("#/components/{part}/{name}")})
}

#[cfg(test)]
mod tests;
