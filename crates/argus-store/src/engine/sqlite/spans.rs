//! Spans: rows for those that ended, a small table for those that are open.
//!
//! A span comes to the open ones only when a commit finds it open, and leaves them in the commit
//! that brings its end. Which are open is also kept in memory: most spans start and end between two
//! commits, and must not pay for a look-up.

use std::collections::HashMap;
use std::sync::Arc;

use argus_model::{NameKind, NameText, ProducerId, SpanKey, SpanNumber, Timestamp};
use rusqlite::{CachedStatement, Connection, Row, params};

use super::known::Known;
use super::rollups::Ended;
use super::row_hash::RowHash;
use super::runs;
use super::writer::Tally;
use crate::batch::{Batch, OpenSpan, ProducerEnd, SpanRow, Status, Thread};
use crate::engine::death;

/// How an ended span came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    Own,
    Interrupted,
}

/// Writes the batch's ended spans, and those that are open after it.
pub(super) fn write(
    connection: &Connection,
    known: &mut Known,
    batch: &Batch,
    tally: &mut Tally,
) -> rusqlite::Result<()> {
    let mut opened = HashMap::with_capacity(batch.opened.len());
    for span in &batch.opened {
        let producer_id = runs::producer_id(connection, known, span.key.producer, span.started_at)?;
        opened.insert((producer_id, span.key.number.0), span);
    }
    let mut insert = prepare_insert(connection)?;
    for span in &batch.ended {
        let producer_id = runs::producer_id(connection, known, span.key.producer, span.ended_at)?;
        let key = (producer_id, span.key.number.0);
        if !opened.is_empty() {
            opened.remove(&key);
        }
        if !known.open.is_empty() && known.open.remove(&key) {
            delete_open(connection, key)?;
        }
        let row = (producer_id, span, Ending::Own);
        insert_ended(connection, &mut insert, known, row, tally)?;
    }
    for (key, span) in opened {
        insert_open(connection, known, key, span)?;
        if known.open.insert(key) {
            tally.seen_open += 1;
        }
    }
    Ok(())
}

/// Turns the open spans of an ended producer into interrupted ones.
pub(super) fn interrupt(
    connection: &Connection,
    known: &mut Known,
    end: &ProducerEnd,
    tally: &mut Tally,
) -> rusqlite::Result<()> {
    let open = open_spans(connection, end.producer)?;
    if open.is_empty() {
        return Ok(());
    }
    let producer_id = runs::producer_id(connection, known, end.producer, end.at)?;
    let mut insert = prepare_insert(connection)?;
    for span in death::interrupt(open, end) {
        known.open.remove(&(producer_id, span.key.number.0));
        let row = (producer_id, &span, Ending::Interrupted);
        insert_ended(connection, &mut insert, known, row, tally)?;
    }
    connection
        .prepare_cached("DELETE FROM open_spans WHERE producer_id = ?1")?
        .execute([producer_id])
        .map(drop)
}

/// The spans of this producer that are open in the store, in the order of their numbers.
pub(super) fn open_spans(
    connection: &Connection,
    producer: ProducerId,
) -> rusqlite::Result<Vec<OpenSpan>> {
    connection
        .prepare_cached(
            "SELECT o.number, o.parent, o.started_ns, o.started_monotonic, o.captured,
                 n.kind, n.text, n.process_group, n.file, n.line, n.parameters, t.tid, t.name
             FROM producers AS p
             JOIN open_spans AS o ON o.producer_id = p.id
             LEFT JOIN names AS n ON n.id = o.name_id
             LEFT JOIN threads AS t ON t.id = o.thread_id
             WHERE p.producer = ?1 ORDER BY o.number",
        )?
        .query_map([producer.to_string()], |row| open_span(row, producer))?
        .collect()
}

fn open_span(row: &Row<'_>, producer: ProducerId) -> rusqlite::Result<OpenSpan> {
    let number =
        |column| -> rusqlite::Result<u64> { Ok(row.get::<_, i64>(column)?.cast_unsigned()) };
    let parameters: Option<String> = row.get(10)?;
    Ok(OpenSpan {
        key: SpanKey {
            producer,
            number: SpanNumber(number(0)?),
        },
        parent: SpanNumber(number(1)?),
        name: Arc::new(NameText {
            kind: match row.get::<_, Option<u8>>(5)? {
                Some(kind) if kind == NameKind::Function as u8 => NameKind::Function,
                _ => NameKind::Span,
            },
            text: row.get::<_, Option<String>>(6)?.unwrap_or_default(),
            group: row.get(7)?,
            file: row.get(8)?,
            line: row.get::<_, Option<u32>>(9)?.unwrap_or_default(),
            parameters: parameters
                .and_then(|list| serde_json::from_str(&list).ok())
                .unwrap_or_default(),
        }),
        thread: Arc::new(Thread {
            tid: row.get::<_, Option<u32>>(11)?.unwrap_or_default(),
            name: row.get::<_, Option<String>>(12)?.unwrap_or_default(),
        }),
        started_at: Timestamp::from_nanos(row.get(2)?),
        started_monotonic: number(3)?,
        captured: row.get(4)?,
    })
}

fn prepare_insert(connection: &Connection) -> rusqlite::Result<CachedStatement<'_>> {
    connection.prepare_cached(
        "INSERT INTO spans (id, producer_id, number, parent, name_id, thread_id, end_ns,
             duration_ns, status, captured, exception, interrupted)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
    )
}

fn insert_ended(
    connection: &Connection,
    insert: &mut CachedStatement<'_>,
    known: &mut Known,
    (producer_id, span, ending): (i64, &SpanRow, Ending),
    tally: &mut Tally,
) -> rusqlite::Result<()> {
    let id = known.last_span_id + 1;
    let name_id = known.name(connection, &span.name)?;
    let thread_id = known.thread(connection, &span.thread)?;
    // `ts` has no form for what was before 1970; the drain clamps such clocks anyway.
    let ended_at = span.ended_at.max(Timestamp::default());
    let number = span.key.number.0.cast_signed();
    let parent = span.parent.0.cast_signed();
    let duration_ns = i64::try_from(span.duration_ns).unwrap_or(i64::MAX);
    let interrupted = ending == Ending::Interrupted;
    insert.execute(params![
        id,
        producer_id,
        number,
        parent,
        name_id,
        thread_id,
        ended_at.nanos(),
        duration_ns,
        span.status.word(),
        span.captured,
        span.exception,
        interrupted,
    ])?;
    // What a trigger would note, without its cost: spans are nearly all that is written.
    let mut hash = RowHash::new();
    for number in [id, producer_id, number, parent, name_id, thread_id] {
        hash.integer(number);
    }
    hash.integer(ended_at.nanos());
    hash.integer(duration_ns);
    hash.text(span.status.word().as_bytes());
    hash.optional_text(span.captured.as_deref());
    hash.optional_text(span.exception.as_deref());
    hash.integer(interrupted.into());
    tally.sums.inserted_span(id, hash.finish());
    known.last_span_id = id;
    let failed = span.status == Status::Err;
    tally.spans += 1;
    tally.errors += i64::from(failed);
    tally.rollups.add(Ended {
        id,
        producer_id,
        name_id,
        ended_at,
        duration_ns: span.duration_ns,
        failed,
    });
    Ok(())
}

fn insert_open(
    connection: &Connection,
    known: &mut Known,
    (producer_id, number): (i64, u64),
    span: &OpenSpan,
) -> rusqlite::Result<()> {
    let name_id = known.name(connection, &span.name)?;
    let thread_id = known.thread(connection, &span.thread)?;
    connection
        .prepare_cached(
            "INSERT INTO open_spans (producer_id, number, parent, name_id, thread_id, started_ns,
                 started_monotonic, captured)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
             ON CONFLICT (producer_id, number) DO UPDATE SET parent = excluded.parent,
                 name_id = excluded.name_id, thread_id = excluded.thread_id,
                 started_ns = excluded.started_ns,
                 started_monotonic = excluded.started_monotonic, captured = excluded.captured",
        )?
        .execute(params![
            producer_id,
            number.cast_signed(),
            span.parent.0.cast_signed(),
            name_id,
            thread_id,
            span.started_at.nanos(),
            span.started_monotonic.cast_signed(),
            span.captured,
        ])
        .map(drop)
}

fn delete_open(connection: &Connection, (producer_id, number): (i64, u64)) -> rusqlite::Result<()> {
    connection
        .prepare_cached("DELETE FROM open_spans WHERE producer_id = ?1 AND number = ?2")?
        .execute([producer_id, number.cast_signed()])
        .map(drop)
}
