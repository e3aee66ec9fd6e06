//! What ClickHouse or the way to it answered → what a client is told.

use std::time::Duration;

use clickhouse::error::Error;

use crate::limits::Shed;

/// Why there are no rows.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("reach ClickHouse")]
    Unreachable(#[source] Error),
    #[error("ClickHouse gave no answer within {0:?}")]
    NoAnswer(Duration),
    #[error("ClickHouse took too long: {0}")]
    TooSlow(String),
    #[error("ClickHouse is overloaded: {0}")]
    Busy(String),
    #[error("the query needs more than one query may use: {0}")]
    TooExpensive(String),
    #[error("the answer is too large")]
    TooLarge,
    #[error("ClickHouse refused the query: {0}")]
    Refused(String),
    /// The user's profile forbids settings with a query.
    #[error("ClickHouse lets this user change no setting: {0}")]
    SettingsForbidden(String),
    #[error("read ClickHouse's answer: {0}")]
    Malformed(String),
    #[error(transparent)]
    Shed(#[from] Shed),
}

impl From<Error> for StoreError {
    fn from(error: Error) -> Self {
        match error {
            Error::Network(_) | Error::TimedOut => Self::Unreachable(error),
            Error::BadResponse(text) => bad_response(text),
            other => Self::Malformed(other.to_string()),
        }
    }
}

fn bad_response(text: String) -> StoreError {
    let Some(code) = exception_code(&text) else {
        // No exception of ClickHouse: a proxy in between speaks.
        let gateway = ["502", "503", "504"].iter().any(|status| text.starts_with(status));
        return if gateway { StoreError::Busy(text) } else { StoreError::Refused(text) };
    };
    match code {
        // TIMEOUT_EXCEEDED, TOO_SLOW
        159 | 160 => StoreError::TooSlow(text),
        // TOO_MANY_ROWS, TOO_MANY_BYTES (to read)
        158 | 307 => StoreError::TooExpensive(text),
        // MEMORY_LIMIT_EXCEEDED: the query's own, or the server's
        241 if is_own_memory(&text) => StoreError::TooExpensive(text),
        // QUOTA_EXCEEDED, TOO_MANY_SIMULTANEOUS_QUERIES, NETWORK_ERROR, ABORTED, QUERY_WAS_CANCELLED
        201 | 202 | 210 | 236 | 241 | 394 => StoreError::Busy(text),
        // TOO_MANY_ROWS_OR_BYTES (in the result)
        396 => StoreError::TooLarge,
        // READONLY; SETTING_CONSTRAINT_VIOLATION
        164 | 452 => StoreError::SettingsForbidden(text),
        _ => StoreError::Refused(text),
    }
}

fn exception_code(text: &str) -> Option<u32> {
    let rest = &text[text.find("Code: ")? + "Code: ".len()..];
    let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    rest[..digits].parse().ok()
}

fn is_own_memory(text: &str) -> bool {
    let text = text.to_lowercase();
    text.contains("(for query)") || text.contains("query memory limit")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_whose_fault_it_is() {
        let classify = |text: &str| StoreError::from(Error::BadResponse(text.to_owned()));
        assert!(matches!(classify("Code: 159. DB::Exception: Timeout exceeded"), StoreError::TooSlow(_)));
        assert!(matches!(
            classify("Code: 241. DB::Exception: Query memory limit exceeded"),
            StoreError::TooExpensive(_)
        ));
        assert!(matches!(
            classify("Code: 241. DB::Exception: (total) memory limit exceeded"),
            StoreError::Busy(_)
        ));
        assert!(matches!(classify("Code: 396. DB::Exception: Limit for result"), StoreError::TooLarge));
        assert!(matches!(classify("Code: 60. DB::Exception: Unknown table"), StoreError::Refused(_)));
        assert!(matches!(
            classify("Code: 164. DB::Exception: Cannot modify"),
            StoreError::SettingsForbidden(_)
        ));
        assert!(matches!(classify("503 Service Unavailable"), StoreError::Busy(_)));
        assert!(matches!(classify("nonsense"), StoreError::Refused(_)));
        assert!(matches!(StoreError::from(Error::TimedOut), StoreError::Unreachable(_)));
    }
}
