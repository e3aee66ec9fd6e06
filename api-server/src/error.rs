//! What went wrong → what the client reads: RFC 9457 `application/problem+json`,
//! or `{"error": …}` where a system before Caudal answered so.

use std::error::Error as _;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::limits::{MAX_CURSOR_BYTES, MAX_URI_BYTES};
use crate::query::ParameterError;
use crate::store::StoreError;

/// Where each code is explained.
const TYPES: &str = "https://github.com/caudal-dev/caudal/blob/main/docs/api.md#";

/// Kinds of problems, a closed list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Code {
    InvalidParameter,
    AnswerTooLarge,
    QueryTooExpensive,
    UnknownPath,
    RecordNotFound,
    MethodNotAllowed,
    UriTooLong,
    Internal,
    Overloaded,
    DatabaseUnavailable,
    DatabaseTimeout,
}

/// A problem to answer with. [`crate::observe`] gives it its request id and
/// its final form.
#[derive(Clone, Debug)]
pub struct Problem {
    pub code: Code,
    pub detail: String,
    pub errors: Vec<ParameterError>,
    /// For the log only.
    pub cause: Option<String>,
    /// We refused the request ourselves, since too much was asked at once.
    pub shed: bool,
}

/// How a route tells its problems.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// `application/problem+json`.
    Problem,
    /// `{"error": …}` and the codes of the systems before Caudal: 500 whenever
    /// the database fails.
    Plain,
}

impl Problem {
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), errors: Vec::new(), cause: None, shed: false }
    }

    pub fn parameters(errors: Vec<ParameterError>) -> Self {
        let more = match errors.len() {
            0 | 1 => String::new(),
            several => format!(" (and {} more)", several - 1),
        };
        let first = errors.first().map(|error| format!("{}: {}{more}", error.parameter, error.detail));
        Self { errors, ..Self::new(Code::InvalidParameter, first.unwrap_or_default()) }
    }

    pub fn uri_too_long() -> Self {
        let detail = format!(
            "path and query may have {MAX_URI_BYTES} bytes, with a cursor {MAX_CURSOR_BYTES} more; a long cursor \
             comes from long values in the fields of the order"
        );
        Self::new(Code::UriTooLong, detail)
    }

    /// The final answer.
    pub fn render(&self, request_id: &str, form: Form) -> Response {
        let Self { code, detail, errors, cause: _, shed: _ } = self;
        let status = code.status(form);
        let (content_type, body) = match form {
            Form::Plain => ("application/json", serde_json::json!({"error": detail})),
            Form::Problem => {
                let mut body = serde_json::json!({
                    "type": format!("{TYPES}{}", code.anchor()),
                    "title": code.title(),
                    "status": status.as_u16(),
                    "detail": detail,
                    "code": code,
                    "request_id": request_id,
                });
                if !errors.is_empty() {
                    body["errors"] = serde_json::json!(errors);
                }
                ("application/problem+json", body)
            }
        };
        let mut response = (status, [(header::CONTENT_TYPE, content_type)], body.to_string()).into_response();
        if let Some(seconds) = code.retry_after() {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static(seconds));
        }
        response
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = Response::default();
        response.extensions_mut().insert(self);
        response
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        let (code, detail) = match &error {
            StoreError::Shed(_) | StoreError::Busy(_) => {
                (Code::Overloaded, "too much is asked at once; try again a little later")
            }
            StoreError::Unreachable(_) => {
                (Code::DatabaseUnavailable, "the database does not answer; try again a little later")
            }
            StoreError::NoAnswer(_) | StoreError::TooSlow(_) => (
                Code::DatabaseTimeout,
                "the database took too long; ask for less, or filter by the first fields of the table's order",
            ),
            StoreError::TooExpensive(_) => (
                Code::QueryTooExpensive,
                "the query needs more than one query may use; filter by the first fields of the table's order",
            ),
            StoreError::TooLarge => (
                Code::AnswerTooLarge,
                "the answer would be too large; ask for fewer rows (limit) or fields (select)",
            ),
            StoreError::Refused(_)
            | StoreError::SettingsForbidden(_)
            | StoreError::CutsShort(_)
            | StoreError::Malformed(_) => {
                (Code::Internal, "the query failed; the request id finds the reason in the server's log")
            }
        };
        let mut cause = error.to_string();
        let mut source = error.source();
        while let Some(inner) = source {
            cause = format!("{cause}: {inner}");
            source = inner.source();
        }
        Self { cause: Some(cause), shed: matches!(error, StoreError::Shed(_)), ..Self::new(code, detail) }
    }
}

impl Code {
    fn status(self, form: Form) -> StatusCode {
        match self {
            Self::DatabaseUnavailable | Self::DatabaseTimeout if form == Form::Plain => {
                StatusCode::INTERNAL_SERVER_ERROR
            }
            Self::InvalidParameter | Self::AnswerTooLarge | Self::QueryTooExpensive => {
                StatusCode::BAD_REQUEST
            }
            Self::UnknownPath | Self::RecordNotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::UriTooLong => StatusCode::URI_TOO_LONG,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Overloaded | Self::DatabaseUnavailable => StatusCode::SERVICE_UNAVAILABLE,
            Self::DatabaseTimeout => StatusCode::GATEWAY_TIMEOUT,
        }
    }

    fn title(self) -> &'static str {
        match self {
            Self::InvalidParameter => "A parameter is wrong",
            Self::AnswerTooLarge => "The answer would be too large",
            Self::QueryTooExpensive => "The query needs too much",
            Self::UnknownPath => "There is nothing at this path",
            Self::RecordNotFound => "There is no such record",
            Self::MethodNotAllowed => "Only GET and HEAD are allowed",
            Self::UriTooLong => "The URL is too long",
            Self::Internal => "The server failed",
            Self::Overloaded => "The server is busy",
            Self::DatabaseUnavailable => "The database is unavailable",
            Self::DatabaseTimeout => "The database took too long",
        }
    }

    /// The heading in docs/api.md.
    fn anchor(self) -> String {
        format!("{self:?}").to_lowercase()
    }

    fn retry_after(self) -> Option<&'static str> {
        match self {
            Self::Overloaded => Some("1"),
            Self::DatabaseUnavailable => Some("5"),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::body::to_bytes;

    use super::*;
    use crate::limits::Shed;

    async fn body(response: Response) -> serde_json::Value {
        serde_json::from_slice(&to_bytes(response.into_body(), 1 << 20).await.unwrap()).unwrap()
    }

    #[tokio::test]
    async fn renders_a_problem_and_hides_its_cause() {
        let problem = Problem::from(StoreError::Refused("Code: 60. secret".into()));
        let response = problem.render("r-1", Form::Problem);
        assert_eq!(response.status(), 500);
        assert_eq!(response.headers()["content-type"], "application/problem+json");
        let body = body(response).await;
        assert_eq!(body["request_id"], "r-1");
        assert_eq!(body["code"], "Internal");
        assert!(!body.to_string().contains("secret"));
    }

    #[tokio::test]
    async fn a_plain_problem_is_an_error_text_and_500_when_the_database_fails() {
        let problem = Problem::from(StoreError::NoAnswer(std::time::Duration::ZERO));
        let response = problem.render("r-1", Form::Plain);
        assert_eq!(response.status(), 500);
        let body = body(response).await;
        assert_eq!(body.as_object().unwrap().len(), 1);
        assert!(body["error"].is_string());
    }

    #[test]
    fn overload_says_when_to_come_back() {
        let response = Problem::from(StoreError::from(Shed)).render("r", Form::Problem);
        assert_eq!(
            (response.status().as_u16(), &response.headers()["retry-after"]),
            (503, &"1".parse().unwrap())
        );
    }
}
