//! What the writer remembers of the store, so that a span needs no look-up.
//!
//! Everything here is also in the store and can be read from it again. It may hold ids that the
//! current transaction gave out, so a transaction that fails forgets all of it.

use std::hash::Hash;
use std::sync::Arc;

use argus_model::{NameText, ProducerId};
use foldhash::{HashMap, HashSet};
use rusqlite::{Connection, OptionalExtension, params};

use crate::batch::{Subject, Thread};

/// Entries after which a memory starts anew: bounds it in a collector that runs for months.
const LIMIT: usize = 16_384;

/// Ids of interned values.
///
/// The drain hands the same `Arc` with every row of a chunk, so a pointer finds the id without
/// hashing the text; the `Arc` is kept, so that no other value can come to stand at its place.
#[derive(Debug)]
pub(super) struct Interned<T> {
    by_pointer: HashMap<usize, (Arc<T>, i64)>,
    by_value: HashMap<Arc<T>, i64>,
}

impl<T> Default for Interned<T> {
    fn default() -> Self {
        Self {
            by_pointer: HashMap::default(),
            by_value: HashMap::default(),
        }
    }
}

impl<T: Hash + Eq> Interned<T> {
    pub(super) fn id(
        &mut self,
        value: &Arc<T>,
        find: impl FnOnce(&T) -> rusqlite::Result<i64>,
    ) -> rusqlite::Result<i64> {
        let pointer = Arc::as_ptr(value) as usize;
        if let Some(&(_, id)) = self.by_pointer.get(&pointer) {
            return Ok(id);
        }
        let id = match self.by_value.get(value) {
            Some(&id) => id,
            None => find(value)?,
        };
        if self.by_pointer.len() >= LIMIT {
            self.by_pointer.clear();
        }
        if self.by_value.len() >= LIMIT {
            self.by_value.clear();
        }
        self.by_pointer.insert(pointer, (Arc::clone(value), id));
        self.by_value.insert(Arc::clone(value), id);
        Ok(id)
    }
}

/// The writer's memory.
#[derive(Debug, Default)]
pub(super) struct Known {
    pub(super) names: Interned<NameText>,
    pub(super) threads: Interned<Thread>,
    /// Process runs by what was last said about them.
    pub(super) runs: Interned<Subject>,
    pub(super) producers: HashMap<ProducerId, i64>,
    /// The producer asked for last: rows come in long stretches of one.
    pub(super) last_producer: Option<(ProducerId, i64)>,
    /// Which spans are open in the store, so that an end that was never open there costs nothing.
    pub(super) open: HashSet<(i64, u64)>,
    /// The id given last.
    pub(super) last_span_id: i64,
}

impl Known {
    /// Reads what cannot be found row by row.
    pub(super) fn load(connection: &Connection) -> rusqlite::Result<Self> {
        let mut open = HashSet::default();
        let mut statement = connection.prepare("SELECT producer_id, number FROM open_spans")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            open.insert((row.get(0)?, row.get::<_, i64>(1)?.cast_unsigned()));
        }
        let last_span_id = connection.query_row(
            "SELECT max(last_span_id, (SELECT coalesce(max(id), 0) FROM spans)) FROM totals",
            [],
            |row| row.get(0),
        )?;
        Ok(Self {
            open,
            last_span_id,
            ..Self::default()
        })
    }

    /// Forgets which producers and runs there are, after some were removed.
    pub(super) fn forget_processes(&mut self) {
        self.runs = Interned::default();
        self.producers.clear();
        self.last_producer = None;
    }

    pub(super) fn name(
        &mut self,
        connection: &Connection,
        name: &Arc<NameText>,
    ) -> rusqlite::Result<i64> {
        self.names.id(name, |name| intern_name(connection, name))
    }

    pub(super) fn thread(
        &mut self,
        connection: &Connection,
        thread: &Arc<Thread>,
    ) -> rusqlite::Result<i64> {
        self.threads.id(thread, |thread| {
            connection
                .prepare_cached(
                    "INSERT INTO threads (tid, name) VALUES (?1, ?2)
                     ON CONFLICT DO UPDATE SET tid = tid RETURNING id",
                )?
                .query_row(params![thread.tid, thread.name], |row| row.get(0))
        })
    }
}

fn intern_name(connection: &Connection, name: &NameText) -> rusqlite::Result<i64> {
    let parameters = serde_json::Value::from(name.parameters.clone()).to_string();
    let columns = params![
        name.text,
        name.kind as u8,
        name.group,
        name.file,
        name.line,
        parameters
    ];
    let found = connection
        .prepare_cached(
            "SELECT id FROM names WHERE text = ?1 AND kind = ?2 AND process_group IS ?3
                 AND file IS ?4 AND line = ?5 AND parameters = ?6",
        )?
        .query_row(columns, |row| row.get(0))
        .optional()?;
    if let Some(id) = found {
        return Ok(id);
    }
    connection
        .prepare_cached(
            "INSERT INTO names (text, kind, process_group, file, line, parameters)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .insert(columns)
}

/// The ids that the engine gave must be those that the rows were counted with.
pub(super) fn check_last_id(connection: &Connection, expected: i64) -> rusqlite::Result<()> {
    if connection.last_insert_rowid() == expected {
        return Ok(());
    }
    Err(rusqlite::Error::SqliteFailure(
        rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CONSTRAINT_ROWID),
        Some("another program has written rows".into()),
    ))
}
