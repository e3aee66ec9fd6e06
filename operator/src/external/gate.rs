//! A connection known to be down answers at once: pipelines that use it must
//! not hold places that others wait for.

use std::sync::{Mutex, PoisonError};

/// Closed with the error that a check of the connection gave.
pub struct Gate<Error> {
    down: Mutex<Option<Error>>,
}

impl<Error> Default for Gate<Error> {
    fn default() -> Self {
        Self { down: Mutex::new(None) }
    }
}

impl<Error: Clone> Gate<Error> {
    /// What a check came to; it decides until the next.
    pub fn set(&self, down: Option<Error>) {
        *self.down.lock().unwrap_or_else(PoisonError::into_inner) = down;
    }

    /// The error while the connection is down.
    pub fn pass(&self) -> Result<(), Error> {
        let down = self.down.lock().unwrap_or_else(PoisonError::into_inner);
        down.clone().map_or(Ok(()), Err)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closed_gate_answers_for_the_connection() {
        let gate = Gate::default();
        assert_eq!(gate.pass(), Ok(()));
        gate.set(Some("no answer"));
        assert_eq!(gate.pass(), Err("no answer"));
        gate.set(None);
        assert_eq!(gate.pass(), Ok(()));
    }
}
