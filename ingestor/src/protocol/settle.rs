//! SETTLE: finding out whether a block is stored, and storing what is not.
//!
//! A *unit* is the block's rows in one ClickHouse partition: one part, all or
//! nothing. The caller reads back and sends; this says what next.

/// Names the block for ClickHouse's deduplication, for every member alike.
pub fn token(nonce: u128) -> String {
    format!("{nonce:032x}")
}

/// The block's rows in one ClickHouse partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unit {
    /// `_partition_id`.
    pub id: String,
    pub rows: u64,
}

/// Stored rows of the block's range, by unit.
pub type Units = Vec<Unit>;

/// What to do after a read-back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Done,
    /// Send the units not stored, whole, on the same connection.
    Send,
    /// The token was taken and its rows never came, nor will they: wait until
    /// no older request can run, then promise the range anew.
    Leave,
}

/// Where a SETTLE stands.
#[derive(Clone, Copy, Debug, Default)]
pub struct Settle {
    /// A send under the token was answered cleanly: no older twin of it can
    /// add rows any more, and no younger one will.
    sealed: bool,
}

impl Settle {
    /// Whether rows still missing will not come under this token any more.
    pub fn token_spent(&self) -> bool {
        self.sealed
    }

    /// A clean read-back found `missing` rows in units of which nothing is
    /// stored.
    pub fn read_back(&self, missing: u64) -> Step {
        match (missing, self.sealed) {
            (0, _) => Step::Done,
            (_, false) => Step::Send,
            (_, true) => Step::Leave,
        }
    }

    /// A send was answered cleanly. Whether the rows are there says only the
    /// next read-back.
    pub fn answered(&mut self) {
        self.sealed = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_have_the_same_name_for_everybody() {
        assert_eq!(token(1), "00000000000000000000000000000001");
    }

    #[test]
    fn what_is_stored_is_not_sent() {
        assert_eq!(Settle::default().read_back(0), Step::Done);
    }

    #[test]
    fn an_unknown_answer_is_followed_by_another_look() {
        let settle = Settle::default();
        assert_eq!(settle.read_back(5), Step::Send);
        assert_eq!(settle.read_back(5), Step::Send);
        assert_eq!(settle.read_back(0), Step::Done);
    }

    #[test]
    fn a_clean_answer_without_rows_ends_the_token() {
        let mut settle = Settle::default();
        assert_eq!(settle.read_back(5), Step::Send);
        settle.answered();
        assert_eq!(settle.read_back(5), Step::Leave);
        settle.answered();
        assert_eq!(settle.read_back(0), Step::Done);
    }
}
