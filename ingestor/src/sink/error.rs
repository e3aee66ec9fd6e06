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
    pub const ALL: [Self; 5] =
        [Self::Unreachable, Self::Overloaded, Self::Unauthorized, Self::TableChanged, Self::Refused];

    pub fn name(self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::Overloaded => "overloaded",
            Self::Unauthorized => "unauthorized",
            Self::TableChanged => "table_changed",
            Self::Refused => "refused",
        }
    }
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

    /// Whether a healthy server will take no block that holds these values: a
    /// constraint is violated (469), or an expression of the table fails on
    /// one: it can't be read (6, 38, 41, 72) or converted (70), is out of range
    /// (69, 321), too large (131), divided by zero (153), NULL where there is
    /// none (349), or of no enum (691).
    pub fn refuses_values(&self) -> bool {
        const OF_VALUES: [u32; 12] = [6, 38, 41, 69, 70, 72, 131, 153, 321, 349, 469, 691];
        self.class == Class::Refused && self.code.is_some_and(|code| OF_VALUES.contains(&code))
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
        // keeper, read-only by hand or while starting or shutting down, cancelled, aborted.
        Some(
            159 | 160 | 202 | 203 | 209 | 210 | 236 | 241 | 242 | 243 | 252 | 285 | 286 | 319 | 394 | 425
            | 439 | 774 | 999,
        ) => Class::Overloaded,
        Some(_) => Class::Refused,
        None if matches!(status, 401 | 403) => Class::Unauthorized,
        None => Class::Overloaded,
    }
}

/// Counts how often a block was refused for the same reason.
#[derive(Debug, Default)]
pub struct Refusals {
    code: Option<u32>,
    times: u32,
}

impl Refusals {
    /// Whether this is more than bad luck: the same code again and again.
    pub fn count(&mut self, error: &SinkError) -> bool {
        if error.code.is_none() {
            // The server was away: whatever it said before is old.
            *self = Self::default();
            return false;
        }
        self.times = if self.code == error.code { self.times + 1 } else { 1 };
        self.code = error.code;
        match (error.class, error.code) {
            (Class::Refused, _) => self.times >= 3,
            // A memory limit that this block can never stay below.
            (Class::Overloaded, Some(241)) => self.times >= 10,
            _ => false,
        }
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

    #[test]
    fn a_refusal_is_one_when_it_is_repeated() {
        let refused = |code| SinkError::answered("insert", 500, code, "");
        let mut refusals = Refusals::default();
        assert_eq!([469, 469, 469].map(|code| refusals.count(&refused(Some(code)))), [false, false, true]);
        assert!(!refusals.count(&SinkError::unreachable("insert", "gone")));
        assert!(!refusals.count(&refused(Some(469))));
        let parts: Vec<bool> = (0..50).map(|_| refusals.count(&refused(Some(252)))).collect();
        assert!(parts.iter().all(|refused| !refused), "too many parts passes");
        let memory: Vec<bool> = (0..10).map(|_| refusals.count(&refused(Some(241)))).collect();
        assert_eq!(memory.iter().filter(|refused| **refused).count(), 1);
    }
}
