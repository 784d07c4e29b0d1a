//! Walks ids in windows, so that a search through ten million rows never holds back the WAL: each
//! window is a statement and a transaction of its own.

use std::ops::ControlFlow;

use rusqlite::types::Value;
use rusqlite::{Connection, Row, params_from_iter};

use super::reader::limited;
use crate::query::{Order, Page, SearchWatch, Searched, TimeRange};

/// Ids visited in one transaction of a filtered listing: a few tens of milliseconds.
pub(super) const WINDOW: i64 = 20_000;
/// Ids narrowed first, before a page has found anything,
const FIRST_PIECE: i64 = 1 << 16;
/// and at most: what tells about them is read in a few milliseconds.
const LAST_PIECE: i64 = 1 << 24;

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

    /// The conditions, each behind an AND.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// The values of the question marks.
    pub(super) fn values(&self) -> impl Iterator<Item = Value> {
        self.values.iter().cloned()
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
            .chain(self.values())
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

/// Where rows may be, and how they are looked for there.
pub(super) struct Ground<'a> {
    /// In rising order, apart from each other.
    pub(super) stretches: &'a [Stretch],
    /// Ids visited at once.
    pub(super) window: i64,
    /// Knows more, where something does.
    pub(super) map: Option<&'a dyn Narrow>,
}

/// Knows where in a stretch no row can be.
pub(super) trait Narrow {
    /// The stretches within this one that are left, in rising order, apart from each other.
    fn within(&self, stretch: Stretch) -> rusqlite::Result<Vec<Stretch>>;
}

/// Walks the ground in the page's direction, in windows, until the page is full.
pub(super) fn walk<T>(
    page: Page,
    ground: &Ground<'_>,
    fetch: impl FnMut(Stretch, Page) -> rusqlite::Result<Vec<T>>,
) -> rusqlite::Result<Vec<T>> {
    let mut watch = |_| ControlFlow::Continue(());
    Ok(walk_watched(page, ground, &mut watch, fetch)?.0)
}

/// Walks as [`walk`] does and tells after each window. When it was ended before the page was full
/// it gives, beside what was found, the id to go on after.
pub(super) fn walk_watched<T>(
    page: Page,
    ground: &Ground<'_>,
    watch: SearchWatch<'_>,
    mut fetch: impl FnMut(Stretch, Page) -> rusqlite::Result<Vec<T>>,
) -> rusqlite::Result<(Vec<T>, Option<i64>)> {
    let mut ahead = Ahead::new(page, ground);
    let of = ahead.width();
    let mut found = Vec::new();
    while let Some(visited) = ahead.next_window()? {
        let rest = Page {
            limit: page.limit - found.len(),
            ..page
        };
        found.extend(fetch(visited, rest)?);
        if found.len() >= page.limit {
            break;
        }
        let searched = Searched {
            rows: of - ahead.width(),
            of,
            found: found.len(),
        };
        if watch(searched).is_break() && !ahead.is_empty() {
            let reached = match page.order {
                Order::Newest => visited.0,
                Order::Oldest => visited.1,
            };
            return Ok((found, Some(reached)));
        }
    }
    Ok((found, None))
}

/// What is still to be visited. It is narrowed piece by piece, each larger than the one before: a
/// page that soon is full asks little, and one that finds nothing asks seldom.
struct Ahead<'a> {
    ground: &'a Ground<'a>,
    order: Order,
    /// Not narrowed yet, the next one last.
    rough: Vec<Stretch>,
    /// Narrowed, the next one last.
    narrowed: Vec<Stretch>,
    /// Ids narrowed next.
    piece: i64,
}

impl<'a> Ahead<'a> {
    /// What the page's cursor leaves of the ground.
    fn new(page: Page, ground: &'a Ground<'a>) -> Self {
        let within = |&(low, high): &Stretch| match (page.order, page.after) {
            (Order::Newest, Some(after)) => (low, high.min(after.saturating_sub(1))),
            (Order::Oldest, Some(after)) => (low.max(after.saturating_add(1)), high),
            (_, None) => (low, high),
        };
        let mut ahead = Self {
            ground,
            order: page.order,
            rough: Vec::new(),
            narrowed: Vec::new(),
            piece: FIRST_PIECE,
        };
        if page.limit > 0 {
            let left = ground.stretches.iter().map(within);
            ahead.rough = ahead.next_last(left.filter(|&stretch| !is_empty(stretch)).collect());
        }
        ahead
    }

    fn next_window(&mut self) -> rusqlite::Result<Option<Stretch>> {
        loop {
            if let Some(stretch) = self.narrowed.pop() {
                let (window, left) = self.cut(stretch, self.ground.window);
                self.narrowed.extend(left);
                return Ok(Some(window));
            }
            let Some(stretch) = self.rough.pop() else {
                return Ok(None);
            };
            let Some(map) = self.ground.map else {
                self.narrowed.push(stretch);
                continue;
            };
            let (piece, left) = self.cut(stretch, self.piece);
            self.rough.extend(left);
            self.piece = self.piece.saturating_mul(4).min(LAST_PIECE);
            self.narrowed = self.next_last(map.within(piece)?);
        }
    }

    /// The next so many ids of a stretch, and the others.
    fn cut(&self, (low, high): Stretch, width: i64) -> (Stretch, Option<Stretch>) {
        let (next, left) = match self.order {
            Order::Newest => {
                let bottom = low.max(high.saturating_sub(width - 1));
                ((bottom, high), (low, bottom - 1))
            }
            Order::Oldest => {
                let top = high.min(low.saturating_add(width - 1));
                ((low, top), (top + 1, high))
            }
        };
        (next, (!is_empty(left)).then_some(left))
    }

    fn next_last(&self, mut rising: Vec<Stretch>) -> Vec<Stretch> {
        if self.order == Order::Oldest {
            rising.reverse();
        }
        rising
    }

    fn is_empty(&self) -> bool {
        self.rough.is_empty() && self.narrowed.is_empty()
    }

    fn width(&self) -> u64 {
        let all = self.rough.iter().chain(&self.narrowed);
        all.fold(0, |sum, &stretch| sum.saturating_add(width(stretch)))
    }
}

fn width((low, high): Stretch) -> u64 {
    high.abs_diff(low).saturating_add(1)
}

fn is_empty((low, high): Stretch) -> bool {
    low > high
}

/// A stretch of ids from the answer to a query for its ends; none when there are no rows.
pub(super) fn stretch(row: &Row<'_>) -> rusqlite::Result<Option<Stretch>> {
    Ok(row.get::<_, Option<i64>>(0)?.zip(row.get(1)?))
}
