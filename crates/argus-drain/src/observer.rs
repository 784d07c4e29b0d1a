//! What the collector learns from outside about the processes it collects from.
//!
//! How a process is watched belongs to the observers, which this crate does not know; whoever runs
//! the collector hands one in.

use argus_model::{Measures, death};

/// A process has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Death {
    /// Its pid.
    pub pid: u32,
    /// Its start time: the pid may already be another's.
    pub start_ticks: u64,
    /// Exit code, −N for signal N, absent when unknown.
    pub exit_code: Option<i32>,
    /// Why.
    pub why: death::Death,
}

/// CPU, memory, and threads of a process.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reading {
    /// Percent of one core since the reading before.
    pub cpu_percent: f64,
    /// Resident set size.
    pub rss_bytes: u64,
    /// Number of threads.
    pub threads: u32,
    /// What else is known of it.
    pub measures: Measures,
}

/// Watches processes. Deaths must wake the collector (see
/// [`ControlPage::wake_collector`](argus_spool::control::ControlPage::wake_collector)).
pub trait Observer {
    /// Begins to watch a process of this machine and namespace. Its death, also one that happened
    /// before the call, is told by [`deaths`](Observer::deaths). Once a death was told, a process of
    /// the same pid and start time is another one, to be watched again.
    fn attach(&mut self, pid: u32, start_ticks: u64);

    /// Ceases to watch it.
    fn detach(&mut self, pid: u32, start_ticks: u64);

    /// The deaths since the last call.
    fn deaths(&mut self) -> Vec<Death>;

    /// A reading of an attached process; absent for the first call, which only sets the base, and
    /// when it cannot be read.
    fn sample(&mut self, pid: u32) -> Option<Reading>;
}
