//! Statistics per function and minute: they answer percentiles without touching a span, and tell
//! where a rare function's spans lie.

use foldhash::HashMap;

use rusqlite::Connection;

use super::Ended;
use super::levels::{Levels, Sum};
use crate::engine::statistics;

/// What a batch adds, by (minute, name).
#[derive(Debug, Default)]
pub(super) struct Minutes(HashMap<(i64, i64), Sum>);

impl Minutes {
    /// Counts one span. Ids must come in rising order.
    pub(super) fn add(&mut self, span: Ended) {
        let key = (statistics::minute(span.ended_at), span.name_id);
        let minute = self.0.entry(key).or_insert_with(|| Sum {
            min_id: span.id,
            ..Sum::default()
        });
        let duration_ns = i64::try_from(span.duration_ns).unwrap_or(i64::MAX);
        minute.count += 1;
        minute.errors += i64::from(span.failed);
        minute.sum_ns = minute.sum_ns.saturating_add(duration_ns);
        minute.max_ns = minute.max_ns.max(duration_ns);
        minute.max_id = span.id;
        minute.sketch.add(span.duration_ns);
    }

    /// Adds everything to what the store has.
    pub(super) fn merge_into(self, connection: &Connection) -> rusqlite::Result<()> {
        if self.0.is_empty() {
            return Ok(());
        }
        let levels = Levels::read(connection)?;
        for minute in self.in_order().chunk_by(|a, b| a.0.0 == b.0.0) {
            widen(connection, minute)?;
            for (key, addition) in minute {
                levels.add(connection, *key, addition)?;
            }
        }
        Ok(())
    }

    /// Takes everything from what the store has, and forgets functions of which nothing is left.
    /// Gives the minutes it changed. The longest call stays as it was: an upper bound.
    pub(super) fn take_from(self, connection: &Connection) -> rusqlite::Result<Vec<i64>> {
        let levels = Levels::read(connection)?;
        let minutes = self.in_order();
        for (key, removed) in &minutes {
            levels.take(connection, *key, removed)?;
        }
        let mut changed: Vec<i64> = minutes.iter().map(|&((minute, _), _)| minute).collect();
        changed.dedup();
        Ok(changed)
    }

    /// In key order the tree's pages are visited once.
    fn in_order(self) -> Vec<((i64, i64), Sum)> {
        let mut minutes: Vec<_> = self.0.into_iter().collect();
        minutes.sort_unstable_by_key(|&(key, _)| key);
        minutes
    }
}

/// Widens the bounds within which all spans of a minute lie, by what its functions add.
fn widen(connection: &Connection, functions: &[((i64, i64), Sum)]) -> rusqlite::Result<()> {
    let Some(&((minute, _), _)) = functions.first() else {
        return Ok(());
    };
    let first = functions.iter().map(|(_, added)| added.min_id).min();
    let last = functions.iter().map(|(_, added)| added.max_id).max();
    connection
        .prepare_cached(
            "INSERT INTO span_minutes (minute, min_id, max_id) VALUES (?1, ?2, ?3)
             ON CONFLICT (minute) DO UPDATE SET min_id = min(min_id, excluded.min_id),
                 max_id = max(max_id, excluded.max_id)
             WHERE excluded.min_id < min_id OR excluded.max_id > max_id",
        )?
        .execute((minute, first, last))
        .map(drop)
}
