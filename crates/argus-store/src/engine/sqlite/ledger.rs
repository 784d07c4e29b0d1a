//! The books: what each producer emitted and lost, how far its spool was read, and the collector's
//! account of itself.

use argus_model::{ProducerId, Timestamp};
use rusqlite::{Connection, params};

use super::known::Known;
use super::runs;
use crate::batch::{Batch, CollectorState, GapRow, LedgerDelta, Position};

/// Writes the batch's bookkeeping.
pub(super) fn write(
    connection: &Connection,
    known: &mut Known,
    batch: &Batch,
) -> rusqlite::Result<()> {
    let now = batch
        .collector
        .map_or(Timestamp::default(), |state| state.heartbeat);
    for gap in &batch.gaps {
        upsert_gap(connection, known, gap)?;
    }
    for delta in &batch.ledger {
        add_to_ledger(connection, known, delta, now)?;
    }
    for position in &batch.positions {
        save_position(connection, known, position, now)?;
    }
    for &producer in &batch.forgotten {
        connection
            .prepare_cached(
                "DELETE FROM spool_positions
                 WHERE producer_id = (SELECT id FROM producers WHERE producer = ?1)",
            )?
            .execute([producer.to_string()])?;
    }
    match batch.collector {
        Some(state) => save_collector(connection, state),
        None => Ok(()),
    }
}

/// How far the spool of this producer has been read.
pub(super) fn positions(
    connection: &Connection,
    producer: ProducerId,
) -> rusqlite::Result<Vec<Position>> {
    connection
        .prepare_cached(
            "SELECT chunk, generation, offset, ended FROM spool_positions
             WHERE producer_id = (SELECT id FROM producers WHERE producer = ?1) ORDER BY chunk",
        )?
        .query_map([producer.to_string()], |row| {
            Ok(Position {
                producer,
                chunk: row.get(0)?,
                generation: row.get::<_, i64>(1)?.cast_unsigned(),
                offset: row.get(2)?,
                ended: row.get(3)?,
            })
        })?
        .collect()
}

fn upsert_gap(connection: &Connection, known: &mut Known, row: &GapRow) -> rusqlite::Result<()> {
    let producer_id = runs::producer_id(connection, known, row.producer, row.from)?;
    connection
        .prepare_cached(
            "INSERT INTO gaps (producer_id, number, reason, normal, errors, from_ns, to_ns)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
             ON CONFLICT (producer_id, number) DO UPDATE SET reason = excluded.reason,
                 normal = max(normal, excluded.normal), errors = max(errors, excluded.errors),
                 from_ns = min(from_ns, excluded.from_ns), to_ns = max(to_ns, excluded.to_ns)",
        )?
        .execute(params![
            producer_id,
            row.gap.number,
            row.gap.reason.word(),
            count(row.gap.normal),
            count(row.gap.errors),
            row.from.nanos(),
            row.to.nanos(),
        ])
        .map(drop)
}

fn add_to_ledger(
    connection: &Connection,
    known: &mut Known,
    delta: &LedgerDelta,
    now: Timestamp,
) -> rusqlite::Result<()> {
    let producer_id = runs::producer_id(connection, known, delta.producer, now)?;
    connection
        .prepare_cached(
            "UPDATE producers SET stored = stored + ?2, damaged = damaged + ?3,
                 unknown = unknown + ?4, clamped = clamped + ?5 WHERE id = ?1",
        )?
        .execute([
            producer_id,
            count(delta.stored),
            count(delta.damaged),
            count(delta.unknown),
            count(delta.clamped),
        ])
        .map(drop)
}

fn save_position(
    connection: &Connection,
    known: &mut Known,
    position: &Position,
    now: Timestamp,
) -> rusqlite::Result<()> {
    let producer_id = runs::producer_id(connection, known, position.producer, now)?;
    connection
        .prepare_cached(
            "INSERT INTO spool_positions (producer_id, chunk, generation, offset, ended)
             VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (producer_id, chunk) DO UPDATE SET generation = excluded.generation,
                 offset = excluded.offset, ended = excluded.ended",
        )?
        .execute(params![
            producer_id,
            position.chunk,
            position.generation.cast_signed(),
            position.offset,
            position.ended,
        ])
        .map(drop)
}

fn save_collector(connection: &Connection, state: CollectorState) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO collector (one, pid, heartbeat_ns, backlog_bytes, write_lag_ns,
                 held_since_ns, held_by_pid)
             VALUES (1, ?1, ?2, ?3, ?4, ?5, ?6)
             ON CONFLICT (one) DO UPDATE SET pid = excluded.pid,
                 heartbeat_ns = excluded.heartbeat_ns, backlog_bytes = excluded.backlog_bytes,
                 write_lag_ns = excluded.write_lag_ns, held_since_ns = excluded.held_since_ns,
                 held_by_pid = excluded.held_by_pid",
        )?
        .execute(params![
            state.pid,
            state.heartbeat.nanos(),
            count(state.backlog_bytes),
            count(state.write_lag_ns),
            state.held.map(|hold| hold.since.nanos()),
            state.held.and_then(|hold| hold.reader),
        ])
        .map(drop)
}

/// A count that SQLite can hold: all of them can be, short of three centuries of nanoseconds.
fn count(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
