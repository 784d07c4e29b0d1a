//! What is summed up of spans, kept beside them in the same transaction.
//!
//! A batch is summed up in memory first and merged with one write per row; what the store has is
//! added to, never replaced. What retention removes is summed up the same way and taken away.

mod minutes;

use argus_model::Timestamp;
use minutes::Minutes;
use rusqlite::Connection;

/// A span as the rollups see it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ended {
    pub(super) id: i64,
    pub(super) name_id: i64,
    pub(super) ended_at: Timestamp,
    pub(super) duration_ns: u64,
    pub(super) failed: bool,
}

/// Everything that is summed up of some spans.
#[derive(Debug, Default)]
pub(super) struct Rollups {
    minutes: Minutes,
}

impl Rollups {
    /// Counts one span. Ids must come in rising order.
    pub(super) fn add(&mut self, span: Ended) {
        self.minutes.add(span);
    }

    /// Adds everything to what the store has.
    pub(super) fn merge_into(self, connection: &Connection) -> rusqlite::Result<()> {
        self.minutes.merge_into(connection)
    }

    /// Takes everything from what the store has, and forgets what nothing is left of. Gives the
    /// minutes it changed.
    pub(super) fn take_from(self, connection: &Connection) -> rusqlite::Result<Vec<i64>> {
        self.minutes.take_from(connection)
    }
}
