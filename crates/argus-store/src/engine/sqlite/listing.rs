//! Pages of the tables about processes.
//!
//! A page without a filter reads its rows by id and no others. With a filter, ids are walked in
//! windows of [`WINDOW`], one short transaction each, so that a search through ten million lines
//! never holds back the WAL. A stretch of time is first turned into a stretch of ids, which the
//! index on `timestamp` tells: rows are committed nearly in order of time.

use std::ops::ControlFlow;

use argus_model::Timestamp;
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, Row, params_from_iter};

use super::moment::iso;
use super::reader::{limited, or_default};
use crate::batch::RunKey;
use crate::query::{
    Order, Page, ProcessFilter, SearchWatch, Searched, StoredLog, StoredMetric, StoredProcessEvent,
    StoredRun, StoredSample, TimeRange,
};

/// Ids visited in one transaction of a filtered listing: a few tens of milliseconds.
pub(super) const WINDOW: i64 = 20_000;

/// A stretch of ids, both ends included.
pub(super) type Stretch = (i64, i64);

/// Conditions joined by AND, with the values of their question marks in order.
#[derive(Debug, Default, Clone)]
pub(super) struct Conditions {
    text: String,
    values: Vec<Value>,
}

impl Conditions {
    /// Adds a condition with one question mark for each of `values`.
    pub(super) fn and(&mut self, condition: &str, values: impl IntoIterator<Item = Value>) {
        self.text.push_str(" AND ");
        self.text.push_str(condition);
        self.values.extend(values);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// Reads the rows of one stretch of ids that meet the conditions, in the page's order.
    pub(super) fn fetch<T>(
        &self,
        connection: &Connection,
        (select, id): (&str, &str),
        (low, high): Stretch,
        page: Page,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<Vec<T>> {
        let direction = match page.order {
            Order::Newest => "DESC",
            Order::Oldest => "ASC",
        };
        let conditions = &self.text;
        let statement = format!(
            "{select} WHERE {id} BETWEEN ? AND ?{conditions} ORDER BY {id} {direction} LIMIT ?"
        );
        let values = [Value::from(low), Value::from(high)]
            .into_iter()
            .chain(self.values.iter().cloned())
            .chain([Value::from(limited(page.limit))]);
        connection
            .prepare_cached(&statement)?
            .query_map(params_from_iter(values), read)?
            .collect()
    }
}

/// Walks stretches of ids (in rising order, apart from each other) in the page's direction, in
/// windows, until the page is full.
pub(super) fn walk<T>(
    page: Page,
    stretches: &[Stretch],
    window: i64,
    fetch: impl FnMut(Stretch, Page) -> rusqlite::Result<Vec<T>>,
) -> rusqlite::Result<Vec<T>> {
    let mut watch = |_| ControlFlow::Continue(());
    Ok(walk_watched(page, stretches, window, &mut watch, fetch)?.0)
}

/// Walks as [`walk`] does and tells after each window. When it was ended before the page was full
/// it gives, beside what was found, the id to go on after.
pub(super) fn walk_watched<T>(
    page: Page,
    stretches: &[Stretch],
    window: i64,
    watch: SearchWatch<'_>,
    mut fetch: impl FnMut(Stretch, Page) -> rusqlite::Result<Vec<T>>,
) -> rusqlite::Result<(Vec<T>, Option<i64>)> {
    let mut ahead = ahead(page, stretches);
    let of = ahead.iter().map(|&stretch| width(stretch)).sum();
    let (mut found, mut rows) = (Vec::new(), 0_u64);
    while let Some((low, high)) = ahead.pop() {
        let rest = Page {
            limit: page.limit - found.len(),
            ..page
        };
        let (visited, left, reached) = match page.order {
            Order::Newest => {
                let bottom = low.max(high.saturating_sub(window - 1));
                ((bottom, high), (low, bottom - 1), bottom)
            }
            Order::Oldest => {
                let top = high.min(low.saturating_add(window - 1));
                ((low, top), (top + 1, high), top)
            }
        };
        found.extend(fetch(visited, rest)?);
        if found.len() >= page.limit {
            break;
        }
        if left.0 <= left.1 {
            ahead.push(left);
        }
        rows = rows.saturating_add(width(visited));
        let searched = Searched {
            rows,
            of,
            found: found.len(),
        };
        if watch(searched).is_break() && !ahead.is_empty() {
            return Ok((found, Some(reached)));
        }
    }
    Ok((found, None))
}

/// The stretches that the page's cursor leaves, the next one last.
fn ahead(page: Page, stretches: &[Stretch]) -> Vec<Stretch> {
    let within = |&(low, high): &Stretch| match (page.order, page.after) {
        (Order::Newest, Some(after)) => (low, high.min(after.saturating_sub(1))),
        (Order::Oldest, Some(after)) => (low.max(after.saturating_add(1)), high),
        (_, None) => (low, high),
    };
    let left = stretches.iter().map(within);
    let mut ahead: Vec<Stretch> = left.filter(|&(low, high)| low <= high).collect();
    if page.order == Order::Oldest {
        ahead.reverse();
    }
    if page.limit == 0 {
        ahead.clear();
    }
    ahead
}

fn width((low, high): Stretch) -> u64 {
    high.abs_diff(low).saturating_add(1)
}

/// A stretch of ids from the answer to a query for its ends; none when there are no rows.
pub(super) fn stretch(row: &Row<'_>) -> rusqlite::Result<Option<Stretch>> {
    Ok(row.get::<_, Option<i64>>(0)?.zip(row.get(1)?))
}

/// A table about processes.
struct Listing {
    table: &'static str,
    columns: &'static str,
    /// The column that a search is about.
    text: &'static str,
}

pub(super) fn samples(
    connection: &Connection,
    filter: &ProcessFilter,
    page: Page,
) -> rusqlite::Result<Vec<StoredSample>> {
    let listing = Listing {
        table: "performance_metrics",
        columns: "process_name, cpu_percent, memory_mb, thread_count",
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
        })
    })
}

pub(super) fn logs(
    connection: &Connection,
    filter: &ProcessFilter,
    page: Page,
) -> rusqlite::Result<Vec<StoredLog>> {
    let listing = Listing {
        table: "log_entries",
        columns: "process_name, log_line, logfile_path, source, level",
        text: "log_line",
    };
    list(connection, &listing, filter, page, |row| {
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
        })
    })
}

pub(super) fn process_events(
    connection: &Connection,
    filter: &ProcessFilter,
    page: Page,
) -> rusqlite::Result<Vec<StoredProcessEvent>> {
    let listing = Listing {
        table: "process_events",
        columns: "process_name, event_type, exit_code",
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
    let select = "SELECT id, machine, boot, pid_namespace, pid, start_ticks, app_name,
        process_name, command_line, hostname, instrumented, started_at_ns, ended_at_ns, exit_code,
        observer FROM process_runs";
    walk(page, &[(1, i64::MAX - 1)], i64::MAX, |stretch, page| {
        conditions.fetch(connection, (select, "id"), stretch, page, run)
    })
}

fn run(row: &Row<'_>) -> rusqlite::Result<StoredRun> {
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
    })
}

fn list<T>(
    connection: &Connection,
    listing: &Listing,
    filter: &ProcessFilter,
    page: Page,
    mut read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<Vec<T>> {
    let Some(reach) = reach(connection, listing.table, filter.time)? else {
        return Ok(Vec::new());
    };
    let mut conditions = Conditions::default();
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
    walk(page, &[reach], window, |stretch, page| {
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
    let from = time.from.map_or_else(String::new, iso);
    let to = time.to.map_or_else(|| "~".to_owned(), iso);
    connection
        .prepare_cached(&statement)?
        .query_row([from, to], stretch)
        .optional()
        .map(Option::flatten)
}

/// Restricts a column of nanoseconds.
pub(super) fn within(conditions: &mut Conditions, column: &str, time: TimeRange) {
    if let Some(from) = time.from {
        conditions.and(&format!("{column} >= ?"), [from.nanos().into()]);
    }
    if let Some(to) = time.to {
        conditions.and(&format!("{column} < ?"), [to.nanos().into()]);
    }
}
