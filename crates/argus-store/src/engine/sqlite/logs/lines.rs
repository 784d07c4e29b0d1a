//! Log lines on their way into `log_entries`.
//!
//! The first columns are the documents' own, in their format; ours stand behind them. Lines come in
//! bursts, mostly of one file: those that follow each other are written by one statement, which binds
//! once what they have in common, and their hash is noted by hand.

use std::ops::Range;
use std::sync::LazyLock;

use argus_model::Timestamp;
use rusqlite::{CachedStatement, Connection, ToSql};

use super::super::known::{Known, check_last_id};
use super::super::moment::{Iso, iso};
use super::super::row_hash::RowHash;
use super::super::runs;
use super::super::sums::Changes;
use crate::batch::{LogMeaning, LogRow};

/// Lines that one statement inserts, as of spans: starting and ending one for each is dear.
const STRETCH: usize = 32;

/// What the lines of a stretch have in common.
const SHARED: &str =
    "app_name, process_name, process_id, logfile_path, hostname, created_at, run_id,
    source";
const SHARED_COUNT: usize = 8;

/// What every line has for itself.
const OWN: &str = "timestamp, log_line, at_ns, altered, file_offset, template_id";
const OWN_COUNT: usize = 6;

/// What only some lines have: those that are parsed, or a program's own.
const REST: &str = "level, span_producer_id, span_number, said_at_ns, message, logger, attributes,
    continues";
const REST_COUNT: usize = 8;

/// Writes lines, in their order.
pub(super) fn insert(
    connection: &Connection,
    known: &mut Known,
    logs: &[LogRow],
    sums: &mut Changes,
) -> rusqlite::Result<()> {
    if logs.is_empty() {
        return Ok(());
    }
    let mut insert = Insert::prepare(connection)?;
    let mut rows = Vec::with_capacity(STRETCH);
    for alike in logs.chunk_by(share) {
        let mut stretches = alike.chunks_exact(STRETCH);
        for stretch in &mut stretches {
            insert.read(known, stretch, &mut rows)?;
            insert.together(&rows)?;
            insert.count(&rows, sums)?;
        }
        insert.read(known, stretches.remainder(), &mut rows)?;
        for row in &rows {
            insert.alone(row)?;
        }
        insert.count(&rows, sums)?;
    }
    Ok(())
}

/// Whether lines have in common what a stretch binds once.
fn share(a: &LogRow, b: &LogRow) -> bool {
    a.source == b.source && a.path == b.path && a.subject == b.subject
}

/// The id given last, whether its row is still there or not.
fn last_id(connection: &Connection) -> rusqlite::Result<i64> {
    connection
        .prepare_cached(
            "SELECT max(coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'log_entries'), 0),
                 coalesce((SELECT max(id) FROM log_entries), 0))",
        )?
        .query_row([], |row| row.get(0))
}

fn created_at(connection: &Connection) -> rusqlite::Result<String> {
    connection
        .prepare_cached("SELECT CURRENT_TIMESTAMP")?
        .query_row([], |row| row.get(0))
}

/// A line as the table holds it, but for what the lines of a commit have in common.
struct Row<'a> {
    id: i64,
    timestamp: Iso,
    run_id: i64,
    span: Option<(i64, i64)>,
    log: &'a LogRow,
}

impl<'a> Row<'a> {
    fn new(
        connection: &Connection,
        known: &mut Known,
        id: i64,
        log: &'a LogRow,
    ) -> rusqlite::Result<Self> {
        let span = match log.span {
            Some(key) => Some((
                runs::producer_id(connection, known, key.producer, log.at)?,
                key.number.0.cast_signed(),
            )),
            None => None,
        };
        Ok(Self {
            id,
            timestamp: iso(log.at),
            run_id: runs::run_id(connection, known, &log.subject, log.at)?,
            span,
            log,
        })
    }

    /// Whether it has nothing of [`REST`].
    fn is_plain(&self) -> bool {
        self.log.level.is_none() && self.span.is_none() && self.log.meaning.is_none()
    }

    fn hostname(&self) -> Option<&str> {
        let hostname = self.log.subject.hostname.as_str();
        (!hostname.is_empty()).then_some(hostname)
    }

    fn offset(&self) -> Option<i64> {
        self.log
            .offset
            .map(|offset| i64::try_from(offset).unwrap_or(i64::MAX))
    }

    fn said_at(&self) -> Option<i64> {
        let meaning = self.log.meaning.as_ref()?;
        meaning.said_at.map(Timestamp::nanos)
    }

    fn continues(&self) -> Option<i64> {
        let meaning = self.log.meaning.as_ref()?;
        (meaning.continues > 0).then_some(meaning.continues.into())
    }

    fn part(&self, part: impl FnOnce(&LogMeaning) -> Option<&String>) -> Option<&str> {
        let meaning = self.log.meaning.as_ref()?;
        part(meaning).map(String::as_str)
    }

    fn bind_shared(&self, to: &mut Binder<'_, '_>, created_at: &str) -> rusqlite::Result<()> {
        let log = self.log;
        to.next(&log.subject.app_name)?;
        to.next(&log.subject.process_name)?;
        to.next(log.subject.run.pid)?;
        to.next(log.path.as_deref())?;
        to.next(self.hostname())?;
        to.next(created_at)?;
        to.next(self.run_id)?;
        to.next(log.source)
    }

    fn bind_own(&self, to: &mut Binder<'_, '_>) -> rusqlite::Result<()> {
        to.next(self.timestamp)?;
        to.next(&self.log.line)?;
        to.next(self.log.at.nanos())?;
        to.next(self.log.altered)?;
        to.next(self.offset())?;
        to.next(self.log.template)
    }

    fn bind_rest(&self, to: &mut Binder<'_, '_>) -> rusqlite::Result<()> {
        to.next(self.log.level.as_deref())?;
        to.next(self.span.map(|(producer_id, _)| producer_id))?;
        to.next(self.span.map(|(_, number)| number))?;
        to.next(self.said_at())?;
        to.next(self.part(|it| it.message.as_ref()))?;
        to.next(self.part(|it| it.logger.as_ref()))?;
        to.next(self.part(|it| it.attributes.as_ref()))?;
        to.next(self.continues())
    }

    /// In the order of the table's columns; what a trigger would note, without its cost.
    fn hash(&self, created_at: &str) -> u64 {
        let log = self.log;
        let mut hash = RowHash::new();
        hash.integer(self.id);
        hash.text(self.timestamp.as_str().as_bytes());
        hash.text(log.subject.app_name.as_bytes());
        hash.text(log.subject.process_name.as_bytes());
        hash.integer(log.subject.run.pid.into());
        hash.text(log.line.as_bytes());
        hash.optional_text(log.path.as_deref());
        hash.optional_text(self.hostname());
        hash.text(created_at.as_bytes());
        hash.integer(self.run_id);
        hash.integer(log.at.nanos());
        hash.text(log.source.as_bytes());
        hash.optional_text(log.level.as_deref());
        hash.optional_integer(self.span.map(|(producer_id, _)| producer_id));
        hash.optional_integer(self.span.map(|(_, number)| number));
        hash.integer(log.altered.into());
        hash.optional_integer(self.offset());
        hash.optional_integer(self.said_at());
        hash.optional_text(self.part(|it| it.message.as_ref()));
        hash.optional_text(self.part(|it| it.logger.as_ref()));
        hash.optional_text(self.part(|it| it.attributes.as_ref()));
        hash.optional_integer(self.continues());
        hash.optional_integer(log.template);
        hash.finish()
    }
}

/// Binds one parameter after the other.
struct Binder<'s, 'c> {
    statement: &'s mut CachedStatement<'c>,
    bound: usize,
}

impl<'s, 'c> Binder<'s, 'c> {
    fn of(statement: &'s mut CachedStatement<'c>) -> Self {
        Self {
            statement,
            bound: 0,
        }
    }

    fn next(&mut self, value: impl ToSql) -> rusqlite::Result<()> {
        self.bound += 1;
        self.statement.raw_bind_parameter(self.bound, value)
    }
}

/// The statements of a commit. None gives an id: each row gets the one after the last.
struct Insert<'c> {
    connection: &'c Connection,
    created_at: String,
    last_id: i64,
    plain: [CachedStatement<'c>; 2],
    any: [CachedStatement<'c>; 2],
}

impl<'c> Insert<'c> {
    fn prepare(connection: &'c Connection) -> rusqlite::Result<Self> {
        let prepare = |texts: &[String; 2]| -> rusqlite::Result<_> {
            let [one, stretch] = texts;
            Ok([
                connection.prepare_cached(one)?,
                connection.prepare_cached(stretch)?,
            ])
        };
        Ok(Self {
            connection,
            created_at: created_at(connection)?,
            last_id: last_id(connection)?,
            plain: prepare(&PLAIN)?,
            any: prepare(&ANY)?,
        })
    }

    /// Makes rows of lines, with the ids that they are to get.
    fn read<'a>(
        &self,
        known: &mut Known,
        logs: &'a [LogRow],
        rows: &mut Vec<Row<'a>>,
    ) -> rusqlite::Result<()> {
        rows.clear();
        for (log, id) in logs.iter().zip(self.last_id + 1..) {
            rows.push(Row::new(self.connection, known, id, log)?);
        }
        Ok(())
    }

    fn alone(&mut self, row: &Row<'_>) -> rusqlite::Result<()> {
        self.execute(std::slice::from_ref(row), 0)
    }

    fn together(&mut self, rows: &[Row<'_>]) -> rusqlite::Result<()> {
        self.execute(rows, 1)
    }

    fn execute(&mut self, rows: &[Row<'_>], statement: usize) -> rusqlite::Result<()> {
        let is_plain = rows.iter().all(Row::is_plain);
        let statements = if is_plain {
            &mut self.plain
        } else {
            &mut self.any
        };
        let mut binder = Binder::of(&mut statements[statement]);
        for (place, row) in rows.iter().enumerate() {
            if place == 0 {
                row.bind_shared(&mut binder, &self.created_at)?;
            }
            row.bind_own(&mut binder)?;
            if !is_plain {
                row.bind_rest(&mut binder)?;
            }
        }
        statements[statement].raw_execute().map(drop)
    }

    /// Notes rows that are written now.
    fn count(&mut self, rows: &[Row<'_>], sums: &mut Changes) -> rusqlite::Result<()> {
        let Some(last) = rows.last() else {
            return Ok(());
        };
        check_last_id(self.connection, last.id)?;
        self.last_id = last.id;
        for row in rows {
            sums.inserted_log(row.id, row.hash(&self.created_at));
            let ids = row.log.meaning.iter().flat_map(|meaning| &meaning.ids);
            for (name, value) in ids {
                insert_id(self.connection, row.id, name, value)?;
            }
        }
        Ok(())
    }
}

/// For lines that have nothing of [`REST`], and for any: one line, and a stretch of them.
static PLAIN: LazyLock<[String; 2]> = LazyLock::new(|| [1, STRETCH].map(|rows| text(false, rows)));
static ANY: LazyLock<[String; 2]> = LazyLock::new(|| [1, STRETCH].map(|rows| text(true, rows)));

/// A statement for so many rows.
fn text(with_rest: bool, rows: usize) -> String {
    let (rest, own) = if with_rest {
        (format!(", {REST}"), OWN_COUNT + REST_COUNT)
    } else {
        (String::new(), OWN_COUNT)
    };
    let marks = |range: Range<usize>| {
        let marks: Vec<_> = range.map(|number| format!("?{}", number + 1)).collect();
        marks.join(", ")
    };
    let values: Vec<_> = (0..rows)
        .map(|row| {
            let first = SHARED_COUNT + row * own;
            format!(
                "({}, {})",
                marks(0..SHARED_COUNT),
                marks(first..first + own)
            )
        })
        .collect();
    format!(
        "INSERT INTO log_entries ({SHARED}, {OWN}{rest}) VALUES {}",
        values.join(", ")
    )
}

fn insert_id(
    connection: &Connection,
    log_id: i64,
    name: &str,
    value: &str,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO log_ids (log_id, name, value) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
        )?
        .execute((log_id, name, value))
        .map(drop)
}
