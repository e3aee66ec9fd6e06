//! Where in a message each field's value stands, and where in it the parser is.

use std::collections::HashMap;

use caudal_model::plan::Field;
use caudal_model::resolve::path;

/// Index of an object that paths lead through.
pub type Node = usize;

/// The message itself.
pub const ROOT: Node = 0;

/// Bytes of the message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    pub start: usize,
    pub end: usize,
}

impl Span {
    /// Counted from `by` before where it is counted from.
    #[inline]
    pub fn moved(self, by: usize) -> Self {
        Self { start: self.start + by, end: self.end + by }
    }

    /// Counted from `start`.
    pub fn since(self, start: usize) -> Self {
        Self { start: self.start - start, end: self.end - start }
    }
}

/// What a known key of an object leads to.
#[derive(Clone, Copy, Debug)]
pub enum Member {
    Field(usize),
    Object(Node),
}

/// An object that was entered, or was null, and its key with the quotes.
#[derive(Clone, Copy, Debug)]
pub struct Entered {
    pub node: Node,
    pub key: Span,
}

/// The objects that paths lead through. One message after the other is walked.
pub struct Tree {
    nodes: Vec<Object>,
    /// The object around the parser.
    pub at: Node,
    round: u64,
}

struct Object {
    parent: Node,
    /// Objects around it.
    depth: u32,
    name: Box<str>,
    members: HashMap<Box<[u8]>, Member>,
    /// The round in which it was last met, and its key there.
    round: u64,
    key: Span,
}

impl Object {
    fn new(parent: Node, depth: u32, name: &str) -> Self {
        Self { parent, depth, name: name.into(), members: HashMap::new(), round: 0, key: Span::default() }
    }
}

impl Tree {
    /// `Err` has the index of a field that stands in another one's way.
    pub fn new(fields: &[Field]) -> Result<Self, usize> {
        let mut tree = Self { nodes: vec![Object::new(ROOT, 0, "")], at: ROOT, round: 0 };
        for (index, field) in fields.iter().enumerate() {
            let (last, parents) = field.keys().split_last().ok_or(index)?;
            let node = parents.iter().try_fold(ROOT, |node, key| tree.object(node, key)).ok_or(index)?;
            let members = &mut tree.nodes[node].members;
            if members.insert(last.as_bytes().into(), Member::Field(index)).is_some() {
                return Err(index);
            }
        }
        Ok(tree)
    }

    /// The object behind `key`, `None` where a field's value is.
    fn object(&mut self, node: Node, key: &str) -> Option<Node> {
        match self.nodes[node].members.get(key.as_bytes()) {
            Some(Member::Object(there)) => Some(*there),
            Some(Member::Field(_)) => None,
            None => {
                let new = self.nodes.len();
                self.nodes.push(Object::new(node, self.depth(node) + 1, key));
                self.nodes[node].members.insert(key.as_bytes().into(), Member::Object(new));
                Some(new)
            }
        }
    }

    /// A new message.
    #[inline]
    pub fn begin(&mut self) {
        self.round += 1;
        self.at = ROOT;
    }

    /// What `key` is in the object around the parser.
    pub fn find(&self, key: &[u8]) -> Option<Member> {
        self.nodes[self.at].members.get(key).copied()
    }

    pub fn is_new(&self, node: Node) -> bool {
        self.nodes[node].round != self.round
    }

    /// The object is there, or null.
    pub fn meet(&mut self, Entered { node, key }: Entered) {
        let object = &mut self.nodes[node];
        (object.round, object.key) = (self.round, key);
    }

    pub fn key(&self, node: Node) -> Span {
        self.nodes[node].key
    }

    pub fn parent(&self, node: Node) -> Node {
        self.nodes[node].parent
    }

    pub fn depth(&self, node: Node) -> u32 {
        self.nodes[node].depth
    }

    /// The path to an object as `from` spells it, and `last` behind it.
    pub fn spell(&self, node: Node, last: Option<&str>) -> String {
        let mut keys: Vec<&str> = last.into_iter().collect();
        let mut at = node;
        while at != ROOT {
            keys.push(&self.nodes[at].name);
            at = self.parent(at);
        }
        path::spell(keys.into_iter().rev())
    }
}
