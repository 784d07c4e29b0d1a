//! Parents in other programs.
//!
//! What begins below such a parent is in a [`Current`] that names no span of this process but a place in
//! a table here, so it flows wherever the current span flows: into the spans it opens, into tasks and
//! threads. The table is a ring without locks, since a forked child must find it usable whatever the
//! other threads were at; when it is full, the newest takes the place of the oldest, of
//! which the id is then forgotten.

use std::sync::atomic::{AtomicU64, Ordering, fence};

use argus_model::trace::{TraceContext, span_id, trace_id};
use argus_model::{ProducerId, SpanNumber};

use crate::fork::page;
use crate::process::{self, Process};
use crate::thread::Current;

/// Contexts that are remembered: requests that are served at the same time, and some more.
const SLOTS: usize = 16_384;

/// Tells the key of a context from the number of a span.
pub(crate) const IS_REMOTE: u64 = 1 << 63;

struct Slot {
    /// Of the context that stands here; zero while it is written.
    key: AtomicU64,
    trace: [AtomicU64; 2],
    span: AtomicU64,
}

static TABLE: [Slot; SLOTS] = [const {
    Slot {
        key: AtomicU64::new(0),
        trace: [AtomicU64::new(0), AtomicU64::new(0)],
        span: AtomicU64::new(0),
    }
}; SLOTS];

static LAST: AtomicU64 = AtomicU64::new(0);

fn slot(key: u64) -> &'static Slot {
    &TABLE[(key & !IS_REMOTE) as usize % SLOTS]
}

/// Remembers a context; answers its key.
fn keep(context: TraceContext) -> u64 {
    // One request after the other comes from the same parent, and a child asks again and again.
    let newest = LAST.load(Ordering::Acquire) | IS_REMOTE;
    if recall(newest).is_some_and(|known| same(known, context)) {
        return newest;
    }
    let key = (LAST.fetch_add(1, Ordering::AcqRel) + 1) | IS_REMOTE;
    let slot = slot(key);
    slot.key.store(0, Ordering::Relaxed);
    fence(Ordering::Release);
    slot.trace[0].store((context.trace >> 64) as u64, Ordering::Relaxed);
    slot.trace[1].store(context.trace as u64, Ordering::Relaxed);
    slot.span.store(context.span, Ordering::Relaxed);
    slot.key.store(key, Ordering::Release);
    key
}

fn same(a: TraceContext, b: TraceContext) -> bool {
    (a.trace, a.span) == (b.trace, b.span)
}

/// The context with this key, unless it was forgotten.
pub(crate) fn recall(key: u64) -> Option<TraceContext> {
    let slot = slot(key);
    if slot.key.load(Ordering::Acquire) != key {
        return None;
    }
    let [high, low] = [0, 1].map(|half: usize| slot.trace[half].load(Ordering::Relaxed));
    let span = slot.span.load(Ordering::Relaxed);
    fence(Ordering::Acquire);
    (slot.key.load(Ordering::Relaxed) == key).then_some(TraceContext {
        trace: u128::from(high) << 64 | u128::from(low),
        span,
        recorded: true,
    })
}

/// The place below a parent in another program. Nothing is recorded below one that is not.
pub fn below(context: TraceContext) -> Current {
    if context.recorded {
        Current::below(keep(context))
    } else {
        Current::unsampled()
    }
}

/// What another program has to be told, so that what it begins hangs on this place. Nothing where there
/// is no trace, or none that is recorded.
pub fn context_of(place: Current) -> Option<TraceContext> {
    let place = place.of_this_life();
    if !place.is_recorded() {
        return None;
    }
    if place.is_none() {
        return recall(place.root()).filter(|_| place.is_remote());
    }
    let process = page().and_then(process::opened)?;
    Some(context(process.id, place))
}

/// Of a span of this producer.
fn context(id: ProducerId, place: Current) -> TraceContext {
    let root = place.root();
    let remote = (root & IS_REMOTE != 0).then(|| recall(root)).flatten();
    TraceContext {
        trace: remote.map_or_else(
            || trace_id(id.nonce, SpanNumber(root)),
            |remote| remote.trace,
        ),
        span: span_id(id.nonce, place.number()),
        recorded: true,
    }
}

/// The place below a span of the process that this one was forked from.
#[cold]
pub(crate) fn below_ancestor(place: Current) -> Current {
    // SAFETY: the life of a place in a span is the address of its process's record, which is never freed
    // and which a fork copies.
    let process = unsafe { &*std::ptr::with_exposed_provenance::<Process>(place.life()) };
    below(context(process.id, place))
}
