//! Retention: removes what is beyond the limits, a slice at a time.
//!
//! A slice is one transaction of the writer between two batches. By age goes what the rollups and
//! the indexes on time name; by size the oldest rows of whatever table begins earliest, by id, so
//! nothing is searched. Rollups give back what they had counted, sums follow by their triggers,
//! totals with every statement, so that the books agree after each slice.
//!
//! Deleting leaves free pages, which new rows fill again. Only when there are many are some given
//! back to the file system, a bounded number per slice, since each is a page to be moved.

mod processes;
mod sessions;
mod spans;

use argus_model::Timestamp;
use rusqlite::Connection;

use super::known::Known;
use super::remote;
use crate::engine::cutoff::Cutoffs;
use crate::retention::{Pruned, Rest, Retention};

/// Pages given back in one slice: a mebibyte.
const VACUUM_PAGES: i64 = 128;
/// Free pages that are kept for new rows: one in so many of all pages, and never fewer than a slice.
const KEPT_SHARE: i64 = 32;

/// How many rows may still go in this slice, and whether it left something undone.
#[derive(Debug)]
pub(super) struct Slice {
    rows: u64,
    left: usize,
    rest: Rest,
}

impl Slice {
    fn of(rows: usize) -> Self {
        Self {
            rows: 0,
            left: rows,
            rest: Rest::Nothing,
        }
    }

    /// Rows that may still go, as SQL takes it.
    fn left(&self) -> i64 {
        i64::try_from(self.left).unwrap_or(i64::MAX)
    }

    fn is_full(&self) -> bool {
        self.left == 0
    }

    /// Counts rows that went.
    fn took(&mut self, rows: usize) {
        self.rows += rows as u64;
        self.left = self.left.saturating_sub(rows);
        if self.is_full() {
            self.rest = Rest::More;
        }
    }
}

/// Removes one slice.
pub(super) fn slice(
    connection: &Connection,
    known: &mut Known,
    retention: &Retention,
    now: Timestamp,
    rows: usize,
) -> rusqlite::Result<Pruned> {
    let cutoffs = Cutoffs::new(retention, now);
    let mut slice = Slice::of(rows);
    spans::by_age(connection, &cutoffs, &mut slice)?;
    if let Some(before) = cutoffs.all {
        processes::observed_before(connection, before, &mut slice)?;
    }
    sessions::beyond(connection, cutoffs.all, retention.sessions, &mut slice)?;
    if let Some(before) = cutoffs.longest
        && slice.rows == 0
    {
        // Only when no row about it can be left.
        processes::ended_before(connection, known, before, &mut slice)?;
    }
    if let Some(before) = cutoffs.longest {
        remote::prune(connection, before)?;
    }
    if let Some(bytes) = retention.size_bytes {
        by_size(connection, bytes, &mut slice)?;
    }
    let space = vacuum(connection)?;
    Ok(Pruned {
        rows: slice.rows,
        rest: match space {
            Rest::More => Rest::More,
            Rest::Nothing => slice.rest,
        },
    })
}

/// Removes the oldest rows while more bytes are in use than allowed.
fn by_size(connection: &Connection, bytes: u64, slice: &mut Slice) -> rusqlite::Result<()> {
    let page_bytes: u64 = pragma(connection, "page_size")?.unsigned_abs();
    let in_use = || -> rusqlite::Result<u64> {
        let pages = pragma(connection, "page_count")? - pragma(connection, "freelist_count")?;
        Ok(pages.unsigned_abs() * page_bytes)
    };
    while !slice.is_full() && in_use()? > bytes {
        let first = [
            (spans::oldest(connection)?, Oldest::Spans),
            (sessions::oldest(connection)?, Oldest::Sessions),
        ]
        .into_iter()
        .chain(processes::oldest(connection)?)
        .filter_map(|(at, what)| at.map(|at| (at, what)))
        .min_by_key(|&(at, _)| at);
        match first {
            Some((at, Oldest::Spans)) => {
                spans::remove_oldest(connection, slice)?;
                remote::prune(connection, Timestamp::from_nanos(at))?;
            }
            Some((_, Oldest::Sessions)) => sessions::remove_oldest(connection, slice)?,
            Some((_, Oldest::Observed(table))) => {
                processes::remove_oldest(connection, table, slice)?;
            }
            // What is left is not ours to remove: open spans, living sessions, names.
            None => return Ok(()),
        }
    }
    Ok(())
}

/// The table that begins earliest.
#[derive(Debug, Clone, Copy)]
enum Oldest {
    Spans,
    Sessions,
    Observed(&'static processes::Observed),
}

/// Gives free pages back where there are many.
fn vacuum(connection: &Connection) -> rusqlite::Result<Rest> {
    let pages = pragma(connection, "page_count")?;
    let spare = |free: i64| free - (pages / KEPT_SHARE).max(VACUUM_PAGES);
    let free = pragma(connection, "freelist_count")?;
    if spare(free) <= 0 {
        return Ok(Rest::Nothing);
    }
    let mut statement =
        connection.prepare_cached(&format!("PRAGMA incremental_vacuum({VACUUM_PAGES})"))?;
    let mut steps = statement.query([])?;
    while steps.next()?.is_some() {}
    if spare(free - VACUUM_PAGES) > 0 {
        Ok(Rest::More)
    } else {
        Ok(Rest::Nothing)
    }
}

fn pragma(connection: &Connection, name: &str) -> rusqlite::Result<i64> {
    connection
        .prepare_cached(&format!("PRAGMA {name}"))?
        .query_row([], |row| row.get(0))
}
