//! Saves what can be read of a damaged file into a new one.
//!
//! Rows are read stretch by stretch, as they are checked; a stretch that cannot be read as one is
//! read row by row, so that a bad page costs its own rows. What is derived (rollups, totals, sums)
//! is made anew from the rows saved. A file whose description of its tables is lost gives nothing.

use std::ops::ControlFlow;

use argus_model::Timestamp;
use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};

use super::rollups::{Ended, Rollups};
use super::row_hash::RowHash;
use super::schema;
use super::sums::{Changes, Checked, Division, Stored, TABLES, next_sum};
use super::writer::Writer;
use crate::error::CommitError;
use crate::salvage::{Salvaged, TableSalvage, Watch};

/// Made anew from the rows saved, or (the collector's account) of no use.
const DERIVED: [&str; 9] = [
    "function_minutes",
    "function_8_minutes",
    "function_64_minutes",
    "function_512_minutes",
    "summed_up",
    "span_minutes",
    "span_zones",
    "totals",
    "collector",
];
/// Rows read at once where no sum tells how many there are.
const CHUNK: usize = 1_000;

type Row = Vec<Value>;

/// Rows read from a stretch.
#[derive(Default)]
struct Found {
    rows: Vec<Row>,
    hash: u64,
}

impl Found {
    fn add(&mut self, row: Row) {
        let mut hash = RowHash::new();
        for value in &row {
            hash.value(value.into());
        }
        self.hash = self.hash.wrapping_add(hash.finish());
        self.rows.push(row);
    }
}

/// Saves every table.
pub(super) fn run(
    damaged: &Connection,
    target: &mut Writer,
    watch: Watch<'_>,
) -> Result<Salvaged, CommitError> {
    let mut salvaged = Salvaged::default();
    for checked in TABLES {
        if DERIVED.contains(&checked.table) {
            continue;
        }
        let columns = schema::pristine()
            .and_then(|pristine| checked.columns(&pristine))
            .map_err(|error| CommitError::Unwritable(error.into()))?;
        let mut table = Table {
            checked,
            damaged,
            select: format!("SELECT {} FROM {}", columns.join(", "), checked.table),
            insert: insert(checked.table, &columns),
            result: TableSalvage {
                table: checked.table,
                saved: 0,
                lost: 0,
                doubtful: 0,
            },
        };
        let ended = match checked.division {
            Division::By("id", _) => table.save_by_id(target, watch)?,
            _ => table.save_whole(target, watch)?,
        };
        salvaged.tables.push(table.result);
        if ended.is_break() {
            salvaged.interrupted = true;
            break;
        }
    }
    target.rebuild(|connection| {
        count_totals(connection)?;
        Ok(Changes::default())
    })?;
    Ok(salvaged)
}

fn insert(table: &str, columns: &[String]) -> String {
    let marks = vec!["?"; columns.len()].join(", ");
    let columns = columns.join(", ");
    // A row that breaks a rule of its table is damaged: ignored here, counted by the caller.
    format!("INSERT OR IGNORE INTO {table} ({columns}) VALUES ({marks})")
}

struct Table<'a> {
    checked: &'static Checked,
    damaged: &'a Connection,
    select: String,
    insert: String,
    result: TableSalvage,
}

impl Table<'_> {
    /// Saves a table with a sum for every stretch of ids.
    fn save_by_id(
        &mut self,
        target: &mut Writer,
        watch: Watch<'_>,
    ) -> Result<ControlFlow<()>, CommitError> {
        let Division::By(_, shift) = self.checked.division else {
            return Ok(ControlFlow::Continue(()));
        };
        let mut from = i64::MIN;
        // Where the sums themselves are damaged, rows after the last readable one are strays.
        while let Ok(Some(sum)) = next_sum(self.damaged, self.checked, from) {
            let low = sum.stretch << shift;
            let last = low + ((1 << shift) - 1);
            if low >> shift != sum.stretch || last < from {
                break;
            }
            let found = self.stretch((low, last));
            self.keep(target, &found, Some(sum))?;
            if watch(self.checked.table, self.result.saved).is_break() {
                return Ok(ControlFlow::Break(()));
            }
            match last.checked_add(1) {
                Some(next) => from = next,
                None => return Ok(ControlFlow::Continue(())),
            }
        }
        loop {
            let (found, last) = self.strays(from);
            let Some(next) = last.and_then(|last| last.checked_add(1)) else {
                return Ok(ControlFlow::Continue(()));
            };
            self.keep(target, &found, None)?;
            if watch(self.checked.table, self.result.saved).is_break() {
                return Ok(ControlFlow::Break(()));
            }
            from = next;
        }
    }

    /// Saves a table that is small, or has no number to divide by: from both its ends.
    fn save_whole(
        &mut self,
        target: &mut Writer,
        watch: Watch<'_>,
    ) -> Result<ControlFlow<()>, CommitError> {
        let sums = "SELECT coalesce(sum(rows), 0), count(*), coalesce(max(hash), 0) FROM sums
                    WHERE checked = ?1";
        let sum: Option<(i64, i64, i64)> = self
            .damaged
            .query_row(sums, [self.checked.table], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?))
            })
            .ok();
        let mut found = Found::default();
        if self
            .read(&format!("{} NOT INDEXED", self.select), [], &mut found)
            .is_err()
        {
            // Forwards up to the damage, then backwards up to it; a row met twice counts once.
            for order in ["ASC", "DESC"] {
                let ordered = format!("{} ORDER BY 1 {order}", self.select);
                let _ = self.read(&ordered, [], &mut found);
            }
        }
        let expected = sum.map(|(rows, stretches, hash)| Stored {
            stretch: 0,
            rows,
            // Several stretches have several hashes; then the rows found are taken as they are.
            hash: if stretches == 1 {
                hash.cast_unsigned()
            } else {
                found.hash
            },
        });
        self.keep(target, &found, expected)?;
        Ok(watch(self.checked.table, self.result.saved))
    }

    /// The rows of a stretch: at once, or one by one where that fails.
    fn stretch(&self, (low, last): (i64, i64)) -> Found {
        let mut found = Found::default();
        let between = format!("{} NOT INDEXED WHERE id BETWEEN ? AND ?", self.select);
        if self.read(&between, [low, last], &mut found).is_err() {
            found = Found::default();
            let one = format!("{} NOT INDEXED WHERE id = ?", self.select);
            for id in low..=last {
                // What cannot be read is counted by what is missing.
                let _ = self.read(&one, [id], &mut found);
            }
        }
        found
    }

    /// Rows that no sum speaks of, and the last key among them.
    fn strays(&self, from: i64) -> (Found, Option<i64>) {
        let mut found = Found::default();
        let text = format!(
            "{} NOT INDEXED WHERE id >= ? ORDER BY id LIMIT {CHUNK}",
            self.select
        );
        let _ = self.read(&text, [from], &mut found);
        let key = self.key();
        let last = found.rows.last().and_then(|row| match row.get(key) {
            Some(&Value::Integer(id)) => Some(id),
            _ => None,
        });
        (found, last)
    }

    /// The place of `id` among the columns.
    fn key(&self) -> usize {
        let columns = self.select.trim_start_matches("SELECT ");
        columns
            .split([',', ' '])
            .filter(|name| !name.is_empty())
            .position(|name| name == "id")
            .unwrap_or(0)
    }

    fn read<const N: usize>(
        &self,
        text: &str,
        values: [i64; N],
        found: &mut Found,
    ) -> rusqlite::Result<()> {
        let mut statement = self.damaged.prepare_cached(text)?;
        let width = statement.column_count();
        let mut rows = statement.query(params_from_iter(values))?;
        while let Some(row) = rows.next()? {
            let row: rusqlite::Result<Row> = (0..width).map(|column| row.get(column)).collect();
            // Text that is not text is damage of this row alone.
            if let Ok(row) = row {
                found.add(row);
            }
        }
        Ok(())
    }

    /// Writes rows into the new store and counts what became of them.
    fn keep(
        &mut self,
        target: &mut Writer,
        found: &Found,
        expected: Option<Stored>,
    ) -> Result<(), CommitError> {
        let (table, insert) = (self.checked.table, &self.insert);
        let mut saved = 0_u64;
        let expected_rows = expected.map_or(found.rows.len() as i64, |sum| sum.rows);
        let as_written = expected
            .is_some_and(|sum| sum.rows == found.rows.len() as i64 && sum.hash == found.hash);
        target.rebuild(|connection| {
            let mut changes = Changes::default();
            let mut rollups = Rollups::default();
            let mut statement = connection.prepare_cached(insert)?;
            for row in &found.rows {
                let span = if table == "spans" {
                    match ended(row) {
                        Some(span) => Some(span),
                        None => continue,
                    }
                } else {
                    None
                };
                if statement.execute(params_from_iter(row))? == 0 {
                    continue;
                }
                saved += 1;
                let hash = || {
                    let mut hash = RowHash::new();
                    row.iter().for_each(|value| hash.value(value.into()));
                    hash.finish()
                };
                if let Some(span) = span {
                    rollups.add(span);
                    changes.inserted_span(span.id, hash());
                } else if let ("log_entries", Some(Value::Integer(id))) = (table, row.first()) {
                    changes.inserted_log(*id, hash());
                }
            }
            rollups.merge_into(connection)?;
            Ok(changes)
        })?;
        self.result.saved += saved;
        self.result.lost += expected_rows.max(0).cast_unsigned().saturating_sub(saved);
        if !as_written {
            self.result.doubtful += saved;
        }
        Ok(())
    }
}

/// What the rollups need of a row of `spans`, if it is one.
fn ended(row: &[Value]) -> Option<Ended> {
    let integer = |column: usize| match row.get(column) {
        Some(&Value::Integer(number)) => Some(number),
        _ => None,
    };
    let failed = match row.get(8) {
        Some(Value::Text(status)) if status == "OK" => false,
        Some(Value::Text(status)) if status == "ERR" => true,
        _ => return None,
    };
    Some(Ended {
        id: integer(0)?,
        producer_id: integer(1)?,
        name_id: integer(4)?,
        ended_at: Timestamp::from_nanos(integer(6)?),
        duration_ns: u64::try_from(integer(7)?).ok()?,
        failed,
    })
}

fn count_totals(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch(
        "UPDATE totals SET last_span_id = (SELECT coalesce(max(id), 0) FROM spans),
             spans = (SELECT count(*) FROM spans),
             errors = (SELECT coalesce(sum(errors), 0) FROM function_minutes),
             seen_open = (SELECT count(*) FROM open_spans),
             samples = (SELECT count(*) FROM performance_metrics),
             logs = (SELECT count(*) FROM log_entries),
             process_events = (SELECT count(*) FROM process_events),
             metrics = (SELECT count(*) FROM metrics),
             stack_samples = (SELECT count(*) FROM stack_samples)",
    )
}
