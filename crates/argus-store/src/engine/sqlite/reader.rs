//! The reading side: live state, statistics, sessions, and the books.
//!
//! Each answer here is one statement, so it is one snapshot and one short transaction. Pages of long
//! tables are in `listing` and `span_listing`, statistics in `functions`.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use argus_model::session::SessionStatus;
use argus_model::{ProducerId, SpanKey, SpanNumber, Timestamp};
use rusqlite::functions::FunctionFlags;
use rusqlite::{Connection, OptionalExtension, Row};

use super::{free_query, functions, listing, logs, remote, span_listing, stacks, which};
use crate::batch::{CollectorState, Hold, RunKey};
use crate::engine::text::captured_contains;
use crate::error::ReadError;
use crate::query::{
    ChosenRun, Counts, Found, FunctionStatistics, LogFilter, Page, ProcessFilter, ProducerLedger,
    RemoteParents, SearchWatch, SpanFilter, Store, StoredEvent, StoredGap, StoredLog,
    StoredLogPosition, StoredLogTemplate, StoredMetric, StoredOpenSpan, StoredProcessEvent,
    StoredRemoteParent, StoredRun, StoredSample, StoredSession, StoredSpan, StoredStack, Table,
    TimeRange, WhichRun,
};

/// The reading side of one file.
#[derive(Debug)]
pub(super) struct Reader {
    connection: Connection,
    database: PathBuf,
}

impl Reader {
    pub(super) fn new(connection: Connection, database: &Path) -> rusqlite::Result<Self> {
        connection.create_scalar_function(
            "captured_contains",
            2,
            FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC,
            |call| {
                let captured: Option<&str> = call.get_raw(0).as_str_or_null()?;
                let text = call.get_raw(1).as_str()?;
                Ok(captured.is_some_and(|captured| captured_contains(captured, text)))
            },
        )?;
        Ok(Self {
            connection,
            database: database.to_owned(),
        })
    }

    fn one<T>(
        &self,
        statement: &str,
        read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<T> {
        self.connection
            .prepare_cached(statement)?
            .query_row([], read)
    }
}

impl Store for Reader {
    fn version(&self) -> Result<u64, ReadError> {
        self.one("PRAGMA data_version", |row| row.get::<_, i64>(0))
            .map(i64::cast_unsigned)
            .map_err(failed)
    }

    fn spans(&self, filter: &SpanFilter, page: Page) -> Result<Vec<StoredSpan>, ReadError> {
        let found = self.search(filter, page, &mut |_| ControlFlow::Continue(()))?;
        Ok(found.spans)
    }

    fn search(
        &self,
        filter: &SpanFilter,
        page: Page,
        watch: SearchWatch<'_>,
    ) -> Result<Found, ReadError> {
        span_listing::page(&self.connection, filter, page, watch).map_err(failed)
    }

    fn open_spans(&self, limit: usize) -> Result<Vec<StoredOpenSpan>, ReadError> {
        open_spans(&self.connection, limit).map_err(failed)
    }

    fn runs(&self, filter: &ProcessFilter, page: Page) -> Result<Vec<StoredRun>, ReadError> {
        listing::runs(&self.connection, filter, page).map_err(failed)
    }

    fn choose_run(&self, which: &WhichRun) -> Result<Option<ChosenRun>, ReadError> {
        which::choose(&self.connection, which).map_err(failed)
    }

    fn living_children(&self, of: &StoredRun, limit: usize) -> Result<Vec<StoredRun>, ReadError> {
        which::living_children(&self.connection, of, limit).map_err(failed)
    }

    fn samples(&self, filter: &ProcessFilter, page: Page) -> Result<Vec<StoredSample>, ReadError> {
        listing::samples(&self.connection, filter, page).map_err(failed)
    }

    fn logs(&self, filter: &LogFilter, page: Page) -> Result<Vec<StoredLog>, ReadError> {
        listing::logs(&self.connection, filter, page).map_err(failed)
    }

    fn log_positions(&self, path: &str) -> Result<Vec<StoredLogPosition>, ReadError> {
        logs::positions(&self.connection, path).map_err(failed)
    }

    fn log_templates(&self) -> Result<Vec<StoredLogTemplate>, ReadError> {
        logs::templates(&self.connection).map_err(failed)
    }

    fn process_events(
        &self,
        filter: &ProcessFilter,
        page: Page,
    ) -> Result<Vec<StoredProcessEvent>, ReadError> {
        listing::process_events(&self.connection, filter, page).map_err(failed)
    }

    fn metrics(&self, filter: &ProcessFilter, page: Page) -> Result<Vec<StoredMetric>, ReadError> {
        listing::metrics(&self.connection, filter, page).map_err(failed)
    }

    fn stacks(
        &self,
        whose: Option<RunKey>,
        at: Timestamp,
        limit: usize,
    ) -> Result<Vec<StoredStack>, ReadError> {
        stacks::at(&self.connection, whose, at, limit).map_err(failed)
    }

    fn remote_parents(
        &self,
        which: RemoteParents,
        limit: usize,
    ) -> Result<Vec<StoredRemoteParent>, ReadError> {
        remote::parents(&self.connection, which, limit).map_err(failed)
    }

    fn functions(&self, time: TimeRange) -> Result<Vec<FunctionStatistics>, ReadError> {
        functions::ranked(&self.connection, time).map_err(failed)
    }

    fn ledger(&self) -> Result<Vec<ProducerLedger>, ReadError> {
        ledger(&self.connection).map_err(failed)
    }

    fn gaps(&self, limit: usize) -> Result<Vec<StoredGap>, ReadError> {
        gaps(&self.connection, limit).map_err(failed)
    }

    fn counts(&self) -> Result<Counts, ReadError> {
        self.one(
            "SELECT spans, errors, (SELECT count(*) FROM open_spans), samples, logs,
                 process_events, metrics, stack_samples, (SELECT count(*) FROM obs_sessions),
                 seen_open
             FROM totals",
            |row| {
                Ok(Counts {
                    spans: unsigned(row, 0)?,
                    errors: unsigned(row, 1)?,
                    open_spans: unsigned(row, 2)?,
                    samples: unsigned(row, 3)?,
                    logs: unsigned(row, 4)?,
                    process_events: unsigned(row, 5)?,
                    metrics: unsigned(row, 6)?,
                    stacks: unsigned(row, 7)?,
                    sessions: unsigned(row, 8)?,
                    seen_open: unsigned(row, 9)?,
                })
            },
        )
        .map_err(failed)
    }

    fn collector(&self) -> Result<Option<CollectorState>, ReadError> {
        self.one(
            "SELECT pid, heartbeat_ns, backlog_bytes, write_lag_ns, held_since_ns, held_by_pid
             FROM collector",
            |row| {
                Ok(CollectorState {
                    pid: row.get(0)?,
                    heartbeat: Timestamp::from_nanos(row.get(1)?),
                    backlog_bytes: unsigned(row, 2)?,
                    write_lag_ns: unsigned(row, 3)?,
                    held: match row.get(4)? {
                        Some(since) => Some(Hold {
                            since: Timestamp::from_nanos(since),
                            reader: row.get(5)?,
                        }),
                        None => None,
                    },
                })
            },
        )
        .optional()
        .map_err(failed)
    }

    fn sessions(&self, limit: usize) -> Result<Vec<StoredSession>, ReadError> {
        sessions(&self.connection, limit).map_err(failed)
    }

    fn session_events(
        &self,
        session: &str,
        after: u64,
        limit: usize,
    ) -> Result<Vec<StoredEvent>, ReadError> {
        let after = i64::try_from(after).unwrap_or(i64::MAX);
        session_events(&self.connection, session, after, limit).map_err(failed)
    }

    fn query(&self, text: &str, limit: usize) -> Result<Table, ReadError> {
        free_query::run(&self.database, text, limit)
    }
}

/// A limit as SQL takes it.
pub(super) fn limited(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

/// A count, or a number of 64 bits that never was negative.
pub(super) fn unsigned(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    Ok(u64::try_from(row.get::<_, i64>(column)?).unwrap_or(0))
}

/// A column that an outer join may leave empty.
pub(super) fn or_default<T: rusqlite::types::FromSql + Default>(
    row: &Row<'_>,
    column: usize,
) -> rusqlite::Result<T> {
    Ok(row.get::<_, Option<T>>(column)?.unwrap_or_default())
}

/// A span's identity; a producer without a readable identity is nobody.
pub(super) fn span_key(row: &Row<'_>, producer: usize, number: usize) -> rusqlite::Result<SpanKey> {
    Ok(SpanKey {
        producer: self::producer(row, producer)?,
        number: span_number(row, number)?,
    })
}

fn producer(row: &Row<'_>, column: usize) -> rusqlite::Result<ProducerId> {
    let text = row.get_ref(column)?.as_str_or_null()?;
    Ok(text.and_then(|text| text.parse().ok()).unwrap_or_default())
}

/// A span number, stored bit for bit.
pub(super) fn span_number(row: &Row<'_>, column: usize) -> rusqlite::Result<SpanNumber> {
    Ok(SpanNumber(row.get::<_, i64>(column)?.cast_unsigned()))
}

fn open_spans(connection: &Connection, limit: usize) -> rusqlite::Result<Vec<StoredOpenSpan>> {
    connection
        .prepare_cached(
            "SELECT p.producer, o.number, o.parent, coalesce(n.text, '?' || o.name_id),
                 n.process_group, p.app_name, p.pid, t.tid, t.name, o.started_ns,
                 CASE WHEN json_valid(o.captured) THEN o.captured END
             FROM open_spans AS o
             LEFT JOIN producers AS p ON p.id = o.producer_id
             LEFT JOIN names AS n ON n.id = o.name_id
             LEFT JOIN threads AS t ON t.id = o.thread_id
             ORDER BY o.started_ns, o.producer_id, o.number LIMIT ?1",
        )?
        .query_map([limited(limit)], |row| {
            Ok(StoredOpenSpan {
                key: span_key(row, 0, 1)?,
                parent: span_number(row, 2)?,
                process: row.get(3)?,
                group: row.get(4)?,
                app_name: or_default(row, 5)?,
                pid: or_default(row, 6)?,
                tid: or_default(row, 7)?,
                thread: or_default(row, 8)?,
                started_at: Timestamp::from_nanos(row.get(9)?),
                captured: row.get(10)?,
            })
        })?
        .collect()
}

fn ledger(connection: &Connection) -> rusqlite::Result<Vec<ProducerLedger>> {
    connection
        .prepare_cached(
            "SELECT p.app_name, p.pid, p.seen_at_ns, p.ended_at_ns, p.stored,
                 coalesce(sum(g.normal), 0), coalesce(sum(g.errors), 0), p.damaged, p.unknown,
                 p.producer
             FROM producers AS p LEFT JOIN gaps AS g ON g.producer_id = p.id
             GROUP BY p.id ORDER BY p.id DESC",
        )?
        .query_map([], |row| {
            Ok(ProducerLedger {
                producer: producer(row, 9)?,
                app_name: row.get(0)?,
                pid: row.get(1)?,
                seen_at: Timestamp::from_nanos(row.get(2)?),
                ended_at: row.get::<_, Option<i64>>(3)?.map(Timestamp::from_nanos),
                stored: unsigned(row, 4)?,
                lost_normal: unsigned(row, 5)?,
                lost_errors: unsigned(row, 6)?,
                damaged: unsigned(row, 7)?,
                unknown: unsigned(row, 8)?,
            })
        })?
        .collect()
}

fn gaps(connection: &Connection, limit: usize) -> rusqlite::Result<Vec<StoredGap>> {
    connection
        .prepare_cached(
            "SELECT p.app_name, p.pid, g.reason, g.normal, g.errors, g.from_ns, g.to_ns
             FROM gaps AS g JOIN producers AS p ON p.id = g.producer_id
             ORDER BY g.to_ns DESC, g.number DESC LIMIT ?1",
        )?
        .query_map([limited(limit)], |row| {
            Ok(StoredGap {
                app_name: row.get(0)?,
                pid: row.get(1)?,
                reason: row.get(2)?,
                normal: unsigned(row, 3)?,
                errors: unsigned(row, 4)?,
                from: Timestamp::from_nanos(row.get(5)?),
                to: Timestamp::from_nanos(row.get(6)?),
            })
        })?
        .collect()
}

fn sessions(connection: &Connection, limit: usize) -> rusqlite::Result<Vec<StoredSession>> {
    connection
        .prepare_cached(
            "SELECT s.session_id, s.metadata, s.started_at_ns, s.ended_at_ns, s.status,
                 m.next_seq - 1
             FROM obs_sessions AS s JOIN obs_session_meta AS m ON m.session_id = s.session_id
             ORDER BY s.id DESC LIMIT ?1",
        )?
        .query_map([limited(limit)], |row| {
            Ok(StoredSession {
                session: row.get(0)?,
                metadata: row.get(1)?,
                started_at: Timestamp::from_nanos(row.get(2)?),
                ended_at: row.get::<_, Option<i64>>(3)?.map(Timestamp::from_nanos),
                status: SessionStatus::from_word(row.get_ref(4)?.as_str()?)
                    .unwrap_or(SessionStatus::Interrupted),
                events: unsigned(row, 5)?,
            })
        })?
        .collect()
}

fn session_events(
    connection: &Connection,
    session: &str,
    after: i64,
    limit: usize,
) -> rusqlite::Result<Vec<StoredEvent>> {
    connection
        .prepare_cached(
            "SELECT session, seq, at_ns, type, data FROM obs_events
             WHERE session = ?1 AND seq > ?2 ORDER BY seq LIMIT ?3",
        )?
        .query_map((session, after, limited(limit)), |row| {
            Ok(StoredEvent {
                session: row.get(0)?,
                seq: unsigned(row, 1)?,
                at: Timestamp::from_nanos(row.get(2)?),
                event_type: row.get(3)?,
                data: row.get(4)?,
            })
        })?
        .collect()
}

fn failed(error: rusqlite::Error) -> ReadError {
    ReadError::Failed(error.into())
}
