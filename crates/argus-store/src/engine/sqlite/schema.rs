//! The schema and its history.
//!
//! `user_version` is the number of migrations applied; `application_id` says that the file is ours.
//! Only the writer migrates, each step in one transaction with its version, a new file in a single
//! one. A file with a higher version than [`KNOWN`] is never written.

use std::path::Path;

use rusqlite::{Connection, TransactionBehavior};

use super::{sums, zones};
use crate::error::OpenError;

/// "Argu" in ASCII, at offset 68 of the file.
const APPLICATION_ID: i32 = 0x4172_6775;

/// One step from a version of the schema to the next.
struct Migration {
    statements: &'static str,
    /// Fills the tables that are made from what others hold.
    fill: fn(&Connection) -> rusqlite::Result<()>,
    /// The tables into which the step writes, by statement or otherwise.
    fills: &'static [&'static str],
}

/// Every step from an empty file to today, in order. Append only.
const MIGRATIONS: &[Migration] = &[
    Migration {
        statements: include_str!("schema_1.sql"),
        fill: |_| Ok(()),
        fills: &["totals"],
    },
    Migration {
        statements: include_str!("schema_2.sql"),
        fill: zones::draw,
        fills: &["span_zones"],
    },
    Migration {
        statements: include_str!("schema_3.sql"),
        // The collector sums up what is over, a stretch at a time.
        fill: |_| Ok(()),
        fills: &[],
    },
    Migration {
        statements: include_str!("schema_4.sql"),
        fill: |_| Ok(()),
        // Their rows become wider.
        fills: &["collector", "spool_positions"],
    },
    Migration {
        statements: include_str!("schema_5.sql"),
        fill: |_| Ok(()),
        // Their rows become wider.
        fills: &["performance_metrics", "process_events", "process_runs"],
    },
    Migration {
        statements: include_str!("schema_6.sql"),
        fill: |_| Ok(()),
        // Its row becomes wider.
        fills: &["totals"],
    },
    Migration {
        statements: include_str!("schema_7.sql"),
        fill: |_| Ok(()),
        // Its rows become wider.
        fills: &["log_entries"],
    },
    Migration {
        statements: include_str!("schema_8.sql"),
        fill: |_| Ok(()),
        fills: &[],
    },
];

/// The newest version this program knows.
pub(super) const KNOWN: u32 = MIGRATIONS.len() as u32;

/// What stands at the path.
pub(super) enum Found {
    /// A file without any table: just created, or its creator died before the first migration.
    Blank,
    /// A store of ours with this version, not newer than [`KNOWN`].
    Ours(u32),
}

/// Tells what a file is, without changing it.
pub(super) fn inspect(connection: &Connection, path: &Path) -> Result<Found, OpenError> {
    let inspected = || -> rusqlite::Result<(i64, i64, i64)> {
        let tables =
            connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
        let application = connection.query_row("PRAGMA application_id", [], |row| row.get(0))?;
        Ok((tables, application, version(connection)?))
    };
    let (tables, application, found) = inspected().map_err(|error| refuse(path, error))?;
    if tables == 0 && application == 0 {
        return Ok(Found::Blank);
    }
    let found = u32::try_from(found)
        .ok()
        .filter(|_| application == i64::from(APPLICATION_ID))
        .ok_or_else(|| foreign(path))?;
    if found > KNOWN {
        return Err(OpenError::Newer {
            path: path.to_owned(),
            found,
            known: KNOWN,
        });
    }
    Ok(Found::Ours(found))
}

/// Applies the steps that the file lacks. The caller is the only writer.
pub(super) fn migrate(connection: &mut Connection, from: u32) -> rusqlite::Result<()> {
    migrate_to(connection, from, KNOWN)
}

/// Applies the steps up to a version: each in a transaction, but all in one where there is nothing
/// yet, so that nobody ever meets a new file half made.
pub(super) fn migrate_to(connection: &mut Connection, from: u32, to: u32) -> rusqlite::Result<()> {
    let mut from = from;
    while from < to {
        let until = if from == 0 { to } else { from + 1 };
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        for migration in &MIGRATIONS[from as usize..until as usize] {
            apply(&transaction, migration)?;
        }
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        transaction.pragma_update(None, "user_version", until)?;
        transaction.commit()?;
        from = until;
    }
    Ok(())
}

fn apply(connection: &Connection, migration: &Migration) -> rusqlite::Result<()> {
    connection.execute_batch(migration.statements)?;
    (migration.fill)(connection)?;
    for table in migration.fills {
        // Rows that a step itself writes pass no trigger.
        sums::count_anew(connection, table)?;
    }
    Ok(())
}

/// An empty store in memory: what the schema must look like.
pub(super) fn pristine() -> rusqlite::Result<Connection> {
    let mut connection = Connection::open_in_memory()?;
    migrate(&mut connection, 0)?;
    Ok(connection)
}

/// The file's version, as of the current transaction. Cost: one cached statement.
pub(super) fn version(connection: &Connection) -> rusqlite::Result<i64> {
    connection
        .prepare_cached("PRAGMA user_version")?
        .query_row([], |row| row.get(0))
}

/// The refusal that an engine error at opening stands for.
pub(super) fn refuse(path: &Path, error: rusqlite::Error) -> OpenError {
    use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
    let path = path.to_owned();
    let damaged = matches!(
        error.sqlite_error_code(),
        Some(DatabaseCorrupt | NotADatabase) | None
    );
    let source = error.into();
    if damaged {
        OpenError::Damaged { path, source }
    } else {
        OpenError::Io { path, source }
    }
}

fn foreign(path: &Path) -> OpenError {
    OpenError::Damaged {
        path: path.to_owned(),
        source: "the file is a database of another program".into(),
    }
}
