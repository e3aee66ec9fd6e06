//! Distinct strings of one block ⇄ their numbers, for `LowCardinality`.

use std::hash::{BuildHasher, RandomState};

use super::varint;

/// Strings in order of appearance, already as wire bytes, with an open
/// addressing table over them.
pub struct Dictionary {
    wire: Vec<u8>,
    /// Start and length of each string within `wire`.
    spans: Vec<(u32, u32)>,
    /// Part of the hash, and the number; `EMPTY` marks a free slot.
    slots: Vec<(u32, u32)>,
    /// Entries that are there before any value.
    reserved: u32,
    /// Chosen at random, so that nobody can send strings that all want the
    /// same slot. Numbers depend on the order of the strings only.
    keys: [u64; 2],
}

const EMPTY: u32 = u32::MAX;
const SLOTS: usize = 256;

impl Dictionary {
    /// Number 0 is the empty string; of a nullable column 0 is NULL and 1 the
    /// empty string.
    pub fn new(nullable: bool) -> Self {
        let reserved = if nullable { 2 } else { 1 };
        let random = RandomState::new();
        let keys = [0, 1].map(|index: u64| random.hash_one(index) | 1);
        let (wire, spans, slots) = (Vec::new(), Vec::new(), vec![(0, EMPTY); SLOTS]);
        let mut dictionary = Self { wire, spans, slots, reserved, keys };
        dictionary.reserve_first();
        dictionary
    }

    fn reserve_first(&mut self) {
        for _ in 0..self.reserved {
            self.wire.push(0);
            self.spans.push((position(self.wire.len()), 0));
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
        let hash = hash(text, self.keys);
        let mask = self.slots.len() - 1;
        let mut at = hash as usize & mask;
        loop {
            let (known, number) = self.slots[at];
            if number == EMPTY {
                return self.add(text, hash, at);
            }
            if known == hash {
                let (start, length) = self.spans[number as usize];
                if self.wire[start as usize..][..length as usize] == *text {
                    return number;
                }
            }
            at = (at + 1) & mask;
        }
    }

    #[cold]
    fn add(&mut self, text: &[u8], hash: u32, at: usize) -> u32 {
        varint(&mut self.wire, text.len());
        self.spans.push((position(self.wire.len()), position(text.len())));
        self.wire.extend_from_slice(text);
        let number = position(self.spans.len() - 1);
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
            let mut at = hash as usize & (size - 1);
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

    /// The most memory the entries that were added can take.
    pub fn bytes(&self) -> usize {
        let added = self.spans.len() - self.reserved as usize;
        if added == 0 { 0 } else { self.wire.len() + added * ENTRY_BYTES }
    }
}

/// The most that one entry takes, its text and length aside: its span, and
/// four slots of a table that has just grown.
pub const ENTRY_BYTES: usize = 8 + 4 * 8;

fn position(bytes: usize) -> u32 {
    u32::try_from(bytes).expect("a block holds less than 4 GiB")
}

/// Folded multiplication over eight bytes at a time: quick, and good enough
/// for a table that lives for one block.
#[inline]
fn hash(text: &[u8], [first, second]: [u64; 2]) -> u32 {
    let fold = |a: u64, b: u64| {
        let product = u128::from(a) * u128::from(b);
        #[allow(clippy::cast_possible_truncation)]
        let low = product as u64;
        low ^ (product >> 64) as u64
    };
    let mut state = text.len() as u64 ^ first;
    // Ends overlap, so that no length needs a loop over bytes.
    let last = if let Some(last) = text.last_chunk() {
        for chunk in text[..text.len() - 1].as_chunks().0 {
            state = fold(state ^ u64::from_le_bytes(*chunk), first);
        }
        u64::from_le_bytes(*last)
    } else if let (Some(low), Some(high)) = (text.first_chunk(), text.last_chunk()) {
        u64::from(u32::from_le_bytes(*low)) | u64::from(u32::from_le_bytes(*high)) << 32
    } else {
        let of = |at: usize| text.get(at).map_or(0, |byte| u64::from(*byte));
        of(0) | of(1) << 8 | of(2) << 16
    };
    let hash = fold(state ^ last, second);
    #[allow(clippy::cast_possible_truncation)]
    let folded = (hash ^ hash >> 32) as u32;
    folded
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

    #[test]
    fn tells_strings_of_every_length_apart() {
        let mut dictionary = Dictionary::new(false);
        let text: Vec<u8> = (0..40).collect();
        for length in 1..=text.len() {
            let known = dictionary.len();
            for at in 0..length {
                let mut other = text[..length].to_vec();
                other[at] ^= 0x80;
                assert_eq!(dictionary.number(&other) as usize, known + at, "byte {at} of {length}");
            }
        }
    }

    #[test]
    fn entries_take_no_more_memory_than_they_say() {
        let mut dictionary = Dictionary::new(true);
        assert_eq!(dictionary.bytes(), 0);
        for entry in 0..5_000 {
            dictionary.number(format!("entry {entry}").as_bytes());
            let table = (dictionary.slots.len() - SLOTS) * 8;
            assert!(dictionary.bytes() >= dictionary.wire.len() + dictionary.spans.len() * 8 + table - 16);
        }
    }
}
