//! What was observed of processes, and the processes themselves once nothing speaks of them.

use argus_model::Timestamp;
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, params};

use super::{Oldest, Slice};
use crate::engine::sqlite::known::Known;
use crate::engine::sqlite::moment::iso;

/// A table of observations, and its count in `totals`.
#[derive(Debug)]
pub(super) struct Observed {
    table: &'static str,
    total: &'static str,
    dated: Dated,
}

/// How a table tells its rows' moments, by an indexed column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dated {
    /// The text `timestamp`, a column of the documents.
    Timestamp,
    /// The number `at_ns`.
    Nanos,
}

static OBSERVED: [Observed; 5] = [
    Observed {
        table: "performance_metrics",
        total: "samples",
        dated: Dated::Timestamp,
    },
    Observed {
        table: "log_entries",
        total: "logs",
        dated: Dated::Timestamp,
    },
    Observed {
        table: "process_events",
        total: "process_events",
        dated: Dated::Timestamp,
    },
    Observed {
        table: "metrics",
        total: "metrics",
        dated: Dated::Timestamp,
    },
    Observed {
        table: "stack_samples",
        total: "stack_samples",
        dated: Dated::Nanos,
    },
];

/// Removes observations that are older.
pub(super) fn observed_before(
    connection: &Connection,
    before: Timestamp,
    slice: &mut Slice,
) -> rusqlite::Result<()> {
    for Observed {
        table,
        total,
        dated,
    } in &OBSERVED
    {
        let (column, before): (_, Value) = match dated {
            Dated::Timestamp => ("timestamp", iso(before).as_str().to_owned().into()),
            Dated::Nanos => ("at_ns", before.nanos().into()),
        };
        let removed = connection
            .prepare_cached(&format!(
                "DELETE FROM {table} WHERE id IN (SELECT id FROM {table}
                     WHERE {column} < ?1 ORDER BY {column} LIMIT ?2)"
            ))?
            .execute(params![before, slice.left()])?;
        count_out(connection, total, removed, slice)?;
    }
    Ok(())
}

/// The moments of the first rows.
pub(super) fn oldest(connection: &Connection) -> rusqlite::Result<Vec<(Option<i64>, Oldest)>> {
    let first = |observed: &'static Observed| {
        let table = observed.table;
        let at = connection
            .prepare_cached(&format!("SELECT at_ns FROM {table} ORDER BY id LIMIT 1"))?
            .query_row([], |row| row.get::<_, Option<i64>>(0))
            .optional()?;
        Ok((
            at.map(Option::unwrap_or_default),
            Oldest::Observed(observed),
        ))
    };
    OBSERVED.iter().map(first).collect()
}

/// Removes the rows of a table that were committed first.
pub(super) fn remove_oldest(
    connection: &Connection,
    Observed { table, total, .. }: &Observed,
    slice: &mut Slice,
) -> rusqlite::Result<()> {
    let removed = connection
        .prepare_cached(&format!(
            "DELETE FROM {table} WHERE id IN (SELECT id FROM {table} ORDER BY id LIMIT ?1)"
        ))?
        .execute([slice.left()])?;
    count_out(connection, total, removed, slice)
}

/// Removes producers and runs that ended before any row that is left.
pub(super) fn ended_before(
    connection: &Connection,
    known: &mut Known,
    before: Timestamp,
    slice: &mut Slice,
) -> rusqlite::Result<()> {
    let producers = connection
        .prepare_cached(
            "DELETE FROM producers WHERE id IN (SELECT id FROM producers
                 WHERE ended_at_ns < ?1
                     AND id NOT IN (SELECT producer_id FROM obs_sessions)
                     AND id NOT IN (SELECT producer_id FROM open_spans)
                     AND id NOT IN (SELECT producer_id FROM spool_positions) LIMIT ?2)",
        )?
        .execute(params![before.nanos(), slice.left()])?;
    slice.took(producers);
    if producers > 0 {
        for table in ["gaps", "remote_parents"] {
            connection
                .prepare_cached(&format!(
                    "DELETE FROM {table} WHERE producer_id NOT IN (SELECT id FROM producers)"
                ))?
                .execute([])?;
        }
    }
    let runs = connection
        .prepare_cached(
            "DELETE FROM process_runs WHERE id IN (SELECT id FROM process_runs
                 WHERE ended_at_ns < ?1 AND id NOT IN (SELECT run_id FROM producers) LIMIT ?2)",
        )?
        .execute(params![before.nanos(), slice.left()])?;
    slice.took(runs);
    if producers + runs > 0 {
        known.forget_processes();
    }
    Ok(())
}

fn count_out(
    connection: &Connection,
    total: &str,
    removed: usize,
    slice: &mut Slice,
) -> rusqlite::Result<()> {
    if removed > 0 {
        connection
            .prepare_cached(&format!("UPDATE totals SET {total} = {total} - ?1"))?
            .execute([removed as i64])?;
        slice.took(removed);
    }
    Ok(())
}
