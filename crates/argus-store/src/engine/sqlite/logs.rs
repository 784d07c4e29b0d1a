//! Log lines, the ids and templates they have in common, and how far their files were read.
//!
//! The first columns of `log_entries` are the documents' own, in their format; ours stand behind them.
//! Lines come in bursts, so what most of them do not have is not bound, and their hash is noted by hand.

use argus_model::Timestamp;
use rusqlite::{CachedStatement, Connection, OptionalExtension, params};

use super::known::Known;
use super::moment::iso;
use super::row_hash::RowHash;
use super::runs;
use super::sums::Changes;
use super::walk::Stretch;
use crate::batch::{Batch, LogFile, LogPosition, LogRow, LogTemplate};
use crate::query::{StoredLogPosition, StoredLogTemplate};

/// Contents that are remembered of a path: copies and rotated files are told by them.
const CONTENTS_OF_A_PATH: i64 = 256;

/// The columns of a line but for its id, in the order of the table.
const PLAIN: &str = "id, timestamp, app_name, process_name, process_id, log_line, logfile_path,
    hostname, created_at, run_id, at_ns, source, altered, file_offset, template_id";
const REST: &str = "level, span_producer_id, span_number, said_at_ns, message, logger, attributes,
    continues";

/// Writes the batch's lines and what belongs to them.
pub(super) fn insert(
    connection: &Connection,
    known: &mut Known,
    batch: &Batch,
    sums: &mut Changes,
) -> rusqlite::Result<()> {
    if !batch.logs.is_empty() {
        let mut statements = Statements::prepare(connection)?;
        let mut id = last_id(connection)?;
        let created_at = created_at(connection)?;
        for log in &batch.logs {
            id += 1;
            let row = Row::new(connection, known, id, &created_at, log)?;
            statements.insert(&row)?;
            sums.inserted_log(id, row.hash());
            for (name, value) in log.meaning.iter().flat_map(|meaning| &meaning.ids) {
                insert_id(connection, id, name, value)?;
            }
        }
    }
    for template in &batch.log_templates {
        count_template(connection, template)?;
    }
    for position in &batch.log_positions {
        note_position(connection, position)?;
    }
    Ok(())
}

/// The id given last, whether its row is still there or not.
fn last_id(connection: &Connection) -> rusqlite::Result<i64> {
    let last = connection
        .prepare_cached("SELECT seq FROM sqlite_sequence WHERE name = 'log_entries'")?
        .query_row([], |row| row.get(0))
        .optional()?;
    Ok(last.unwrap_or(0))
}

fn created_at(connection: &Connection) -> rusqlite::Result<String> {
    connection
        .prepare_cached("SELECT CURRENT_TIMESTAMP")?
        .query_row([], |row| row.get(0))
}

/// A line as the table holds it.
struct Row<'a> {
    id: i64,
    timestamp: String,
    created_at: &'a str,
    run_id: i64,
    span: Option<(i64, i64)>,
    log: &'a LogRow,
}

impl<'a> Row<'a> {
    fn new(
        connection: &Connection,
        known: &mut Known,
        id: i64,
        created_at: &'a str,
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
            created_at,
            run_id: runs::run_id(connection, known, &log.subject, log.at)?,
            span,
            log,
        })
    }

    /// Whether the columns of [`PLAIN`] are all there is.
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

    fn part(
        &self,
        part: impl FnOnce(&crate::batch::LogMeaning) -> Option<&String>,
    ) -> Option<&str> {
        let meaning = self.log.meaning.as_ref()?;
        part(meaning).map(String::as_str)
    }

    fn bind_plain(&self, insert: &mut CachedStatement<'_>) -> rusqlite::Result<()> {
        let log = self.log;
        insert.raw_bind_parameter(1, self.id)?;
        insert.raw_bind_parameter(2, &self.timestamp)?;
        insert.raw_bind_parameter(3, &log.subject.app_name)?;
        insert.raw_bind_parameter(4, &log.subject.process_name)?;
        insert.raw_bind_parameter(5, log.subject.run.pid)?;
        insert.raw_bind_parameter(6, &log.line)?;
        insert.raw_bind_parameter(7, log.path.as_deref())?;
        insert.raw_bind_parameter(8, self.hostname())?;
        insert.raw_bind_parameter(9, self.created_at)?;
        insert.raw_bind_parameter(10, self.run_id)?;
        insert.raw_bind_parameter(11, log.at.nanos())?;
        insert.raw_bind_parameter(12, log.source)?;
        insert.raw_bind_parameter(13, log.altered)?;
        insert.raw_bind_parameter(14, self.offset())?;
        insert.raw_bind_parameter(15, log.template)
    }

    fn bind_rest(&self, insert: &mut CachedStatement<'_>) -> rusqlite::Result<()> {
        insert.raw_bind_parameter(16, self.log.level.as_deref())?;
        insert.raw_bind_parameter(17, self.span.map(|(producer_id, _)| producer_id))?;
        insert.raw_bind_parameter(18, self.span.map(|(_, number)| number))?;
        insert.raw_bind_parameter(19, self.said_at())?;
        insert.raw_bind_parameter(20, self.part(|it| it.message.as_ref()))?;
        insert.raw_bind_parameter(21, self.part(|it| it.logger.as_ref()))?;
        insert.raw_bind_parameter(22, self.part(|it| it.attributes.as_ref()))?;
        insert.raw_bind_parameter(23, self.continues())
    }

    /// In the order of the table's columns; what a trigger would note, without its cost.
    fn hash(&self) -> u64 {
        let log = self.log;
        let mut hash = RowHash::new();
        hash.integer(self.id);
        hash.text(self.timestamp.as_bytes());
        hash.text(log.subject.app_name.as_bytes());
        hash.text(log.subject.process_name.as_bytes());
        hash.integer(log.subject.run.pid.into());
        hash.text(log.line.as_bytes());
        hash.optional_text(log.path.as_deref());
        hash.optional_text(self.hostname());
        hash.text(self.created_at.as_bytes());
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

struct Statements<'c> {
    plain: CachedStatement<'c>,
    any: CachedStatement<'c>,
}

impl<'c> Statements<'c> {
    fn prepare(connection: &'c Connection) -> rusqlite::Result<Self> {
        let prepare = |columns: &str, count: usize| {
            let marks = vec!["?"; count].join(", ");
            connection.prepare_cached(&format!(
                "INSERT INTO log_entries ({columns}) VALUES ({marks})"
            ))
        };
        Ok(Self {
            plain: prepare(PLAIN, 15)?,
            any: prepare(&format!("{PLAIN}, {REST}"), 23)?,
        })
    }

    fn insert(&mut self, row: &Row<'_>) -> rusqlite::Result<()> {
        if row.is_plain() {
            row.bind_plain(&mut self.plain)?;
            return self.plain.raw_execute().map(drop);
        }
        row.bind_plain(&mut self.any)?;
        row.bind_rest(&mut self.any)?;
        self.any.raw_execute().map(drop)
    }
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

fn count_template(connection: &Connection, template: &LogTemplate) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO log_templates (id, pattern, count, first_ns, last_ns)
             VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (id) DO UPDATE SET pattern = excluded.pattern,
                 count = count + excluded.count, last_ns = max(last_ns, excluded.last_ns)",
        )?
        .execute(params![
            template.id,
            template.pattern,
            i64::try_from(template.count).unwrap_or(i64::MAX),
            template.first.nanos(),
            template.last.nanos(),
        ])
        .map(drop)
}

/// Never back: what was read is read.
fn note_position(connection: &Connection, position: &LogPosition) -> rusqlite::Result<()> {
    let LogPosition { at, file, offset } = position;
    let offset = i64::try_from(*offset).unwrap_or(i64::MAX);
    let updated = connection
        .prepare_cached(
            "UPDATE log_files SET offset = max(offset, ?7), noted_ns = max(noted_ns, ?8)
             WHERE path = ?1 AND device = ?2 AND inode = ?3 AND born_ns = ?4
                 AND head_bytes = ?5 AND head_hash = ?6",
        )?
        .execute(params![
            file.path,
            file.device.cast_signed(),
            file.inode.cast_signed(),
            file.born_ns,
            file.head_bytes,
            file.head_hash.cast_signed(),
            offset,
            at.nanos(),
        ])?;
    if updated > 0 {
        return Ok(());
    }
    connection
        .prepare_cached(
            "INSERT INTO log_files (path, device, inode, born_ns, head_bytes, head_hash, offset,
                 noted_ns)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        )?
        .execute(params![
            file.path,
            file.device.cast_signed(),
            file.inode.cast_signed(),
            file.born_ns,
            file.head_bytes,
            file.head_hash.cast_signed(),
            offset,
            at.nanos(),
        ])?;
    forget_old_contents(connection, &file.path)
}

fn forget_old_contents(connection: &Connection, path: &str) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "DELETE FROM log_files WHERE path = ?1 AND noted_ns < (
                 SELECT noted_ns FROM log_files WHERE path = ?1
                 ORDER BY noted_ns DESC LIMIT 1 OFFSET ?2)",
        )?
        .execute((path, CONTENTS_OF_A_PATH - 1))
        .map(drop)
}

/// The positions noted for a path, the newest first.
pub(super) fn positions(
    connection: &Connection,
    path: &str,
) -> rusqlite::Result<Vec<StoredLogPosition>> {
    let unsigned = |number: i64| number.cast_unsigned();
    connection
        .prepare_cached(
            "SELECT device, inode, born_ns, head_bytes, head_hash, offset, noted_ns FROM log_files
             WHERE path = ?1 ORDER BY noted_ns DESC, id DESC",
        )?
        .query_map([path], |row| {
            Ok(StoredLogPosition {
                file: LogFile {
                    path: path.to_owned(),
                    device: unsigned(row.get(0)?),
                    inode: unsigned(row.get(1)?),
                    born_ns: row.get(2)?,
                    head_bytes: row.get(3)?,
                    head_hash: unsigned(row.get(4)?),
                },
                offset: unsigned(row.get(5)?),
                noted_at: Timestamp::from_nanos(row.get(6)?),
            })
        })?
        .collect()
}

/// Where the lines with an id in them stand, in rising order.
pub(super) fn with_id(connection: &Connection, id: &str) -> rusqlite::Result<Vec<Stretch>> {
    let mut stretches: Vec<Stretch> = Vec::new();
    let mut statement = connection
        .prepare_cached("SELECT DISTINCT log_id FROM log_ids WHERE value = ?1 ORDER BY log_id")?;
    let mut rows = statement.query([id])?;
    while let Some(row) = rows.next()? {
        let id: i64 = row.get(0)?;
        match stretches.last_mut() {
            Some((_, last)) if *last + 1 == id => *last = id,
            _ => stretches.push((id, id)),
        }
    }
    Ok(stretches)
}

/// All templates, in the order of their ids.
pub(super) fn templates(connection: &Connection) -> rusqlite::Result<Vec<StoredLogTemplate>> {
    connection
        .prepare_cached(
            "SELECT id, pattern, count, first_ns, last_ns FROM log_templates ORDER BY id",
        )?
        .query_map([], |row| {
            Ok(StoredLogTemplate {
                id: row.get(0)?,
                pattern: row.get(1)?,
                count: row.get::<_, i64>(2)?.cast_unsigned(),
                first_at: Timestamp::from_nanos(row.get(3)?),
                last_at: Timestamp::from_nanos(row.get(4)?),
            })
        })?
        .collect()
}
