//! Adding stretches up: for an answer about many of them, and to make long ones of short ones.

use std::collections::BTreeMap;

use argus_model::Timestamp;
use rusqlite::Connection;

use super::levels::{LEVELS, Level, Levels, Piece, Sum};
use crate::engine::statistics;
use crate::retention::Rest;
use crate::sketch::Pile;

/// What the functions did in all of these stretches together, by the number of their name.
/// Cost: a microsecond or two for each function and stretch.
pub(in crate::engine::sqlite) fn sum(
    connection: &Connection,
    pieces: &[Piece],
) -> rusqlite::Result<BTreeMap<i64, Sum>> {
    let mut sums: BTreeMap<i64, (Sum, Pile)> = BTreeMap::new();
    for piece in pieces {
        let mut statement = connection.prepare_cached(piece.level.between)?;
        let mut rows = statement.query([piece.from, piece.to])?;
        while let Some(row) = rows.next()? {
            let (sum, pile) = sums.entry(row.get(0)?).or_default();
            sum.count += row.get::<_, i64>(1)?;
            sum.errors += row.get::<_, i64>(2)?;
            sum.sum_ns = sum.sum_ns.saturating_add(row.get(3)?);
            sum.max_ns = sum.max_ns.max(row.get(4)?);
            sum.min_id = sum.min_id.min(row.get(5)?);
            sum.max_id = sum.max_id.max(row.get(6)?);
            // What cannot be read of a sketch is lost alone.
            let _ = pile.add(row.get_ref(7)?.as_blob()?);
        }
    }
    let with_sketch = |(name_id, (sum, pile)): (i64, (Sum, Pile))| {
        let sketch = pile.into_sketch();
        (name_id, Sum { sketch, ..sum })
    };
    Ok(sums.into_iter().map(with_sketch).collect())
}

/// Sums up one stretch that is over, a short one before a long one.
///
/// A minute is over when another has begun, by the clock and by what is stored. Cost: reads eight
/// stretches of the level below and writes one, for every function in them.
pub(super) fn sum_up(connection: &Connection, now: Timestamp) -> rusqlite::Result<Rest> {
    let newest: Option<i64> = connection
        .prepare_cached("SELECT max(minute) FROM span_minutes")?
        .query_row([], |row| row.get(0))?;
    let Some(newest) = newest else {
        return Ok(Rest::Nothing);
    };
    let Levels(until) = Levels::read(connection)?;
    // A call of the minute before may still be on its way.
    let mut over = newest.min(statistics::minute(now) - 1);
    for (below, level, until) in LEVELS
        .iter()
        .zip(&LEVELS[1..])
        .zip(&until[1..])
        .map(|((below, level), &until)| (below, level, until))
    {
        over = level.stretch(over);
        let next: Option<i64> = connection
            .prepare_cached(below.first)?
            .query_row([until], |row| row.get(0))?;
        if let Some(stretch) = next.map(|minute| level.stretch(minute))
            && stretch < over
        {
            sum_up_one(connection, below, level, stretch)?;
            set_until(connection, level, stretch + level.minutes)?;
            return Ok(Rest::More);
        }
        if until < over {
            // Nothing was recorded since.
            set_until(connection, level, over)?;
        }
    }
    Ok(Rest::Nothing)
}

fn sum_up_one(
    connection: &Connection,
    below: &'static Level,
    level: &Level,
    stretch: i64,
) -> rusqlite::Result<()> {
    let parts = Piece {
        level: below,
        from: stretch,
        to: stretch + level.minutes,
    };
    for (name_id, sum) in sum(connection, &[parts])? {
        level.add(connection, (stretch, name_id), &sum)?;
    }
    Ok(())
}

fn set_until(connection: &Connection, level: &Level, until: i64) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO summed_up (minutes, until) VALUES (?1, ?2)
             ON CONFLICT (minutes) DO UPDATE SET until = excluded.until",
        )?
        .execute([level.minutes, until])
        .map(drop)
}
