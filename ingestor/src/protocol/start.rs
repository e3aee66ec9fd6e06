//! What is known of an assigned partition → where and how to begin.

use super::metadata::{Identity, Metadata, NotOurs, Promise};

/// What is known of a partition when it is assigned.
#[derive(Clone, Debug)]
pub struct Known {
    /// The committed offset and its metadata, if there is a commit.
    pub committed: Option<(i64, Vec<u8>)>,
    /// The highest next offset in the ledger.
    pub ledger: Option<i64>,
    /// 1 + the highest offset stored at or above the committed one.
    pub stored: Option<i64>,
    /// Rows stored within the range of the committed intent.
    pub stored_of_intent: u64,
}

/// How to begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// Nothing is known: where `startFrom` says. Commit it first.
    Fresh,
    /// Go on at `position`. `commit`: the position is new and committed first.
    Resume { position: i64, commit: bool, reconcile: Option<i64> },
    /// Build the block of the intent again and SETTLE it. `stored`: its rows
    /// are all in the table, only its dead letters are in doubt.
    Replay { promise: Promise, stored: bool, reconcile: Option<i64> },
    /// The intent's rows are all stored: complete it without reading.
    /// `recorded`: the ledger has it too.
    Complete { promise: Promise, recorded: bool, reconcile: Option<i64> },
}

/// Why a partition can't begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stop {
    Newer,
    /// Another pipeline's or another table's metadata.
    Foreign(String),
    /// The intent was made by another plan and is not stored.
    PlanRevision(String),
}

/// `reconcile` in the answer is H: ranges that begin below it are settled from
/// the first step on, because their rows may be stored already.
pub fn start(known: &Known, identity: &Identity, plan_revision: &str) -> Result<Start, Stop> {
    let beyond = known.ledger.max(known.stored);
    let Some((offset, metadata)) = &known.committed else {
        return Ok(match known.ledger {
            Some(position) => {
                Start::Resume { position, commit: true, reconcile: beyond.filter(|h| *h > position) }
            }
            None => match known.stored {
                // Rows without a ledger: its table was dropped, perhaps.
                Some(_) => Start::Resume { position: 0, commit: true, reconcile: beyond },
                None => Start::Fresh,
            },
        });
    };
    let offset = *offset;
    let metadata = match Metadata::parse(metadata) {
        Err(NotOurs::Newer) => return Err(Stop::Newer),
        Err(NotOurs::Foreign) => {
            // An operator's hand, or a tool: trust the offset, not its past.
            let reconcile = beyond.filter(|h| *h > offset);
            return Ok(Start::Resume { position: offset, commit: true, reconcile });
        }
        Ok(metadata) => metadata,
    };
    let theirs = &metadata.identity;
    if theirs.pipeline != identity.pipeline {
        return Err(Stop::Foreign(format!("pipeline {}", theirs.pipeline)));
    }
    if theirs.table_uuid != identity.table_uuid {
        return Err(Stop::Foreign(format!("table {}", theirs.table_uuid)));
    }
    if theirs.topic_id != identity.topic_id {
        // Deleted and made again: other messages, other offsets.
        return Ok(Start::Resume { position: 0, commit: true, reconcile: beyond });
    }
    let Some(promise) = metadata.promise else {
        let reconcile = beyond.filter(|h| *h > offset);
        return Ok(Start::Resume { position: offset, commit: false, reconcile });
    };
    if promise.first != offset {
        // A tool moved the offset and kept the metadata.
        let reconcile = beyond.max(Some(promise.next)).filter(|h| *h > offset);
        return Ok(Start::Resume { position: offset, commit: true, reconcile });
    }
    let reconcile = beyond.filter(|h| *h > promise.next);
    let stored = known.stored_of_intent == promise.rows;
    if stored && promise.dead_letters == 0 {
        let recorded = known.ledger.is_some_and(|next| next >= promise.next);
        return Ok(Start::Complete { promise, recorded, reconcile });
    }
    if metadata.plan_revision != plan_revision && !stored {
        return Err(Stop::PlanRevision(metadata.plan_revision));
    }
    Ok(Start::Replay { promise, stored, reconcile })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ours() -> Identity {
        Identity { topic_id: "t".into(), pipeline: "n/p".into(), table_uuid: "u".into() }
    }

    const PROMISE: Promise = Promise { first: 10, next: 20, rows: 9, dead_letters: 0, nonce: 5 };

    fn metadata(identity: Identity, promise: Option<Promise>) -> Vec<u8> {
        Metadata { identity, plan_revision: "r".into(), born: 1, promise }.encode().into_bytes()
    }

    fn known(committed: Option<(i64, Vec<u8>)>) -> Known {
        Known { committed, ledger: None, stored: None, stored_of_intent: 0 }
    }

    fn decide(known: &Known) -> Result<Start, Stop> {
        start(known, &ours(), "r")
    }

    #[test]
    fn nothing_committed_asks_the_ledger_then_the_plan() {
        assert_eq!(decide(&known(None)), Ok(Start::Fresh));
        let ledger = Known { ledger: Some(7), ..known(None) };
        assert_eq!(decide(&ledger), Ok(Start::Resume { position: 7, commit: true, reconcile: None }));
        let more = Known { stored: Some(9), ..ledger };
        assert_eq!(decide(&more), Ok(Start::Resume { position: 7, commit: true, reconcile: Some(9) }));
    }

    #[test]
    fn idle_goes_on() {
        let idle = known(Some((10, metadata(ours(), None))));
        assert_eq!(decide(&idle), Ok(Start::Resume { position: 10, commit: false, reconcile: None }));
        // The ledger may stand exactly at the position, not beyond it.
        let level = Known { ledger: Some(10), ..idle.clone() };
        assert_eq!(decide(&level), Ok(Start::Resume { position: 10, commit: false, reconcile: None }));
        let beyond = Known { stored: Some(12), ..idle };
        assert_eq!(decide(&beyond), Ok(Start::Resume { position: 10, commit: false, reconcile: Some(12) }));
    }

    #[test]
    fn an_intent_is_replayed_unless_it_is_stored() {
        let intent = known(Some((10, metadata(ours(), Some(PROMISE)))));
        let replay = Start::Replay { promise: PROMISE, stored: false, reconcile: None };
        assert_eq!(decide(&intent), Ok(replay));
        let stored = Known { stored_of_intent: 9, stored: Some(20), ledger: Some(20), ..intent };
        assert_eq!(
            decide(&stored),
            Ok(Start::Complete { promise: PROMISE, recorded: true, reconcile: None })
        );
    }

    #[test]
    fn dead_letters_of_an_intent_are_read_again() {
        let promise = Promise { dead_letters: 1, ..PROMISE };
        let known = Known { stored_of_intent: 9, ..known(Some((10, metadata(ours(), Some(promise))))) };
        assert!(matches!(decide(&known), Ok(Start::Replay { .. })));
    }

    #[test]
    fn an_intent_of_another_plan_is_not_guessed() {
        let intent = known(Some((10, metadata(ours(), Some(PROMISE)))));
        assert_eq!(start(&intent, &ours(), "other"), Err(Stop::PlanRevision("r".into())));
        let stored = Known { stored_of_intent: 9, ..intent };
        assert!(matches!(start(&stored, &ours(), "other"), Ok(Start::Complete { .. })));
    }

    #[test]
    fn another_topic_begins_at_zero_and_another_owner_stops() {
        let topic = Identity { topic_id: "new".into(), ..ours() };
        let of = |identity| known(Some((10, metadata(identity, Some(PROMISE)))));
        assert_eq!(decide(&of(topic)), Ok(Start::Resume { position: 0, commit: true, reconcile: None }));
        let pipeline = Identity { pipeline: "n/q".into(), ..ours() };
        assert!(matches!(decide(&of(pipeline)), Err(Stop::Foreign(_))));
        let table = Identity { table_uuid: "v".into(), ..ours() };
        assert!(matches!(decide(&of(table)), Err(Stop::Foreign(_))));
        assert_eq!(decide(&known(Some((3, b"caudal/9 x".to_vec())))), Err(Stop::Newer));
    }

    #[test]
    fn foreign_metadata_reconciles() {
        let reset = Known { ledger: Some(50), ..known(Some((3, Vec::new()))) };
        assert_eq!(decide(&reset), Ok(Start::Resume { position: 3, commit: true, reconcile: Some(50) }));
        let moved = known(Some((3, metadata(ours(), Some(PROMISE)))));
        assert_eq!(decide(&moved), Ok(Start::Resume { position: 3, commit: true, reconcile: Some(20) }));
    }
}
