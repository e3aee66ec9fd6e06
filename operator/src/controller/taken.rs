//! Claims this process has let pass. The watch cache lags behind our own writes,
//! so two pipelines that ask at once must meet here; since one operator leads,
//! one process is enough.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, PoisonError};

use super::claims::{Claim, Conflict};

/// Claims by the uid of their pipeline.
#[derive(Default)]
pub struct TakenClaims {
    claims: Mutex<HashMap<String, Claim>>,
}

impl TakenClaims {
    /// Takes a claim before anything is promised, or tells who has it. `cached`
    /// are the claims in the cache, `alive` the uids of all pipelines in it: a
    /// pipeline that is gone owns nothing any more.
    pub fn take(&self, claim: &Claim, cached: &[Claim], alive: &HashSet<String>) -> Vec<Conflict> {
        let mut claims = self.claims.lock().unwrap_or_else(PoisonError::into_inner);
        claims.retain(|uid, _| uid == claim.uid() || alive.contains(uid));
        let conflicts = claim.conflicts(claims.values().chain(cached));
        if conflicts.is_empty() {
            claims.insert(claim.uid().to_owned(), claim.taken());
        } else if !claim.is_recorded() {
            claims.remove(claim.uid());
        }
        conflicts
    }

    /// The pipeline claims nothing any more.
    pub fn forget(&self, uid: &str) {
        self.claims.lock().unwrap_or_else(PoisonError::into_inner).remove(uid);
    }
}

#[cfg(test)]
mod tests {
    use super::super::claims::tests::{claim, sharing_a_topic, things};
    use super::*;

    fn alive(uids: &[&str]) -> HashSet<String> {
        uids.iter().map(|uid| (*uid).to_owned()).collect()
    }

    #[test]
    fn of_two_that_ask_at_once_the_first_gets_it_whatever_the_cache_says() {
        let taken = TakenClaims::default();
        let (first, second) =
            (sharing_a_topic(claim(1, "z", "a", "orders")), sharing_a_topic(claim(1, "a", "b", "thief")));
        let both = alive(&["a", "z"]);
        assert_eq!(taken.take(&first, &[], &both), []);
        assert_eq!(things(&taken.take(&second, std::slice::from_ref(&first), &both)), ["topic \"shared\""]);
        assert_eq!(taken.take(&first, &[], &both), []);
        // The first goes, and the second has its turn.
        assert_eq!(taken.take(&second, &[], &alive(&["a"])), []);
        assert_eq!(things(&taken.take(&first, &[], &both)), ["topic \"shared\""]);
        taken.forget("a");
        assert_eq!(taken.take(&first, &[], &both), []);
    }

    #[test]
    fn one_cluster_behind_two_connections_is_seen_once_it_was_asked_for_its_id() {
        let taken = TakenClaims::default();
        let both = alive(&["a", "z"]);
        let first = sharing_a_topic(claim(1, "z", "a", "orders"));
        let second = sharing_a_topic(claim(2, "a", "b", "thief")).by_secret("mine");
        assert_eq!(taken.take(&first.in_cluster("c"), &[], &both), []);
        assert_eq!(taken.take(&second, &[], &both), []);
        assert_eq!(things(&taken.take(&second.in_cluster("c"), &[], &both)), ["topic \"shared\""]);
    }
}
