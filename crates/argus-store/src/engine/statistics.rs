//! From counted calls to the statistics that screens show.

use std::collections::HashMap;

use argus_model::Timestamp;

use crate::query::{FunctionStatistics, TimeRange};
use crate::sketch::Sketch;

/// Nanoseconds of a minute, the grain of all statistics.
const MINUTE_NS: i64 = 60_000_000_000;

/// The minute, counted from the Unix epoch, in which a span that ended at `at` is counted.
pub(super) fn minute(at: Timestamp) -> i64 {
    at.nanos().div_euclid(MINUTE_NS)
}

/// The first moment of a minute.
pub(super) fn start_of(minute: i64) -> Timestamp {
    Timestamp::from_nanos(minute.saturating_mul(MINUTE_NS))
}

/// The last whole minute not after `at`.
pub(super) fn whole_minute(at: Timestamp) -> Timestamp {
    start_of(minute(at))
}

/// The minutes that a stretch of time touches, first and last.
pub(super) fn minutes(time: TimeRange) -> (i64, i64) {
    let before = |to: Timestamp| Timestamp::from_nanos(to.nanos().saturating_sub(1));
    let first = time.from.map_or(i64::MIN, minute);
    let last = time.to.map_or(i64::MAX, |to| minute(before(to)));
    (first, last)
}

/// The calls of one function.
#[derive(Debug, Default)]
pub(super) struct Calls {
    pub(super) count: u64,
    pub(super) errors: u64,
    pub(super) total_ns: u64,
    pub(super) max_ns: u64,
    pub(super) sketch: Sketch,
}

/// Statistics by total time, largest first; functions of equal total by name.
pub(super) fn ranked(functions: HashMap<String, Calls>) -> Vec<FunctionStatistics> {
    let mut ranked: Vec<_> = functions
        .into_iter()
        .map(|(process, calls)| FunctionStatistics {
            process,
            count: calls.count,
            errors: calls.errors,
            total_ns: calls.total_ns,
            // The middle of the topmost bucket may lie above the longest call.
            p50_ns: calls.sketch.percentile(0.50).min(calls.max_ns),
            p95_ns: calls.sketch.percentile(0.95).min(calls.max_ns),
            p99_ns: calls.sketch.percentile(0.99).min(calls.max_ns),
            max_ns: calls.max_ns,
        })
        .collect();
    ranked.sort_by(|a, b| {
        b.total_ns
            .cmp(&a.total_ns)
            .then_with(|| a.process.cmp(&b.process))
    });
    ranked
}
