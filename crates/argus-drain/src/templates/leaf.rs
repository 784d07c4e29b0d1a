//! The few templates a line may belong to, and the choice among them.

use super::MAX_CHILDREN;
use super::token::Token;

/// Templates that share their path, and so their number of tokens.
#[derive(Debug, Default)]
pub(super) struct Leaf {
    templates: Vec<usize>,
    /// The tokens of one template after those of the other, so that they are read in one go.
    tokens: Vec<Token>,
}

/// The template a line goes to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Choice {
    pub(super) template: usize,
    row: usize,
    similarity: Similarity,
}

impl Choice {
    /// Whether the template has the line already.
    pub(super) fn is_fit(&self) -> bool {
        self.similarity.differing == 0
    }
}

impl Leaf {
    pub(super) fn add(&mut self, template: usize, tokens: &[Token]) {
        self.templates.push(template);
        self.tokens.extend_from_slice(tokens);
    }

    /// Chooses the template of a line, of which `fixed` words are told by the path.
    pub(super) fn choose(&self, line: &[Token], fixed: u32) -> Option<Choice> {
        let rows = || {
            let row = |row| &self.tokens[row * line.len()..][..line.len()];
            (0..self.templates.len()).map(move |at| (at, row(at)))
        };
        // Known lines end here, at the cost of a look at the first words of each row.
        let fits = rows().filter(|(_, known)| fits(known, line));
        let best = most_similar(fits, line, fixed).filter(|(_, fit)| fit.is_enough());
        let is_full = self.templates.len() >= MAX_CHILDREN;
        let (row, similarity) = best.or_else(|| {
            most_similar(rows(), line, fixed).filter(|(_, best)| is_full || best.is_enough())
        })?;
        Some(Choice {
            template: self.templates[row],
            row,
            similarity,
        })
    }

    /// Widens the chosen template so that the line fits. Returns its tokens.
    pub(super) fn widen(&mut self, choice: &Choice, line: &[Token]) -> &[Token] {
        let row = &mut self.tokens[choice.row * line.len()..][..line.len()];
        for (known, token) in row.iter_mut().zip(line) {
            if known != token {
                *known = Token::VARIABLE;
            }
        }
        row
    }
}

/// Whether the template says nothing that the line does not.
fn fits(known: &[Token], line: &[Token]) -> bool {
    let mut pairs = known.iter().zip(line);
    pairs.all(|(known, token)| known == token || known.is_variable())
}

/// The row most like the line, the oldest among equals.
fn most_similar<'a>(
    rows: impl Iterator<Item = (usize, &'a [Token])>,
    line: &[Token],
    fixed: u32,
) -> Option<(usize, Similarity)> {
    let mut best: Option<(usize, Similarity)> = None;
    for (row, known) in rows {
        let this = Similarity::of(known, line, fixed);
        if best.is_none_or(|(_, best)| this.exceeds(&best)) {
            best = Some((row, this));
        }
    }
    best
}

/// How a line compares with a template.
#[derive(Debug, Clone, Copy)]
struct Similarity {
    /// Positions where the template would have to be widened.
    differing: u32,
    same: u32,
    /// Positions that say something.
    counted: u32,
}

impl Similarity {
    fn of(known: &[Token], line: &[Token], fixed: u32) -> Self {
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
            differing,
            same,
            counted: same + widened + differing,
        }
    }

    /// Whether more than half of what counts is the same.
    fn is_enough(&self) -> bool {
        self.same == self.counted || 2 * self.same > self.counted
    }

    fn exceeds(&self, other: &Self) -> bool {
        // As if one more position were the same in each, for lines where nothing counts.
        let this = (self.same + 1) * (other.counted + 1);
        let that = (other.same + 1) * (self.counted + 1);
        this > that || this == that && self.differing < other.differing
    }
}
