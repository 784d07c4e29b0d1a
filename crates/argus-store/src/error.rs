//! What can go wrong, told apart only where a caller acts differently.

use std::path::PathBuf;

/// An engine's own error, kept as the source of ours.
pub type Source = Box<dyn std::error::Error + Send + Sync>;

/// A store could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// There is no store yet at this place.
    #[error("nothing recorded yet at {0}")]
    Missing(PathBuf),
    /// An older Argus has written it; the collector brings it up to date before anybody reads it.
    #[error("{path} was written by an older Argus (schema {found}, this one reads {known})")]
    Older {
        /// The store.
        path: PathBuf,
        /// Its schema version.
        found: u32,
        /// The schema version this program reads.
        known: u32,
    },
    /// A newer Argus has written it; it was not changed.
    #[error("{path} was written by a newer Argus (schema {found}, this one knows up to {known})")]
    Newer {
        /// The store.
        path: PathBuf,
        /// Its schema version.
        found: u32,
        /// The newest schema version this program knows.
        known: u32,
    },
    /// It belongs to another user.
    #[error("{0} belongs to another user")]
    NotOurs(PathBuf),
    /// It lies on a file system that cannot keep a store.
    #[error("{path} lies on a network file system ({kind})")]
    Network {
        /// The store.
        path: PathBuf,
        /// The file system's name.
        kind: &'static str,
    },
    /// It is not a store of ours, or is damaged.
    #[error("{path} is damaged or not an Argus store")]
    Damaged {
        /// The store.
        path: PathBuf,
        /// The engine's error.
        source: Source,
    },
    /// The operating system refused.
    #[error("cannot open {path}")]
    Io {
        /// The store.
        path: PathBuf,
        /// The engine's error.
        source: Source,
    },
}

/// A batch was not committed; nothing of it is in the store.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// A newer Argus has taken the store over: stop writing, leave.
    #[error("the store was migrated by a newer Argus")]
    Superseded,
    /// A reader holds an old state of the store open, and what is written meanwhile would pile up
    /// beside it without bound: try again later, the spool keeps the records.
    #[error("a reader keeps the store from taking more")]
    HeldBack {
        /// The pids of those who read now, as far as they can be known. One of them stands in the
        /// way; others may be through in a moment.
        readers: Vec<u32>,
    },
    /// No room, an I/O error, a locked file: try again later, the spool keeps the records.
    #[error("the store cannot be written")]
    Unwritable(#[source] Source),
}

/// A query failed.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// What the user wrote is not a query this store can run.
    #[error("the query is not valid: {0}")]
    Invalid(String),
    /// The engine failed.
    #[error("the store cannot be read")]
    Failed(#[source] Source),
}
