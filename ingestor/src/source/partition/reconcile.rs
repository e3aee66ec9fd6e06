//! RECONCILE: which offsets are stored, and where ranges have to end for it.
//!
//! "A unit with any stored row is stored" is true only of the range under which
//! its rows were sent. Where nobody knows that range, one that holds stored
//! rows holds nothing else.

/// Stored offsets as `first..next`, ascending, none touching the next.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reconcile {
    runs: Vec<(i64, i64)>,
    /// Nobody has asked about this offset and those above it yet.
    until: Option<i64>,
    /// Whether the rows of the open block are stored; `None` without any.
    open: Option<bool>,
}

impl Reconcile {
    pub fn new(runs: Vec<(i64, i64)>, until: Option<i64>) -> Self {
        Self { runs, until, open: None }
    }

    /// Where the offsets asked about end, if `offset` is beyond.
    pub fn beyond(&self, offset: i64) -> Option<i64> {
        self.until.filter(|until| offset >= *until)
    }

    fn stored(&self, offset: i64) -> bool {
        let at = self.runs.partition_point(|(first, _)| *first <= offset);
        at > 0 && offset < self.runs[at - 1].1
    }

    /// Whether the row at `offset` may join the open block.
    pub fn joins(&mut self, offset: i64) -> bool {
        let stored = self.stored(offset);
        *self.open.get_or_insert(stored) == stored
    }

    /// The open block was forgotten.
    pub fn begin_again(&mut self) {
        self.open = None;
    }

    /// The open block was sealed; `true` when nothing stored is ahead of
    /// `position`.
    pub fn sealed(&mut self, position: i64) -> bool {
        self.open = None;
        self.until.is_none() && self.runs.last().is_none_or(|(_, next)| *next <= position)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_stored_as_a_whole_or_missing_as_a_whole() {
        let mut reconcile = Reconcile::new(vec![(3, 5), (8, 9)], None);
        let mut ranges = vec![Vec::new()];
        for offset in 0..12 {
            if !reconcile.joins(offset) {
                assert_eq!(reconcile.sealed(offset), offset >= 9, "{offset}");
                assert!(reconcile.joins(offset));
                ranges.push(Vec::new());
            }
            ranges.last_mut().unwrap().push(offset);
        }
        let expected: [&[i64]; 5] = [&[0, 1, 2], &[3, 4], &[5, 6, 7], &[8], &[9, 10, 11]];
        assert_eq!(ranges, expected);
    }

    #[test]
    fn what_was_not_asked_about_is_not_known() {
        let mut reconcile = Reconcile::new(vec![(3, 5)], Some(10));
        assert_eq!((reconcile.beyond(9), reconcile.beyond(10)), (None, Some(10)));
        assert!(!reconcile.sealed(10), "there may be more");
    }

    #[test]
    fn what_is_no_row_breaks_no_range() {
        let mut reconcile = Reconcile::new(vec![(3, 4), (5, 6)], None);
        assert!(reconcile.joins(3));
        // Offset 4 was a dead letter: it is not asked about.
        assert!(reconcile.joins(5));
        assert!(!reconcile.joins(6));
    }
}
