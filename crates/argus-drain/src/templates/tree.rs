//! The way from a line's tokens to the templates it may belong to, and the choice among them.

use std::collections::HashMap;

use foldhash::fast::FixedState;

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

/// A tree of three steps, kept as a map of its leaves.
#[derive(Debug, Default)]
pub(super) struct Tree {
    /// How many first words a node tells apart.
    children: HashMap<Node, usize, FixedState>,
    leaves: HashMap<Path, Vec<usize>, FixedState>,
}

impl Tree {
    /// Finds the path of a line. First words that have no place in the tree become variable.
    pub(super) fn path(&self, tokens: &mut [Token]) -> Path {
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
            if self.leaves.contains_key(&path) || self.has_room(&node) {
                return path;
            }
            *token = Token::VARIABLE;
        }
        Path {
            node: node(count),
            word: Token::VARIABLE,
        }
    }

    fn has_room(&self, node: &Node) -> bool {
        self.children.get(node).is_none_or(|n| *n < MAX_CHILDREN)
    }

    /// The templates at the end of a path.
    pub(super) fn leaf(&self, path: &Path) -> &[usize] {
        self.leaves.get(path).map_or(&[], Vec::as_slice)
    }

    /// Puts a template at the end of a path.
    pub(super) fn add(&mut self, path: Path, template: usize) {
        let leaf = self.leaves.entry(path).or_default();
        if leaf.is_empty() {
            *self.children.entry(path.node).or_default() += 1;
        }
        leaf.push(template);
    }
}

/// Three numbers up to [`MAX_TOKENS`] as one.
fn places(numbers: [usize; 3]) -> u32 {
    const { assert!(MAX_TOKENS < 1 << 10) };
    numbers.iter().fold(0, |sum, n| sum << 10 | *n as u32)
}

/// How a line compares with a template.
#[derive(Debug, Clone, Copy)]
pub(super) struct Similarity {
    pub(super) template: usize,
    /// Positions where the template would have to be widened.
    pub(super) differing: u32,
    same: u32,
    /// Positions that say something.
    counted: u32,
}

impl Similarity {
    fn of(template: usize, known: &[Token], line: &[Token], fixed: u32) -> Self {
        let (mut same, mut widened, mut differing) = (0, 0, 0);
        for (known, token) in known.iter().zip(line) {
            if known == token {
                same += u32::from(known.is_word());
            } else if known.is_variable() {
                widened += u32::from(token.is_word());
            } else {
                differing += 1;
            }
        }
        let same = u32::saturating_sub(same, fixed);
        Self {
            template,
            differing,
            same,
            counted: same + widened + differing,
        }
    }

    /// Whether more than half of what counts is the same.
    pub(super) fn belongs(&self) -> bool {
        self.counted == 0 || 2 * self.same > self.counted
    }

    fn is_perfect(&self) -> bool {
        self.same == self.counted
    }

    fn exceeds(&self, other: &Self) -> bool {
        let (this, that) = (self.same * other.counted, other.same * self.counted);
        this > that || this == that && self.differing < other.differing
    }
}

/// The template most like the line, the oldest among equals. `fixed` words are equal in all.
pub(super) fn most_similar<'a>(
    candidates: impl Iterator<Item = (usize, &'a [Token])>,
    line: &[Token],
    fixed: u32,
) -> Option<Similarity> {
    let mut best: Option<Similarity> = None;
    for (template, tokens) in candidates {
        let this = Similarity::of(template, tokens, line, fixed);
        if this.is_perfect() {
            return Some(this);
        }
        if best.is_none_or(|best| this.exceeds(&best)) {
            best = Some(this);
        }
    }
    best
}
