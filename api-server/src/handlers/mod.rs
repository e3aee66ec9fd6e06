//! One thin function per URL: request → query → store → answer.

pub mod alias;
pub mod document;
pub mod fallback;
pub mod records;
pub mod watermark;

use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;

use crate::app::App;
use crate::error::{Code, Problem};
use crate::query::{self, Query};
use crate::store::{Cell, CellKind, Encoder, Rows, StoreError};

/// A key as it stands in a path, percent-decoded.
pub type KeyPath = Result<Path<String>, PathRejection>;

fn json(body: Bytes) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}

/// The rows a query asks for. Their kept values are those of its order.
async fn fetch(app: &App, query: &Query) -> Result<Rows, StoreError> {
    let statement = query::records(&app.table, query);
    let cells = statement.columns.iter().enumerate().map(|(position, id)| {
        let column = &app.table.columns[*id];
        if position < query.select.len() {
            Cell::shown(column)
        } else {
            Cell::hidden(CellKind::of(&column.column_type))
        }
    });
    let position = |id| statement.columns.iter().position(|column| *column == id);
    let keep = query.order.iter().filter_map(|term| position(term.column)).collect();
    let encoder = Encoder::new(cells.collect(), keep, query.limit);
    app.store.rows(&statement, encoder).await
}

/// A path's key as a value of its column.
fn read_key(app: &App, key: KeyPath) -> Result<String, Problem> {
    let Path(text) = key.map_err(|_| wrong_key("it is not percent-encoded UTF-8".to_owned()))?;
    let column = &app.table.columns[app.table.key];
    query::parse_value(&column.column_type, &text).map_err(|expected| {
        wrong_key(format!("{} is {} and takes {expected}", column.name, column.column_type))
    })
}

/// The newest row with this key and how many have it.
async fn fetch_by_key(app: &App, key: &str) -> Result<(Rows, u64), Problem> {
    let statement = query::record_by_key(&app.table, key);
    let mut cells = vec![Cell::hidden(CellKind::Number)];
    cells.extend(app.table.fields().iter().map(Cell::shown));
    let rows = app.store.rows(&statement, Encoder::new(cells, vec![0], 1)).await?;
    let matches = rows.kept.first().cloned().flatten().and_then(|text| text.parse().ok());
    match matches {
        Some(0) => Err(no_record()),
        Some(matches) => Ok((rows, matches)),
        None => Err(StoreError::Malformed("no number of matches".to_owned()).into()),
    }
}

fn wrong_key(detail: String) -> Problem {
    Problem::parameters(vec![query::ParameterError {
        parameter: "key".to_owned(),
        code: query::ErrorCode::WrongType,
        detail,
    }])
}

fn no_record() -> Problem {
    Problem::new(Code::RecordNotFound, "no record has this key")
}
