//! Walks ids in windows, so that a search through ten million rows never holds back the WAL: each
//! window is a statement and a transaction of its own.

use std::ops::ControlFlow;

use rusqlite::types::Value;
use rusqlite::{Connection, Row, params_from_iter};

use super::reader::limited;
use crate::query::{Order, Page, SearchWatch, Searched, TimeRange};

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

/// Restricts a column of nanoseconds.
pub(super) fn within(conditions: &mut Conditions, column: &str, time: TimeRange) {
    if let Some(from) = time.from {
        conditions.and(&format!("{column} >= ?"), [from.nanos().into()]);
    }
    if let Some(to) = time.to {
        conditions.and(&format!("{column} < ?"), [to.nanos().into()]);
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
