//! `<alias>` and `<alias>/{key}`.

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::response::Response;

use super::{KeyPath, fetch, fetch_by_key, json, no_record, read_key};
use crate::app::App;
use crate::error::Problem;
use crate::query;

pub async fn list(
    limit: u64,
    State(app): State<Arc<App>>,
    RawQuery(raw): RawQuery,
) -> Result<Response, Problem> {
    let page = query::parse_page(&app.table, &raw.unwrap_or_default(), limit).map_err(Problem::parameters)?;
    let rows = fetch(&app, &page).await?;
    Ok(json(rows.into_body("[", "]")))
}

pub async fn by_key(State(app): State<Arc<App>>, key: KeyPath) -> Result<Response, Problem> {
    // To an earlier system any text was a key: one that can't be is absent.
    let key = read_key(&app, key).map_err(|_| no_record())?;
    let (row, _) = fetch_by_key(&app, &key).await?;
    Ok(json(row.into_body("", "")))
}
