//! Which run a question is about.

use super::StoredRun;

/// The run that somebody means. A run that only records others is never meant, but by its id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WhichRun {
    /// The one that ended last; while none has ended, the one that started last.
    Last,
    /// The one with this id.
    Id(i64),
    /// The last one that had this process id, whether it lives or not.
    Pid(u32),
    /// Of those whose application or process has exactly this name the one that ended last; while
    /// none of them has ended, the one that started last.
    Named(String),
}

/// The run that was meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChosenRun {
    /// The run.
    pub run: StoredRun,
    /// Other runs that the same words fit.
    pub others: u64,
}
