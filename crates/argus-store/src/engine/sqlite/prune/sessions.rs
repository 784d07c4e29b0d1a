//! Ended sessions that go: first from the listing, then their events, slice by slice.
//!
//! A session whose events are going has the word `pruned` in `obs_session_meta` and no row in
//! `obs_sessions`; nobody sees it, it takes no further events, and a crash in between is taken up
//! by the next slice.

use argus_model::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};

use super::Slice;

/// Removes ended sessions that are too old or too many.
pub(super) fn beyond(
    connection: &Connection,
    before: Option<Timestamp>,
    kept: Option<usize>,
    slice: &mut Slice,
) -> rusqlite::Result<()> {
    let kept = kept.map_or(-1, |kept| i64::try_from(kept).unwrap_or(i64::MAX));
    finish(connection, slice)?;
    while !slice.is_full() {
        let next: Option<String> = connection
            .prepare_cached(
                "SELECT session_id FROM obs_sessions
                 WHERE status IN ('completed', 'failed') AND (ended_at_ns < ?1
                     OR ?2 >= 0 AND id <= (SELECT id FROM obs_sessions
                         WHERE status IN ('completed', 'failed')
                         ORDER BY id DESC LIMIT 1 OFFSET max(?2, 0)))
                 ORDER BY id LIMIT 1",
            )?
            .query_row(params![before.map(Timestamp::nanos), kept], |row| {
                row.get(0)
            })
            .optional()?;
        match next {
            Some(session) => remove(connection, &session, slice)?,
            None => return Ok(()),
        }
    }
    Ok(())
}

/// The end of the ended session that began first.
pub(super) fn oldest(connection: &Connection) -> rusqlite::Result<Option<i64>> {
    first_ended(connection).map(|found| found.map(|(_, at)| at))
}

/// Removes the ended session that began first.
pub(super) fn remove_oldest(connection: &Connection, slice: &mut Slice) -> rusqlite::Result<()> {
    match first_ended(connection)? {
        Some((session, _)) => remove(connection, &session, slice),
        None => Ok(()),
    }
}

fn first_ended(connection: &Connection) -> rusqlite::Result<Option<(String, i64)>> {
    connection
        .prepare_cached(
            "SELECT session_id, coalesce(ended_at_ns, started_at_ns) FROM obs_sessions
             WHERE status IN ('completed', 'failed') ORDER BY id LIMIT 1",
        )?
        .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()
}

fn remove(connection: &Connection, session: &str, slice: &mut Slice) -> rusqlite::Result<()> {
    connection
        .prepare_cached("DELETE FROM obs_sessions WHERE session_id = ?1")?
        .execute([session])?;
    connection
        .prepare_cached("UPDATE obs_session_meta SET status = 'pruned' WHERE session_id = ?1")?
        .execute([session])?;
    slice.took(1);
    finish(connection, slice)
}

/// Removes the events of sessions that are going.
fn finish(connection: &Connection, slice: &mut Slice) -> rusqlite::Result<()> {
    while !slice.is_full() {
        let going: Option<String> = connection
            .prepare_cached(
                "SELECT session_id FROM obs_session_meta WHERE status = 'pruned' LIMIT 1",
            )?
            .query_row([], |row| row.get(0))
            .optional()?;
        let Some(session) = going else {
            return Ok(());
        };
        let removed = connection
            .prepare_cached(
                "DELETE FROM obs_events WHERE id IN
                     (SELECT id FROM obs_events WHERE session = ?1 LIMIT ?2)",
            )?
            .execute(params![session, slice.left()])?;
        slice.took(removed);
        if !slice.is_full() {
            connection
                .prepare_cached("DELETE FROM obs_session_meta WHERE session_id = ?1")?
                .execute([session])?;
        }
    }
    Ok(())
}
