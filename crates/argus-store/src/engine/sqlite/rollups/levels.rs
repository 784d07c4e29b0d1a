//! The tables of statistics per function: one for minutes, and one each for stretches of 8, 64 and
//! 512 minutes. A question about hours or weeks reads long stretches and, at its ends, short ones.
//!
//! A commit adds to minutes. A stretch is summed up once, from those of the level below, when it is
//! over (see [`summing`](super::summing)); `summed_up` says how far each level has come. What is added
//! to or taken from a minute that lies before that is added to or taken from the longer stretches in
//! the same transaction, so at any time, for each level, what its table holds equals the minutes
//! before that moment. The ids and the longest call of a stretch are bounds, wider than the truth
//! after retention.

use rusqlite::{Connection, OptionalExtension, params};

use crate::sketch::Sketch;

/// A table of statistics, with the statements that are about it.
#[derive(Debug)]
pub(in crate::engine::sqlite) struct Level {
    /// Length of its stretches.
    pub(super) minutes: i64,
    find: &'static str,
    write: &'static str,
    change: &'static str,
    delete: &'static str,
    /// The first minute from one on.
    pub(super) first: &'static str,
    /// What functions did in the stretches from one minute to before another.
    pub(super) between: &'static str,
}

/// What one function did in one stretch.
#[derive(Debug)]
pub(in crate::engine::sqlite) struct Sum {
    pub(in crate::engine::sqlite) count: i64,
    pub(in crate::engine::sqlite) errors: i64,
    pub(in crate::engine::sqlite) sum_ns: i64,
    pub(in crate::engine::sqlite) max_ns: i64,
    pub(super) min_id: i64,
    pub(super) max_id: i64,
    pub(in crate::engine::sqlite) sketch: Sketch,
}

impl Default for Sum {
    fn default() -> Self {
        Self {
            count: 0,
            errors: 0,
            sum_ns: 0,
            max_ns: 0,
            min_id: i64::MAX,
            max_id: i64::MIN,
            sketch: Sketch::default(),
        }
    }
}

macro_rules! level {
    ($minutes:literal, $table:literal) => {
        Level {
            minutes: $minutes,
            find: concat!(
                "SELECT count, errors, sum_ns, sketch FROM ",
                $table,
                " WHERE minute = ?1 AND name_id = ?2"
            ),
            write: concat!(
                "INSERT INTO ",
                $table,
                " (minute, name_id, count, errors, sum_ns, max_ns, min_id, max_id, sketch)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
                 ON CONFLICT (minute, name_id) DO UPDATE SET
                     count = count + excluded.count,
                     errors = errors + excluded.errors,
                     sum_ns = excluded.sum_ns,
                     max_ns = max(max_ns, excluded.max_ns),
                     min_id = min(min_id, excluded.min_id),
                     max_id = max(max_id, excluded.max_id),
                     sketch = excluded.sketch"
            ),
            change: concat!(
                "UPDATE ",
                $table,
                " SET count = ?3, errors = ?4, sum_ns = ?5, sketch = ?6
                 WHERE minute = ?1 AND name_id = ?2"
            ),
            delete: concat!(
                "DELETE FROM ",
                $table,
                " WHERE minute = ?1 AND name_id = ?2"
            ),
            first: concat!("SELECT min(minute) FROM ", $table, " WHERE minute >= ?1"),
            between: concat!(
                "SELECT name_id, count, errors, sum_ns, max_ns, min_id, max_id, sketch FROM ",
                $table,
                " WHERE minute >= ?1 AND minute < ?2"
            ),
        }
    };
}

/// From the shortest to the longest, each eight of the one before.
pub(in crate::engine::sqlite) static LEVELS: [Level; 4] = [
    level!(1, "function_minutes"),
    level!(8, "function_8_minutes"),
    level!(64, "function_64_minutes"),
    level!(512, "function_512_minutes"),
];

impl Level {
    /// The first minute of the stretch in which this one lies.
    pub(super) fn stretch(&self, minute: i64) -> i64 {
        minute.div_euclid(self.minutes) * self.minutes
    }

    /// Adds to what the store has of this minute's stretch.
    pub(super) fn add(
        &self,
        connection: &Connection,
        (minute, name_id): (i64, i64),
        addition: &Sum,
    ) -> rusqlite::Result<()> {
        let minute = self.stretch(minute);
        let (sum_ns, sketch) = match self.find(connection, minute, name_id)? {
            Some(mut stored) => {
                stored.sketch.merge(&addition.sketch);
                // A sum beyond the range would turn into a floating-point number in SQL.
                let sum_ns = stored.sum_ns.saturating_add(addition.sum_ns);
                (sum_ns, stored.sketch.to_bytes())
            }
            None => (addition.sum_ns, addition.sketch.to_bytes()),
        };
        connection
            .prepare_cached(self.write)?
            .execute(params![
                minute,
                name_id,
                addition.count,
                addition.errors,
                sum_ns,
                addition.max_ns,
                addition.min_id,
                addition.max_id,
                sketch,
            ])
            .map(drop)
    }

    /// Takes from what the store has of this minute's stretch, and forgets a function of which
    /// nothing is left.
    fn take(
        &self,
        connection: &Connection,
        (minute, name_id): (i64, i64),
        removed: &Sum,
    ) -> rusqlite::Result<()> {
        let minute = self.stretch(minute);
        let Some(mut stored) = self.find(connection, minute, name_id)? else {
            return Ok(());
        };
        if stored.count <= removed.count {
            return connection
                .prepare_cached(self.delete)?
                .execute([minute, name_id])
                .map(drop);
        }
        stored.sketch.take(&removed.sketch);
        connection
            .prepare_cached(self.change)?
            .execute(params![
                minute,
                name_id,
                stored.count - removed.count,
                (stored.errors - removed.errors).max(0),
                stored.sum_ns.saturating_sub(removed.sum_ns).max(0),
                stored.sketch.to_bytes(),
            ])
            .map(drop)
    }

    fn find(
        &self,
        connection: &Connection,
        minute: i64,
        name_id: i64,
    ) -> rusqlite::Result<Option<Stored>> {
        connection
            .prepare_cached(self.find)?
            .query_row([minute, name_id], |row| {
                Ok(Stored {
                    count: row.get(0)?,
                    errors: row.get(1)?,
                    sum_ns: row.get(2)?,
                    // An unreadable sketch is lost alone; the exact columns go on.
                    sketch: Sketch::from_bytes(row.get_ref(3)?.as_blob()?).unwrap_or_default(),
                })
            })
            .optional()
    }
}

/// What `Level::find` answers.
struct Stored {
    count: i64,
    errors: i64,
    sum_ns: i64,
    sketch: Sketch,
}

/// The levels as of one transaction: how far each is summed up.
#[derive(Debug)]
pub(in crate::engine::sqlite) struct Levels(pub(super) [i64; LEVELS.len()]);

impl Levels {
    pub(in crate::engine::sqlite) fn read(connection: &Connection) -> rusqlite::Result<Self> {
        let mut until = [i64::MIN; LEVELS.len()];
        until[0] = i64::MAX;
        let mut statement = connection.prepare_cached("SELECT minutes, until FROM summed_up")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let minutes: i64 = row.get(0)?;
            if let Some(level) = LEVELS.iter().position(|level| level.minutes == minutes) {
                until[level] = row.get(1)?;
            }
        }
        Ok(Self(until))
    }

    /// Adds what a function did in one minute.
    pub(super) fn add(
        &self,
        connection: &Connection,
        key: (i64, i64),
        addition: &Sum,
    ) -> rusqlite::Result<()> {
        self.holding(key.0)
            .try_for_each(|level| level.add(connection, key, addition))
    }

    /// Takes what is removed of a function's minute.
    pub(super) fn take(
        &self,
        connection: &Connection,
        key: (i64, i64),
        removed: &Sum,
    ) -> rusqlite::Result<()> {
        self.holding(key.0)
            .try_for_each(|level| level.take(connection, key, removed))
    }

    /// Takes everything that a function's minute still counts.
    pub(super) fn forget(
        &self,
        connection: &Connection,
        key @ (minute, name_id): (i64, i64),
    ) -> rusqlite::Result<()> {
        let Some(stored) = LEVELS[0].find(connection, minute, name_id)? else {
            return Ok(());
        };
        let removed = Sum {
            count: stored.count,
            errors: stored.errors,
            sum_ns: stored.sum_ns,
            sketch: stored.sketch,
            ..Sum::default()
        };
        self.take(connection, key, &removed)
    }

    /// The levels whose tables hold this minute: always that of minutes.
    fn holding(&self, minute: i64) -> impl Iterator<Item = &'static Level> {
        let levels = LEVELS.iter().zip(self.0);
        levels.filter_map(move |(level, until)| (minute < until).then_some(level))
    }

    /// The fewest stretches that make up the minutes from `first` to before `end`.
    pub(in crate::engine::sqlite) fn cover(&self, first: i64, end: i64) -> Vec<Piece> {
        let mut pieces = Vec::new();
        let mut left = vec![(first, end)];
        for (level, until) in LEVELS.iter().zip(self.0).rev() {
            let mut shorter = Vec::new();
            for (first, end) in left {
                // Rounded up.
                let from = -level.stretch(-first);
                let to = level.stretch(end.min(until));
                if from >= to {
                    shorter.push((first, end));
                    continue;
                }
                pieces.push(Piece { level, from, to });
                shorter.extend([(first, from), (to, end)]);
            }
            left = shorter;
        }
        pieces
    }
}

/// Some stretches of one level: those that begin from one minute to before another.
#[derive(Debug)]
pub(in crate::engine::sqlite) struct Piece {
    pub(super) level: &'static Level,
    pub(super) from: i64,
    pub(super) to: i64,
}

#[cfg(test)]
impl Piece {
    /// How many.
    pub(in crate::engine::sqlite) fn stretches(&self) -> usize {
        usize::try_from((self.to - self.from) / self.level.minutes).unwrap()
    }
}
