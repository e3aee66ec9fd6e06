//! Commit metadata ⇄ text: at most 512 bytes of ASCII, never empty.
//!
//! `caudal/1 intent topic=… pipeline=… table=… plan=… content=… born=… first=…
//! next=… rows=… dead=… filtered=… nonce=…`, or `caudal/1 idle` or `caudal/1
//! unguarded` with the first six.

use std::fmt::Write;

const MAGIC: &str = "caudal/";
const VERSION: u32 = 1;
/// Kafka's `offset.metadata.max.bytes` is 4096; we promise readers less.
pub const MAX_BYTES: usize = 512;

/// Whose offsets these are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    pub topic_id: String,
    /// `<namespace>/<name>`.
    pub pipeline: String,
    pub table_uuid: String,
}

/// A block that is written down before it is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Promise {
    /// First offset of the range.
    pub first: i64,
    /// The offset after its last.
    pub next: i64,
    pub rows: u64,
    pub dead_letters: u64,
    /// Messages that become neither.
    pub filtered: u64,
    /// Names the block's deduplication tokens.
    pub nonce: u128,
}

/// What may be in the table beyond the committed offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    /// Nothing.
    Idle,
    /// The rows of this block, and no others.
    Intent(Promise),
    /// Anything: blocks are sent without an intent.
    Unguarded,
}

impl Word {
    pub fn promise(self) -> Option<Promise> {
        match self {
            Self::Intent(promise) => Some(promise),
            Self::Idle | Self::Unguarded => None,
        }
    }
}

impl From<Option<Promise>> for Word {
    fn from(promise: Option<Promise>) -> Self {
        promise.map_or(Self::Idle, Self::Intent)
    }
}

/// Which plan made an intent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Of the plan as a whole, for a human to find it.
    pub plan: String,
    /// Of what decides the block's content.
    pub content: String,
}

/// What a commit says besides its offset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metadata {
    pub identity: Identity,
    pub origin: Origin,
    /// How many partitions the topic had when the group began: a partition
    /// beyond that came later and is read from its beginning.
    pub born: i32,
    pub word: Word,
}

/// Metadata that this pipeline can't go on from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotOurs {
    /// Empty, or not written by Caudal.
    Foreign,
    /// Written by a Caudal that knows more than this one.
    Newer,
}

impl Metadata {
    pub fn encode(&self) -> String {
        let Self { identity, origin: Origin { plan, content }, born, word } = self;
        let Identity { topic_id, pipeline, table_uuid } = identity;
        let kind = match word {
            Word::Idle => "idle",
            Word::Intent(_) => "intent",
            Word::Unguarded => "unguarded",
        };
        let mut text = format!(
            "{MAGIC}{VERSION} {kind} topic={topic_id} pipeline={pipeline} table={table_uuid} \
             plan={plan} content={content} born={born}"
        );
        if let Word::Intent(Promise { first, next, rows, dead_letters, filtered, nonce }) = word {
            let written = write!(
                text,
                " first={first} next={next} rows={rows} dead={dead_letters} filtered={filtered} nonce={nonce:032x}"
            );
            debug_assert!(written.is_ok());
        }
        debug_assert!(text.is_ascii() && text.len() <= MAX_BYTES);
        text
    }

    pub fn parse(text: &[u8]) -> Result<Self, NotOurs> {
        let text = std::str::from_utf8(text).map_err(|_| NotOurs::Foreign)?;
        let rest = text.strip_prefix(MAGIC).ok_or(NotOurs::Foreign)?;
        let (version, rest) = rest.split_once(' ').ok_or(NotOurs::Foreign)?;
        match version.parse::<u32>() {
            Ok(VERSION) => parse_fields(rest).ok_or(NotOurs::Foreign),
            Ok(newer) if newer > VERSION => Err(NotOurs::Newer),
            _ => Err(NotOurs::Foreign),
        }
    }
}

fn parse_fields(text: &str) -> Option<Metadata> {
    let mut words = text.split(' ');
    let kind = words.next()?;
    let mut field = |name: &str| words.next()?.strip_prefix(name)?.strip_prefix('=');
    let identity = Identity {
        topic_id: field("topic")?.to_owned(),
        pipeline: field("pipeline")?.to_owned(),
        table_uuid: field("table")?.to_owned(),
    };
    let origin = Origin { plan: field("plan")?.to_owned(), content: field("content")?.to_owned() };
    let born = field("born")?.parse().ok()?;
    let word = match kind {
        "idle" => Word::Idle,
        "unguarded" => Word::Unguarded,
        "intent" => Word::Intent(Promise {
            first: field("first")?.parse().ok()?,
            next: field("next")?.parse().ok()?,
            rows: field("rows")?.parse().ok()?,
            dead_letters: field("dead")?.parse().ok()?,
            filtered: field("filtered")?.parse().ok()?,
            nonce: u128::from_str_radix(field("nonce")?, 16).ok()?,
        }),
        _ => return None,
    };
    if word.promise().is_some_and(|promise| promise.first < 0 || promise.next <= promise.first) {
        return None;
    }
    words.next().is_none().then_some(Metadata { identity, origin, born, word })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metadata(word: Word) -> Metadata {
        Metadata {
            identity: Identity {
                topic_id: "4L6g3nShT-eMCtK--X86sw".into(),
                pipeline: format!("{}/{}", "n".repeat(63), "p".repeat(40)),
                table_uuid: "0d2b1f5e-4b0e-4a65-9d0b-2a2c3e4f5a6b".into(),
            },
            origin: Origin { plan: "0123456789".into(), content: "9876543210".into() },
            born: 6,
            word,
        }
    }

    #[test]
    fn reads_what_it_wrote_within_the_limit() {
        let promise = Promise {
            first: i64::MAX - 1,
            next: i64::MAX,
            rows: u64::MAX,
            dead_letters: u64::MAX,
            filtered: u64::MAX,
            nonce: u128::MAX,
        };
        for word in [Word::Idle, Word::Unguarded, Word::Intent(promise)] {
            let text = metadata(word).encode();
            assert!(text.len() <= MAX_BYTES && text.is_ascii(), "{text}");
            assert_eq!(Metadata::parse(text.as_bytes()), Ok(metadata(word)));
        }
    }

    #[test]
    fn tells_foreign_from_newer() {
        let ours = metadata(Word::Idle).encode();
        for (text, expected) in [
            (String::new(), NotOurs::Foreign),
            ("leader=3".into(), NotOurs::Foreign),
            ("caudal/1 nonsense".into(), NotOurs::Foreign),
            (format!("{ours} more=1"), NotOurs::Foreign),
            (ours.replace("caudal/1", "caudal/2"), NotOurs::Newer),
            ("caudal/7 whatever".into(), NotOurs::Newer),
        ] {
            assert_eq!(Metadata::parse(text.as_bytes()), Err(expected), "{text}");
        }
        assert_eq!(Metadata::parse(&[0xff]), Err(NotOurs::Foreign));
    }
}
