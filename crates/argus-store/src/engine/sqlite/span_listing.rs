//! Pages of ended spans.
//!
//! There is no index on spans but the one of failures, so what is summed up of them tells where to
//! look: the rollups which ids a stretch of time covers, and which a rare function; the map of
//! [`zones`](super::zones) which blocks of ids hold calls of a program. What is left is walked in
//! windows, see [`walk`](super::walk).

use argus_model::Timestamp;
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, Row};

use super::reader::{or_default, span_key, span_number, unsigned};
use super::walk::{Conditions, Ground, Narrow, Stretch, WINDOW, stretch, walk_watched, within};
use super::whose::Whose;
use super::zones::Map;
use crate::batch::Status;
use crate::engine::statistics;
use crate::query::{Found, Page, SearchWatch, SpanFilter, StoredSpan, TimeRange};

/// A function seen in more minutes than this is looked for by the hour; one seen in more hours is
/// not rare, and turns up soon by walking.
const RARE: usize = 2_000;

/// The function's name, also where its definition was damaged.
const NAME: &str = "coalesce(n.text, '?' || s.name_id)";

/// One page of the spans that pass the filter.
pub(super) fn page(
    connection: &Connection,
    filter: &SpanFilter,
    page: Page,
    watch: SearchWatch<'_>,
) -> rusqlite::Result<Found> {
    let Some(reach) = reach(connection, filter.time)? else {
        return Ok(Found::default());
    };
    let whose = Whose::of(connection, filter)?;
    if matches!(whose, Whose::Nobodys) {
        return Ok(Found::default());
    }
    let stretches = match &filter.name {
        Some(name) => stretches_of(connection, name, reach)?,
        None => vec![reach],
    };
    let conditions = conditions(filter, &whose);
    let (index, window) = match filter.status {
        // The index holds failures only, so a window of it costs what it finds.
        Some(Status::Err) => ("INDEXED BY spans_failed", i64::MAX),
        _ if conditions.is_empty() => ("NOT INDEXED", i64::MAX),
        _ => ("NOT INDEXED", WINDOW),
    };
    let window = if filter.text.is_some() {
        WINDOW
    } else {
        window
    };
    let select = format!(
        "SELECT s.id, p.producer, s.number, s.parent, {NAME}, n.process_group, p.app_name, p.pid,
             t.tid, t.name, s.end_ns, s.duration_ns, s.status,
             CASE WHEN json_valid(s.captured) THEN s.captured END, s.exception, s.interrupted
         FROM spans AS s {index}
         LEFT JOIN names AS n ON n.id = s.name_id
         LEFT JOIN producers AS p ON p.id = s.producer_id
         LEFT JOIN threads AS t ON t.id = s.thread_id"
    );
    let map = Map::of(connection, filter, &whose);
    let ground = Ground {
        stretches: &stretches,
        window,
        map: map.as_ref().map(|map| map as &dyn Narrow),
    };
    let fetch =
        |stretch, page| conditions.fetch(connection, (&select, "s.id"), stretch, page, stored);
    let (spans, rest) = walk_watched(page, &ground, watch, fetch)?;
    Ok(Found { spans, rest })
}

fn conditions(filter: &SpanFilter, whose: &Whose) -> Conditions {
    let mut conditions = Conditions::default();
    match filter.status {
        // Spelled out, for only then does SQLite see that the partial index serves.
        Some(Status::Err) => conditions.and("s.status = 'ERR'", []),
        Some(Status::Ok) => conditions.and("s.status = 'OK'", []),
        None => {}
    }
    if let Some(name) = &filter.name {
        conditions.and(&format!("instr({NAME}, ?)"), [name.clone().into()]);
    }
    whose.restrict(&mut conditions, "s");
    if let Some(text) = &filter.text {
        let text = Value::from(text.clone());
        conditions.and(
            &format!(
                "(instr({NAME}, ?) OR instr(s.exception, ?) OR captured_contains(s.captured, ?))"
            ),
            [text.clone(), text.clone(), text],
        );
    }
    within(&mut conditions, "s.end_ns", filter.time);
    conditions
}

/// The ids between which the spans of this time lie.
fn reach(connection: &Connection, time: TimeRange) -> rusqlite::Result<Option<Stretch>> {
    if time == TimeRange::default() {
        return connection
            .prepare_cached("SELECT (SELECT min(id) FROM spans), (SELECT max(id) FROM spans)")?
            .query_row([], stretch);
    }
    connection
        .prepare_cached(
            "SELECT min(min_id), max(max_id) FROM span_minutes WHERE minute BETWEEN ?1 AND ?2",
        )?
        .query_row(statistics::minutes(time), stretch)
}

/// Where the spans of functions with such a name lie: in the minutes of rare ones, in hours where
/// those are too many, else everywhere.
fn stretches_of(
    connection: &Connection,
    name: &str,
    reach: Stretch,
) -> rusqlite::Result<Vec<Stretch>> {
    // A name whose definition was damaged reads `?n` and stands in no table.
    if name.starts_with('?') {
        return Ok(vec![reach]);
    }
    let mut found = bounds(connection, "function_minutes", name, i64::MIN)?;
    if found.len() > RARE {
        let until: Option<i64> = connection
            .prepare_cached("SELECT until FROM summed_up WHERE minutes = 64")?
            .query_row([], |row| row.get(0))
            .optional()?;
        found = bounds(
            connection,
            "function_minutes",
            name,
            until.unwrap_or(i64::MIN),
        )?;
        found.extend(bounds(connection, "function_64_minutes", name, i64::MIN)?);
    }
    if found.len() > RARE {
        return Ok(vec![reach]);
    }
    found.sort_unstable();
    let mut merged: Vec<Stretch> = Vec::new();
    for (low, high) in found {
        let (low, high) = (low.max(reach.0), high.min(reach.1));
        match merged.last_mut() {
            _ if low > high => {}
            Some(last) if low <= last.1.saturating_add(1) => last.1 = last.1.max(high),
            _ => merged.push((low, high)),
        }
    }
    Ok(merged)
}

/// The ids between which such functions' spans lie, by the rows of a table of statistics; of rows
/// beyond [`RARE`] only the first.
fn bounds(
    connection: &Connection,
    table: &str,
    name: &str,
    from: i64,
) -> rusqlite::Result<Vec<Stretch>> {
    let statement = format!(
        "SELECT m.min_id, m.max_id FROM {table} AS m
         WHERE m.name_id IN (SELECT id FROM names WHERE instr(text, ?1)) AND m.minute >= ?2
         LIMIT ?3"
    );
    connection
        .prepare_cached(&statement)?
        .query_map((name, from, RARE as i64 + 1), |row| {
            Ok((row.get(0)?, row.get(1)?))
        })?
        .collect()
}

fn stored(row: &Row<'_>) -> rusqlite::Result<StoredSpan> {
    Ok(StoredSpan {
        id: row.get(0)?,
        key: span_key(row, 1, 2)?,
        parent: span_number(row, 3)?,
        process: row.get(4)?,
        group: row.get(5)?,
        app_name: or_default(row, 6)?,
        pid: or_default(row, 7)?,
        tid: or_default(row, 8)?,
        thread: or_default(row, 9)?,
        ended_at: Timestamp::from_nanos(row.get(10)?),
        duration_ns: unsigned(row, 11)?,
        status: match row.get_ref(12)?.as_str()? {
            "OK" => Status::Ok,
            _ => Status::Err,
        },
        captured: row.get(13)?,
        exception: row.get(14)?,
        interrupted: row.get(15)?,
    })
}
