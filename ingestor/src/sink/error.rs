//! What went wrong with a request, and what that means.

/// What a failure means for the caller. Every class is retried; they differ in
/// what is reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// No connection, or the answer broke off: the request may still run.
    Unreachable,
    /// A healthy server said no for now: overload, keeper, shutdown, timeout.
    Overloaded,
    Unauthorized,
    /// No such table or database, or another one under the same name.
    TableChanged,
    /// A healthy server said no to exactly this.
    Refused,
}

impl Class {
    pub fn name(self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::Overloaded => "overloaded",
            Self::Unauthorized => "unauthorized",
            Self::TableChanged => "table_changed",
            Self::Refused => "refused",
        }
    }

    pub const ALL: [Self; 5] =
        [Self::Unreachable, Self::Overloaded, Self::Unauthorized, Self::TableChanged, Self::Refused];
}

#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
pub struct SinkError {
    pub class: Class,
    /// ClickHouse's error code, if it gave one.
    pub code: Option<u32>,
    pub message: String,
}

impl SinkError {
    pub fn unreachable(act: &str, error: impl std::fmt::Display) -> Self {
        Self { class: Class::Unreachable, code: None, message: format!("{act}: {error}") }
    }

    pub fn table(message: String) -> Self {
        Self { class: Class::TableChanged, code: None, message }
    }

    /// From an answer that is not clean.
    pub fn answered(act: &str, status: u16, code: Option<u32>, body: &str) -> Self {
        let class = classify(status, code, body);
        let body: String = body.trim().chars().take(400).collect();
        let message = match code {
            Some(code) => format!("{act}: ClickHouse answered {status}, code {code}: {body}"),
            None => format!("{act}: ClickHouse answered {status}: {body}"),
        };
        Self { class, code, message }
    }
}

/// The one place that decides what an answer means.
fn classify(status: u16, code: Option<u32>, body: &str) -> Class {
    match code {
        // Authentication failed, unknown user, wrong password, required password, access denied.
        Some(516 | 192 | 193 | 194 | 497) => Class::Unauthorized,
        // Unknown table, unknown database.
        Some(60 | 81) => Class::TableChanged,
        // The same code says too many parts (passes) and too many partitions
        // in one block (does not).
        Some(252) if body.contains("partitions for single INSERT block") => Class::Refused,
        // Timeouts, memory limit, too many queries, parts or connections, network,
        // keeper, read-only while starting or shutting down, cancelled, aborted.
        Some(159 | 160 | 202 | 203 | 209 | 210 | 236 | 241 | 242 | 243 | 252 | 285 | 286 | 319 | 394 | 425 | 439 | 999) => {
            Class::Overloaded
        }
        Some(_) => Class::Refused,
        None if matches!(status, 401 | 403) => Class::Unauthorized,
        None => Class::Overloaded,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_refusal_of_this_block_counts_as_one() {
        assert_eq!(classify(500, Some(241), ""), Class::Overloaded);
        assert_eq!(classify(500, Some(252), "Too many parts (300)"), Class::Overloaded);
        let partitions = "Too many partitions for single INSERT block (more than 100)";
        assert_eq!(classify(500, Some(252), partitions), Class::Refused);
        assert_eq!(classify(500, Some(469), ""), Class::Refused);
        assert_eq!(classify(403, Some(516), ""), Class::Unauthorized);
        assert_eq!(classify(404, Some(60), ""), Class::TableChanged);
        assert_eq!(classify(503, None, ""), Class::Overloaded);
    }
}
