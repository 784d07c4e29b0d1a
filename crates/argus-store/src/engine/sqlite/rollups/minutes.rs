//! Statistics per function and minute: they answer percentiles without touching a span, and tell
//! where a rare function's spans lie.

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension, params};

use super::Ended;
use crate::engine::statistics;
use crate::sketch::Sketch;

/// What one function did in one minute.
#[derive(Debug)]
struct Minute {
    count: i64,
    errors: i64,
    sum_ns: i64,
    max_ns: i64,
    min_id: i64,
    max_id: i64,
    sketch: Sketch,
}

/// What a batch adds, by (minute, name).
#[derive(Debug, Default)]
pub(super) struct Minutes(HashMap<(i64, i64), Minute>);

impl Minutes {
    /// Counts one span. Ids must come in rising order.
    pub(super) fn add(&mut self, span: Ended) {
        let key = (statistics::minute(span.ended_at), span.name_id);
        let minute = self.0.entry(key).or_insert_with(|| Minute {
            count: 0,
            errors: 0,
            sum_ns: 0,
            max_ns: 0,
            min_id: span.id,
            max_id: span.id,
            sketch: Sketch::default(),
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
        // In key order the tree's pages are visited once.
        let mut minutes: Vec<_> = self.0.into_iter().collect();
        minutes.sort_unstable_by_key(|&(key, _)| key);
        for ((minute, name_id), addition) in minutes {
            widen(connection, minute, &addition)?;
            merge_one(connection, minute, name_id, addition)?;
        }
        Ok(())
    }

    /// Takes everything from what the store has, and forgets functions of which nothing is left.
    /// Gives the minutes it changed. The longest call stays as it was: an upper bound.
    pub(super) fn take_from(self, connection: &Connection) -> rusqlite::Result<Vec<i64>> {
        let mut minutes: Vec<_> = self.0.into_iter().collect();
        minutes.sort_unstable_by_key(|&(key, _)| key);
        for &((minute, name_id), ref removed) in &minutes {
            take_one(connection, minute, name_id, removed)?;
        }
        let mut changed: Vec<i64> = minutes.iter().map(|&((minute, _), _)| minute).collect();
        changed.dedup();
        Ok(changed)
    }
}

fn take_one(
    connection: &Connection,
    minute: i64,
    name_id: i64,
    removed: &Minute,
) -> rusqlite::Result<()> {
    let stored: Option<(i64, i64, Vec<u8>)> = connection
        .prepare_cached(
            "SELECT count, sum_ns, sketch FROM function_minutes
             WHERE minute = ?1 AND name_id = ?2",
        )?
        .query_row([minute, name_id], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })
        .optional()?;
    let Some((count, sum_ns, sketch)) = stored else {
        return Ok(());
    };
    if count <= removed.count {
        return connection
            .prepare_cached("DELETE FROM function_minutes WHERE minute = ?1 AND name_id = ?2")?
            .execute([minute, name_id])
            .map(drop);
    }
    let mut sketch = Sketch::from_bytes(&sketch).unwrap_or_default();
    sketch.take(&removed.sketch);
    connection
        .prepare_cached(
            "UPDATE function_minutes SET count = ?3, errors = max(errors - ?4, 0), sum_ns = ?5,
                 sketch = ?6 WHERE minute = ?1 AND name_id = ?2",
        )?
        .execute(params![
            minute,
            name_id,
            count - removed.count,
            removed.errors,
            sum_ns.saturating_sub(removed.sum_ns).max(0),
            sketch.to_bytes(),
        ])
        .map(drop)
}

/// Widens the bounds within which all spans of a minute lie.
fn widen(connection: &Connection, minute: i64, addition: &Minute) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO span_minutes (minute, min_id, max_id) VALUES (?1, ?2, ?3)
             ON CONFLICT (minute) DO UPDATE SET min_id = min(min_id, excluded.min_id),
                 max_id = max(max_id, excluded.max_id)
             WHERE excluded.min_id < min_id OR excluded.max_id > max_id",
        )?
        .execute([minute, addition.min_id, addition.max_id])
        .map(drop)
}

fn merge_one(
    connection: &Connection,
    minute: i64,
    name_id: i64,
    mut addition: Minute,
) -> rusqlite::Result<()> {
    let stored: Option<(i64, Vec<u8>)> = connection
        .prepare_cached(
            "SELECT sum_ns, sketch FROM function_minutes WHERE minute = ?1 AND name_id = ?2",
        )?
        .query_row([minute, name_id], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    if let Some((sum_ns, sketch)) = stored {
        // A sum beyond the range would turn into a floating-point number in SQL.
        addition.sum_ns = addition.sum_ns.saturating_add(sum_ns);
        // An unreadable sketch is lost alone; the exact columns go on.
        addition
            .sketch
            .merge(&Sketch::from_bytes(&sketch).unwrap_or_default());
    }
    connection
        .prepare_cached(
            "INSERT INTO function_minutes
                 (minute, name_id, count, errors, sum_ns, max_ns, min_id, max_id, sketch)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
             ON CONFLICT (minute, name_id) DO UPDATE SET
                 count = count + excluded.count,
                 errors = errors + excluded.errors,
                 sum_ns = excluded.sum_ns,
                 max_ns = max(max_ns, excluded.max_ns),
                 min_id = min(min_id, excluded.min_id),
                 max_id = max(max_id, excluded.max_id),
                 sketch = excluded.sketch",
        )?
        .execute(params![
            minute,
            name_id,
            addition.count,
            addition.errors,
            addition.sum_ns,
            addition.max_ns,
            addition.min_id,
            addition.max_id,
            addition.sketch.to_bytes(),
        ])
        .map(drop)
}
