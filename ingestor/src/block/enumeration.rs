//! Names of an enum → their numbers.

use caudal_model::types::EnumNames;

/// Sorted by name.
pub struct Numbers(Vec<(Box<[u8]>, i16)>);

impl Numbers {
    pub fn new(names: &EnumNames) -> Self {
        let mut numbers: Vec<_> =
            names.iter().map(|(name, number)| (name.as_bytes().into(), number)).collect();
        numbers.sort();
        Self(numbers)
    }

    pub fn get(&self, name: &[u8]) -> Option<i16> {
        let found = self.0.binary_search_by(|(known, _)| (**known).cmp(name));
        found.ok().map(|at| self.0[at].1)
    }
}
