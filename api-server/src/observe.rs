//! Around every request: its id, its metrics, its log line, the final form of
//! its problem, and the bound on its URL.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::app::App;
use crate::error::{Form, Problem};
use crate::limits::{MAX_CURSOR_BYTES, MAX_URI_BYTES};

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Longest request id that is taken from a client.
const MAX_REQUEST_ID: usize = 128;

/// The route of requests that match none.
const NO_ROUTE: &str = "other";

/// Routes of one [`Form`] share a layer.
pub async fn observe(State((app, form)): State<(Arc<App>, Form)>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let _in_flight = app.metrics.request();
    let request_id = request_id(request.headers());
    let route = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let route = route.unwrap_or_else(|| NO_ROUTE.to_owned());
    let mut response =
        if fits(request.uri()) { next.run(request).await } else { Problem::uri_too_long().into_response() };

    let problem = response.extensions_mut().remove::<Problem>();
    if let Some(problem) = &problem {
        if problem.shed {
            app.metrics.shed();
        }
        let rendered = problem.render(&request_id, form);
        let allow = response.headers_mut().remove(axum::http::header::ALLOW);
        response = rendered;
        if let Some(allow) = allow {
            response.headers_mut().insert(axum::http::header::ALLOW, allow);
        }
    }
    let value = HeaderValue::from_str(&request_id).expect("request ids are visible ASCII");
    response.headers_mut().insert(X_REQUEST_ID, value);

    let (status, after) = (response.status(), started.elapsed());
    app.metrics.answered(&route, status.as_u16(), after);
    let milliseconds = after.as_secs_f64() * 1000.0;
    // What is shed comes in crowds, and a metric counts it.
    let shed = problem.as_ref().is_some_and(|problem| problem.shed);
    if status.is_server_error() && !shed {
        let cause = problem.and_then(|problem| problem.cause).unwrap_or_default();
        tracing::warn!(request_id, route, status = status.as_u16(), milliseconds, cause, "request failed");
    } else {
        tracing::debug!(request_id, route, status = status.as_u16(), milliseconds, "request answered");
    }
    response
}

fn fits(uri: &Uri) -> bool {
    let cursor = uri.query().is_some_and(|query| query.contains("cursor="));
    let allowed = MAX_URI_BYTES + if cursor { MAX_CURSOR_BYTES } else { 0 };
    uri.path_and_query().is_none_or(|text| text.as_str().len() <= allowed)
}

/// The client's id if it is short and plain, else a new one.
fn request_id(headers: &HeaderMap) -> String {
    let plain = |text: &&str| {
        (1..=MAX_REQUEST_ID).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.:/+=".contains(&byte))
    };
    let given = headers.get(X_REQUEST_ID).and_then(|value| value.to_str().ok()).filter(plain);
    given.map_or_else(|| uuid::Uuid::now_v7().to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_a_plain_request_id_and_replaces_any_other() {
        let id = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(X_REQUEST_ID, HeaderValue::from_str(text).unwrap());
            request_id(&headers)
        };
        assert_eq!(id("a-1_b.c"), "a-1_b.c");
        for odd in ["", "a b", "<script>", &"x".repeat(129)] {
            assert_ne!(id(odd), odd);
        }
        assert_eq!(request_id(&HeaderMap::new()).len(), 36);
    }
}
