//! Telling the program that its records pile up.
//!
//! Every 4,096th call looks at how many records wait for the collector. When they exceed the
//! function's `queue_warning_threshold` the package warns: once until they have fallen to half of it, and
//! not twice within a minute, since a burst that the collector has caught up with is no pressure.
//! What stood beyond the threshold when looked at is what the counters call *overflowed*, and what has
//! left from there *recovered*: in the spool it is safe either way.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use argus_model::Monotonic;
use pyo3::prelude::*;

use crate::foreign::{Quiet, swallow};
use crate::plan::Plan;

const LOOK_EVERY: u32 = 4_096;
const QUIET_AFTER_WARNING: Duration = Duration::from_secs(60);

static CALLS: AtomicU32 = AtomicU32::new(0);
static WARNED: AtomicBool = AtomicBool::new(false);
/// Monotonic time of the last warning, 0 before the first.
static WARNED_AT: AtomicU64 = AtomicU64::new(0);
/// The threshold of the function that looked last.
static THRESHOLD: AtomicU64 = AtomicU64::new(8_000);
static OVERFLOWED: AtomicU64 = AtomicU64::new(0);
static BEYOND: AtomicU64 = AtomicU64::new(0);

/// Records that were seen beyond the threshold, and how many of them have been drained.
pub(crate) struct Overflow {
    pub(crate) overflowed: u64,
    pub(crate) recovered: u64,
}

/// Looks, every once in a while.
#[inline]
pub(crate) fn look(plan: &Plan) {
    // The interpreter lets one thread run at a time, so a lost count is all that could happen.
    let calls = CALLS.load(Ordering::Relaxed).wrapping_add(1);
    CALLS.store(calls, Ordering::Relaxed);
    if calls.is_multiple_of(LOOK_EVERY) {
        look_closely(plan.queue_warning_threshold);
    }
}

#[cold]
fn look_closely(threshold: u64) {
    let depth = argus_spool::stats().depth;
    THRESHOLD.store(threshold, Ordering::Relaxed);
    count(depth, threshold);
    if depth <= threshold / 2 {
        WARNED.store(false, Ordering::Relaxed);
    }
    if depth > threshold && !WARNED.swap(true, Ordering::Relaxed) && may_warn_again() {
        Python::attach(|py| {
            let _quiet = Quiet::begin();
            let warned = py
                .import("argus._failure")
                .and_then(|module| module.call_method1("warn_of_queue", (depth, threshold)));
            if let Err(error) = warned {
                swallow(py, &error);
            }
        });
    }
}

fn may_warn_again() -> bool {
    let now = argus_spool::monotonic_now();
    let last = Monotonic::from_nanos(WARNED_AT.load(Ordering::Relaxed));
    let may = last.nanos() == 0 || now.since(last) >= QUIET_AFTER_WARNING;
    if may {
        WARNED_AT.store(now.nanos(), Ordering::Relaxed);
    }
    may
}

fn count(depth: u64, threshold: u64) {
    let beyond = depth.saturating_sub(threshold);
    let before = BEYOND.swap(beyond, Ordering::Relaxed);
    OVERFLOWED.fetch_add(beyond.saturating_sub(before), Ordering::Relaxed);
}

/// The counters, with `depth` as it is now.
pub(crate) fn overflow(depth: u64) -> Overflow {
    count(depth, THRESHOLD.load(Ordering::Relaxed));
    let overflowed = OVERFLOWED.load(Ordering::Relaxed);
    let recovered = overflowed.saturating_sub(BEYOND.load(Ordering::Relaxed));
    Overflow {
        overflowed,
        recovered,
    }
}
