//! Stacks of threads, sampled from outside: rows that name a text, and texts that stand once.

use argus_model::Timestamp;
use argus_model::record::ThreadState;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::known::Known;
use super::row_hash::RowHash;
use super::runs;
use crate::batch::{RunKey, StackRow};
use crate::query::{STACKS_HOLD, StoredStack};

/// Writes the batch's stacks.
pub(super) fn insert(
    connection: &Connection,
    known: &mut Known,
    stacks: &[StackRow],
) -> rusqlite::Result<()> {
    for row in stacks {
        let run_id = runs::run_id(connection, known, &row.subject, row.at)?;
        let stack_id = match row.frames.as_str() {
            "" => None,
            frames => Some(intern(connection, frames)?),
        };
        connection
            .prepare_cached(
                "INSERT INTO stack_samples (run_id, at_ns, tid, thread_name, state, gil, stack_id)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            )?
            .execute(params![
                run_id,
                row.at.nanos(),
                row.tid,
                row.thread,
                row.state.word(),
                row.holds_gil,
                stack_id,
            ])?;
    }
    Ok(())
}

/// The id of a text. Not remembered: texts are long, and a look into the index is cheap beside the
/// row that needs it.
fn intern(connection: &Connection, frames: &str) -> rusqlite::Result<i64> {
    let mut hash = RowHash::new();
    hash.value(ValueRef::Text(frames.as_bytes()));
    let hash = hash.finish().cast_signed();
    let found = connection
        .prepare_cached("SELECT id FROM stacks WHERE hash = ?1 AND frames = ?2")?
        .query_row(params![hash, frames], |row| row.get(0))
        .optional()?;
    match found {
        Some(id) => Ok(id),
        None => connection
            .prepare_cached("INSERT INTO stacks (hash, frames) VALUES (?1, ?2)")?
            .insert(params![hash, frames]),
    }
}

/// The stacks that held at a moment, of one run or of all.
pub(super) fn at(
    connection: &Connection,
    whose: Option<RunKey>,
    at: Timestamp,
    limit: usize,
) -> rusqlite::Result<Vec<StoredStack>> {
    // Of the rows of a thread in the window the last counts; one that has ended has none.
    let mut statement = connection.prepare_cached(
        "SELECT s.id, s.at_ns, s.tid, s.thread_name, s.state, s.gil, coalesce(t.frames, ''),
                r.machine, r.boot, r.pid_namespace, r.pid, r.start_ticks
         FROM (SELECT max(id) AS id FROM stack_samples
                   WHERE at_ns > ?1 AND at_ns <= ?2 GROUP BY run_id, tid) AS last
         JOIN stack_samples AS s ON s.id = last.id
         JOIN process_runs AS r ON r.id = s.run_id
         LEFT JOIN stacks AS t ON t.id = s.stack_id
         WHERE s.state <> 'ended' AND (?3 IS NULL OR (r.pid = ?3 AND r.start_ticks = ?4
             AND r.machine = ?5 AND r.boot = ?6 AND r.pid_namespace = ?7))
         ORDER BY s.run_id, s.tid <> r.pid, s.tid LIMIT ?8",
    )?;
    let from = at.minus(STACKS_HOLD);
    let stacks = statement.query_map(
        params![
            from.nanos(),
            at.nanos(),
            whose.map(|run| run.pid),
            whose.map(|run| run.start_ticks.cast_signed()),
            whose.map(|run| run.machine.cast_signed()),
            whose.map(|run| run.boot.cast_signed()),
            whose.map(|run| run.pid_namespace.cast_signed()),
            i64::try_from(limit).unwrap_or(i64::MAX),
        ],
        stored,
    )?;
    stacks.collect()
}

fn stored(row: &Row<'_>) -> rusqlite::Result<StoredStack> {
    let unsigned = |column| row.get(column).map(i64::cast_unsigned);
    let state: String = row.get(4)?;
    Ok(StoredStack {
        id: row.get(0)?,
        at: Timestamp::from_nanos(row.get(1)?),
        tid: row.get(2)?,
        thread: row.get(3)?,
        state: ThreadState::from_word(&state).unwrap_or(ThreadState::Idle),
        holds_gil: row.get(5)?,
        frames: row.get(6)?,
        run: RunKey {
            machine: unsigned(7)?,
            boot: unsigned(8)?,
            pid_namespace: unsigned(9)?,
            pid: row.get(10)?,
            start_ticks: unsigned(11)?,
        },
    })
}
