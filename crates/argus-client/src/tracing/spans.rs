//! What happens to a span between its start and its end, whoever keeps it: the layer or the subscriber.
//!
//! Its start is recorded when it is made, so that it is visible at once; its end when the last handle to
//! it is dropped. Nothing here takes a lock, but for the text of a failure.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, TryLockError};

use argus_model::codec::{Encoder, Full, Small};
use argus_model::record::{OutcomeHead, encode_text_key};
use argus_model::value::{encode_int, encode_verbatim};
use argus_model::{Kind, SpanNumber};
use argus_spool::remote::context_of;
use argus_spool::{Current, KeptCurrent, Thread, Weight, monotonic_now};
use tracing_core::span::{Attributes, Record};

use super::callsites::{Callsite, Callsites};
use super::entered::{self, How};
use super::fields::{Bytes, Collected};
use crate::sampling::Sampler;

/// It has a number of its own.
const RECORDED: u32 = 1;
/// Its start found no room.
const LOST: u32 = 2;
/// It ends as failed; why, stands in [`Spans::failures`].
const FAILED: u32 = 4;
/// A panic left it.
const PANICKED: u32 = 8;
/// It is measured how long it is entered.
const TIMED: u32 = 16;

/// How often a lock that somebody holds is tried. In a forked child nobody may give it back.
const TRIES: u32 = 1_000;

/// A span that is open.
#[derive(Debug, Default)]
#[repr(align(64))]
pub(super) struct OpenSpan {
    /// Where what opens inside it is.
    place: KeptCurrent,
    callsite: AtomicU32,
    flags: AtomicU32,
    /// How often it was entered. Several threads may miss each other's entries.
    entries: AtomicU32,
    /// Handles to it, for those who have to count.
    pub(super) handles: AtomicU32,
    /// Of one that is timed: when it was last entered or left.
    since: AtomicU64,
    busy: AtomicU64,
    idle: AtomicU64,
}

const _: () = assert!(size_of::<OpenSpan>() == 64, "a span is a cache line");

impl OpenSpan {
    /// Where what opens inside it is.
    #[inline]
    pub(super) fn place(&self) -> Current {
        self.place.current().of_this_life()
    }

    #[inline]
    fn has(&self, flag: u32) -> bool {
        self.flags.load(Ordering::Relaxed) & flag != 0
    }

    fn note(&self, flag: u32) {
        self.flags.fetch_or(flag, Ordering::Relaxed);
    }

    /// Adds the time since it was last entered or left.
    fn count_into(&self, total: &AtomicU64) {
        let now = monotonic_now().nanos();
        let passed = now.saturating_sub(self.since.swap(now, Ordering::Relaxed));
        total.fetch_add(passed, Ordering::Relaxed);
    }
}

/// What is common to the spans of one layer or subscriber.
#[derive(Debug)]
pub(super) struct Spans {
    pub(super) callsites: Callsites,
    sampler: Sampler,
    /// Tells its entries from those of others.
    number: u32,
    failures: Mutex<HashMap<u64, String>>,
}

impl Spans {
    pub(super) fn new(callsites: Callsites, sampler: Sampler) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        Self {
            callsites,
            sampler,
            number: NEXT.fetch_add(1, Ordering::Relaxed),
            failures: Mutex::default(),
        }
    }

    /// Opens a span inside `parent`.
    #[inline]
    pub(super) fn open(&self, span: &OpenSpan, attributes: &Attributes<'_>, parent: Current) {
        // What a value says of itself is foreign code. If it panics, nobody will end what stood here before.
        span.flags.store(0, Ordering::Relaxed);
        let callsite = self.callsites.of(attributes.metadata());
        let (mut place, mut flags) = (parent, 0);
        if parent.begins_a_trace() && !self.sampler.next_is_recorded() {
            place = Current::unsampled();
        } else if parent.is_recorded() {
            let mut fields = Collected::new(callsite);
            attributes.record(&mut fields);
            let (thread, name) = (Thread::mine(), callsite.definition());
            let number = match fields.bytes() {
                Bytes::Small(small) => thread.span_start_small(name, parent, small),
                Bytes::Long(bytes) => thread.span_start(name, parent, |out| out.bytes(bytes)),
            };
            if number.is_none() {
                flags = LOST;
            } else {
                flags = RECORDED;
                place = parent.child(number);
            }
        }
        if callsite.is_entered_again() && flags == RECORDED {
            flags |= TIMED;
            span.since.store(monotonic_now().nanos(), Ordering::Relaxed);
        }
        span.place.keep(place);
        span.callsite.store(callsite.number, Ordering::Relaxed);
        span.flags.store(flags, Ordering::Relaxed);
        span.entries.store(0, Ordering::Relaxed);
        span.busy.store(0, Ordering::Relaxed);
        span.idle.store(0, Ordering::Relaxed);
    }

    pub(super) fn callsite_of(&self, span: &OpenSpan) -> Option<&Callsite> {
        self.callsites
            .numbered(span.callsite.load(Ordering::Relaxed))
    }

    /// The calling thread enters a span.
    #[inline]
    pub(super) fn enter(&self, id: u64, span: &OpenSpan) {
        let entries = span.entries.load(Ordering::Relaxed);
        span.entries
            .store(entries.saturating_add(1), Ordering::Relaxed);
        let is_timed = (entries > 0 || span.has(TIMED)) && self.is_timed(span);
        let how = How {
            was_panicking: std::thread::panicking(),
            is_timed,
        };
        entered::enter(self.number, id, &span.place, how);
    }

    /// Notes the time of an entry. A span that turns out to be entered again is timed from here on, and
    /// others of its callsite from their start: reading the clock at every entry would cost spans that
    /// are entered once, which most are, a fifth of what they cost.
    #[cold]
    fn is_timed(&self, span: &OpenSpan) -> bool {
        if !span.has(RECORDED) {
            return false;
        }
        if span.has(TIMED) {
            span.count_into(&span.idle);
        } else {
            span.note(TIMED);
            span.since.store(monotonic_now().nanos(), Ordering::Relaxed);
            if let Some(callsite) = self.callsite_of(span) {
                callsite.note_entered_again();
            }
        }
        true
    }

    /// The calling thread leaves a span, which `find` finds.
    #[inline]
    pub(super) fn exit<'a>(&self, id: u64, find: impl FnOnce() -> Option<&'a OpenSpan>) {
        let Some(entry) = entered::leave(self.number, id) else {
            return;
        };
        let panics = std::thread::panicking() && !entry.was_panicking;
        if !entry.is_timed && !panics {
            return;
        }
        let Some(span) = find() else { return };
        if entry.is_timed {
            span.count_into(&span.busy);
        }
        if panics {
            span.note(PANICKED);
        }
    }

    /// The innermost span that the calling thread has entered.
    #[inline]
    pub(super) fn innermost(&self) -> Option<u64> {
        entered::innermost(self.number)
    }

    /// Records fields that became known later.
    pub(super) fn record(&self, span: &OpenSpan, values: &Record<'_>) {
        if let Some(callsite) = self.callsite_of(span) {
            let mut fields = Collected::new(callsite);
            values.record(&mut fields);
            let bytes = match fields.bytes() {
                Bytes::Small(small) => small.bytes(),
                Bytes::Long(bytes) => bytes,
            };
            if !bytes.is_empty() {
                self.add_fields(span, |out| out.bytes(bytes));
            }
        }
    }

    /// Records that a span follows from one at this place: by the id that it has in traces.
    pub(super) fn follow(&self, span: &OpenSpan, followed: Current) {
        if let Some(context) = context_of(followed) {
            let text = context.to_string();
            self.add_fields(span, |out| {
                encode_text_key(out, "follows_from")?;
                encode_verbatim(out, &text)
            });
        }
    }

    fn add_fields(&self, span: &OpenSpan, fields: impl Fn(&mut Encoder<'_>) -> Result<(), Full>) {
        let place = span.place.current();
        let Some(callsite) = self.callsite_of(span) else {
            return;
        };
        if span.has(RECORDED) && place.is_of_this_life() {
            let names = [callsite.definition()];
            Thread::mine().append(Kind::SpanFields, Weight::Normal, &names, |out, _| {
                out.u32(0)?;
                out.u64(place.number().0)?;
                fields(out)
            });
        }
    }

    /// Lets a span end as failed, for this reason. The last reason counts.
    pub(super) fn fail(&self, id: u64, span: &OpenSpan, reason: &str) {
        span.note(FAILED);
        if let Some(mut failures) = self.failures() {
            failures.insert(id, reason.to_owned());
        }
    }

    fn failures(&self) -> Option<MutexGuard<'_, HashMap<u64, String>>> {
        for _ in 0..TRIES {
            match self.failures.try_lock() {
                Ok(failures) => return Some(failures),
                Err(TryLockError::Poisoned(poisoned)) => return Some(poisoned.into_inner()),
                Err(TryLockError::WouldBlock) => std::thread::yield_now(),
            }
        }
        None
    }

    /// The last handle to a span is gone: it ends.
    #[inline]
    pub(super) fn close(&self, id: u64, span: &OpenSpan) {
        let place = span.place.current();
        let flags = span.flags.load(Ordering::Relaxed);
        if flags == RECORDED && place.is_of_this_life() {
            Thread::mine().span_end_small(place.number(), OutcomeHead::default(), &Small::new());
        } else {
            self.close_unusual(id, span, flags);
        }
    }

    #[cold]
    fn close_unusual(&self, id: u64, span: &OpenSpan, flags: u32) {
        let reason = self.reason(id, flags);
        let place = span.place.current();
        // The end of a span whose start was lost is counted as lost, too.
        let number = match (flags & RECORDED, flags & LOST) {
            (0, 0) => return,
            (0, _) => SpanNumber::NONE,
            _ if !place.is_of_this_life() => return,
            _ => place.number(),
        };
        if flags & TIMED != 0 && span.entries.load(Ordering::Relaxed) > 1 {
            self.tell_times(span);
        }
        let head = OutcomeHead {
            exception: reason.is_some(),
            ..OutcomeHead::default()
        };
        let weight = match reason {
            Some(_) => Weight::Error,
            None => Weight::Normal,
        };
        Thread::mine().span_end(number, head, weight, |out| match &reason {
            Some(reason) => out.text(reason),
            None => Ok(()),
        });
    }

    /// Why a span fails, if it does.
    fn reason(&self, id: u64, flags: u32) -> Option<String> {
        let mut reason = None;
        if flags & FAILED != 0 {
            let kept = self.failures().and_then(|mut kept| kept.remove(&id));
            reason = Some(kept.unwrap_or_else(|| "failed".to_owned()));
        }
        if flags & PANICKED != 0 {
            reason = Some("panicked".to_owned());
        }
        reason
    }

    /// Records how long a span was entered, and how long it waited.
    fn tell_times(&self, span: &OpenSpan) {
        span.count_into(&span.idle);
        let times = [("busy_ns", &span.busy), ("idle_ns", &span.idle)];
        self.add_fields(span, |out| {
            times.iter().try_for_each(|(key, nanos)| {
                encode_text_key(out, key)?;
                encode_int(out, nanos.load(Ordering::Relaxed).cast_signed())
            })
        });
    }
}
