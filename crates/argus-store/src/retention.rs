//! How long what was recorded is kept.

use std::collections::BTreeMap;
use std::time::Duration;

/// The limits of a store: whatever is beyond one of them goes, the oldest first.
///
/// Spans go by the minute in which they ended, and never one that is open. A session goes whole,
/// and only when it completed or failed: active and interrupted ones are kept whatever the limits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retention {
    /// Older than this; no limit when absent.
    pub age: Option<Duration>,
    /// Beyond this size of what is in use in the store's file; no limit when absent, and none in
    /// an engine without files.
    pub size_bytes: Option<u64>,
    /// More ended sessions than this; no limit when absent.
    pub sessions: Option<usize>,
    /// The age of the spans of these process groups, in place of the age of all.
    pub groups: BTreeMap<String, Duration>,
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            age: Some(Duration::from_secs(14 * 86_400)),
            size_bytes: Some(4 << 30),
            sessions: Some(500),
            groups: BTreeMap::new(),
        }
    }
}

impl Retention {
    /// Everything for ever.
    pub fn unlimited() -> Self {
        Self {
            age: None,
            size_bytes: None,
            sessions: None,
            groups: BTreeMap::new(),
        }
    }
}

/// What one slice of pruning did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pruned {
    /// Rows that went.
    pub rows: u64,
    /// Whether there is more to do.
    pub rest: Rest,
}

/// Whether another slice is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rest {
    /// Something may still be beyond a limit, or is to be summed up, or space is to be given back.
    More,
    /// Everything is within its limits.
    Nothing,
}
