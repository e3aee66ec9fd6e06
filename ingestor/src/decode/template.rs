//! What the next bytes will be, learned from a message that was accepted.
//!
//! Messages of a topic mostly have the same keys in the same order with the
//! same space around them. So what stood between two values is expected there
//! again, and compared as it is: the end of objects, the beginning of others
//! and a key. Only a surprise is parsed. That a guess is right says what the
//! parser would have found: it takes the same bytes from the same state, which
//! is the object around it.

use super::json::Cursor;
use super::tree::{Entered, Node, ROOT, Span, Tree};

/// More members than this are not worth remembering.
const MOST: usize = 1_000;
/// Nor are more bytes between values.
const MOST_BYTES: usize = 64 << 10;
/// Messages with surprises until another one is learned from.
const PATIENCE: u32 = 32;

/// What a key of a message stands for.
#[derive(Clone, Copy)]
pub enum Key {
    Field(usize),
    /// No field.
    Unknown,
}

impl Key {
    fn field(self) -> Option<usize> {
        match self {
            Self::Field(field) => Some(field),
            Self::Unknown => None,
        }
    }
}

/// Guesses in the order of the members.
#[derive(Default)]
pub struct Template {
    guesses: Vec<Guess>,
    /// Where the last unknown key is, with its quotes.
    pub unknown: Span,
    /// The guess behind that of each field.
    behind: Vec<Option<usize>>,
    next: usize,
    surprised: bool,
    surprises: u32,
    /// The message that is being read will be learned from, if it has
    /// surprises and is accepted: where its values begin and end.
    learning: bool,
    members: Vec<Value>,
    entered: Vec<Entered>,
}

/// A value that was read, and its place in the message.
struct Value {
    key: Key,
    node: Node,
    start: usize,
    end: usize,
    /// The key's place, of an unknown one.
    unknown: Span,
    /// Objects that were entered before it, in all.
    entered: usize,
}

struct Guess {
    /// From the end of a value to the beginning of the next one.
    text: Box<[u8]>,
    /// Up to sixteen bytes of it as one number, and which bits these are.
    head: u128,
    mask: u128,
    key: Key,
    /// Places are counted from the beginning of the text.
    unknown: Span,
    /// What it enters, and whether the object at its end is another one.
    entered: Box<[Entered]>,
    moves: bool,
    from: Node,
    to: Node,
}

impl Guess {
    fn new(text: &[u8], value: &Value, since: usize, entered: &[Entered], from: Node) -> Self {
        let mut head = [0; 16];
        let length = text.len().min(16);
        head[..length].copy_from_slice(&text[..length]);
        let mask = u128::MAX >> (128 - 8 * length.max(1));
        let (key, to) = (value.key, value.node);
        Self {
            text: text.into(),
            head: u128::from_le_bytes(head),
            mask,
            key,
            unknown: if let Key::Unknown = key { value.unknown.since(since) } else { value.unknown },
            moves: from != to || !entered.is_empty(),
            entered: entered.iter().map(|one| Entered { key: one.key.since(since), ..*one }).collect(),
            from,
            to,
        }
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
        self.entered.clear();
    }

    /// Passes over the next key and what is around it, if it is the expected
    /// one.
    #[inline]
    pub fn expected(&mut self, cursor: &mut Cursor<'_>, tree: &mut Tree) -> Option<Key> {
        let guess = self.guesses.get(self.next)?;
        if !guess.matches(cursor.rest()) {
            return None;
        }
        let start = cursor.position();
        if guess.moves {
            // An object that comes twice is the parser's to find.
            if !guess.entered.iter().all(|object| tree.is_new(object.node)) {
                return None;
            }
            for &Entered { node, key } in &guess.entered {
                let object = Entered { node, key: key.moved(start) };
                tree.meet(object);
                if self.learning {
                    self.entered.push(object);
                }
            }
            tree.at = guess.to;
        }
        if let Key::Unknown = guess.key {
            self.unknown = guess.unknown.moved(start);
        }
        cursor.advance(guess.text.len());
        // There may be more space before the value than was learned.
        cursor.skip_whitespace();
        self.next += 1;
        Some(guess.key)
    }

    /// An object was entered by surprise, or null.
    pub fn entered(&mut self, object: Entered) {
        if self.learning {
            self.entered.push(object);
        }
    }

    /// The next member was another one, or an unknown one, of this object.
    pub fn surprise(&mut self, key: Key, node: Node) {
        self.surprised = true;
        let known = key.field().and_then(|field| self.behind.get(field).copied().flatten());
        // The first guess begins with the brace: behind a value it is none. Nor
        // is one that was learned in another object.
        let next = known.unwrap_or(self.next).max(1);
        let rest = self.guesses.get(next..).unwrap_or_default();
        self.next = next + rest.iter().position(|guess| guess.from == node).unwrap_or(rest.len());
    }

    /// A value of the message has been read.
    #[inline]
    pub fn member(&mut self, key: Key, start: usize, end: usize, tree: &Tree) {
        if self.learning && self.members.len() <= MOST {
            let (unknown, entered) = (self.unknown, self.entered.len());
            self.members.push(Value { key, node: tree.at, start, end, unknown, entered });
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
        let values = self.members.iter().map(|value| value.end - value.start);
        if self.members.len() > MOST || message.len() - values.sum::<usize>() > MOST_BYTES {
            return;
        }
        let (mut since, mut from, mut first) = (0, ROOT, 0);
        for value in &self.members {
            let entered = &self.entered[first..value.entered];
            self.guesses.push(Guess::new(&message[since..value.start], value, since, entered, from));
            if let Some(field) = value.key.field() {
                self.behind[field] = Some(self.guesses.len());
            }
            (since, from, first) = (value.end, value.node, value.entered);
        }
    }

    /// Expects nothing, until it learns again.
    #[cfg(test)]
    pub fn forget(&mut self) {
        self.guesses.clear();
        self.behind.clear();
    }

    #[cfg(test)]
    pub fn surprised(&self) -> bool {
        self.surprised
    }

    /// Bytes that are remembered, and those there is room for.
    #[cfg(test)]
    pub fn size(&self) -> usize {
        let guesses = self.guesses.iter().map(|guess| guess.text.len() + size_of_val(&*guess.entered));
        guesses.sum::<usize>()
            + self.guesses.capacity() * size_of::<Guess>()
            + self.members.capacity() * size_of::<Value>()
            + self.entered.capacity() * size_of::<Entered>()
    }
}
