//! Writes calls the way other schemas would: `peer_store literal|bare BATCH COUNT FILE`.
//!
//! `literal` is the schema of the monitor decorator's specification as it stands there; `bare` is one
//! table of five integers. The calls are those of `flood`: two integer arguments, no result. Moments are
//! a microsecond apart, so that no row meets its primary key again. Prints the rows of calls as JSON.

use std::error::Error;

use rusqlite::{Connection, Transaction, params};

const LITERAL: &str = "
    CREATE TABLE process_trace (
        ts           TEXT NOT NULL,
        process      TEXT NOT NULL,
        status       TEXT NOT NULL,
        duration_ms  REAL NOT NULL,
        exception    TEXT,
        PRIMARY KEY (ts, process)
    );
    CREATE TABLE data_trace (
        ts          TEXT NOT NULL,
        process     TEXT NOT NULL,
        data        TEXT NOT NULL,
        data_type   TEXT NOT NULL,
        data_value  TEXT NOT NULL,
        status      TEXT NOT NULL,
        exception   TEXT,
        PRIMARY KEY (ts, process, data, data_type)
    );
    CREATE INDEX idx_process_ts ON process_trace(process, ts DESC);
    CREATE INDEX idx_data_process ON data_trace(process);
    CREATE INDEX idx_ts_window ON process_trace(ts);";

const BARE: &str = "
    CREATE TABLE bare (
        id INTEGER PRIMARY KEY,
        process INTEGER NOT NULL,
        end_ns INTEGER NOT NULL,
        duration_ns INTEGER NOT NULL,
        status INTEGER NOT NULL
    );";

/// The moment of the first call: 2026-01-27 00:00 UTC.
const BEGIN_NS: i64 = 1_769_472_000_000_000_000;

const PROCESS: &str = "flood";

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [schema, batch, count, path] = &arguments[..] else {
        return Err("usage: peer_store literal|bare BATCH COUNT FILE".into());
    };
    let (batch, count): (i64, i64) = (batch.parse()?, count.parse()?);
    let (tables, table, insert): (_, _, Insert) = match schema.as_str() {
        "literal" => (LITERAL, "process_trace", insert_literal),
        "bare" => (BARE, "bare", insert_bare),
        other => return Err(format!("no schema {other}").into()),
    };
    let mut connection = Connection::open(path)?;
    connection.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))?;
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    connection.execute_batch(tables)?;
    let mut number = 0;
    while number < count {
        let end = (number + batch).min(count);
        let transaction = connection.transaction()?;
        insert(&transaction, number, end)?;
        transaction.commit()?;
        number = end;
    }
    let question = format!("SELECT COUNT(*) FROM {table}");
    let rows: i64 = connection.query_row(&question, [], |row| row.get(0))?;
    println!("{{\"rows\": {rows}}}");
    Ok(())
}

type Insert = fn(&Transaction<'_>, i64, i64) -> rusqlite::Result<()>;

/// As the specification has it: the process's status and exception are copied to every value.
fn insert_literal(transaction: &Transaction<'_>, from: i64, to: i64) -> rusqlite::Result<()> {
    let mut call =
        transaction.prepare_cached("INSERT INTO process_trace VALUES (?1, ?2, ?3, ?4, ?5)")?;
    let mut value = transaction
        .prepare_cached("INSERT INTO data_trace VALUES (?1, ?2, ?3, 'INPUT', ?4, ?5, ?6)")?;
    let exception: Option<&str> = None;
    for number in from..to {
        let ts = iso(number);
        call.execute(params![ts, PROCESS, "OK", 0.000_2, exception])?;
        for (name, argument) in [("number", number), ("twice", 2 * number)] {
            let argument = argument.to_string();
            value.execute(params![ts, PROCESS, name, argument, "OK", exception])?;
        }
    }
    Ok(())
}

fn insert_bare(transaction: &Transaction<'_>, from: i64, to: i64) -> rusqlite::Result<()> {
    let mut call = transaction.prepare_cached(
        "INSERT INTO bare (process, end_ns, duration_ns, status) VALUES (?1, ?2, ?3, ?4)",
    )?;
    for number in from..to {
        call.execute(params![1, BEGIN_NS + number * 1_000, 200, 0])?;
    }
    Ok(())
}

/// `2026-01-27T00:00:00.000000`, `number` microseconds later; a day holds more than is ever written.
fn iso(number: i64) -> String {
    let (seconds, micros) = (number / 1_000_000, number % 1_000_000);
    let (hours, minutes) = (seconds / 3_600, seconds / 60 % 60);
    let seconds = seconds % 60;
    format!("2026-01-27T{hours:02}:{minutes:02}:{seconds:02}.{micros:06}")
}
