//! The SQLite engine: one file, one writer, any number of readers.
//!
//! The writer (`writer`) is the collector. It keeps ids in memory (`known`) so that a span costs one
//! prepared insert, and forgets them all when a transaction fails. Readers (`reader`) open the file
//! read-only and hold no transaction longer than one page takes. `schema_1.sql` and the
//! migrations after it describe the tables; what a crash can leave behind is a WAL that SQLite recovers at the next opening.
//!
//! Nothing here opens the database file by other means than SQLite: closing such a descriptor would
//! drop every lock that this process holds on it.

mod free_query;
mod functions;
mod known;
mod ledger;
mod listing;
mod logs;
mod measures;
mod moment;
mod observed;
mod place;
mod prune;
mod reader;
mod remote;
mod rollups;
mod row_hash;
mod runs;
mod salvage;
mod schema;
mod sessions;
mod span_listing;
mod spans;
mod stacks;
mod sums;
mod verify;
mod wal;
mod walk;
mod which;
mod whose;
mod writer;
mod zones;

#[cfg(test)]
mod tests;

use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use crate::error::OpenError;
use crate::query::Store;
use crate::salvage::{self as salvaging, SalvageError, Salvaged};
use crate::sink::Sink;
use crate::verify::{Report, Watch};
use schema::Found;

/// How long a statement waits for a lock before it gives up. In WAL mode only recovery and the last
/// close take one that others notice.
const BUSY: Duration = Duration::from_secs(5);
/// Prepared statements kept; all that writer or reader ever use.
const STATEMENTS: usize = 64;

/// Opens the store for writing, and makes or migrates it where needed.
///
/// Only the holder of the collector's lock may call this: two writers in one process break each
/// other's locks. Folders are made 0700 and the file 0600; a folder that exists keeps its mode.
pub fn open_writer(database: &Path) -> Result<Box<dyn Sink>, OpenError> {
    writer(database).map(|writer| Box::new(writer) as Box<dyn Sink>)
}

fn writer(database: &Path) -> Result<writer::Writer, OpenError> {
    place::prepare(database)?;
    // A file that must not be changed is told by a connection that cannot change it.
    let found = {
        let looking = open(database, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        schema::inspect(&looking, database)?
    };
    let mut connection = open(database, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    writer::settle(&connection, &found)
        .and_then(|()| match found {
            Found::Blank => schema::migrate(&mut connection, 0),
            Found::Ours(version) => schema::migrate(&mut connection, version),
        })
        .and_then(|()| writer::Writer::new(connection))
        .map_err(|error| schema::refuse(database, error))
}

/// Opens the store for reading. Never changes it, never makes it.
pub fn open_reader(database: &Path) -> Result<Box<dyn Store>, OpenError> {
    place::check(database)?;
    let connection = open(database, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    require_current(&connection, database)?;
    let reader = reader::Reader::new(connection, database)
        .map_err(|error| schema::refuse(database, error))?;
    Ok(Box::new(reader))
}

/// Refuses a store that the collector has not made, or not brought up to date.
fn require_current(connection: &Connection, database: &Path) -> Result<(), OpenError> {
    match schema::inspect(connection, database)? {
        Found::Ours(found) if found < schema::KNOWN => Err(OpenError::Older {
            path: database.to_owned(),
            found,
            known: schema::KNOWN,
        }),
        Found::Ours(_) => Ok(()),
        Found::Blank => Err(OpenError::Missing(database.to_owned())),
    }
}

/// The schema version of the store at this place; 0 for a file that nothing was written to yet.
/// Changes nothing.
pub fn schema_version(database: &Path) -> Result<u32, OpenError> {
    place::check(database)?;
    let connection = open(database, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    Ok(match schema::inspect(&connection, database)? {
        Found::Blank => 0,
        Found::Ours(version) => version,
    })
}

/// Refuses what no store may lie in: another user's folder, a network file system. The folder must
/// exist, the database need not. Changes nothing.
pub fn check_place(database: &Path) -> Result<(), OpenError> {
    place::check_folder(database, place::folder_of(database))
}

/// Checks everything stored in the default engine's file, without changing it.
///
/// `watch` is called every few milliseconds and ends the check with
/// [`ControlFlow::Break`](std::ops::ControlFlow::Break). Reads rows in transactions of a thousand rows; only the last steps (the
/// sums of the rollups, the structure of the file) must see one state of all pages and hold one
/// read transaction each, during which the WAL of a busy writer grows.
pub fn check(database: &Path, watch: Watch<'_>) -> Result<Report, OpenError> {
    place::check(database)?;
    let connection = open(database, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    require_current(&connection, database)?;
    Ok(verify::run(&connection, watch))
}

/// Saves every row that can be read of a damaged file into a new one, which must not exist.
///
/// The damaged file is only read. Cost: all of its pages once, and a look-up per row where they
/// are damaged.
pub fn salvage(
    damaged: &Path,
    into: &Path,
    watch: salvaging::Watch<'_>,
) -> Result<Salvaged, SalvageError> {
    place::check(damaged)?;
    if into.exists() {
        return Err(SalvageError::Exists(into.to_owned()));
    }
    let connection = open(damaged, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    // A file without our tables would make an empty store out of any file at all.
    connection
        .query_row("SELECT count(*) FROM spans WHERE id < 0", [], |_| Ok(()))
        .map_err(|error| schema::refuse(damaged, error))?;
    let mut target = writer(into)?;
    Ok(salvage::run(&connection, &mut target, watch)?)
}

fn open(database: &Path, access: OpenFlags) -> Result<Connection, OpenError> {
    let flags = access | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let opened = Connection::open_with_flags(database, flags).and_then(|connection| {
        connection.busy_timeout(BUSY)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS);
        // Otherwise statements are prepared anew whenever other values are bound that the planner
        // looked at, which takes longer than a page.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
        if access == OpenFlags::SQLITE_OPEN_READ_ONLY {
            connection.pragma_update(None, "query_only", true)?;
        }
        Ok(connection)
    });
    opened.map_err(|error| schema::refuse(database, error))
}
