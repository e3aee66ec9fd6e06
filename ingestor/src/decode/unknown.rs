//! Members that no field reads → a JSON object that holds them.
//!
//! Keys and values are kept byte for byte, in their order and in the objects
//! they stood in. An object is there only where it has something to hold.

use super::tree::{Node, ROOT, Span, Tree};

/// The text of one message's unknown members.
#[derive(Default)]
pub struct Kept {
    text: Vec<u8>,
    /// The object in which the text stands.
    at: Node,
}

impl Kept {
    pub fn begin(&mut self) {
        self.text.clear();
        self.text.push(b'{');
        self.at = ROOT;
    }

    /// Keeps a member of the object around the parser.
    pub fn member(&mut self, tree: &Tree, message: &[u8], key: Span, value: Span) {
        self.go(tree, message, tree.at);
        self.key(message, key);
        self.text.extend_from_slice(&message[value.start..value.end]);
    }

    /// From object to object, by the closest one around both.
    fn go(&mut self, tree: &Tree, message: &[u8], to: Node) {
        if self.at == to {
            return;
        }
        if tree.depth(self.at) < tree.depth(to) {
            self.go(tree, message, tree.parent(to));
            self.key(message, tree.key(to));
            self.text.push(b'{');
            self.at = to;
        } else {
            self.text.push(b'}');
            self.at = tree.parent(self.at);
            self.go(tree, message, to);
        }
    }

    fn key(&mut self, message: &[u8], key: Span) {
        if self.text.last() != Some(&b'{') {
            self.text.push(b',');
        }
        self.text.extend_from_slice(&message[key.start..key.end]);
        self.text.push(b':');
    }

    /// The whole object.
    pub fn finish(&mut self, tree: &Tree) -> &[u8] {
        self.text.resize(self.text.len() + tree.depth(self.at) as usize + 1, b'}');
        &self.text
    }

    #[cfg(test)]
    pub fn capacity(&self) -> usize {
        self.text.capacity()
    }
}
