//! Why ClickHouse did not do what was asked.

use clickhouse::error::Error as ClientError;

/// An error of an administrative request.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ClickHouseError {
    #[error("{act}: no answer from {url}: {detail}")]
    Unreachable { act: String, url: String, detail: String },
    #[error("{act}: {url} refuses the credentials: {detail}")]
    Authentication { act: String, url: String, detail: String },
    #[error("{act}: ClickHouse refuses: {detail}")]
    Refused { act: String, detail: String },
    #[error("set up a ClickHouse client for {url}: {detail}")]
    Settings { url: String, detail: String },
}

impl ClickHouseError {
    /// Nothing can be done with the server for now.
    pub fn is_outage(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Authentication { .. })
    }
}

/// UNKNOWN_USER, WRONG_PASSWORD, REQUIRED_PASSWORD, ACCESS_DENIED,
/// AUTHENTICATION_FAILED.
const CREDENTIALS: [u32; 5] = [192, 193, 194, 497, 516];
/// Server errors that pass by themselves: TIMEOUT_EXCEEDED, TOO_MANY_SIMULTANEOUS_QUERIES,
/// NETWORK_ERROR, KEEPER_EXCEPTION.
const PASSING: [u32; 4] = [159, 202, 210, 999];

/// What an error of the client means.
pub(super) fn classify(act: &str, url: &str, error: &ClientError) -> ClickHouseError {
    let (act, url) = (act.to_owned(), url.to_owned());
    let detail = chain(error);
    match error {
        ClientError::BadResponse(answer) => match code(answer) {
            Some(code) if CREDENTIALS.contains(&code) => {
                ClickHouseError::Authentication { act, url, detail: first_line(answer) }
            }
            Some(code) if !PASSING.contains(&code) => {
                ClickHouseError::Refused { act, detail: first_line(answer) }
            }
            _ => ClickHouseError::Unreachable { act, url, detail: first_line(answer) },
        },
        ClientError::Network(_) | ClientError::TimedOut => ClickHouseError::Unreachable { act, url, detail },
        _ => ClickHouseError::Refused { act, detail },
    }
}

/// The number in `Code: 516. DB::Exception: …`.
fn code(answer: &str) -> Option<u32> {
    let digits = answer.trim_start().strip_prefix("Code: ")?;
    let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    digits[..end].parse().ok()
}

fn first_line(answer: &str) -> String {
    answer.lines().next().unwrap_or_default().chars().take(300).collect()
}

/// The error and its causes in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let part = error.to_string();
        if !text.contains(&part) {
            text = format!("{text}: {part}");
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(answer: &str) -> ClickHouseError {
        classify("create table", "http://ch:8123", &ClientError::BadResponse(answer.to_owned()))
    }

    #[test]
    fn tells_credentials_from_refusals_and_outages() {
        let wrong = of("Code: 516. DB::Exception: admin: Authentication failed. (AUTHENTICATION_FAILED)");
        assert!(matches!(wrong, ClickHouseError::Authentication { .. }), "{wrong}");
        let refused =
            of("Code: 44. DB::Exception: Sorting key contains nullable columns. (ILLEGAL_COLUMN)\nmore");
        assert_eq!(
            refused.to_string(),
            "create table: ClickHouse refuses: Code: 44. DB::Exception: Sorting key contains nullable columns. (ILLEGAL_COLUMN)"
        );
        assert!(matches!(of("Code: 159. DB::Exception: Timeout"), ClickHouseError::Unreachable { .. }));
        assert!(matches!(of("502 Bad Gateway"), ClickHouseError::Unreachable { .. }));
        let gone = classify("a", "u", &ClientError::Network("connection refused".into()));
        assert!(matches!(gone, ClickHouseError::Unreachable { .. }));
    }
}
