//! What is known of an assigned partition → where and how to begin.

use super::metadata::{Identity, Metadata, NotOurs, Origin, Promise, Word};

/// What is known of a partition when it is assigned.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// The committed offset and its metadata, if there is a commit.
    pub committed: Option<(i64, Vec<u8>)>,
    /// The highest next offset in the ledger.
    pub ledger: Option<i64>,
    /// 1 + the highest offset stored at or above the committed one.
    pub stored: Option<i64>,
    /// Rows stored within the range of the committed intent.
    pub stored_of_intent: u64,
    /// We have owned the partition for as long as an older request can run; or
    /// rows may be there twice, so that it does not matter.
    pub waited: bool,
}

/// How to begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// Nothing is known: where `startFrom` says. Commit it first.
    Fresh,
    /// RECONCILE: wait until no older request can run, then ask again.
    Wait,
    /// Go on at `position`. `commit`: the position is new and committed first.
    Resume { position: i64, commit: bool },
    /// Build the block of the intent again and SETTLE it. `stored`: its rows
    /// are all in the table, only its dead letters are in doubt.
    Replay { promise: Promise, stored: bool },
    /// The intent's rows are all stored: complete it without reading.
    /// `recorded`: the ledger has it too.
    Complete { promise: Promise, recorded: bool },
}

/// Why a partition can't begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stop {
    Newer,
    /// Another pipeline's or another table's metadata.
    Foreign(String),
    /// The intent was made by a plan whose content nobody here knows, and has
    /// to be read again.
    PlanRevision {
        promise: Promise,
        origin: Origin,
    },
}

impl Known {
    /// H: everything that table or ledger know is below.
    pub fn height(&self) -> i64 {
        self.ledger.max(self.stored).unwrap_or(0)
    }

    /// `start`, if that is certain: nothing beyond `end` is known, or nothing
    /// older can run any more.
    fn certain(&self, end: i64, start: Start) -> Start {
        if self.waited || self.height() <= end { start } else { Start::Wait }
    }

    /// `start` after the wait, whatever is known.
    fn uncertain(&self, start: Start) -> Start {
        if self.waited { start } else { Start::Wait }
    }
}

/// Ranges below [`Known::height`] are read back before they are sent. `builds`:
/// whether a block of this content revision can be built.
pub fn start(known: &Known, identity: &Identity, builds: impl Fn(&str) -> bool) -> Result<Start, Stop> {
    let Some((offset, metadata)) = &known.committed else {
        return Ok(match (known.ledger, known.stored) {
            (None, None) => Start::Fresh,
            // The group's offsets were deleted, or have expired.
            (ledger, _) => known.uncertain(Start::Resume { position: ledger.unwrap_or(0), commit: true }),
        });
    };
    let offset = *offset;
    let metadata = match Metadata::parse(metadata) {
        Err(NotOurs::Newer) => return Err(Stop::Newer),
        // An operator's hand, or a tool: trust the offset, not its past.
        Err(NotOurs::Foreign) => {
            return Ok(known.uncertain(Start::Resume { position: offset, commit: true }));
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
        return Ok(known.certain(0, Start::Resume { position: 0, commit: true }));
    }
    let promise = match metadata.word {
        Word::Intent(promise) => promise,
        Word::Idle => return Ok(known.certain(offset, Start::Resume { position: offset, commit: false })),
        // Nobody wrote down what was sent.
        Word::Unguarded => {
            return Ok(known.uncertain(Start::Resume { position: offset, commit: true }));
        }
    };
    if promise.first != offset {
        // A tool moved the offset and kept the metadata.
        return Ok(known.uncertain(Start::Resume { position: offset, commit: true }));
    }
    let stored = known.stored_of_intent == promise.rows;
    if stored && promise.dead_letters == 0 {
        let recorded = known.ledger.is_some_and(|next| next >= promise.next);
        return Ok(known.certain(promise.next, Start::Complete { promise, recorded }));
    }
    // Which messages are its dead letters is content, too.
    if !builds(&metadata.origin.content) {
        return Err(Stop::PlanRevision { promise, origin: metadata.origin });
    }
    Ok(known.certain(promise.next, Start::Replay { promise, stored }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ours() -> Identity {
        Identity { topic_id: "t".into(), pipeline: "n/p".into(), table_uuid: "u".into() }
    }

    const PROMISE: Promise = Promise { first: 10, next: 20, rows: 9, dead_letters: 0, filtered: 1, nonce: 5 };

    fn origin() -> Origin {
        Origin { plan: "p".into(), content: "c".into() }
    }

    fn metadata(identity: Identity, promise: Option<Promise>) -> Vec<u8> {
        word(identity, promise.into())
    }

    fn word(identity: Identity, word: Word) -> Vec<u8> {
        Metadata { identity, origin: origin(), born: 1, word }.encode().into_bytes()
    }

    fn known(committed: Option<(i64, Vec<u8>)>) -> Known {
        Known { committed, ..Known::default() }
    }

    fn decide(known: &Known) -> Result<Start, Stop> {
        start(known, &ours(), |content| content == "c")
    }

    /// The decision must be to wait; and then?
    fn after_waiting(known: &Known) -> Result<Start, Stop> {
        assert_eq!(decide(known), Ok(Start::Wait));
        decide(&Known { waited: true, ..known.clone() })
    }

    #[test]
    fn nothing_committed_asks_the_ledger_then_the_plan() {
        assert_eq!(decide(&known(None)), Ok(Start::Fresh));
        let ledger = Known { ledger: Some(7), ..known(None) };
        assert_eq!(after_waiting(&ledger), Ok(Start::Resume { position: 7, commit: true }));
        let rows_only = Known { stored: Some(9), ..known(None) };
        assert_eq!(after_waiting(&rows_only), Ok(Start::Resume { position: 0, commit: true }));
    }

    #[test]
    fn idle_goes_on_unless_more_is_known() {
        let idle = known(Some((10, metadata(ours(), None))));
        let resume = Start::Resume { position: 10, commit: false };
        assert_eq!(decide(&idle), Ok(resume));
        // The ledger may stand exactly at the position, not beyond it.
        assert_eq!(decide(&Known { ledger: Some(10), ..idle.clone() }), Ok(resume));
        assert_eq!(after_waiting(&Known { stored: Some(12), ..idle }), Ok(resume));
    }

    #[test]
    fn behind_a_position_without_intents_anything_may_be_under_way() {
        let unguarded = known(Some((10, word(ours(), Word::Unguarded))));
        assert_eq!(after_waiting(&unguarded), Ok(Start::Resume { position: 10, commit: true }));
    }

    #[test]
    fn an_intent_is_replayed_unless_it_is_stored() {
        let intent = known(Some((10, metadata(ours(), Some(PROMISE)))));
        let replay = Start::Replay { promise: PROMISE, stored: false };
        assert_eq!(decide(&intent), Ok(replay));
        assert_eq!(after_waiting(&Known { ledger: Some(30), ..intent.clone() }), Ok(replay));
        let stored = Known { stored_of_intent: 9, stored: Some(20), ledger: Some(20), ..intent };
        assert_eq!(decide(&stored), Ok(Start::Complete { promise: PROMISE, recorded: true }));
    }

    #[test]
    fn dead_letters_of_an_intent_are_read_again() {
        let promise = Promise { dead_letters: 1, ..PROMISE };
        let known = Known { stored_of_intent: 9, ..known(Some((10, metadata(ours(), Some(promise))))) };
        assert_eq!(decide(&known), Ok(Start::Replay { promise, stored: true }));
    }

    #[test]
    fn an_intent_of_unknown_content_is_not_guessed() {
        let stop = Err(Stop::PlanRevision { promise: PROMISE, origin: origin() });
        let intent = known(Some((10, metadata(ours(), Some(PROMISE)))));
        assert_eq!(start(&intent, &ours(), |_| false), stop);
        let stored = Known { stored_of_intent: 9, ..intent };
        assert!(matches!(start(&stored, &ours(), |_| false), Ok(Start::Complete { .. })));
        // Which messages are dead letters, nobody can tell either.
        let promise = Promise { dead_letters: 1, ..PROMISE };
        let intent = known(Some((10, metadata(ours(), Some(promise)))));
        let stored = Known { stored_of_intent: 9, ..intent };
        assert!(matches!(start(&stored, &ours(), |_| false), Err(Stop::PlanRevision { .. })));
    }

    #[test]
    fn another_topic_begins_at_zero_and_another_owner_stops() {
        let topic = Identity { topic_id: "new".into(), ..ours() };
        let of = |identity| known(Some((10, metadata(identity, Some(PROMISE)))));
        assert_eq!(decide(&of(topic)), Ok(Start::Resume { position: 0, commit: true }));
        let pipeline = Identity { pipeline: "n/q".into(), ..ours() };
        assert!(matches!(decide(&of(pipeline)), Err(Stop::Foreign(_))));
        let table = Identity { table_uuid: "v".into(), ..ours() };
        assert!(matches!(decide(&of(table)), Err(Stop::Foreign(_))));
        assert_eq!(decide(&known(Some((3, b"caudal/9 x".to_vec())))), Err(Stop::Newer));
    }

    #[test]
    fn foreign_metadata_always_waits() {
        let resume = Start::Resume { position: 3, commit: true };
        let empty = known(Some((3, Vec::new())));
        assert_eq!(after_waiting(&empty), Ok(resume));
        assert_eq!(after_waiting(&Known { ledger: Some(50), ..empty }), Ok(resume));
        let moved = known(Some((3, metadata(ours(), Some(PROMISE)))));
        assert_eq!(after_waiting(&moved), Ok(resume));
    }
}
