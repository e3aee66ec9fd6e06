//! Distinct strings of one block ⇄ their numbers, for `LowCardinality`.

use super::varint;

/// Strings in order of appearance, already as wire bytes, with an open
/// addressing table over them.
pub struct Dictionary {
    wire: Vec<u8>,
    /// Start and length of each string within `wire`.
    spans: Vec<(usize, usize)>,
    /// Hash and number; `EMPTY` marks a free slot.
    slots: Vec<(u64, u32)>,
    /// Entries that are there before any value.
    reserved: u32,
}

const EMPTY: u32 = u32::MAX;
const SLOTS: usize = 256;

impl Dictionary {
    /// Number 0 is the empty string; of a nullable column 0 is NULL and 1 the
    /// empty string.
    pub fn new(nullable: bool) -> Self {
        let reserved = if nullable { 2 } else { 1 };
        let mut dictionary =
            Self { wire: Vec::new(), spans: Vec::new(), slots: vec![(0, EMPTY); SLOTS], reserved };
        dictionary.reserve_first();
        dictionary
    }

    fn reserve_first(&mut self) {
        for _ in 0..self.reserved {
            self.wire.push(0);
            self.spans.push((self.wire.len(), 0));
        }
    }

    pub fn clear(&mut self) {
        self.wire.clear();
        self.spans.clear();
        if self.slots.len() > SLOTS * 64 {
            self.slots = vec![(0, EMPTY); SLOTS];
        } else {
            self.slots.fill((0, EMPTY));
        }
        self.reserve_first();
    }

    /// The string's number, new or known.
    #[inline]
    pub fn number(&mut self, text: &[u8]) -> u32 {
        if text.is_empty() {
            return self.reserved - 1;
        }
        let hash = hash(text);
        let mask = self.slots.len() - 1;
        let mut at = slot(hash, mask);
        loop {
            let (known, number) = self.slots[at];
            if number == EMPTY {
                return self.add(text, hash, at);
            }
            if known == hash {
                let (start, len) = self.spans[number as usize];
                if &self.wire[start..start + len] == text {
                    return number;
                }
            }
            at = (at + 1) & mask;
        }
    }

    #[cold]
    fn add(&mut self, text: &[u8], hash: u64, at: usize) -> u32 {
        varint(&mut self.wire, text.len());
        self.spans.push((self.wire.len(), text.len()));
        self.wire.extend_from_slice(text);
        let number = u32::try_from(self.spans.len() - 1).expect("a block has fewer than 2^32 rows");
        self.slots[at] = (hash, number);
        if self.spans.len() * 2 > self.slots.len() {
            self.grow();
        }
        number
    }

    fn grow(&mut self) {
        let size = self.slots.len() * 2;
        let old = std::mem::replace(&mut self.slots, vec![(0, EMPTY); size]);
        for (hash, number) in old.into_iter().filter(|(_, number)| *number != EMPTY) {
            let mut at = slot(hash, size - 1);
            while self.slots[at].1 != EMPTY {
                at = (at + 1) & (size - 1);
            }
            self.slots[at] = (hash, number);
        }
    }

    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// Length-prefixed strings, in the order of their numbers.
    pub fn wire(&self) -> &[u8] {
        &self.wire
    }
}

#[allow(clippy::cast_possible_truncation)]
fn slot(hash: u64, mask: usize) -> usize {
    hash as usize & mask
}

/// Folded multiplication over eight bytes at a time: quick, and good enough
/// for a table that lives for one block.
#[inline]
fn hash(text: &[u8]) -> u64 {
    const KEY: u64 = 0x9E37_79B9_7F4A_7C15;
    let fold = |a: u64, b: u64| {
        let product = u128::from(a) * u128::from(b);
        #[allow(clippy::cast_possible_truncation)]
        let low = product as u64;
        low ^ (product >> 64) as u64
    };
    let mut state = text.len() as u64 ^ KEY;
    let mut chunks = text.chunks_exact(8);
    for chunk in &mut chunks {
        let word = u64::from_le_bytes(chunk.try_into().expect("chunks of eight"));
        state = fold(state ^ word, KEY);
    }
    let mut last = [0; 8];
    last[..chunks.remainder().len()].copy_from_slice(chunks.remainder());
    fold(state ^ u64::from_le_bytes(last), KEY | 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gives_equal_strings_equal_numbers() {
        let mut dictionary = Dictionary::new(false);
        let texts: Vec<String> = (0..5_000).map(|i| format!("value {}", i % 1_000)).collect();
        let numbers: Vec<u32> = texts.iter().map(|text| dictionary.number(text.as_bytes())).collect();
        assert_eq!(dictionary.number(b""), 0);
        assert_eq!(dictionary.len(), 1_001);
        assert_eq!(numbers[..1_000], numbers[1_000..2_000]);
        assert_eq!(&dictionary.wire()[..10], b"\0\x07value 0\x07");
        dictionary.clear();
        assert_eq!((dictionary.len(), dictionary.number(b"b")), (1, 1));
    }

    #[test]
    fn keeps_null_apart_from_the_empty_string() {
        let mut dictionary = Dictionary::new(true);
        assert_eq!((dictionary.number(b""), dictionary.number(b"x"), dictionary.len()), (1, 2, 3));
    }
}
