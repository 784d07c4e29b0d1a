//! A page of the lines that are meant.
//!
//! The store fills a page by itself, unless a regular expression is to be asked: then lines are read
//! in chunks, until the page is full, there are no more, or the reader wants no more.

use anyhow::Result;
use argus_store::Store;
use argus_store::query::{Page, StoredLog};

use super::sieve::Sieve;
use crate::output::grouped;
use crate::progress::Progress;

/// Lines read at once.
pub(super) const CHUNK: usize = 5_000;

/// What was found.
#[derive(Debug)]
pub(super) struct Found {
    /// In the order of the page.
    pub(super) rows: Vec<StoredLog>,
    /// Where the search was ended before it was through.
    pub(super) rest: Option<Rest>,
}

/// How far a search came.
#[derive(Debug)]
pub(super) struct Rest {
    /// The last line it looked at.
    pub(super) id: i64,
    /// How many it looked at.
    pub(super) looked: u64,
}

/// Reads a page. `is_ended` is asked between two chunks.
pub(super) fn read(
    store: &dyn Store,
    sieve: &Sieve,
    page: Page,
    is_ended: &mut dyn FnMut() -> bool,
) -> Result<Found> {
    if sieve.regex.is_none() {
        let rows = store.logs(&sieve.filter, page)?;
        return Ok(Found { rows, rest: None });
    }
    let (mut progress, mut looked) = (Progress::new(), 0_u64);
    let (mut rows, mut after) = (Vec::new(), page.after);
    loop {
        let limit = CHUNK;
        let chunk = store.logs(
            &sieve.filter,
            Page {
                after,
                limit,
                ..page
            },
        )?;
        let is_last = chunk.len() < CHUNK;
        looked += chunk.len() as u64;
        after = chunk.last().map(|log| log.id).or(after);
        let room = page.limit - rows.len();
        rows.extend(chunk.into_iter().filter(|log| sieve.passes(log)).take(room));
        if is_last || rows.len() == page.limit {
            return Ok(Found { rows, rest: None });
        }
        progress.show(|| format!("searching: {} lines, {} found", grouped(looked), rows.len()));
        if is_ended() {
            let rest = after.map(|id| Rest { id, looked });
            return Ok(Found { rows, rest });
        }
    }
}
