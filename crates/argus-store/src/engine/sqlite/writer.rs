//! The only writer: one transaction per batch.
//!
//! A commit is visible to every reader at once, and survives the death of this process. It survives
//! a loss of power after [`Sink::sync`], which commits once with `synchronous=FULL`: that syncs the
//! WAL with everything before it, while all other commits never wait for the disk.

use argus_model::{ProducerId, Timestamp};
use rusqlite::Connection;

use super::known::Known;
use super::rollups::Rollups;
use super::schema::{self, Found};
use super::sums::{Changes, Noted};
use super::wal::{Blocked, Wal};
use super::{ledger, logs, observed, prune, remote, runs, sessions, spans};
use crate::batch::{Batch, OpenSpan, Position};
use crate::error::{CommitError, ReadError};
use crate::query::StoredLogTemplate;
use crate::retention::{Pruned, Rest, Retention};
use crate::sink::{KnownProducer, Sink};

/// Pages of WAL after which a commit moves them into the database: 8,192 of 8 KiB are 64 MiB.
const CHECKPOINT_PAGES: i64 = 8_192;
/// A WAL that grew beyond this is cut back at the next checkpoint.
const WAL_BYTES: i64 = 64 << 20;
/// Page cache, in KiB, negative as SQLite wants it.
const CACHE: i64 = -16_384;

/// What a batch adds to the totals, and to the rollups.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) rollups: Rollups,
    pub(super) sums: Changes,
    pub(super) spans: i64,
    pub(super) errors: i64,
    pub(super) seen_open: i64,
    pub(super) samples: i64,
    pub(super) logs: i64,
    pub(super) process_events: i64,
    pub(super) metrics: i64,
    pub(super) stacks: i64,
}

/// Why a transaction is rolled back.
enum Refusal {
    Superseded,
    HeldBack(Blocked),
    Engine(rusqlite::Error),
}

impl From<rusqlite::Error> for Refusal {
    fn from(error: rusqlite::Error) -> Self {
        Self::Engine(error)
    }
}

impl From<Refusal> for CommitError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Superseded => Self::Superseded,
            Refusal::HeldBack(Blocked { readers }) => Self::HeldBack { readers },
            Refusal::Engine(error) => Self::Unwritable(error.into()),
        }
    }
}

/// Whether a loss of power could take something that was committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Durability {
    Pending,
    Synced,
}

/// The settings of a writing connection. The first two hold only for a file without tables.
pub(super) fn settle(connection: &Connection, found: &Found) -> rusqlite::Result<()> {
    if matches!(found, Found::Blank) {
        connection.pragma_update(None, "page_size", 8_192)?;
        connection.pragma_update(None, "auto_vacuum", 2)?;
    }
    connection.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))?;
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.pragma_update(None, "cache_size", CACHE)?;
    let answering = |pragma: &str| connection.query_row(pragma, [], |_| Ok(()));
    answering(&format!("PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}"))?;
    answering(&format!("PRAGMA journal_size_limit = {WAL_BYTES}"))
}

/// The writing side of one file.
#[derive(Debug)]
pub(super) struct Writer {
    connection: Connection,
    wal: Wal,
    /// Absent after a failed transaction, read again before the next.
    known: Option<Known>,
    durability: Durability,
    /// What the current transaction changed, as the triggers tell it.
    noted: Noted,
}

impl Writer {
    pub(super) fn new(connection: Connection) -> rusqlite::Result<Self> {
        let known = Some(Known::load(&connection)?);
        let noted = Noted::watch(&connection)?;
        Ok(Self {
            wal: Wal::of(&connection),
            connection,
            noted,
            known,
            // A collector that died may have left commits that were never synced.
            durability: Durability::Pending,
        })
    }

    /// Writes rows that come from another store, with the sums of the spans among them.
    pub(super) fn rebuild(
        &mut self,
        write: impl FnOnce(&Connection) -> rusqlite::Result<Changes>,
    ) -> Result<(), CommitError> {
        self.transact(|connection, _| write(connection))?;
        self.known = None;
        Ok(())
    }

    /// Before everything that adds more than a page or two.
    fn make_room(&self) -> Result<(), Refusal> {
        self.wal
            .make_room(&self.connection)?
            .map_err(Refusal::HeldBack)
    }

    fn transact(
        &mut self,
        write: impl FnOnce(&Connection, &mut Known) -> rusqlite::Result<Changes>,
    ) -> Result<(), Refusal> {
        let connection = &self.connection;
        connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        // What a transaction noted that failed was rolled back with it.
        self.noted.take();
        let mut known = self.known.take();
        let written = (|| {
            if schema::version(connection)? != i64::from(schema::KNOWN) {
                return Err(Refusal::Superseded);
            }
            let mut known = match known.take() {
                Some(known) => known,
                None => Known::load(connection)?,
            };
            let mut changes = write(connection, &mut known)?;
            changes.merge(self.noted.take());
            changes.save(connection)?;
            connection.prepare_cached("COMMIT")?.execute([])?;
            Ok(known)
        })();
        match written {
            Ok(known) => {
                self.known = Some(known);
                Ok(())
            }
            Err(refusal) => {
                // A full disk may have rolled back already; then there is nothing to do.
                if !connection.is_autocommit() {
                    connection.execute_batch("ROLLBACK")?;
                }
                Err(refusal)
            }
        }
    }
}

impl Sink for Writer {
    fn commit(&mut self, batch: &Batch) -> Result<(), CommitError> {
        if batch.is_empty() {
            return Ok(());
        }
        if !batch.is_account() {
            self.make_room()?;
        }
        self.transact(|connection, known| write(connection, known, batch))?;
        self.durability = Durability::Pending;
        Ok(())
    }

    fn sync(&mut self) -> Result<(), CommitError> {
        if self.durability == Durability::Synced {
            return Ok(());
        }
        let unwritable = |error: rusqlite::Error| CommitError::Unwritable(error.into());
        self.connection
            .pragma_update(None, "synchronous", "FULL")
            .map_err(unwritable)?;
        // A transaction that changes nothing writes nothing, and so would not sync.
        let synced = self.transact(|connection, _| {
            connection
                .prepare_cached("UPDATE totals SET syncs = syncs + 1")?
                .execute([])
                .map(|_| Changes::default())
        });
        self.connection
            .pragma_update(None, "synchronous", "NORMAL")
            .map_err(unwritable)?;
        synced?;
        self.durability = Durability::Synced;
        Ok(())
    }

    fn prune(
        &mut self,
        retention: &Retention,
        now: Timestamp,
        slice: usize,
    ) -> Result<Pruned, CommitError> {
        let mut pruned = Pruned {
            rows: 0,
            rest: Rest::Nothing,
        };
        self.make_room()?;
        self.transact(|connection, known| {
            pruned = prune::slice(connection, known, retention, now, slice)?;
            if Rollups::sum_up(connection, now)? == Rest::More {
                pruned.rest = Rest::More;
            }
            Ok(Changes::default())
        })?;
        self.durability = Durability::Pending;
        Ok(pruned)
    }

    fn known(&self, producer: ProducerId) -> Result<Option<KnownProducer>, ReadError> {
        runs::known(&self.connection, producer).map_err(failed)
    }

    fn positions(&self, producer: ProducerId) -> Result<Vec<Position>, ReadError> {
        ledger::positions(&self.connection, producer).map_err(failed)
    }

    fn open_spans(&self, producer: ProducerId) -> Result<Vec<OpenSpan>, ReadError> {
        spans::open_spans(&self.connection, producer).map_err(failed)
    }

    fn log_templates(&self) -> Result<Vec<StoredLogTemplate>, ReadError> {
        logs::templates(&self.connection).map_err(failed)
    }

    fn unended_producers(&self) -> Result<Vec<ProducerId>, ReadError> {
        runs::unended(&self.connection).map_err(failed)
    }
}

fn write(connection: &Connection, known: &mut Known, batch: &Batch) -> rusqlite::Result<Changes> {
    let mut tally = Tally::default();
    runs::describe(connection, known, &batch.producers)?;
    spans::write(connection, known, batch, &mut tally)?;
    remote::insert(connection, known, &batch.remote_parents)?;
    observed::write(connection, known, batch, &mut tally)?;
    sessions::append(connection, known, &batch.session_events)?;
    for end in &batch.ends {
        spans::interrupt(connection, known, end, &mut tally)?;
        sessions::interrupt(connection, known, end)?;
        runs::end(connection, known, end)?;
    }
    ledger::write(connection, known, batch)?;
    add_totals(connection, known, &tally)?;
    tally.rollups.merge_into(connection)?;
    Ok(tally.sums)
}

fn add_totals(connection: &Connection, known: &Known, tally: &Tally) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "UPDATE totals SET last_span_id = ?1, spans = spans + ?2, errors = errors + ?3,
                 seen_open = seen_open + ?4, samples = samples + ?5, logs = logs + ?6,
                 process_events = process_events + ?7, metrics = metrics + ?8,
                 stack_samples = stack_samples + ?9",
        )?
        .execute([
            known.last_span_id,
            tally.spans,
            tally.errors,
            tally.seen_open,
            tally.samples,
            tally.logs,
            tally.process_events,
            tally.metrics,
            tally.stacks,
        ])
        .map(drop)
}

fn failed(error: rusqlite::Error) -> ReadError {
    ReadError::Failed(error.into())
}
