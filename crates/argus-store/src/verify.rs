//! What a check of everything stored reports.
//!
//! Every row counts into a sum that is stored beside it, so a changed byte is found wherever it
//! lies in a row, also where the engine itself would read it as another value without a word.

use std::fmt;
use std::ops::ControlFlow;

/// Follows a check: called every few milliseconds, may end it.
pub type Watch<'a> = &'a mut dyn FnMut(Progress) -> ControlFlow<()>;

/// How far a check has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// What it does now.
    pub step: Step,
    /// Rows checked.
    pub rows: u64,
    /// Rows there are to check.
    pub of: u64,
}

/// The parts of a check, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Each row against the sums.
    Rows,
    /// Tables against each other.
    Books,
    /// Pages, trees and indexes; its length is not known beforehand.
    Structure,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Rows => "rows",
            Self::Books => "books",
            Self::Structure => "structure",
        })
    }
}

/// What a check found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Rows read and compared.
    pub rows: u64,
    /// What is wrong, in the order found.
    pub damage: Vec<Damage>,
    /// It was ended early: what was not reached is not known to be good.
    pub interrupted: bool,
}

/// Something that is not as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// The table, where it is known.
    pub table: Option<String>,
    /// The keys among which it lies, both ends included, where that is known.
    pub keys: Option<(i64, i64)>,
    /// What is wrong.
    pub what: String,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(table) = &self.table {
            write!(f, "{table}")?;
            if let Some((first, last)) = self.keys {
                write!(f, " {first} to {last}")?;
            }
            f.write_str(": ")?;
        }
        f.write_str(&self.what)
    }
}
