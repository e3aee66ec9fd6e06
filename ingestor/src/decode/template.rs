//! What the next bytes will be, learned from a message that was accepted.
//!
//! Messages of a topic mostly have the same keys in the same order with the
//! same space around them. So what stood between two values is expected there
//! again, and compared as it is; only a surprise is parsed. That a guess is
//! right says what the parser would have found: it takes the same bytes from
//! the same state.

use super::json::Cursor;

/// More members than this are not worth remembering.
const MOST: usize = 1_000;
/// Messages with surprises until another one is learned from.
const PATIENCE: u32 = 32;

/// What a key of a message stands for.
#[derive(Clone, Copy)]
pub enum Key {
    Field(usize),
    Ignored,
}

/// Guesses in the order of the members.
#[derive(Default)]
pub struct Template {
    guesses: Vec<Guess>,
    /// The guess behind that of each field.
    behind: Vec<Option<usize>>,
    next: usize,
    surprised: bool,
    surprises: u32,
    /// The message that is being read will be learned from, if it has
    /// surprises and is accepted: where its values begin and end.
    learning: bool,
    members: Vec<Member>,
}

/// A value's field, `None` when it is ignored, and its place in the message.
struct Member {
    field: Option<usize>,
    start: usize,
    end: usize,
}

struct Guess {
    /// From the end of a value to the beginning of the next one.
    text: Box<[u8]>,
    /// Up to sixteen bytes of it as one number, and which bits these are.
    head: u128,
    mask: u128,
    field: Option<usize>,
}

impl Guess {
    fn new(text: &[u8], field: Option<usize>) -> Self {
        let mut head = [0; 16];
        let length = text.len().min(16);
        head[..length].copy_from_slice(&text[..length]);
        let mask = u128::MAX >> (128 - 8 * length.max(1));
        Self { text: text.into(), head: u128::from_le_bytes(head), mask, field }
    }

    #[inline]
    fn matches(&self, rest: &[u8]) -> bool {
        match rest.first_chunk() {
            Some(head) => {
                (u128::from_le_bytes(*head) ^ self.head) & self.mask == 0
                    && (self.text.len() <= 16 || rest.starts_with(&self.text))
            }
            None => rest.starts_with(&self.text),
        }
    }
}

impl Template {
    pub fn begin(&mut self) {
        self.next = 0;
        self.surprised = false;
        self.learning = self.guesses.is_empty() || self.surprises >= PATIENCE;
        self.members.clear();
    }

    /// Passes over the next key and what is around it, if it is the expected
    /// one.
    #[inline]
    pub fn expected(&mut self, cursor: &mut Cursor<'_>) -> Option<Key> {
        let guess = self.guesses.get(self.next)?;
        if !guess.matches(cursor.rest()) {
            return None;
        }
        cursor.advance(guess.text.len());
        // There may be more space before the value than was learned.
        cursor.skip_whitespace();
        self.next += 1;
        Some(guess.field.map_or(Key::Ignored, Key::Field))
    }

    /// The next member was another one, or an unknown one.
    pub fn surprise(&mut self, field: Option<usize>) {
        self.surprised = true;
        let known = field.and_then(|field| self.behind.get(field).copied().flatten());
        // The first guess begins with the brace: behind a value it is none.
        self.next = known.unwrap_or(self.next).max(1);
    }

    /// A value of the message has been read.
    #[inline]
    pub fn member(&mut self, field: Option<usize>, start: usize, end: usize) {
        if self.learning && self.members.len() <= MOST {
            self.members.push(Member { field, start, end });
        }
    }

    /// `message` was accepted.
    #[inline]
    pub fn accepted(&mut self, message: &[u8], fields: usize) {
        if self.surprised {
            self.surprises += 1;
            if self.learning {
                self.learn(message, fields);
            }
        }
    }

    fn learn(&mut self, message: &[u8], fields: usize) {
        self.surprises = 0;
        self.guesses.clear();
        self.behind = vec![None; fields];
        if self.members.len() > MOST {
            return;
        }
        let mut from = 0;
        for member in &self.members {
            self.guesses.push(Guess::new(&message[from..member.start], member.field));
            if let Some(field) = member.field {
                self.behind[field] = Some(self.guesses.len());
            }
            from = member.end;
        }
    }

    /// Expects nothing, until it learns again.
    #[cfg(test)]
    pub fn forget(&mut self) {
        self.guesses.clear();
        self.behind.clear();
    }
}
