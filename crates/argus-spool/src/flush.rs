//! Waiting until what was emitted is committed.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::fork::page;
use crate::format::FIRST_RECORD;
use crate::process::{Goal, Process, disabled, stats};
use crate::starter;

/// How a flush ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flushed {
    /// Everything that this process had emitted before is in the store.
    Committed,
    /// The time was over first. Nothing is lost: it stays in the spool until a collector comes.
    TimedOut,
    /// Recording is off.
    Disabled,
}

/// Longest sleep between two looks, should a wake-up go astray.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Waits until everything that any thread of this process has emitted so far is committed, starting
/// a collector if none runs (unless `ARGUS_COLLECTOR=off`). Blocks the calling thread, others go on.
pub fn flush(timeout: Duration) -> Flushed {
    if disabled() {
        return Flushed::Disabled;
    }
    // SAFETY: set once per process, to a leaked box.
    let opened = page().and_then(|page| unsafe { page.process.load(Ordering::Acquire).as_ref() });
    let Some(process) = opened else {
        return if stats().emitted == 0 {
            Flushed::Committed
        } else {
            Flushed::TimedOut
        };
    };
    let Some(mut goals) = process.goals() else {
        return Flushed::TimedOut;
    };
    let flushed = await_goals(process, &mut goals, timeout);
    process.goals_reached();
    flushed
}

fn await_goals(process: &'static Process, goals: &mut Vec<Goal>, timeout: Duration) -> Flushed {
    let deadline = Instant::now() + timeout;
    loop {
        let seen = process.control.commit_count();
        goals.retain(|goal| !is_reached(goal));
        if goals.is_empty() {
            return Flushed::Committed;
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Flushed::TimedOut;
        }
        starter::start_if_none(process);
        process.control.wake_collector();
        process.control.await_commit(seen, left.min(LOOK_EVERY));
    }
}

fn is_reached(goal: &Goal) -> bool {
    goal.offset <= FIRST_RECORD
        || goal.chunk.is_released_since()
        || goal
            .chunk
            .committed()
            .is_some_and(|offset| offset >= goal.offset)
}
