//! Pages of the tables about processes.
//!
//! A page without a filter reads its rows by id and no others; with a filter, ids are walked, see
//! [`walk`](super::walk). A stretch of time is first turned into a stretch of ids, which the index
//! on `timestamp` tells: rows are committed nearly in order of time.

use argus_model::{SpanKey, Timestamp};
use rusqlite::types::{Value, ValueRef};
use rusqlite::{Connection, OptionalExtension, Row};

use super::logs;
use super::measures;
use super::moment::iso;
use super::reader::{or_default, span_key};
use super::runs;
use super::walk::{Conditions, Ground, Stretch, WINDOW, stretch, walk, within};
use crate::batch::RunKey;
use crate::query::{
    LogFilter, Page, ProcessFilter, StoredLog, StoredMetric, StoredProcessEvent, StoredRun,
    StoredSample, TimeRange, words_from,
};

/// A table about processes.
struct Listing<'a> {
    table: &'static str,
    columns: &'a str,
    /// The column that a search is about.
    text: &'static str,
}

pub(super) fn samples(
    connection: &Connection,
    filter: &ProcessFilter,
    page: Page,
) -> rusqlite::Result<Vec<StoredSample>> {
    let columns = format!(
        "process_name, cpu_percent, memory_mb, thread_count, {}",
        measures::columns()
    );
    let listing = Listing {
        table: "performance_metrics",
        columns: &columns,
        text: "process_name",
    };
    list(connection, &listing, filter, page, |row| {
        Ok(StoredSample {
            id: row.get(0)?,
            at: Timestamp::from_nanos(row.get(1)?),
            app_name: row.get(2)?,
            pid: row.get(3)?,
            process_name: row.get(4)?,
            cpu_percent: row.get(5)?,
            memory_mb: row.get(6)?,
            threads: row.get(7)?,
            measures: measures::read(row, 8)?,
        })
    })
}

pub(super) fn logs(
    connection: &Connection,
    filter: &LogFilter,
    page: Page,
) -> rusqlite::Result<Vec<StoredLog>> {
    let listing = Listing {
        table: "log_entries",
        columns: "process_name, log_line, logfile_path, source, level, said_at_ns, message, logger,
            CASE WHEN json_valid(attributes) THEN attributes END, continues, template_id,
            span_number, (SELECT producer FROM producers WHERE id = span_producer_id)",
        text: "log_line",
    };
    let mut conditions = Conditions::default();
    if let Some(level) = filter.level {
        let words: Vec<_> = words_from(level).map(|word| format!("'{word}'")).collect();
        conditions.and(&format!("level IN ({})", words.join(", ")), []);
    }
    if let Some(template) = filter.template {
        conditions.and("template_id = ?", [template.into()]);
    }
    if let Some(source) = &filter.source {
        conditions.and("source = ?", [source.clone().into()]);
    }
    let places = match &filter.id {
        Some(id) => Some(logs::with_id(connection, id)?),
        None => None,
    };
    let only = places.as_deref();
    list_where(
        connection,
        &listing,
        (&filter.of, conditions, only),
        page,
        |row| {
            Ok(StoredLog {
                id: row.get(0)?,
                at: Timestamp::from_nanos(row.get(1)?),
                app_name: row.get(2)?,
                pid: row.get(3)?,
                process_name: row.get(4)?,
                line: row.get(5)?,
                path: row.get(6)?,
                source: or_default(row, 7)?,
                level: row.get(8)?,
                said_at: row.get::<_, Option<i64>>(9)?.map(Timestamp::from_nanos),
                message: row.get(10)?,
                logger: row.get(11)?,
                attributes: row.get(12)?,
                continues: or_default(row, 13)?,
                template: row.get(14)?,
                span: linked(row, 15)?,
            })
        },
    )
}

/// The span that a line belongs to: its number, and behind it its producer.
fn linked(row: &Row<'_>, number: usize) -> rusqlite::Result<Option<SpanKey>> {
    let producer = number + 1;
    match row.get_ref(producer)? {
        ValueRef::Null => Ok(None),
        _ => span_key(row, producer, number).map(Some),
    }
}

pub(super) fn process_events(
    connection: &Connection,
    filter: &ProcessFilter,
    page: Page,
) -> rusqlite::Result<Vec<StoredProcessEvent>> {
    let listing = Listing {
        table: "process_events",
        columns: "process_name, event_type, exit_code,
            CASE WHEN json_valid(detail) THEN detail END",
        text: "event_type",
    };
    list(connection, &listing, filter, page, |row| {
        Ok(StoredProcessEvent {
            id: row.get(0)?,
            at: Timestamp::from_nanos(row.get(1)?),
            app_name: row.get(2)?,
            pid: row.get(3)?,
            process_name: row.get(4)?,
            event_type: row.get(5)?,
            exit_code: row.get(6)?,
            detail: row.get(7)?,
        })
    })
}

pub(super) fn metrics(
    connection: &Connection,
    filter: &ProcessFilter,
    page: Page,
) -> rusqlite::Result<Vec<StoredMetric>> {
    let listing = Listing {
        table: "metrics",
        columns: "name, value, unit,
            CASE WHEN json_valid(attributes) THEN attributes END",
        text: "name",
    };
    list(connection, &listing, filter, page, |row| {
        Ok(StoredMetric {
            id: row.get(0)?,
            at: Timestamp::from_nanos(row.get(1)?),
            app_name: row.get(2)?,
            pid: row.get(3)?,
            name: row.get(4)?,
            value: row.get::<_, Option<f64>>(5)?.unwrap_or(f64::NAN),
            unit: row.get(6)?,
            attributes: row.get(7)?,
        })
    })
}

/// Process runs: a short table, read in one go. `time` is about their start.
pub(super) fn runs(
    connection: &Connection,
    filter: &ProcessFilter,
    page: Page,
) -> rusqlite::Result<Vec<StoredRun>> {
    let mut conditions = Conditions::default();
    if let Some(id) = filter.run {
        conditions.and("id = ?", [id.into()]);
    }
    if let Some(pid) = filter.pid {
        conditions.and("pid = ?", [pid.into()]);
    }
    if let Some(app_name) = &filter.app_name {
        conditions.and("app_name = ?", [app_name.clone().into()]);
    }
    if let Some(text) = &filter.text {
        let text = Value::from(text.clone());
        let condition = "(instr(process_name, ?) OR instr(command_line, ?))";
        conditions.and(condition, [text.clone(), text]);
    }
    within(&mut conditions, "started_at_ns", filter.time);
    let select = format!("SELECT {RUN_COLUMNS} FROM process_runs");
    let ground = Ground {
        stretches: &[(1, i64::MAX - 1)],
        window: i64::MAX,
        map: None,
    };
    walk(page, &ground, |stretch, page| {
        conditions.fetch(connection, (&select, "id"), stretch, page, run)
    })
}

/// What [`run`] reads, in its order.
pub(super) const RUN_COLUMNS: &str = "id, machine, boot, pid_namespace, pid, start_ticks, app_name,
    process_name, command_line, hostname, instrumented, started_at_ns, ended_at_ns, exit_code,
    observer, parent_pid, parent_start_ticks";

pub(super) fn run(row: &Row<'_>) -> rusqlite::Result<StoredRun> {
    let word = |column| -> rusqlite::Result<u64> { Ok(row.get::<_, i64>(column)?.cast_unsigned()) };
    Ok(StoredRun {
        id: row.get(0)?,
        run: RunKey {
            machine: word(1)?,
            boot: word(2)?,
            pid_namespace: word(3)?,
            pid: row.get(4)?,
            start_ticks: word(5)?,
        },
        app_name: row.get(6)?,
        process_name: row.get(7)?,
        command_line: row.get(8)?,
        hostname: row.get(9)?,
        instrumented: row.get(10)?,
        started_at: Timestamp::from_nanos(row.get(11)?),
        ended_at: row.get::<_, Option<i64>>(12)?.map(Timestamp::from_nanos),
        exit_code: row.get(13)?,
        observer: row.get(14)?,
        parent: runs::parent(row, 15)?,
    })
}

fn list<T>(
    connection: &Connection,
    listing: &Listing<'_>,
    filter: &ProcessFilter,
    page: Page,
    read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<Vec<T>> {
    let which = (filter, Conditions::default(), None);
    list_where(connection, listing, which, page, read)
}

/// The rows that pass the filter and the conditions, within these stretches of ids where they are given.
fn list_where<T>(
    connection: &Connection,
    listing: &Listing<'_>,
    (filter, mut conditions, only): (&ProcessFilter, Conditions, Option<&[Stretch]>),
    page: Page,
    mut read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<Vec<T>> {
    let Some(reach) = reach(connection, listing.table, filter.time)? else {
        return Ok(Vec::new());
    };
    if let Some(run) = filter.run {
        conditions.and("run_id = ?", [run.into()]);
    }
    if let Some(pid) = filter.pid {
        conditions.and("process_id = ?", [pid.into()]);
    }
    if let Some(app_name) = &filter.app_name {
        conditions.and("app_name = ?", [app_name.clone().into()]);
    }
    if let Some(text) = &filter.text {
        let condition = format!("instr({}, ?)", listing.text);
        conditions.and(&condition, [text.clone().into()]);
    }
    within(&mut conditions, "at_ns", filter.time);
    let window = if conditions.is_empty() {
        i64::MAX
    } else {
        WINDOW
    };
    let Listing { table, columns, .. } = listing;
    // A row that another program wrote has no nanoseconds; its text has milliseconds.
    let select = format!(
        "SELECT id, coalesce(at_ns, strftime('%s', timestamp) * 1000000000
             + substr(timestamp, 21, 3) * 1000000, 0), app_name, process_id, {columns} FROM {table}"
    );
    let everything = [reach];
    let ground = Ground {
        stretches: only.unwrap_or(&everything),
        window,
        map: None,
    };
    walk(page, &ground, |stretch, page| {
        conditions.fetch(connection, (&select, "id"), stretch, page, &mut read)
    })
}

/// The ids between which a table's rows of this time lie; none when there are none.
fn reach(
    connection: &Connection,
    table: &str,
    time: TimeRange,
) -> rusqlite::Result<Option<Stretch>> {
    if time == TimeRange::default() {
        let ends = format!("SELECT (SELECT min(id) FROM {table}), (SELECT max(id) FROM {table})");
        return connection.prepare_cached(&ends)?.query_row([], stretch);
    }
    let statement =
        format!("SELECT min(id), max(id) FROM {table} WHERE timestamp >= ?1 AND timestamp <= ?2");
    // Milliseconds are rounded down, on both sides of the comparison.
    let from = time
        .from
        .map_or_else(String::new, |at| iso(at).as_str().to_owned());
    let to = time
        .to
        .map_or_else(|| "~".to_owned(), |at| iso(at).as_str().to_owned());
    connection
        .prepare_cached(&statement)?
        .query_row([from, to], stretch)
        .optional()
        .map(Option::flatten)
}
