//! The run that is meant, and those it has started.

use argus_model::Timestamp;
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, params, params_from_iter};

use super::listing::{RUN_COLUMNS, run};
use super::reader::{limited, unsigned};
use crate::query::{ChosenRun, StoredRun, WhichRun};

/// Those that ended first, the last of them before; then the living ones, the youngest before.
const ENDED_LAST: &str = "ended_at_ns IS NULL, coalesce(ended_at_ns, started_at_ns) DESC, id DESC";

/// Cost: reads all runs, or those of a pid.
pub(super) fn choose(
    connection: &Connection,
    which: &WhichRun,
) -> rusqlite::Result<Option<ChosenRun>> {
    let (condition, values, order): (_, Vec<Value>, _) = match which {
        WhichRun::Last => ("observer = 0", Vec::new(), ENDED_LAST),
        WhichRun::Id(id) => ("id = ?", vec![(*id).into()], "id"),
        WhichRun::Pid(pid) => (
            "pid = ? AND observer = 0",
            vec![(*pid).into()],
            "started_at_ns DESC, id DESC",
        ),
        WhichRun::Named(name) => (
            "(app_name = ? OR process_name = ?) AND observer = 0",
            vec![name.clone().into(), name.clone().into()],
            ENDED_LAST,
        ),
    };
    let statement = format!(
        "SELECT {RUN_COLUMNS}, count(*) OVER () - 1 AS others FROM process_runs
         WHERE {condition} ORDER BY {order} LIMIT 1"
    );
    connection
        .prepare_cached(&statement)?
        .query_row(params_from_iter(values), |row| {
            Ok(ChosenRun {
                run: run(row)?,
                others: unsigned(row, row.as_ref().column_count() - 1)?,
            })
        })
        .optional()
}

/// A child that says its parent's pid only is taken for a child of the run that had the pid when it
/// began. Cost: reads the runs with such a parent.
pub(super) fn living_children(
    connection: &Connection,
    of: &StoredRun,
    limit: usize,
) -> rusqlite::Result<Vec<StoredRun>> {
    let statement = format!(
        "SELECT {RUN_COLUMNS} FROM process_runs
         WHERE parent_pid = ?1 AND machine = ?2 AND boot = ?3 AND pid_namespace = ?4
             AND (parent_start_ticks = ?5 OR (parent_start_ticks IS NULL
                 AND started_at_ns >= ?6 AND started_at_ns <= ?7))
             AND ended_at_ns IS NULL AND observer = 0
         ORDER BY id LIMIT ?8"
    );
    connection
        .prepare_cached(&statement)?
        .query_map(
            params![
                of.run.pid,
                of.run.machine.cast_signed(),
                of.run.boot.cast_signed(),
                of.run.pid_namespace.cast_signed(),
                of.run.start_ticks.cast_signed(),
                of.started_at.nanos(),
                of.ended_at.map_or(i64::MAX, Timestamp::nanos),
                limited(limit),
            ],
            run,
        )?
        .collect()
}
