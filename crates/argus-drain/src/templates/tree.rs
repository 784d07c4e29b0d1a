//! The way from a line's tokens to the leaf with the templates it may belong to.

use std::collections::HashMap;

use foldhash::fast::FixedState;

use super::leaf::Leaf;
use super::token::Token;
use super::{MAX_CHILDREN, MAX_TOKENS};

/// How many tokens may stand before the end of a header.
const HEADER: usize = 8;

/// An inner node: what was read of a line before its first word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Node {
    /// Variable if there is none.
    anchor: Token,
    /// Position of the anchor, number of tokens, position of the first word.
    places: u32,
}

/// Leads to a leaf. Equal in a template and in every line that belongs to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Path {
    node: Node,
    /// Variable if the line has no first word.
    word: Token,
}

impl Path {
    /// How many words of a line are told by the path alone.
    pub(super) fn fixed(&self) -> u32 {
        u32::from(!self.word.is_variable()) + u32::from(!self.node.anchor.is_variable())
    }
}

/// A tree of three steps, kept as a map to its leaves.
#[derive(Debug, Default)]
pub(super) struct Tree {
    /// How many first words a node tells apart.
    children: HashMap<Node, usize, FixedState>,
    paths: HashMap<Path, usize, FixedState>,
    leaves: Vec<Leaf>,
}

impl Tree {
    /// Finds the path of a line, and its leaf if there is one. First words that have no place in
    /// the tree become variable.
    pub(super) fn path(&mut self, tokens: &mut [Token]) -> (Path, Option<&mut Leaf>) {
        let count = tokens.len();
        let anchor_at = tokens.iter().take(HEADER).position(|t| t.is_anchor());
        let (anchor, begin) = anchor_at.map_or((Token::VARIABLE, 0), |at| (tokens[at], at + 1));
        let node = |at: usize| Node {
            anchor,
            places: places([begin, count, at]),
        };
        for (at, token) in tokens.iter_mut().enumerate().skip(begin) {
            if !token.is_word() || token.is_aside() {
                continue;
            }
            let (node, word) = (node(at), *token);
            let path = Path { node, word };
            if let Some(leaf) = self.paths.get(&path) {
                return (path, Some(&mut self.leaves[*leaf]));
            }
            if self.has_room(&node) {
                return (path, None);
            }
            *token = Token::VARIABLE;
        }
        let path = Path {
            node: node(count),
            word: Token::VARIABLE,
        };
        let leaf = self.paths.get(&path).map(|leaf| &mut self.leaves[*leaf]);
        (path, leaf)
    }

    fn has_room(&self, node: &Node) -> bool {
        self.children.get(node).is_none_or(|n| *n < MAX_CHILDREN)
    }

    /// Puts a template at the end of a path.
    pub(super) fn add(&mut self, path: Path, template: usize, tokens: &[Token]) {
        let leaf = *self.paths.entry(path).or_insert_with(|| {
            *self.children.entry(path.node).or_default() += 1;
            self.leaves.push(Leaf::default());
            self.leaves.len() - 1
        });
        self.leaves[leaf].add(template, tokens);
    }
}

/// Three numbers up to [`MAX_TOKENS`] as one.
fn places(numbers: [usize; 3]) -> u32 {
    const { assert!(MAX_TOKENS < 1 << 10) };
    numbers.iter().fold(0, |sum, n| sum << 10 | *n as u32)
}
