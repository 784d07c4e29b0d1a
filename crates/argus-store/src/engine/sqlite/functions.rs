//! Statistics per function over any stretch of time, from stretches that are summed up already.

use std::collections::HashMap;

use rusqlite::Connection;

use super::rollups::levels::Levels;
use super::rollups::summing;
use crate::engine::statistics::{self, Calls};
use crate::query::{FunctionStatistics, TimeRange};

/// Minutes that no moment reaches, from the Unix epoch in both directions: some two thousand years.
const BEYOND: i64 = 1 << 30;

/// All functions that ended in the minutes that touch `time`, by total time, largest first.
pub(super) fn ranked(
    connection: &Connection,
    time: TimeRange,
) -> rusqlite::Result<Vec<FunctionStatistics>> {
    let (first, last) = statistics::minutes(time);
    let (first, end) = (first.max(-BEYOND), last.min(BEYOND - 1) + 1);
    // How far is summed up, the statistics, and the names must be of one commit.
    let snapshot = connection.unchecked_transaction()?;
    let pieces = Levels::read(connection)?.cover(first, end);
    let sums = summing::sum(connection, &pieces)?;
    let mut name = connection.prepare_cached("SELECT text FROM names WHERE id = ?1")?;
    let mut functions: HashMap<String, Calls> = HashMap::with_capacity(sums.len());
    for (name_id, sum) in sums {
        let mut names = name.query([name_id])?;
        let text = match names.next()? {
            Some(row) => row.get(0)?,
            None => format!("?{name_id}"),
        };
        // One text may have several numbers: a function that moved within its file.
        let calls = functions.entry(text).or_default();
        calls.count += sum.count.max(0).cast_unsigned();
        calls.errors += sum.errors.max(0).cast_unsigned();
        calls.total_ns = calls
            .total_ns
            .saturating_add(sum.sum_ns.max(0).cast_unsigned());
        calls.max_ns = calls.max_ns.max(sum.max_ns.max(0).cast_unsigned());
        calls.sketch.merge(&sum.sketch);
    }
    snapshot.finish()?;
    Ok(statistics::ranked(functions))
}
