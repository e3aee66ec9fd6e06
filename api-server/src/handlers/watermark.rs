//! `/v1/watermark`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;

use crate::app::App;
use crate::error::Problem;
use crate::watermark::Watermark;

pub async fn show(State(app): State<Arc<App>>) -> Result<Json<Watermark>, Problem> {
    Ok(Json(app.watermark.current(&app).await?))
}
