//! What runs at this moment.
//!
//! [`LiveState`] is a fold: [`apply`](LiveState::apply) takes [`Changes`] and the moment they were
//! read, and is a pure function of these. [`refresh`](LiveState::refresh) reads the changes from a
//! store and applies them. Time is always a parameter, so the same rows at the same moment give the
//! same picture, in a test, in the terminal, and in the browser.
//!
//! What is promised:
//! - A span that ended between two refreshes stands in [`recent`](LiveState::recent), however short
//!   it was, unless more ended in between than that list holds.
//! - An open span is shown from the refresh after its commit until the one after its end. A child
//!   whose parent has ended, or runs in another thread, hangs under its own thread.
//! - A program that records nothing itself shows the stacks that were sampled of it, as long as they
//!   hold ([`STACKS_HOLD`](argus_store::query::STACKS_HOLD)) and it lives.
//! - A process leaves [`LiveOptions::linger`] after its death, not at once: its exit code is news.
//! - Memory is bounded by the options, whatever the programs do.
//!
//! What it costs: a refresh reads all open spans (at most [`LiveOptions::open`]) and, by cursor,
//! what ended since; four times a second also samples, sampled stacks and runs, once a second also
//! the ledger.

mod changes;
mod process;
mod sampled;
pub(crate) mod tree;

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::Duration;

use argus_model::Timestamp;
use argus_store::batch::{CollectorState, RunKey};
use argus_store::query::{
    ProducerLedger, StoredOpenSpan, StoredRun, StoredSample, StoredSpan, StoredStack,
};
use argus_store::{ReadError, Store};

pub use changes::{Changes, OutsideChanges, Refreshed};
pub use process::{Ended, History, LiveProcess, Point};
pub use sampled::SampledThread;
pub use tree::{LiveSpan, LiveThread};

/// A collector gives account of itself every two seconds; after three missed ones it is silent.
const SILENT_AFTER: Duration = Duration::from_secs(6);

/// How much a [`LiveState`] keeps, and of whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveOptions {
    /// Only this process.
    pub pid: Option<u32>,
    /// Open spans, the oldest first.
    pub open: usize,
    /// Ended spans, the newest first.
    pub recent: usize,
    /// Failed spans, the newest first.
    pub errors: usize,
    /// Samples of each process.
    pub history: usize,
    /// How long a process stays after its death.
    pub linger: Duration,
}

impl Default for LiveOptions {
    fn default() -> Self {
        Self {
            pid: None,
            open: 20_000,
            recent: 200,
            errors: 50,
            history: 120,
            linger: Duration::from_secs(10),
        }
    }
}

/// Everything that producers emitted and the store does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Losses {
    /// Ordinary records that found no room.
    pub normal: u64,
    /// Errors that found no room.
    pub errors: u64,
    /// Records that were accepted but could not be read back.
    pub damaged: u64,
    /// Records of a kind the collector does not know.
    pub unknown: u64,
}

impl Losses {
    /// All of them.
    pub fn total(&self) -> u64 {
        self.normal + self.errors + self.damaged + self.unknown
    }

    pub(crate) fn sum<'a>(accounts: impl IntoIterator<Item = &'a ProducerLedger>) -> Self {
        let mut losses = Self::default();
        for account in accounts {
            losses.normal += account.lost_normal;
            losses.errors += account.lost_errors;
            losses.damaged += account.damaged;
            losses.unknown += account.unknown;
        }
        losses
    }
}

/// The live picture.
#[derive(Debug, Default)]
pub struct LiveState {
    options: LiveOptions,
    processes: Vec<LiveProcess>,
    recent: VecDeque<StoredSpan>,
    errors: VecDeque<StoredSpan>,
    losses: Losses,
    collector: Option<CollectorState>,
    open: usize,
    cut: bool,
    cursors: changes::Cursors,
}

impl LiveState {
    /// An empty picture.
    pub fn new(options: LiveOptions) -> Self {
        Self {
            options,
            ..Self::default()
        }
    }

    /// Reads what has changed and applies it. `now` is the wall clock.
    pub fn refresh(&mut self, store: &dyn Store, now: Timestamp) -> Result<Refreshed, ReadError> {
        let changes = changes::read(self, store, now)?;
        let refreshed = changes.extent();
        self.apply(changes, now);
        Ok(refreshed)
    }

    /// Folds changes into the picture.
    pub fn apply(&mut self, changes: Changes, now: Timestamp) {
        self.cursors.advance(&changes, now);
        self.collector = changes.collector;
        remember(&mut self.recent, &changes.ended, self.options.recent);
        remember(&mut self.errors, &changes.failed, self.options.errors);
        if let Some(outside) = changes.outside {
            self.apply_runs(outside.runs, now);
            self.apply_samples(&outside.samples);
            self.apply_stacks(outside.stacks);
            if let Some(ledger) = outside.ledger {
                let ours = |account: &&ProducerLedger| self.shows(account.pid);
                self.losses = Losses::sum(ledger.iter().filter(ours));
            }
        }
        self.apply_open(changes.open, &changes.ended);
        self.processes
            .retain(|process| !process.is_gone(now, self.options.linger));
        self.processes
            .sort_by_key(|process| (process.started_at, process.run));
    }

    /// The processes, in the order of their start.
    pub fn processes(&self) -> &[LiveProcess] {
        &self.processes
    }

    /// The newest ended spans, newest first.
    pub fn recent(&self) -> &VecDeque<StoredSpan> {
        &self.recent
    }

    /// The newest failed spans, newest first.
    pub fn errors(&self) -> &VecDeque<StoredSpan> {
        &self.errors
    }

    /// What was lost, of all producers in the store (or of the one process asked for).
    pub fn losses(&self) -> Losses {
        self.losses
    }

    /// The collector's last account of itself; absent before its first commit.
    pub fn collector(&self) -> Option<&CollectorState> {
        self.collector.as_ref()
    }

    /// Whether nothing has been heard of the collector for six seconds: what is shown may be out of
    /// date. Not silent before its first commit, when there is nothing to be out of date.
    pub fn is_silent(&self, now: Timestamp) -> bool {
        let silent = |state: CollectorState| now.since(state.heartbeat) >= SILENT_AFTER;
        self.collector.is_some_and(silent)
    }

    /// Open spans shown.
    pub fn open_spans(&self) -> usize {
        self.open
    }

    /// There are more open spans than [`LiveOptions::open`].
    pub fn is_cut(&self) -> bool {
        self.cut
    }

    /// Different application names among the processes.
    pub fn applications(&self) -> usize {
        let names: HashSet<_> = self.processes.iter().map(|p| p.app_name.as_str()).collect();
        names.len()
    }

    fn shows(&self, pid: u32) -> bool {
        self.options.pid.is_none_or(|only| only == pid)
    }

    fn knows(&self, pid: u32) -> bool {
        self.processes.iter().any(|process| process.pid() == pid)
    }

    fn apply_runs(&mut self, runs: Vec<StoredRun>, now: Timestamp) {
        let linger = self.options.linger;
        let mut places = self.places();
        for run in runs {
            if run.observer || !self.shows(run.run.pid) {
                continue;
            }
            if let Some(&place) = places.get(&run.run) {
                self.processes[place].describe(run);
                continue;
            }
            let key = run.run;
            let process = LiveProcess::of_run(run, self.options.history);
            if !process.is_gone(now, linger) {
                places.insert(key, self.processes.len());
                self.processes.push(process);
            }
        }
    }

    /// Samples name a pid only; of several processes that had it, the latest is meant.
    fn apply_samples(&mut self, samples: &[StoredSample]) {
        let mut by_pid = HashMap::new();
        for (place, process) in self.processes.iter().enumerate() {
            let latest = by_pid.entry(process.pid()).or_insert(place);
            if self.processes[*latest].started_at <= process.started_at {
                *latest = place;
            }
        }
        for sample in samples {
            if let Some(&place) = by_pid.get(&sample.pid) {
                let process = &mut self.processes[place];
                process.history.push(Point::of(sample));
                process.measures.update(&sample.measures);
            }
        }
    }

    /// Replaces the sampled stacks of all processes that record nothing themselves: what others are
    /// in, they say better.
    fn apply_stacks(&mut self, stacks: Vec<StoredStack>) {
        let places = self.places();
        let mut sampled: Vec<Vec<SampledThread>> = vec![Vec::new(); self.processes.len()];
        for stack in stacks {
            if let Some(&place) = places.get(&stack.run) {
                sampled[place].push(SampledThread::of(stack));
            }
        }
        for (process, sampled) in self.processes.iter_mut().zip(sampled) {
            process.set_sampled(sampled);
        }
    }

    /// Replaces the open spans. `ended` was read after them, so what stands in both has ended.
    fn apply_open(&mut self, open: Vec<StoredOpenSpan>, ended: &[StoredSpan]) {
        let limit = self.options.open;
        self.cut = open.len() > limit;
        let over: HashSet<_> = ended.iter().map(|span| span.key).collect();
        let mut places = self.places();
        let mut spans: Vec<Vec<StoredOpenSpan>> = vec![Vec::new(); self.processes.len()];
        let mut shown = 0;
        for span in open.into_iter().take(limit) {
            if !self.shows(span.pid) || over.contains(&span.key) {
                continue;
            }
            let run = RunKey::from(span.key.producer);
            let place = *places.entry(run).or_insert_with(|| {
                self.processes
                    .push(LiveProcess::of_span(&span, self.options.history));
                spans.push(Vec::new());
                self.processes.len() - 1
            });
            spans[place].push(span);
            shown += 1;
        }
        self.open = shown;
        for (process, spans) in self.processes.iter_mut().zip(spans) {
            process.set_open(spans);
        }
    }

    fn places(&self) -> HashMap<RunKey, usize> {
        self.processes
            .iter()
            .enumerate()
            .map(|(place, process)| (process.run, place))
            .collect()
    }
}

/// Puts rows, oldest first, in front of a list that is newest first.
fn remember(list: &mut VecDeque<StoredSpan>, rows: &[StoredSpan], limit: usize) {
    for row in rows.iter().skip(rows.len().saturating_sub(limit)) {
        list.push_front(row.clone());
    }
    list.truncate(limit);
}

#[cfg(test)]
mod tests;
