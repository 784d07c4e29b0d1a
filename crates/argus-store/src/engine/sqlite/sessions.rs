//! Sessions: numbers each event in its session, without a gap, from `session_started` on.
//!
//! An event of a session that nobody started starts it, with a `session_started` of our own as
//! number 1. An event that comes after `session_ended` has no place in the session; it is moved in
//! its producer's ledger from the stored records to the unknown ones, so that it is not lost in
//! silence.

use argus_model::Timestamp;
use argus_model::session::{SESSION_STARTED, SessionStatus};
use rusqlite::{Connection, OptionalExtension, params};

use super::known::Known;
use super::moment::iso;
use super::runs;
use crate::batch::{ProducerEnd, SessionEventRow};
use crate::engine::session;

/// Appends events in the order given.
pub(super) fn append(
    connection: &Connection,
    known: &mut Known,
    events: &[SessionEventRow],
) -> rusqlite::Result<()> {
    for event in events {
        let producer_id = runs::producer_id(connection, known, event.producer, event.at)?;
        append_one(connection, producer_id, event)?;
    }
    Ok(())
}

/// A producer is over: its active sessions are interrupted.
pub(super) fn interrupt(
    connection: &Connection,
    known: &mut Known,
    end: &ProducerEnd,
) -> rusqlite::Result<()> {
    let producer_id = runs::producer_id(connection, known, end.producer, end.at)?;
    for statement in [
        "UPDATE obs_session_meta SET status = 'interrupted' WHERE session_id IN
             (SELECT session_id FROM obs_sessions WHERE producer_id = ?1 AND status = 'active')",
        "UPDATE obs_sessions SET status = 'interrupted'
             WHERE producer_id = ?1 AND status = 'active'",
    ] {
        connection
            .prepare_cached(statement)?
            .execute([producer_id])?;
    }
    Ok(())
}

fn append_one(
    connection: &Connection,
    producer_id: i64,
    event: &SessionEventRow,
) -> rusqlite::Result<()> {
    let (seq, status) = match progress(connection, &event.session)? {
        Some(progress) => progress,
        None => (
            start(connection, producer_id, event)?,
            SessionStatus::Active,
        ),
    };
    if !session::accepts_events(status) {
        return connection
            .prepare_cached(
                "UPDATE producers SET stored = stored - 1, unknown = unknown + 1 WHERE id = ?1",
            )?
            .execute([producer_id])
            .map(drop);
    }
    insert_event(connection, event, (seq, &event.event_type, &event.data))?;
    let outcome = session::outcome(event);
    if let Some(outcome) = outcome {
        end(connection, &event.session, outcome, event.at)?;
    }
    connection
        .prepare_cached(
            "UPDATE obs_session_meta SET next_seq = ?2, status = ?3 WHERE session_id = ?1",
        )?
        .execute(params![
            event.session,
            seq + 1,
            outcome.unwrap_or(status).word()
        ])
        .map(drop)
}

/// The next number and the status of a session, none when it is unknown.
fn progress(
    connection: &Connection,
    session: &str,
) -> rusqlite::Result<Option<(i64, SessionStatus)>> {
    connection
        .prepare_cached("SELECT next_seq, status FROM obs_session_meta WHERE session_id = ?1")?
        .query_row([session], |row| {
            let status = match row.get_ref(1)?.as_str()? {
                // It had ended before it began to go.
                "pruned" => Some(SessionStatus::Completed),
                word => SessionStatus::from_word(word),
            };
            Ok((row.get(0)?, status.unwrap_or(SessionStatus::Interrupted)))
        })
        .optional()
}

/// Makes the session's record and gives the number that its first event gets.
fn start(
    connection: &Connection,
    producer_id: i64,
    first: &SessionEventRow,
) -> rusqlite::Result<i64> {
    connection
        .prepare_cached(
            "INSERT INTO obs_sessions (session_id, producer_id, metadata, started_at_ns, status)
             VALUES (?1, ?2, ?3, ?4, 'active')",
        )?
        .execute(params![
            first.session,
            producer_id,
            session::metadata(first),
            first.at.nanos()
        ])?;
    connection
        .prepare_cached(
            "INSERT INTO obs_session_meta (session_id, next_seq, status) VALUES (?1, 1, 'active')",
        )?
        .execute([&first.session])?;
    if first.event_type == SESSION_STARTED {
        return Ok(1);
    }
    insert_event(
        connection,
        first,
        (1, SESSION_STARTED, session::SYNTHETIC_START),
    )?;
    Ok(2)
}

fn insert_event(
    connection: &Connection,
    event: &SessionEventRow,
    (seq, event_type, data): (i64, &str, &str),
) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO obs_events (session, seq, ts, type, data, at_ns)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute(params![
            event.session,
            seq,
            iso(event.at),
            event_type,
            data,
            event.at.nanos()
        ])
        .map(drop)
}

fn end(
    connection: &Connection,
    session: &str,
    outcome: SessionStatus,
    at: Timestamp,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "UPDATE obs_sessions SET status = ?2, ended_at_ns = ?3 WHERE session_id = ?1",
        )?
        .execute(params![session, outcome.word(), at.nanos()])
        .map(drop)
}
