//! `/v1/records` and `/v1/records/{key}`.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::{RawQuery, State};
use axum::http::{HeaderValue, header};
use axum::response::Response;
use serde::Serialize;

use super::{KeyPath, fetch, fetch_by_key, json, read_key};
use crate::app::App;
use crate::cursor;
use crate::error::Problem;
use crate::limits::{MAX_CURSOR_BYTES, MAX_URI_BYTES};
use crate::link;
use crate::query;

#[derive(Serialize)]
struct ListMeta<'a> {
    count: u64,
    next_cursor: Option<&'a str>,
    elapsed_ms: f64,
    watermark: Option<String>,
}

#[derive(Serialize)]
struct RecordMeta {
    count: u64,
    elapsed_ms: f64,
    watermark: Option<String>,
}

pub async fn list(State(app): State<Arc<App>>, RawQuery(raw): RawQuery) -> Result<Response, Problem> {
    let started = Instant::now();
    let raw = raw.unwrap_or_default();
    let query = query::parse(&app.table, &raw).map_err(Problem::parameters)?;
    let watermark = app.watermark.recent(&app).await;
    let mut rows = fetch(&app, &query).await?;
    let next = rows.more.then(|| cursor::encode(&query.fingerprint, std::mem::take(&mut rows.kept)));
    let meta = ListMeta {
        count: rows.count,
        next_cursor: next.as_deref(),
        elapsed_ms: milliseconds(started),
        watermark,
    };
    let mut response = json(rows.into_body("{\"data\":[", &format!("],\"meta\":{}}}", text(&meta))));
    if let Some(cursor) = next {
        let target = HeaderValue::try_from(link::next(&raw, &cursor)).ok();
        // One that is too long to be asked for would only make proxies fail.
        let target = target.filter(|target| target.len() <= MAX_URI_BYTES + MAX_CURSOR_BYTES);
        target.and_then(|target| response.headers_mut().insert(header::LINK, target));
    }
    Ok(response)
}

pub async fn by_key(State(app): State<Arc<App>>, key: KeyPath) -> Result<Response, Problem> {
    let started = Instant::now();
    let key = read_key(&app, key)?;
    let watermark = app.watermark.recent(&app).await;
    let (row, count) = fetch_by_key(&app, &key).await?;
    let meta = RecordMeta { count, elapsed_ms: milliseconds(started), watermark };
    Ok(json(row.into_body("{\"data\":", &format!(",\"meta\":{}}}", text(&meta)))))
}

fn milliseconds(since: Instant) -> f64 {
    (since.elapsed().as_secs_f64() * 1e6).round() / 1e3
}

fn text(meta: &impl Serialize) -> String {
    serde_json::to_string(meta).expect("strings and numbers are JSON")
}
