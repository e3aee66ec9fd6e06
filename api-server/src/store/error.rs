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
    /// The user's profile sets these, and forbids us to set them otherwise.
    #[error("the profile of ClickHouse's user cuts answers short at its limits ({0}); set these to throw")]
    CutsShort(String),
    #[error("read ClickHouse's answer: {0}")]
    Malformed(String),
    #[error(transparent)]
    Shed(#[from] Shed),
}

impl StoreError {
    /// Whether ClickHouse gave no answer, rather than we did not take it.
    pub fn is_of_clickhouse(&self) -> bool {
        !matches!(self, Self::TooLarge | Self::Shed(_))
    }
}

/// What proxies say, as a status or in a page, when they reach no server.
const NO_SERVER: [&str; 5] = [
    "Bad Gateway",
    "Service Unavailable",
    "Service Temporarily Unavailable",
    "upstream connect error",
    "no healthy upstream",
];
/// And when it does not answer them in time.
const NO_ANSWER: [&str; 3] = ["Gateway Timeout", "Gateway Time-out", "upstream request timeout"];

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
        let says = |phrases: &[&str]| phrases.iter().any(|phrase| text.contains(phrase));
        return if says(&NO_SERVER) {
            StoreError::Unreachable(Error::BadResponse(text))
        } else if says(&NO_ANSWER) {
            StoreError::TooSlow(text)
        } else {
            StoreError::Refused(text)
        };
    };
    match code {
        // TIMEOUT_EXCEEDED, TOO_SLOW
        159 | 160 => StoreError::TooSlow(text),
        // TOO_MANY_ROWS, TOO_MANY_BYTES (to read)
        158 | 307 => StoreError::TooExpensive(text),
        // MEMORY_LIMIT_EXCEEDED: the query's own, or the server's
        241 if is_own_memory(&text) => StoreError::TooExpensive(text),
        // QUOTA_EXCEEDED, TOO_MANY_SIMULTANEOUS_QUERIES, ABORTED, QUERY_WAS_CANCELLED, CANNOT_SCHEDULE_TASK,
        // SERVER_OVERLOADED
        201 | 202 | 236 | 241 | 394 | 439 | 745 => StoreError::Busy(text),
        // NETWORK_ERROR: a shard or replica of it
        210 => StoreError::Unreachable(Error::BadResponse(text)),
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
        for busy in
            ["Code: 745. DB::Exception: CPU is overloaded", "Code: 439. DB::Exception: no free thread"]
        {
            assert!(matches!(classify(busy), StoreError::Busy(_)));
        }
        for gone in [
            "503 Service Unavailable",
            "<html><head><title>502 Bad Gateway</title></head></html>",
            "no healthy upstream",
            "Code: 210. DB::NetException: Connection refused",
        ] {
            assert!(matches!(classify(gone), StoreError::Unreachable(_)), "{gone}");
        }
        assert!(matches!(classify("504 Gateway Timeout"), StoreError::TooSlow(_)));
        assert!(matches!(classify("nonsense"), StoreError::Refused(_)));
        assert!(matches!(StoreError::from(Error::TimedOut), StoreError::Unreachable(_)));
    }
}
