//! Every URL of the public port.

use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::get;

use crate::app::App;
use crate::error::Form;
use crate::handlers::{alias, document, fallback, records, watermark};
use crate::observe::observe;

pub const RECORDS: &str = "/v1/records";
pub const RECORD: &str = "/v1/records/{key}";
pub const SCHEMA: &str = "/v1/schema";
pub const WATERMARK: &str = "/v1/watermark";
pub const OPENAPI: &str = "/openapi.json";

pub fn router(app: Arc<App>) -> Router {
    let own = Router::new()
        .route(RECORDS, get(records::list))
        .route(RECORD, get(records::by_key))
        .route(SCHEMA, get(document::schema))
        .route(WATERMARK, get(watermark::show))
        .route(OPENAPI, get(document::openapi))
        .fallback(fallback::unknown_path);
    let mut aliases = Router::new();
    for entry in &app.aliases {
        let limit = crate::alias::default_limit(entry);
        aliases = aliases
            .route(&entry.path, get(async move |app, query| alias::list(limit, app, query).await))
            .route(&format!("{}/{{key}}", entry.path), get(alias::by_key));
    }
    let observed = |routes: Router<Arc<App>>, form| {
        routes
            .method_not_allowed_fallback(fallback::method_not_allowed)
            .layer(from_fn_with_state((Arc::clone(&app), form), observe))
    };
    observed(own, Form::Problem).merge(observed(aliases, Form::Plain)).with_state(app)
}
