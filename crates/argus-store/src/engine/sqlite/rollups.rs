//! What is summed up of spans, kept beside them in the same transaction.
//!
//! A batch is summed up in memory first and merged with one write per row; what the store has is
//! added to, never replaced. What retention removes is summed up the same way and taken away.

pub(super) mod levels;
mod minutes;
pub(super) mod summing;

use argus_model::Timestamp;
use levels::Levels;
use minutes::Minutes;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row};

use super::zones::Zones;
use crate::retention::Rest;

/// A span as the rollups see it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ended {
    pub(super) id: i64,
    pub(super) producer_id: i64,
    pub(super) name_id: i64,
    pub(super) ended_at: Timestamp,
    pub(super) duration_ns: u64,
    pub(super) failed: bool,
}

impl Ended {
    /// The columns of `spans` from which one is [`read`](Self::read).
    pub(super) const COLUMNS: &'static str =
        "id, producer_id, name_id, end_ns, duration_ns, status";

    pub(super) fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id: row.get(0)?,
            producer_id: row.get(1)?,
            name_id: row.get(2)?,
            ended_at: Timestamp::from_nanos(row.get(3)?),
            duration_ns: row.get::<_, i64>(4)?.max(0).cast_unsigned(),
            failed: row.get_ref(5)? == ValueRef::Text(b"ERR"),
        })
    }
}

/// Everything that is summed up of some spans.
#[derive(Debug, Default)]
pub(super) struct Rollups {
    minutes: Minutes,
    zones: Zones,
}

impl Rollups {
    /// Counts one span. Ids must come in rising order.
    pub(super) fn add(&mut self, span: Ended) {
        self.zones.add(&span);
        self.minutes.add(span);
    }

    /// Adds everything to what the store has.
    pub(super) fn merge_into(self, connection: &Connection) -> rusqlite::Result<()> {
        self.zones.merge_into(connection)?;
        self.minutes.merge_into(connection)
    }

    /// Takes everything from what the store has, and forgets what nothing is left of. Gives the
    /// minutes it changed.
    pub(super) fn take_from(self, connection: &Connection) -> rusqlite::Result<Vec<i64>> {
        self.zones.take_from(connection)?;
        self.minutes.take_from(connection)
    }

    /// Takes what functions' minutes, by (minute, name), still count: spans that are not there.
    pub(super) fn forget(connection: &Connection, minutes: &[(i64, i64)]) -> rusqlite::Result<()> {
        let levels = Levels::read(connection)?;
        minutes
            .iter()
            .try_for_each(|&minute| levels.forget(connection, minute))
    }

    /// Brings longer stretches up to date, a step of them: see [`summing`].
    pub(super) fn sum_up(connection: &Connection, now: Timestamp) -> rusqlite::Result<Rest> {
        summing::sum_up(connection, now)
    }
}
