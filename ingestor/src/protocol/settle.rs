//! SETTLE: finding out whether a block is stored, and storing what is not.
//!
//! A *unit* is the block's rows in one ClickHouse partition: one part, all or
//! nothing. The caller reads back and sends; this says what next.

/// Names the attempt for ClickHouse's deduplication: the same for every member.
pub fn token(nonce: u128, generation: u32) -> String {
    match generation {
        0 => format!("{nonce:032x}"),
        fix => format!("{nonce:032x}/fix{fix}"),
    }
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

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    ReadBack,
    /// Send the units not stored, whole, under this generation's token.
    Send {
        generation: u32,
    },
    Done,
    GiveUp,
}

/// More than this many clean answers without the rows: something removes them.
const MAX_GENERATION: u32 = 4;

/// Where a SETTLE stands.
#[derive(Clone, Copy, Debug)]
pub struct Settle {
    rows: u64,
    generation: u32,
    /// The last send under this generation was answered cleanly: no older twin
    /// of it can add rows any more.
    sealed: bool,
}

impl Settle {
    pub fn new(rows: u64) -> Self {
        Self { rows, generation: 0, sealed: false }
    }

    pub fn begin(&self) -> Step {
        if self.rows == 0 { Step::Done } else { Step::ReadBack }
    }

    /// A clean read-back found `missing` rows in units of which nothing is
    /// stored.
    pub fn read_back(&mut self, missing: u64) -> Step {
        if missing == 0 {
            return Step::Done;
        }
        if self.sealed {
            self.sealed = false;
            self.generation += 1;
            if self.generation > MAX_GENERATION {
                return Step::GiveUp;
            }
        }
        Step::Send { generation: self.generation }
    }

    /// The send was answered: cleanly, or we don't know.
    pub fn sent(&mut self, clean: bool) -> Step {
        self.sealed = clean;
        Step::ReadBack
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_have_the_same_names_for_everybody() {
        assert_eq!(token(1, 0), "00000000000000000000000000000001");
        assert_eq!(token(1, 2), "00000000000000000000000000000001/fix2");
    }

    #[test]
    fn what_is_stored_is_not_sent() {
        assert_eq!(Settle::new(0).begin(), Step::Done);
        let mut settle = Settle::new(5);
        assert_eq!(settle.begin(), Step::ReadBack);
        assert_eq!(settle.read_back(0), Step::Done);
    }

    #[test]
    fn a_token_is_kept_until_a_clean_answer() {
        let mut settle = Settle::new(5);
        assert_eq!(settle.read_back(5), Step::Send { generation: 0 });
        for _ in 0..3 {
            assert_eq!(settle.sent(false), Step::ReadBack);
            assert_eq!(settle.read_back(5), Step::Send { generation: 0 });
        }
        assert_eq!(settle.sent(true), Step::ReadBack);
        assert_eq!(settle.read_back(5), Step::Send { generation: 1 });
        assert_eq!(settle.sent(true), Step::ReadBack);
        assert_eq!(settle.read_back(0), Step::Done);
    }

    #[test]
    fn rows_that_vanish_after_every_clean_answer_end_it() {
        let mut settle = Settle::new(5);
        for generation in 0..=MAX_GENERATION {
            assert_eq!(settle.read_back(1), Step::Send { generation });
            settle.sent(true);
        }
        assert_eq!(settle.read_back(1), Step::GiveUp);
    }
}
