//! Counts and sums of row hashes, by which damage is found that SQLite does not notice.
//!
//! Every table is divided into stretches of its key. The table `sums` holds, for each stretch that
//! has rows, how many there are and the wrapping sum of their hashes. An insert adds, a delete
//! subtracts, an update does both, in memory while the transaction runs; its last statements bring
//! the table up to date. So a batch costs a few small writes, whatever its size.
//!
//! Temporary triggers of the writer's connection note every change, so that no statement can
//! forget it; only spans and log lines, nearly all of what is written, note their inserts by hand. Being
//! temporary they bind nobody else: a row changed by another program is a damaged one.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rusqlite::functions::{Context, FunctionFlags};
use rusqlite::{Connection, OptionalExtension};

use super::row_hash::RowHash;

/// How a table is divided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Division {
    /// By `key >> shift` of this column of integers, the first of its primary key.
    By(&'static str, u32),
    /// Not at all: small, or without a number to divide by.
    Whole,
}

/// A table with sums.
#[derive(Debug)]
pub(super) struct Checked {
    pub(super) table: &'static str,
    pub(super) division: Division,
}

/// Every table but `sums`. Stretches hold about a thousand rows, a few milliseconds of checking.
pub(super) const TABLES: &[Checked] = &[
    by("spans", "id", 10),
    by("log_entries", "id", 10),
    by("log_ids", "log_id", 10),
    by("log_templates", "id", 10),
    by("log_files", "id", 10),
    by("names", "id", 10),
    by("threads", "id", 10),
    whole("open_spans"),
    by("function_minutes", "minute", 2),
    by("function_8_minutes", "minute", 5),
    by("function_64_minutes", "minute", 8),
    by("function_512_minutes", "minute", 11),
    by("summed_up", "minutes", 10),
    by("span_minutes", "minute", 10),
    by("span_zones", "zone", 6),
    by("process_runs", "id", 10),
    by("producers", "id", 10),
    by("gaps", "producer_id", 6),
    by("remote_parents", "id", 10),
    by("spool_positions", "producer_id", 6),
    by("performance_metrics", "id", 10),
    by("process_events", "id", 10),
    by("metrics", "id", 10),
    by("stack_samples", "id", 10),
    by("stacks", "id", 10),
    by("obs_sessions", "id", 10),
    by("obs_events", "id", 10),
    whole("obs_session_meta"),
    by("totals", "one", 10),
    by("collector", "one", 10),
];

/// The places of `spans` and `log_entries` in [`TABLES`].
const SPANS: usize = 0;
const LOGS: usize = 1;

const fn by(table: &'static str, key: &'static str, shift: u32) -> Checked {
    Checked {
        table,
        division: Division::By(key, shift),
    }
}

const fn whole(table: &'static str) -> Checked {
    Checked {
        table,
        division: Division::Whole,
    }
}

impl Checked {
    /// The stretch that a row with this key lies in.
    pub(super) fn stretch(&self, key: i64) -> i64 {
        match self.division {
            Division::By(_, shift) => key >> shift,
            Division::Whole => 0,
        }
    }

    /// The columns that are stored, in their order.
    pub(super) fn columns(&self, connection: &Connection) -> rusqlite::Result<Vec<String>> {
        connection
            .prepare("SELECT name FROM pragma_table_xinfo(?1) WHERE hidden = 0 ORDER BY cid")?
            .query_map([self.table], |row| row.get(0))?
            .collect()
    }
}

/// A sum as stored, and the stretch it is for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stored {
    pub(super) stretch: i64,
    pub(super) rows: i64,
    pub(super) hash: u64,
}

/// The first sum of a table from the stretch of this key on.
pub(super) fn next_sum(
    connection: &Connection,
    checked: &Checked,
    from: i64,
) -> rusqlite::Result<Option<Stored>> {
    connection
        .prepare_cached(
            "SELECT stretch, rows, hash FROM sums WHERE checked = ?1 AND stretch >= ?2
             ORDER BY stretch LIMIT 1",
        )?
        .query_row((checked.table, checked.stretch(from)), |row| {
            Ok(Stored {
                stretch: row.get(0)?,
                rows: row.get(1)?,
                hash: row.get::<_, i64>(2)?.cast_unsigned(),
            })
        })
        .optional()
}

/// What changed in a stretch: rows and sum of hashes, both wrapping.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Change {
    rows: i64,
    hash: u64,
}

/// What a transaction changed.
#[derive(Debug, Default)]
pub(super) struct Changes {
    stretches: BTreeMap<(usize, i64), Change>,
    /// The stretches of spans and of log lines written last: they come in long runs.
    runs: [(i64, Change); 2],
}

impl Changes {
    /// Notes a new span.
    pub(super) fn inserted_span(&mut self, id: i64, hash: u64) {
        self.inserted(SPANS, id, hash);
    }

    /// Notes a new log line.
    pub(super) fn inserted_log(&mut self, id: i64, hash: u64) {
        self.inserted(LOGS, id, hash);
    }

    fn inserted(&mut self, table: usize, id: i64, hash: u64) {
        let stretch = TABLES[table].stretch(id);
        if stretch != self.runs[table].0 {
            self.close_run(table);
            self.runs[table].0 = stretch;
        }
        let (_, change) = &mut self.runs[table];
        change.rows += 1;
        change.hash = change.hash.wrapping_add(hash);
    }

    /// Adds what was noted elsewhere.
    pub(super) fn merge(&mut self, mut other: Self) {
        self.close_runs();
        other.close_runs();
        for ((table, stretch), change) in other.stretches {
            self.add(table, stretch, change);
        }
    }

    /// Brings the stored sums up to date.
    pub(super) fn save(mut self, connection: &Connection) -> rusqlite::Result<()> {
        self.close_runs();
        for ((table, stretch), change) in self.stretches {
            if change != Change::default() {
                save_one(connection, TABLES[table].table, stretch, change)?;
            }
        }
        Ok(())
    }

    fn add(&mut self, table: usize, stretch: i64, change: Change) {
        let sum = self.stretches.entry((table, stretch)).or_default();
        sum.rows += change.rows;
        sum.hash = sum.hash.wrapping_add(change.hash);
    }

    fn close_runs(&mut self) {
        self.close_run(SPANS);
        self.close_run(LOGS);
    }

    fn close_run(&mut self, table: usize) {
        let (stretch, change) = std::mem::take(&mut self.runs[table]);
        if change != Change::default() {
            self.add(table, stretch, change);
        }
    }
}

fn save_one(
    connection: &Connection,
    table: &str,
    stretch: i64,
    change: Change,
) -> rusqlite::Result<()> {
    let stored: Option<(i64, i64)> = connection
        .prepare_cached("SELECT rows, hash FROM sums WHERE checked = ?1 AND stretch = ?2")?
        .query_row((table, stretch), |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let (rows, hash) = stored.unwrap_or_default();
    let rows = rows.wrapping_add(change.rows);
    let hash = hash.wrapping_add(change.hash.cast_signed());
    if rows == 0 {
        // Whatever was wrong in this stretch is gone with its rows.
        return connection
            .prepare_cached("DELETE FROM sums WHERE checked = ?1 AND stretch = ?2")?
            .execute((table, stretch))
            .map(drop);
    }
    connection
        .prepare_cached(
            "INSERT INTO sums (checked, stretch, rows, hash) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (checked, stretch) DO UPDATE SET rows = excluded.rows,
                 hash = excluded.hash",
        )?
        .execute((table, stretch, rows, hash))
        .map(drop)
}

/// What the triggers of a connection have noted.
#[derive(Debug, Default, Clone)]
pub(super) struct Noted(Arc<Mutex<Changes>>);

impl Noted {
    /// Makes the connection note every change of a row, but for inserted spans and log lines.
    pub(super) fn watch(connection: &Connection) -> rusqlite::Result<Self> {
        let noted = Self::default();
        let notebook = noted.clone();
        connection.create_scalar_function(
            "note_row",
            -1,
            FunctionFlags::SQLITE_UTF8,
            move |call| notebook.note(call),
        )?;
        for (index, checked) in TABLES.iter().enumerate() {
            create_triggers(connection, index, checked)?;
        }
        Ok(noted)
    }

    /// Everything noted since the last time.
    pub(super) fn take(&self) -> Changes {
        std::mem::take(&mut self.changes())
    }

    /// `note_row(table, sign, key, columns…)`, called by triggers.
    fn note(&self, call: &Context<'_>) -> rusqlite::Result<bool> {
        let table = usize::from(call.get::<u16>(0)?);
        let sign: i64 = call.get(1)?;
        let stretch = TABLES[table].stretch(call.get(2)?);
        let mut hash = RowHash::new();
        for column in 3..call.len() {
            hash.value(call.get_raw(column));
        }
        let hash = hash.finish();
        let change = Change {
            rows: sign,
            hash: if sign > 0 { hash } else { hash.wrapping_neg() },
        };
        self.changes().add(table, stretch, change);
        Ok(true)
    }

    fn changes(&self) -> MutexGuard<'_, Changes> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn create_triggers(
    connection: &Connection,
    index: usize,
    checked: &Checked,
) -> rusqlite::Result<()> {
    let table = checked.table;
    let columns = checked.columns(connection)?;
    let note = |row: &str, sign: i64| {
        let key = match checked.division {
            Division::By(key, _) => format!("{row}.{key}"),
            Division::Whole => "0".to_owned(),
        };
        let values: Vec<String> = columns.iter().map(|name| format!("{row}.{name}")).collect();
        let values = values.join(", ");
        format!("SELECT note_row({index}, {sign}, {key}, {values});")
    };
    let (added, removed) = (note("NEW", 1), note("OLD", -1));
    let updated = format!("{removed} {added}");
    for (event, notes) in [
        ("INSERT", &added),
        ("DELETE", &removed),
        ("UPDATE", &updated),
    ] {
        if event == "INSERT" && matches!(index, SPANS | LOGS) {
            continue;
        }
        connection.execute_batch(&format!(
            "CREATE TEMP TRIGGER {table}_{event} AFTER {event} ON main.{table}
             BEGIN {notes} END"
        ))?;
    }
    Ok(())
}

/// The sums of one table from its rows, for rows that passed no trigger. Cost: reads all of them.
pub(super) fn count_anew(connection: &Connection, table: &str) -> rusqlite::Result<()> {
    connection.execute("DELETE FROM sums WHERE checked = ?1", [table])?;
    let Some(index) = TABLES.iter().position(|checked| checked.table == table) else {
        return Ok(());
    };
    let checked = &TABLES[index];
    let columns = checked.columns(connection)?;
    let key = match checked.division {
        Division::By(key, _) => key,
        Division::Whole => "0",
    };
    let select = format!("SELECT {key}, {} FROM {table}", columns.join(", "));
    let mut changes = Changes::default();
    let mut statement = connection.prepare(&select)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let mut hash = RowHash::new();
        for column in 1..=columns.len() {
            hash.value(row.get_ref(column)?);
        }
        let change = Change {
            rows: 1,
            hash: hash.finish(),
        };
        changes.add(index, checked.stretch(row.get(0)?), change);
    }
    drop(rows);
    changes.save(connection)
}
