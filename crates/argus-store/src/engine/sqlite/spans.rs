//! Spans: rows for those that ended, a small table for those that are open.
//!
//! A span comes to the open ones only when a commit finds it open, and leaves them in the commit
//! that brings its end. Which are open is also kept in memory: most spans start and end between two
//! commits, and must not pay for a look-up.

use std::sync::Arc;

use argus_model::{NameKind, NameText, ProducerId, SpanKey, SpanNumber, Timestamp};
use foldhash::HashMap;
use rusqlite::{CachedStatement, Connection, Row, params};

use super::known::{Known, check_last_id};
use super::rollups::Ended;
use super::row_hash::RowHash;
use super::runs;
use super::writer::Tally;
use crate::batch::{Batch, OpenSpan, ProducerEnd, SpanRow, Status, Thread};
use crate::engine::death;

/// Spans that one statement inserts: starting and ending a statement costs as much as four rows.
/// Longer ones gain nothing more.
const STRETCH: usize = 32;

/// How many of so many spans are inserted one by one: what does not fill a stretch, and at least
/// the first, whose id the others follow.
fn alone(spans: usize) -> usize {
    match spans {
        0 => 0,
        spans => 1 + (spans - 1) % STRETCH,
    }
}

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
    let mut opened = HashMap::default();
    for span in &batch.opened {
        let producer_id = runs::producer_id(connection, known, span.key.producer, span.started_at)?;
        opened.insert((producer_id, span.key.number.0), span);
    }
    let mut close = |known: &mut Known, span: &SpanRow| -> rusqlite::Result<i64> {
        let producer_id = runs::producer_id(connection, known, span.key.producer, span.ended_at)?;
        let key = (producer_id, span.key.number.0);
        if !opened.is_empty() {
            opened.remove(&key);
        }
        if !known.open.is_empty() && known.open.remove(&key) {
            delete_open(connection, key)?;
        }
        Ok(producer_id)
    };
    let (alone, together) = batch.ended.split_at(alone(batch.ended.len()));
    let mut insert = prepare_one(connection)?;
    for span in alone {
        let producer_id = close(known, span)?;
        let row = EndedRow::new(connection, known, producer_id, span, Ending::Own)?;
        insert_one(&mut insert, known, &row, tally)?;
    }
    if !together.is_empty() {
        let mut stretches = Stretches::prepare(connection)?;
        let mut rows = Vec::with_capacity(STRETCH);
        for stretch in together.chunks_exact(STRETCH) {
            rows.clear();
            for span in stretch {
                let producer_id = close(known, span)?;
                rows.push(EndedRow::new(
                    connection,
                    known,
                    producer_id,
                    span,
                    Ending::Own,
                )?);
            }
            stretches.insert(known, &rows, tally)?;
        }
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
    let mut insert = prepare_one(connection)?;
    for span in death::interrupt(open, end) {
        known.open.remove(&(producer_id, span.key.number.0));
        let row = EndedRow::new(connection, known, producer_id, &span, Ending::Interrupted)?;
        insert_one(&mut insert, known, &row, tally)?;
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

/// The columns of an ended span but for its id, in the order in which they are bound.
const COLUMNS: &str = "producer_id, number, parent, name_id, thread_id, end_ns, duration_ns,
    captured, status, exception, interrupted";
/// How many there are.
const ALL: usize = 11;
/// The first so many tell everything of a span that went well.
const OF_THE_WELL: usize = 8;

/// An ended span as the table holds it.
struct EndedRow<'a> {
    /// The columns that are numbers, `producer_id` to `duration_ns`.
    numbers: [i64; 7],
    span: &'a SpanRow,
    interrupted: bool,
}

impl<'a> EndedRow<'a> {
    fn new(
        connection: &Connection,
        known: &mut Known,
        producer_id: i64,
        span: &'a SpanRow,
        ending: Ending,
    ) -> rusqlite::Result<Self> {
        Ok(Self {
            numbers: [
                producer_id,
                span.key.number.0.cast_signed(),
                span.parent.0.cast_signed(),
                known.name(connection, &span.name)?,
                known.thread(connection, &span.thread)?,
                ended_at(span).nanos(),
                i64::try_from(span.duration_ns).unwrap_or(i64::MAX),
            ],
            span,
            interrupted: ending == Ending::Interrupted,
        })
    }

    fn went_well(&self) -> bool {
        self.span.status == Status::Ok && self.span.exception.is_none() && !self.interrupted
    }

    /// Binds the first columns to the parameters behind the first `bound` ones.
    fn bind_first(&self, insert: &mut CachedStatement<'_>, bound: usize) -> rusqlite::Result<()> {
        let mut parameter = bound;
        for number in self.numbers {
            parameter += 1;
            insert.raw_bind_parameter(parameter, number)?;
        }
        insert.raw_bind_parameter(parameter + 1, self.span.captured.as_deref())
    }

    /// Binds all columns to the parameters behind the first `bound` ones.
    fn bind(&self, insert: &mut CachedStatement<'_>, bound: usize) -> rusqlite::Result<()> {
        self.bind_first(insert, bound)?;
        let bound = bound + OF_THE_WELL;
        insert.raw_bind_parameter(bound + 1, self.span.status.word())?;
        insert.raw_bind_parameter(bound + 2, self.span.exception.as_deref())?;
        insert.raw_bind_parameter(bound + 3, self.interrupted)
    }

    /// Gives the row the next id, and counts it.
    fn count(&self, known: &mut Known, tally: &mut Tally) {
        let id = known.last_span_id + 1;
        known.last_span_id = id;
        tally.sums.inserted_span(id, self.hash(id));
        let failed = self.span.status == Status::Err;
        tally.spans += 1;
        tally.errors += i64::from(failed);
        let [producer_id, _, _, name_id, ..] = self.numbers;
        tally.rollups.add(Ended {
            id,
            producer_id,
            name_id,
            ended_at: ended_at(self.span),
            duration_ns: self.span.duration_ns,
            failed,
        });
    }

    /// What a trigger would note, without its cost: spans are nearly all that is written.
    fn hash(&self, id: i64) -> u64 {
        let mut hash = RowHash::new();
        hash.integer(id);
        for number in self.numbers {
            hash.integer(number);
        }
        hash.text(self.span.status.word().as_bytes());
        hash.optional_text(self.span.captured.as_deref());
        hash.optional_text(self.span.exception.as_deref());
        hash.integer(self.interrupted.into());
        hash.finish()
    }
}

/// `ts` has no form for what was before 1970; the drain clamps such clocks anyway.
fn ended_at(span: &SpanRow) -> Timestamp {
    span.ended_at.max(Timestamp::default())
}

/// One span with its id, the last parameter.
fn prepare_one(connection: &Connection) -> rusqlite::Result<CachedStatement<'_>> {
    connection.prepare_cached(&format!(
        "INSERT INTO spans ({COLUMNS}, id) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
    ))
}

fn insert_one(
    insert: &mut CachedStatement<'_>,
    known: &mut Known,
    row: &EndedRow<'_>,
    tally: &mut Tally,
) -> rusqlite::Result<()> {
    row.count(known, tally);
    row.bind(insert, 0)?;
    insert.raw_bind_parameter(ALL + 1, known.last_span_id)?;
    insert.raw_execute().map(drop)
}

/// Statements that insert [`STRETCH`] spans without ids: each gets the one after the highest in the
/// table, which costs a third of the search for a given one.
struct Stretches<'c> {
    connection: &'c Connection,
    /// For spans that all went well, nearly all there are: what they share is not bound, which
    /// saves a tenth of the time.
    well: CachedStatement<'c>,
    any: CachedStatement<'c>,
}

impl<'c> Stretches<'c> {
    fn prepare(connection: &'c Connection) -> rusqlite::Result<Self> {
        let prepare = |values: &str| {
            let rows = [values; STRETCH].join(", ");
            let insert = format!("INSERT INTO spans ({COLUMNS}) VALUES {rows}");
            connection.prepare_cached(&insert)
        };
        Ok(Self {
            connection,
            well: prepare("(?, ?, ?, ?, ?, ?, ?, ?, 'OK', NULL, 0)")?,
            any: prepare("(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")?,
        })
    }

    fn insert(
        &mut self,
        known: &mut Known,
        rows: &[EndedRow<'_>],
        tally: &mut Tally,
    ) -> rusqlite::Result<()> {
        let insert = if rows.iter().all(EndedRow::went_well) {
            for (place, row) in rows.iter().enumerate() {
                row.bind_first(&mut self.well, place * OF_THE_WELL)?;
            }
            &mut self.well
        } else {
            for (place, row) in rows.iter().enumerate() {
                row.bind(&mut self.any, place * ALL)?;
            }
            &mut self.any
        };
        for row in rows {
            row.count(known, tally);
        }
        insert.raw_execute()?;
        check_last_id(self.connection, known.last_span_id)
    }
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
