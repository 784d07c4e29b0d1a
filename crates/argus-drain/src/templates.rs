//! Log lines into templates: `user <*> logged in` for what `user alice logged in` and ten thousand
//! others say.
//!
//! The algorithm is Drain (P. He, J. Zhu, Z. Zheng, M. Lyu: "Drain: An Online Log Parsing Approach
//! with Fixed Depth Tree", ICWS 2017). What surely varies in a line (numbers, addresses, times) is
//! masked first (`templates/mask.rs` tells what and how); the masked line is cut into tokens at
//! white space; a short way through a tree leads to the few templates the line can belong to; it
//! goes to the most similar, or becomes a new one.
//!
//! # The tree
//!
//! Three things lead to a leaf, and are equal in a line and its template:
//!
//! - the number of tokens;
//! - the anchor, with its position: the first level (`INFO`, `[error]`) or program with pid
//!   (`sshd[<*>]:`) among the first eight tokens. A header of time, host and process ends there;
//! - the first word after it, with its position. Variables, punctuation and what stands in brackets
//!   (`[main]`) are no words here.
//!
//! An inner node tells up to [`MAX_CHILDREN`] first words apart; any further one counts as
//! variable, and the next word is asked instead.
//!
//! # The measure
//!
//! In a leaf the other words are compared, position by position. Two variables, or twice the same
//! punctuation, say nothing. A template may take a line when more than half of what does say
//! something is the same word. Among those that need not change the most similar one takes it, the
//! oldest of equals; if there is none, the most similar of all is widened to `<*>` where it
//! differs. A place that was widened before counts against a word that stands there, so that a
//! template can not be worn down to nothing but `<*>` by one vague line after the other.
//!
//! In a leaf with [`MAX_CHILDREN`] templates the most similar one takes the line, however little
//! that is: so many lines with one beginning differ by a name, not by what they say.
//!
//! # Promises
//!
//! - The tree follows from the patterns in the order of their ids: [`Miner::recall`] with what
//!   [`Miner::place`] declared `New` or `Widened` places lines as the miner before it would have.
//! - At most [`MAX_TEMPLATES`] of at most [`PATTERN_LIMIT`] bytes each. Lines that need one more,
//!   and those of a single variable, belong to the catch-all, whose pattern is `<*>`.
//! - Of a line only [`LINE_LIMIT`] bytes and [`MAX_TOKENS`] tokens are looked at.
//! - A line of a known template allocates nothing. No text makes it panic.
//! - It never forgets: what came first keeps its place, also when it comes no more.

mod leaf;
mod mask;
mod token;
mod tree;

use foldhash::fast::FixedState;
use mask::{VARIABLE, mask};
use token::{Token, cut, rendered};
use tree::{Path, Tree};

/// How many templates a miner tells apart, the catch-all included.
pub const MAX_TEMPLATES: usize = 4096;
/// How many first words a node of the tree tells apart, and how many templates a leaf.
pub const MAX_CHILDREN: usize = 64;
/// How many tokens of a line are looked at.
pub const MAX_TOKENS: usize = 128;
/// How many bytes of a line are looked at.
pub const LINE_LIMIT: usize = 4096;
/// How long a pattern may become, in bytes.
pub const PATTERN_LIMIT: usize = 4096;

/// Names a template within one store. Counted from 1, never given twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TemplateId(pub u64);

/// What a line did to the template it belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Nothing.
    Known,
    /// It began it: id and pattern have to be written down.
    New,
    /// It has a new pattern under the same id, to be written over the old one.
    Widened,
}

/// Where a line belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placed {
    /// The template.
    pub id: TemplateId,
    /// What the store has to learn.
    pub change: Change,
}

#[derive(Debug)]
struct Template {
    id: TemplateId,
    pattern: String,
}

/// All templates seen so far, and the way from a line to its own.
///
/// Takes memory for its patterns (two or three times their size; 16 MiB of patterns are the bound),
/// and none that grows with the number of lines.
#[derive(Debug, Default)]
pub struct Miner {
    /// In the order of their ids.
    templates: Vec<Template>,
    /// Which of them takes what no other may.
    catch_all: Option<usize>,
    tree: Tree,
    highest: u64,
    hasher: FixedState,
    /// Kept from line to line so that they need not be allocated again.
    masked: String,
    tokens: Vec<Token>,
}

impl Miner {
    /// Takes over from a miner before this one, by the patterns that were written down, in any
    /// order. An id given twice is taken once; what exceeds the bounds is left out, its id is not
    /// given again. Costs what placing the patterns as lines would.
    pub fn recall<Text: AsRef<str>>(
        patterns: impl IntoIterator<Item = (TemplateId, Text)>,
    ) -> Self {
        let mut patterns: Vec<_> = patterns.into_iter().collect();
        patterns.sort_by_key(|(id, _)| *id);
        patterns.dedup_by_key(|(id, _)| *id);
        let mut miner = Self::default();
        for (id, pattern) in patterns {
            let pattern = pattern.as_ref();
            miner.highest = miner.highest.max(id.0);
            let end = pattern.floor_char_boundary(PATTERN_LIMIT);
            pattern[..end].clone_into(&mut miner.masked);
            cut(&mut miner.masked, &mut miner.tokens, &miner.hasher);
            if is_catch_all(&miner.tokens) {
                if miner.catch_all.is_none() {
                    miner.catch_all = Some(miner.templates.len());
                    miner.add(id);
                }
            } else if !miner.is_full() {
                let (path, _) = miner.tree.path(&mut miner.tokens);
                let next = miner.templates.len();
                miner.tree.add(path, next, &miner.tokens);
                miner.add(id);
            }
        }
        miner
    }

    /// Finds the template of a line, or makes one.
    ///
    /// Costs time in proportion to the length of the line, and comparisons with 64 templates at
    /// worst. Allocates only for a change.
    pub fn place(&mut self, line: &str) -> Placed {
        mask(line, &mut self.masked);
        cut(&mut self.masked, &mut self.tokens, &self.hasher);
        let (path, leaf) = self.tree.path(&mut self.tokens);
        if is_catch_all(&self.tokens) {
            return self.catch_all();
        }
        let Some(leaf) = leaf else {
            return self.begin(path);
        };
        let Some(choice) = leaf.choose(&self.tokens, path.fixed()) else {
            return self.begin(path);
        };
        let template = &mut self.templates[choice.template];
        let id = template.id;
        let change = if choice.is_fit() {
            Change::Known
        } else if self.tokens.len() == 1 {
            // What would remain is the pattern of the catch-all.
            return self.catch_all();
        } else {
            let tokens = leaf.widen(&choice, &self.tokens);
            template.pattern = rendered(&template.pattern, tokens);
            Change::Widened
        };
        Placed { id, change }
    }

    /// The text of a template, `<*>` for what varies. Costs a binary search.
    pub fn pattern(&self, id: TemplateId) -> Option<&str> {
        let at = self.templates.binary_search_by_key(&id, |known| known.id);
        at.ok().map(|at| self.templates[at].pattern.as_str())
    }

    /// All templates, in the order of their ids.
    pub fn patterns(&self) -> impl ExactSizeIterator<Item = (TemplateId, &str)> {
        let templates = self.templates.iter();
        templates.map(|template| (template.id, template.pattern.as_str()))
    }

    /// Makes the line at hand a template.
    fn begin(&mut self, path: Path) -> Placed {
        if self.is_full() {
            return self.catch_all();
        }
        self.tree.add(path, self.templates.len(), &self.tokens);
        self.add_next()
    }

    fn catch_all(&mut self) -> Placed {
        if let Some(at) = self.catch_all {
            return Placed {
                id: self.templates[at].id,
                change: Change::Known,
            };
        }
        self.catch_all = Some(self.templates.len());
        VARIABLE.clone_into(&mut self.masked);
        self.tokens.clear();
        self.tokens.push(Token::VARIABLE);
        self.add_next()
    }

    fn add_next(&mut self) -> Placed {
        let id = TemplateId(self.highest.saturating_add(1));
        self.highest = id.0;
        self.add(id);
        Placed {
            id,
            change: Change::New,
        }
    }

    fn add(&mut self, id: TemplateId) {
        self.templates.push(Template {
            id,
            pattern: rendered(&self.masked, &self.tokens),
        });
    }

    /// Whether only the catch-all has a place left.
    fn is_full(&self) -> bool {
        let reserved = usize::from(self.catch_all.is_none());
        self.templates.len() + reserved >= MAX_TEMPLATES
    }
}

fn is_catch_all(tokens: &[Token]) -> bool {
    matches!(tokens, [token] if token.is_variable())
}

#[cfg(test)]
mod tests;
