//! `<alias>` and `<alias>/{key}`.

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::response::Response;

use super::{KeyPath, fetch, fetch_by_key, json, no_record};
use crate::app::App;
use crate::error::{Code, Problem};
use crate::query::{self, Defaults};

pub async fn list(
    limit: u64,
    State(app): State<Arc<App>>,
    RawQuery(raw): RawQuery,
) -> Result<Response, Problem> {
    let page = query::parse_page(&app.table, &raw.unwrap_or_default(), Defaults { limit })
        .map_err(|errors| Problem::parameters(errors).into_plain())?;
    let rows = fetch(&app, &page).await.map_err(|error| Problem::from(error).into_plain())?;
    Ok(json(rows.into_body("[", "]")))
}

pub async fn by_key(State(app): State<Arc<App>>, key: KeyPath) -> Result<Response, Problem> {
    match fetch_by_key(&app, key).await {
        Ok(Some((row, _))) => Ok(json(row.into_body("", ""))),
        Ok(None) => Err(no_record().into_plain()),
        // To an earlier system any text was a key: one that can't be is absent.
        Err(problem) if problem.code == Code::InvalidParameter => Err(no_record().into_plain()),
        Err(problem) => Err(problem.into_plain()),
    }
}
