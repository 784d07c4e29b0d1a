//! The check of everything stored: rows against sums, tables against each other, the structure.
//!
//! Rows are compared stretch by stretch, each in a transaction of its own that sees the rows and
//! their sum as one commit left them, so that a writer may go on beside it. What cannot be read is
//! damage like any other: noted, and the check goes on with the next stretch.

use rusqlite::{Connection, OptionalExtension};

use super::row_hash::RowHash;
use super::schema;
use super::sums::{Checked, Division, TABLES, next_sum};
use crate::verify::{Damage, Progress, Report, Step, Watch};

/// Findings about the structure, at most.
const FINDINGS: u32 = 100;

/// Books that must agree: what is compared, and a query that gives the two numbers.
const BOOKS: &[(&str, &str)] = &[
    (
        "the count of calls",
        "SELECT spans, (SELECT coalesce(sum(rows), 0) FROM sums WHERE checked = 'spans') FROM totals",
    ),
    (
        "the count of samples",
        "SELECT samples, (SELECT coalesce(sum(rows), 0) FROM sums
             WHERE checked = 'performance_metrics') FROM totals",
    ),
    (
        "the count of log lines",
        "SELECT logs, (SELECT coalesce(sum(rows), 0) FROM sums
             WHERE checked = 'log_entries') FROM totals",
    ),
    (
        "the count of process events",
        "SELECT process_events, (SELECT coalesce(sum(rows), 0) FROM sums
             WHERE checked = 'process_events') FROM totals",
    ),
    (
        "the count of metrics",
        "SELECT metrics, (SELECT coalesce(sum(rows), 0) FROM sums
             WHERE checked = 'metrics') FROM totals",
    ),
    (
        "the count of stacks",
        "SELECT stack_samples, (SELECT coalesce(sum(rows), 0) FROM sums
             WHERE checked = 'stack_samples') FROM totals",
    ),
    (
        "the calls in the statistics",
        "SELECT spans, (SELECT coalesce(sum(count), 0) FROM function_minutes) FROM totals",
    ),
    (
        "the failed calls in the statistics",
        "SELECT errors, (SELECT coalesce(sum(errors), 0) FROM function_minutes) FROM totals",
    ),
    (
        "the calls in the statistics of 8 minutes",
        "SELECT (SELECT coalesce(sum(count), 0) FROM function_minutes
                     WHERE minute < (SELECT until FROM summed_up WHERE minutes = 8)),
                (SELECT coalesce(sum(count), 0) FROM function_8_minutes)",
    ),
    (
        "the calls in the statistics of 64 minutes",
        "SELECT (SELECT coalesce(sum(count), 0) FROM function_minutes
                     WHERE minute < (SELECT until FROM summed_up WHERE minutes = 64)),
                (SELECT coalesce(sum(count), 0) FROM function_64_minutes)",
    ),
    (
        "the calls in the statistics of 512 minutes",
        "SELECT (SELECT coalesce(sum(count), 0) FROM function_minutes
                     WHERE minute < (SELECT until FROM summed_up WHERE minutes = 512)),
                (SELECT coalesce(sum(count), 0) FROM function_512_minutes)",
    ),
    (
        "the calls on the map",
        "SELECT spans, (SELECT coalesce(sum(count), 0) FROM span_zones) FROM totals",
    ),
    (
        "the open calls of programs that have ended",
        "SELECT 0, count(*) FROM open_spans AS o JOIN producers AS p ON p.id = o.producer_id
         WHERE p.ended_at_ns IS NOT NULL",
    ),
];

/// A check was ended by its watcher.
struct Ended;

/// Checks everything.
pub(super) fn run(connection: &Connection, watch: Watch<'_>) -> Report {
    // As the schema must be: the file's own description of itself may be damaged.
    let pristine = match schema::pristine() {
        Ok(pristine) => pristine,
        Err(error) => return unchecked(&error),
    };
    let mut check = Check {
        connection,
        pristine: &pristine,
        watch,
        of: expected_rows(connection),
        report: Report::default(),
    };
    let ended = check.rows().and_then(|()| check.books());
    let ended = ended.and_then(|()| check.structure());
    check.report.interrupted = ended.is_err();
    check.report
}

/// Without a store to compare with nothing can be said; memory has run out.
fn unchecked(error: &rusqlite::Error) -> Report {
    Report {
        damage: vec![Damage {
            table: None,
            keys: None,
            what: error.to_string(),
        }],
        interrupted: true,
        ..Report::default()
    }
}

fn expected_rows(connection: &Connection) -> u64 {
    let rows = connection.query_row("SELECT coalesce(sum(rows), 0) FROM sums", [], |row| {
        row.get::<_, i64>(0)
    });
    rows.map_or(0, |rows| u64::try_from(rows).unwrap_or(0))
}

struct Check<'a> {
    connection: &'a Connection,
    pristine: &'a Connection,
    watch: Watch<'a>,
    of: u64,
    report: Report,
}

impl Check<'_> {
    fn rows(&mut self) -> Result<(), Ended> {
        for checked in TABLES {
            match checked.columns(self.pristine) {
                Ok(columns) => self.table(checked, &columns.join(", "))?,
                Err(error) => self.note(Some(checked.table), None, error.to_string()),
            }
        }
        Ok(())
    }

    fn table(&mut self, checked: &Checked, columns: &str) -> Result<(), Ended> {
        let mut from = i64::MIN;
        loop {
            self.tell(Step::Rows)?;
            match self.stretch(checked, columns, from) {
                Ok(Some(next)) => from = next,
                Ok(None) => return Ok(()),
                Err(error) => {
                    self.note(Some(checked.table), None, error.to_string());
                    return Ok(());
                }
            }
        }
    }

    /// Compares the next stretch that has a sum, and whatever lies before it without one. Gives
    /// the key to go on from, none after the last.
    fn stretch(
        &mut self,
        checked: &Checked,
        columns: &str,
        from: i64,
    ) -> rusqlite::Result<Option<i64>> {
        let snapshot = self.connection.unchecked_transaction()?;
        let stored = next_sum(self.connection, checked, from)?;
        let (first, last) = match (stored, checked.division) {
            (Some(stored), Division::By(_, shift)) => {
                let first = stored.stretch << shift;
                // A damaged number must not turn the walk back.
                if first >> shift != stored.stretch {
                    let what = format!("the sum of a stretch that cannot be: {}", stored.stretch);
                    self.note(Some(checked.table), None, what);
                    return Ok(None);
                }
                (first, first + ((1 << shift) - 1))
            }
            _ => (i64::MIN, i64::MAX),
        };
        let expected = stored.map_or((0, 0), |stored| (stored.rows, stored.hash));
        let read = read(self.connection, checked, columns, (from, last));
        snapshot.finish()?;
        let keys = match checked.division {
            Division::By(..) => Some((from.max(first), last)),
            Division::Whole => None,
        };
        match read {
            Ok(found) => {
                self.report.rows += found.0.unsigned_abs();
                if found.0 != expected.0 {
                    let what = format!("{} rows where {} were written", found.0, expected.0);
                    self.note(Some(checked.table), keys, what);
                } else if found != expected {
                    let what = format!("{} rows, not all as they were written", found.0);
                    self.note(Some(checked.table), keys, what);
                }
            }
            Err(error) => self.note(Some(checked.table), keys, error.to_string()),
        }
        Ok(last.checked_add(1).filter(|_| stored.is_some()))
    }

    fn books(&mut self) -> Result<(), Ended> {
        for (what, query) in BOOKS {
            self.tell(Step::Books)?;
            let both: rusqlite::Result<(i64, i64)> = self
                .connection
                .query_row(query, [], |row| Ok((row.get(0)?, row.get(1)?)));
            match both {
                Ok((expected, found)) if expected == found => {}
                Ok((expected, found)) => {
                    let what = format!("{what}: {found} where it must be {expected}");
                    self.note(None, None, what);
                }
                Err(error) => self.note(None, None, format!("{what}: {error}")),
            }
        }
        match self.sessions() {
            Ok(ended) => ended,
            Err(error) => {
                self.note(Some("obs_session_meta"), None, error.to_string());
                Ok(())
            }
        }
    }

    /// Every session has the events that it counts.
    fn sessions(&mut self) -> rusqlite::Result<Result<(), Ended>> {
        let mut statement = self.connection.prepare(
            "SELECT m.session_id, m.next_seq - 1,
                 (SELECT count(*) FROM obs_events WHERE session = m.session_id)
             FROM obs_session_meta AS m JOIN obs_sessions AS s ON s.session_id = m.session_id
             WHERE m.session_id > ?1 ORDER BY m.session_id LIMIT 1",
        )?;
        let mut last = String::new();
        loop {
            if self.tell(Step::Books).is_err() {
                return Ok(Err(Ended));
            }
            let next: Option<(String, i64, i64)> = statement
                .query_row([&last], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
                .optional()?;
            let Some((session, expected, found)) = next else {
                return Ok(Ok(()));
            };
            if expected != found {
                let what = format!("session {session}: {found} events of {expected}");
                self.note(Some("obs_events"), None, what);
            }
            last = session;
        }
    }

    fn structure(&mut self) -> Result<(), Ended> {
        self.tell(Step::Structure)?;
        match schema_differs(self.connection, self.pristine) {
            Ok(false) => {}
            Ok(true) => self.note(None, None, "the schema is not as it was made".into()),
            Err(error) => self.note(None, None, format!("the schema: {error}")),
        }
        let findings = self.integrity();
        let ended = self.tell(Step::Structure);
        match findings {
            Ok(findings) => {
                for finding in findings.into_iter().filter(|finding| finding != "ok") {
                    self.note(None, None, finding);
                }
            }
            Err(error) => self.note(None, None, error.to_string()),
        }
        ended
    }

    fn integrity(&mut self) -> rusqlite::Result<Vec<String>> {
        // Compares the indexes with their tables as well, which `quick_check` does not: a row that
        // an index hides is as lost as one that cannot be read.
        self.connection
            .prepare(&format!("PRAGMA integrity_check({FINDINGS})"))?
            .query_map([], |row| row.get(0))?
            .collect()
    }

    fn tell(&mut self, step: Step) -> Result<(), Ended> {
        let progress = Progress {
            step,
            rows: self.report.rows,
            of: self.of.max(self.report.rows),
        };
        match (self.watch)(progress) {
            std::ops::ControlFlow::Continue(()) => Ok(()),
            std::ops::ControlFlow::Break(()) => Err(Ended),
        }
    }

    fn note(&mut self, table: Option<&str>, keys: Option<(i64, i64)>, what: String) {
        self.report.damage.push(Damage {
            table: table.map(str::to_owned),
            keys,
            what,
        });
    }
}

/// Counts and sums up the rows with keys from `first` to `last`.
fn read(
    connection: &Connection,
    checked: &Checked,
    columns: &str,
    (first, last): (i64, i64),
) -> rusqlite::Result<(i64, u64)> {
    let table = checked.table;
    let (text, bounds): (String, &[i64]) = match checked.division {
        Division::By(key, _) => (
            format!("SELECT {columns} FROM {table} NOT INDEXED WHERE {key} BETWEEN ?1 AND ?2"),
            &[first, last],
        ),
        Division::Whole => (format!("SELECT {columns} FROM {table} NOT INDEXED"), &[]),
    };
    let mut statement = connection.prepare_cached(&text)?;
    let width = statement.column_count();
    let mut rows = statement.query(rusqlite::params_from_iter(bounds))?;
    let (mut count, mut sum) = (0, 0_u64);
    while let Some(row) = rows.next()? {
        let mut hash = RowHash::new();
        for column in 0..width {
            hash.value(row.get_ref(column)?);
        }
        count += 1;
        sum = sum.wrapping_add(hash.finish());
    }
    Ok((count, sum))
}

fn schema_differs(connection: &Connection, pristine: &Connection) -> rusqlite::Result<bool> {
    let described = |connection: &Connection| -> rusqlite::Result<Vec<(String, Option<String>)>> {
        connection
            .prepare(
                "SELECT type || ' ' || name || ' ' || tbl_name, sql FROM sqlite_schema ORDER BY 1",
            )?
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect()
    };
    Ok(described(connection)? != described(pristine)?)
}
