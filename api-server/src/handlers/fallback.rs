//! Paths and methods that are not there.

use axum::http::Uri;

use crate::error::{Code, Problem};
use crate::routes;

pub async fn unknown_path(uri: Uri) -> Problem {
    let hint = format!("begin at {}; {} describes every path", routes::RECORDS, routes::OPENAPI);
    let path: String = uri.path().chars().take(80).collect();
    Problem::new(Code::UnknownPath, format!("nothing is served at {path:?}; {hint}"))
}

pub async fn method_not_allowed() -> Problem {
    Problem::new(Code::MethodNotAllowed, "this API only reads; use GET or HEAD")
}
