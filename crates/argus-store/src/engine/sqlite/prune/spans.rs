//! Spans that go. A minute of a function's spans is found by the rollups, which also remember how
//! far it was searched: each slice raises the lower bound of what it went through.

use argus_model::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};

use super::Slice;
use crate::engine::cutoff::Cutoffs;
use crate::engine::sqlite::rollups::{Ended, Rollups};
use crate::engine::statistics;
use crate::retention::Rest;

/// Ids searched for one span that goes, at most, before the slice ends.
const SEARCHED: i64 = 8;

/// The functions that a limit is for.
struct Functions {
    /// `IN` the groups named, or `NOT IN` them.
    relation: &'static str,
    /// The groups' names, a JSON array.
    groups: String,
}

impl Functions {
    /// A condition on `name_id`, with the groups as `?1`.
    fn condition(&self) -> String {
        format!(
            "name_id {} (SELECT id FROM names
                 WHERE process_group IN (SELECT value FROM json_each(?1)))",
            self.relation
        )
    }
}

/// Removes spans that are older than their group may be.
pub(super) fn by_age(
    connection: &Connection,
    cutoffs: &Cutoffs,
    slice: &mut Slice,
) -> rusqlite::Result<()> {
    for (group, &before) in &cutoffs.groups {
        let functions = Functions {
            relation: "IN",
            groups: serde_json::Value::from(vec![group.as_str()]).to_string(),
        };
        before_moment(connection, &functions, before, slice)?;
    }
    if let Some(before) = cutoffs.all {
        let others: Vec<&str> = cutoffs.groups.keys().map(String::as_str).collect();
        let functions = Functions {
            relation: "NOT IN",
            groups: serde_json::Value::from(others).to_string(),
        };
        before_moment(connection, &functions, before, slice)?;
    }
    Ok(())
}

fn before_moment(
    connection: &Connection,
    functions: &Functions,
    before: Timestamp,
    slice: &mut Slice,
) -> rusqlite::Result<()> {
    let condition = functions.condition();
    let next = format!(
        "SELECT minute, min(min_id), max(max_id) FROM function_minutes
         WHERE minute = (SELECT minute FROM function_minutes WHERE minute < ?2 AND {condition}
                             ORDER BY minute LIMIT 1)
             AND {condition} GROUP BY minute"
    );
    let mut searched = 0;
    while !slice.is_full() {
        let found: Option<(i64, i64, i64)> = connection
            .prepare_cached(&next)?
            .query_row(
                params![functions.groups, statistics::minute(before)],
                |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
            )
            .optional()?;
        let Some((minute, low, high)) = found else {
            return Ok(());
        };
        let most = slice.left().saturating_mul(SEARCHED);
        if searched >= most {
            slice.rest = Rest::More;
            return Ok(());
        }
        let high = high.min(low.saturating_add(most - 1));
        let searched_to = minute_within(connection, functions, minute, (low, high), slice)?;
        searched += searched_to - low + 1;
        leave_behind(connection, functions, minute, searched_to)?;
    }
    Ok(())
}

/// Removes a minute's spans of a stretch of ids; the id up to which it came.
fn minute_within(
    connection: &Connection,
    functions: &Functions,
    minute: i64,
    (low, high): (i64, i64),
    slice: &mut Slice,
) -> rusqlite::Result<i64> {
    let (start, end) = (
        statistics::start_of(minute),
        statistics::start_of(minute + 1),
    );
    let select = format!(
        "SELECT {} FROM spans NOT INDEXED
         WHERE id BETWEEN ?2 AND ?3 AND end_ns >= ?4 AND end_ns < ?5 AND {} ORDER BY id LIMIT ?6",
        Ended::COLUMNS,
        functions.condition()
    );
    let spans: Vec<Ended> = connection
        .prepare_cached(&select)?
        .query_map(
            params![
                functions.groups,
                low,
                high,
                start.nanos(),
                end.nanos(),
                slice.left()
            ],
            Ended::read,
        )?
        .collect::<rusqlite::Result<_>>()?;
    let full = spans.len() >= slice.left;
    let last = spans.last().map_or(high, |span| span.id);
    remove(connection, &spans, slice)?;
    Ok(if full { last } else { high })
}

/// Notes in the rollups that none of a minute's spans are left up to this id.
fn leave_behind(
    connection: &Connection,
    functions: &Functions,
    minute: i64,
    searched_to: i64,
) -> rusqlite::Result<()> {
    let condition = functions.condition();
    connection
        .prepare_cached(&format!(
            "UPDATE function_minutes SET min_id = ?3 + 1
             WHERE minute = ?2 AND min_id <= ?3 AND {condition}"
        ))?
        .execute(params![functions.groups, minute, searched_to])?;
    // A count whose spans are not there (they were damaged) would never come to nothing.
    let left: Vec<(i64, i64)> = connection
        .prepare_cached(&format!(
            "SELECT minute, name_id FROM function_minutes
             WHERE minute = ?2 AND min_id > max_id AND {condition}"
        ))?
        .query_map(params![functions.groups, minute], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })?
        .collect::<rusqlite::Result<_>>()?;
    Rollups::forget(connection, &left)?;
    forget_minute(connection, minute)
}

/// The end of the first span.
pub(super) fn oldest(connection: &Connection) -> rusqlite::Result<Option<i64>> {
    connection
        .prepare_cached("SELECT end_ns FROM spans NOT INDEXED ORDER BY id LIMIT 1")?
        .query_row([], |row| row.get(0))
        .optional()
}

/// Removes the spans that were committed first.
pub(super) fn remove_oldest(connection: &Connection, slice: &mut Slice) -> rusqlite::Result<()> {
    let select = format!(
        "SELECT {} FROM spans NOT INDEXED ORDER BY id LIMIT ?1",
        Ended::COLUMNS
    );
    let spans: Vec<Ended> = connection
        .prepare_cached(&select)?
        .query_map([slice.left()], Ended::read)?
        .collect::<rusqlite::Result<_>>()?;
    remove(connection, &spans, slice)
}

/// Removes these spans, in the order of their ids, from table, rollups and totals.
fn remove(connection: &Connection, spans: &[Ended], slice: &mut Slice) -> rusqlite::Result<()> {
    let mut delete = connection.prepare_cached("DELETE FROM spans WHERE id BETWEEN ?1 AND ?2")?;
    for run in spans.chunk_by(|a, b| a.id + 1 == b.id) {
        if let (Some(first), Some(last)) = (run.first(), run.last()) {
            delete.execute([first.id, last.id])?;
        }
    }
    let mut rollups = Rollups::default();
    for &span in spans {
        rollups.add(span);
    }
    for minute in rollups.take_from(connection)? {
        forget_minute(connection, minute)?;
    }
    let failed = spans.iter().filter(|span| span.failed).count();
    connection
        .prepare_cached("UPDATE totals SET spans = spans - ?1, errors = errors - ?2")?
        .execute([spans.len() as i64, failed as i64])?;
    slice.took(spans.len());
    Ok(())
}

/// Forgets where a minute's spans lie when none are counted any more.
fn forget_minute(connection: &Connection, minute: i64) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "DELETE FROM span_minutes WHERE minute = ?1
                 AND NOT EXISTS (SELECT 1 FROM function_minutes WHERE minute = ?1)",
        )?
        .execute([minute])
        .map(drop)
}
