//! Queries that a user writes.
//!
//! They run on a connection of their own that can only read: the file is opened read-only, SQLite
//! is asked for each action of the statement whether it may (no ATTACH, no PRAGMA that sets
//! anything), and it is stopped after [`PATIENCE`].

use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::hooks::{AuthAction, AuthContext, Authorization};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, ErrorCode, OpenFlags, Row};

use crate::error::ReadError;
use crate::query::{Cell, Table};

/// How long a query may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// Steps of SQLite's machine between two looks at the clock: about a millisecond.
const STEPS: i32 = 10_000;

/// Runs one statement and reads at most `limit` rows of its answer.
pub(super) fn run(database: &Path, text: &str, limit: usize) -> Result<Table, ReadError> {
    run_for(PATIENCE, database, text, limit)
}

fn run_for(
    patience: Duration,
    database: &Path,
    text: &str,
    limit: usize,
) -> Result<Table, ReadError> {
    let connection = guarded(database, Instant::now() + patience)
        .map_err(|error| ReadError::Failed(error.into()))?;
    let mut statement = connection
        .prepare(text)
        .map_err(|error| explain(&error, patience))?;
    if statement.column_count() == 0 || !statement.readonly() {
        return Err(ReadError::Invalid(
            "only a statement that reads is allowed".to_owned(),
        ));
    }
    let columns: Vec<String> = statement.column_names().map(str::to_owned).collect();
    let mut table = Table {
        columns,
        ..Table::default()
    };
    let width = table.columns.len();
    let mut rows = statement
        .query([])
        .map_err(|error| explain(&error, patience))?;
    while let Some(row) = rows.next().map_err(|error| explain(&error, patience))? {
        if table.rows.len() == limit {
            table.cut = true;
            break;
        }
        let cells: rusqlite::Result<_> = (0..width).map(|column| cell(row, column)).collect();
        table
            .rows
            .push(cells.map_err(|error| explain(&error, patience))?);
    }
    Ok(table)
}

fn guarded(database: &Path, deadline: Instant) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(database, flags)?;
    connection.busy_timeout(super::BUSY)?;
    connection.pragma_update(None, "query_only", true)?;
    connection.authorizer(Some(permit))?;
    connection.progress_handler(STEPS, Some(move || Instant::now() >= deadline))?;
    Ok(connection)
}

fn permit(asked: AuthContext<'_>) -> Authorization {
    match asked.action {
        AuthAction::Select
        | AuthAction::Read { .. }
        | AuthAction::Recursive
        | AuthAction::Pragma {
            pragma_value: None, ..
        } => Authorization::Allow,
        // The schema's own table-valued pragmas name their table as a value.
        AuthAction::Pragma { pragma_name, .. }
            if pragma_name.starts_with("table_") || pragma_name.starts_with("index_") =>
        {
            Authorization::Allow
        }
        AuthAction::Function { function_name } if function_name != "load_extension" => {
            Authorization::Allow
        }
        _ => Authorization::Deny,
    }
}

fn cell(row: &Row<'_>, column: usize) -> rusqlite::Result<Cell> {
    Ok(match row.get_ref(column)? {
        ValueRef::Null => Cell::Null,
        ValueRef::Integer(number) => Cell::Int(number),
        ValueRef::Real(number) => Cell::Float(number),
        ValueRef::Text(bytes) => Cell::Text(String::from_utf8_lossy(bytes).into_owned()),
        ValueRef::Blob(bytes) => Cell::Bytes(bytes.to_owned()),
    })
}

/// Everything that a statement can do wrong is its author's to mend, except a broken file.
fn explain(error: &rusqlite::Error, patience: Duration) -> ReadError {
    use ErrorCode::{
        AuthorizationForStatementDenied, DatabaseCorrupt, OperationInterrupted, SystemIoFailure,
    };
    match error.sqlite_error_code() {
        Some(DatabaseCorrupt | SystemIoFailure) => ReadError::Failed(error.to_string().into()),
        Some(OperationInterrupted) => {
            ReadError::Invalid(format!("it took longer than {} s", patience.as_secs()))
        }
        Some(AuthorizationForStatementDenied) => {
            ReadError::Invalid("only a statement that reads is allowed".to_owned())
        }
        _ => ReadError::Invalid(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_without_end_is_stopped() {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("store.db");
        drop(super::super::open_writer(&database).unwrap());
        let endless =
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n";
        let refused = run_for(Duration::ZERO, &database, endless, 1);
        assert!(matches!(refused, Err(ReadError::Invalid(why)) if why.contains("longer")));
    }
}
