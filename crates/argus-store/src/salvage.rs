//! What saving a damaged store's rows into a new one reports.

use std::ops::ControlFlow;

use crate::error::{CommitError, OpenError};

/// Follows a salvage: called every few milliseconds with the table and the rows saved so far; may
/// end it.
pub type Watch<'a> = &'a mut dyn FnMut(&'static str, u64) -> ControlFlow<()>;

/// What became of the rows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Salvaged {
    /// By table, in the order saved.
    pub tables: Vec<TableSalvage>,
    /// It was ended early.
    pub interrupted: bool,
}

impl Salvaged {
    /// Rows saved.
    pub fn saved(&self) -> u64 {
        self.tables.iter().map(|table| table.saved).sum()
    }

    /// Rows that were written and could not be saved.
    pub fn lost(&self) -> u64 {
        self.tables.iter().map(|table| table.lost).sum()
    }

    /// Rows saved from stretches in which some row is not as it was written.
    pub fn doubtful(&self) -> u64 {
        self.tables.iter().map(|table| table.doubtful).sum()
    }
}

/// What became of a table's rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableSalvage {
    /// Its name.
    pub table: &'static str,
    /// Rows in the new store.
    pub saved: u64,
    /// Rows that the sums count and that could not be read, or not be what they seem to be.
    pub lost: u64,
    /// Rows saved from stretches whose sum does not fit: at least one of each is wrong.
    pub doubtful: u64,
}

/// Nothing could be saved.
#[derive(Debug, thiserror::Error)]
pub enum SalvageError {
    /// One of the two stores could not be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The new store exists already.
    #[error("{0} exists already")]
    Exists(std::path::PathBuf),
    /// The new store could not be written.
    #[error(transparent)]
    Write(#[from] CommitError),
}
