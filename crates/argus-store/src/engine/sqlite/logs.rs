//! Log lines, the ids and templates they have in common, and how far their files were read.
//!

mod lines;

use argus_model::Timestamp;
use rusqlite::{Connection, params};

use super::known::Known;
use super::sums::Changes;
use super::walk::Stretch;
use crate::batch::{Batch, LogFile, LogPosition, LogTemplate};
use crate::query::{StoredLogPosition, StoredLogTemplate};

/// Contents that are remembered of a path: copies and rotated files are told by them.
const CONTENTS_OF_A_PATH: i64 = 256;

/// Writes the batch's lines and what belongs to them.
pub(super) fn insert(
    connection: &Connection,
    known: &mut Known,
    batch: &Batch,
    sums: &mut Changes,
) -> rusqlite::Result<()> {
    lines::insert(connection, known, &batch.logs, sums)?;
    for template in &batch.log_templates {
        count_template(connection, template)?;
    }
    for position in &batch.log_positions {
        note_position(connection, position)?;
    }
    Ok(())
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
    let columns = params![
        file.path,
        file.device.cast_signed(),
        file.inode.cast_signed(),
        file.born_ns,
        file.head_bytes,
        file.head_hash.cast_signed(),
        i64::try_from(*offset).unwrap_or(i64::MAX),
        at.nanos(),
    ];
    let updated = connection
        .prepare_cached(
            "UPDATE log_files SET offset = max(offset, ?7), noted_ns = max(noted_ns, ?8)
             WHERE path = ?1 AND device = ?2 AND inode = ?3 AND born_ns = ?4
                 AND head_bytes = ?5 AND head_hash = ?6",
        )?
        .execute(columns)?;
    if updated > 0 {
        return Ok(());
    }
    connection
        .prepare_cached(
            "INSERT INTO log_files (path, device, inode, born_ns, head_bytes, head_hash, offset,
                 noted_ns)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        )?
        .execute(columns)?;
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
                    path: path.into(),
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
