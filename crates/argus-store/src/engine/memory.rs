//! The engine for tests: plain collections behind one lock.
//!
//! It keeps the same promises as the others, apart from outliving its process: a commit is seen
//! whole, ids rise in commit order, and nothing is lost in silence. What it does for a query is a
//! walk through everything, so it is right before it is fast.

mod logs;
mod pruning;
mod reading;
mod writing;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use argus_model::{ProducerId, SpanKey, Timestamp};

use crate::batch::{CollectorState, GapRow, OpenSpan, Position, RunKey};
use crate::query::{
    StoredEvent, StoredLog, StoredLogPosition, StoredLogTemplate, StoredMetric, StoredProcessEvent,
    StoredRemoteParent, StoredRun, StoredSample, StoredSession, StoredSpan, StoredStack,
};

/// A store in memory. Clones share their contents, so that one can be written and another read.
#[derive(Debug, Clone, Default)]
pub struct Memory {
    data: Arc<Mutex<Data>>,
}

impl Memory {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    fn data(&self) -> MutexGuard<'_, Data> {
        // Nothing in a commit can fail half-way, so a panic elsewhere left the data whole.
        self.data.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Everything stored.
#[derive(Debug, Default)]
struct Data {
    version: u64,
    producers: Vec<Producer>,
    runs: Rows<StoredRun>,
    spans: Rows<StoredSpan>,
    open: BTreeMap<SpanKey, OpenSpan>,
    seen_open: u64,
    samples: Rows<StoredSample>,
    logs: Rows<StoredLog>,
    log_ids: BTreeSet<(String, i64)>,
    log_positions: Vec<StoredLogPosition>,
    log_templates: BTreeMap<i64, StoredLogTemplate>,
    process_events: Rows<StoredProcessEvent>,
    metrics: Rows<StoredMetric>,
    stacks: Rows<StoredStack>,
    sessions: Vec<Session>,
    gaps: BTreeMap<(ProducerId, u32), GapRow>,
    remote_parents: Vec<StoredRemoteParent>,
    positions: BTreeMap<(ProducerId, u32), Position>,
    collector: Option<CollectorState>,
}

/// A producer and its account.
#[derive(Debug)]
struct Producer {
    id: ProducerId,
    app_name: String,
    seen_at: Timestamp,
    ended_at: Option<Timestamp>,
    stored: i64,
    damaged: u64,
    unknown: u64,
}

/// A session with its events.
#[derive(Debug)]
struct Session {
    producer: ProducerId,
    record: StoredSession,
    events: Vec<StoredEvent>,
}

impl Data {
    /// The producer's entry, made where it is missing.
    fn producer(&mut self, id: ProducerId, at: Timestamp) -> &mut Producer {
        let place = match self.producers.iter().position(|known| known.id == id) {
            Some(place) => place,
            None => {
                self.run(id.into(), at).instrumented = true;
                self.producers.push(Producer {
                    id,
                    app_name: String::new(),
                    seen_at: at,
                    ended_at: None,
                    stored: 0,
                    damaged: 0,
                    unknown: 0,
                });
                self.producers.len() - 1
            }
        };
        &mut self.producers[place]
    }

    /// The run's entry, made where it is missing.
    fn run(&mut self, run: RunKey, at: Timestamp) -> &mut StoredRun {
        let place = match self.runs.iter().position(|known| known.run == run) {
            Some(place) => place,
            None => {
                self.runs.push(|id| StoredRun {
                    id,
                    run,
                    app_name: String::new(),
                    process_name: String::new(),
                    command_line: String::new(),
                    hostname: String::new(),
                    instrumented: false,
                    observer: false,
                    started_at: at,
                    ended_at: None,
                    exit_code: None,
                    parent: None,
                });
                self.runs.len() - 1
            }
        };
        let run = &mut self.runs.rows[place];
        run.started_at = run.started_at.min(at);
        run
    }

    fn app_name(&self, producer: ProducerId) -> String {
        self.producers
            .iter()
            .find(|known| known.id == producer)
            .map_or_else(String::new, |known| known.app_name.clone())
    }
}

/// Rows with ids that rise, and are not given again when rows go.
#[derive(Debug)]
struct Rows<T> {
    rows: Vec<T>,
    last_id: i64,
    /// Whose each row is, by its id, where that is known.
    runs: HashMap<i64, RunKey>,
}

impl<T> Default for Rows<T> {
    fn default() -> Self {
        Self {
            rows: Vec::new(),
            last_id: 0,
            runs: HashMap::new(),
        }
    }
}

impl<T> std::ops::Deref for Rows<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.rows
    }
}

impl<T> Rows<T> {
    fn push(&mut self, row: impl FnOnce(i64) -> T) {
        self.last_id += 1;
        self.rows.push(row(self.last_id));
    }

    fn push_of(&mut self, run: RunKey, row: impl FnOnce(i64) -> T) {
        self.push(row);
        self.runs.insert(self.last_id, run);
    }

    fn whose(&self, id: i64) -> Option<RunKey> {
        self.runs.get(&id).copied()
    }

    /// Removes at most `most` rows of which `goes` holds, the first ones; how many went.
    fn remove(&mut self, most: usize, goes: impl Fn(&T) -> bool) -> usize {
        let before = self.rows.len();
        let mut left = most;
        self.rows.retain(|row| {
            let stays = left == 0 || !goes(row);
            left -= usize::from(!stays);
            stays
        });
        before - self.rows.len()
    }
}
