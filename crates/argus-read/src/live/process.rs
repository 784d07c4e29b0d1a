//! One process of the live picture: who it is, how it fares, what it has open.

use std::collections::VecDeque;
use std::time::Duration;

use argus_model::record::ThreadState;
use argus_model::{Measures, Timestamp};
use argus_store::batch::RunKey;
use argus_store::query::{StoredOpenSpan, StoredRun, StoredSample};

use super::sampled::SampledThread;
use super::tree::{self, LiveThread};

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended {
    /// When its death was noticed.
    pub at: Timestamp,
    /// Exit code, −N for signal N, absent when unknown.
    pub exit_code: Option<i32>,
}

/// A process.
#[derive(Debug, Clone)]
pub struct LiveProcess {
    /// Identity.
    pub run: RunKey,
    /// Application name.
    pub app_name: String,
    /// Its arguments, joined by spaces; empty while it is known by its spans only.
    pub command_line: String,
    /// It records itself from inside.
    pub instrumented: bool,
    /// First seen.
    pub started_at: Timestamp,
    /// Its end; absent while it lives.
    pub ended: Option<Ended>,
    /// CPU, memory, threads over time.
    pub history: History,
    /// What else is known of it, each as it was measured last.
    pub measures: Measures,
    /// Threads with open spans: the main thread first, the others by id.
    pub threads: Vec<LiveThread>,
    /// Threads as they were sampled, the main thread first; none of a process that records itself.
    pub sampled: Vec<SampledThread>,
    /// Its run has been read. Before that it is known by its open spans only, and leaves with them.
    described: bool,
}

impl LiveProcess {
    pub(super) fn of_run(run: StoredRun, history: usize) -> Self {
        let mut process = Self {
            run: run.run,
            app_name: String::new(),
            command_line: String::new(),
            instrumented: false,
            started_at: run.started_at,
            ended: None,
            history: History::new(history),
            measures: Measures::NONE,
            threads: Vec::new(),
            sampled: Vec::new(),
            described: true,
        };
        process.describe(run);
        process
    }

    /// A process whose run has not been read yet: an open span says enough to show it.
    pub(super) fn of_span(span: &StoredOpenSpan, history: usize) -> Self {
        Self {
            run: span.key.producer.into(),
            app_name: span.app_name.clone(),
            command_line: String::new(),
            instrumented: true,
            started_at: span.started_at,
            ended: None,
            history: History::new(history),
            measures: Measures::NONE,
            threads: Vec::new(),
            sampled: Vec::new(),
            described: false,
        }
    }

    pub(super) fn describe(&mut self, run: StoredRun) {
        self.described = true;
        self.app_name = run.app_name;
        self.command_line = match run.command_line.is_empty() {
            true => run.process_name,
            false => run.command_line,
        };
        self.instrumented |= run.instrumented;
        self.started_at = run.started_at;
        self.ended = run.ended_at.map(|at| Ended {
            at,
            exit_code: run.exit_code,
        });
    }

    pub(super) fn set_open(&mut self, spans: Vec<StoredOpenSpan>) {
        self.threads = tree::threads(self.run.pid, spans);
    }

    pub(super) fn set_sampled(&mut self, sampled: Vec<SampledThread>) {
        let shows_them = !self.instrumented && self.ended.is_none();
        self.sampled = if shows_them { sampled } else { Vec::new() };
    }

    /// Whether something in it is at work, as far as is known.
    pub fn is_busy(&self) -> bool {
        let is_active = |thread: &SampledThread| thread.state == ThreadState::Active;
        !self.threads.is_empty() || self.sampled.iter().any(is_active)
    }

    /// Whether it has been dead for longer than `linger` and has nothing open.
    pub(super) fn is_gone(&self, now: Timestamp, linger: Duration) -> bool {
        let dead = |ended: Ended| now.since(ended.at) > linger;
        self.ended.map_or(!self.described, dead) && self.threads.is_empty()
    }

    /// Process id.
    pub fn pid(&self) -> u32 {
        self.run.pid
    }

    /// Open spans in all of its threads.
    pub fn open_spans(&self) -> usize {
        self.threads.iter().map(|thread| thread.spans.len()).sum()
    }
}

/// A process at one moment, seen from outside.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// When.
    pub at: Timestamp,
    /// Percent of one core.
    pub cpu_percent: f64,
    /// Resident memory in MiB.
    pub memory_mb: f64,
    /// Number of threads.
    pub threads: u32,
}

impl Point {
    pub(super) fn of(sample: &StoredSample) -> Self {
        Self {
            at: sample.at,
            cpu_percent: sample.cpu_percent,
            memory_mb: sample.memory_mb,
            threads: sample.threads,
        }
    }
}

/// The last so many samples of a process.
#[derive(Debug, Clone, PartialEq)]
pub struct History {
    points: VecDeque<Point>,
    limit: usize,
}

impl History {
    fn new(limit: usize) -> Self {
        Self {
            points: VecDeque::new(),
            limit,
        }
    }

    pub(super) fn push(&mut self, point: Point) {
        if self.points.len() >= self.limit {
            self.points.pop_front();
        }
        self.points.push_back(point);
    }

    /// The points, oldest first.
    pub fn points(&self) -> impl DoubleEndedIterator<Item = &Point> + ExactSizeIterator {
        self.points.iter()
    }

    /// The newest point.
    pub fn latest(&self) -> Option<&Point> {
        self.points.back()
    }
}
