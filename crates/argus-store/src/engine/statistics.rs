//! From counted calls to the statistics that screens show.

use std::collections::HashMap;

use crate::query::FunctionStatistics;
use crate::sketch::Sketch;

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
