//! A subscriber of our own, for programs that need no other layer.
//!
//! Without a registry, a span is one place in a slab and nothing more. What differs from a registry: a
//! span ends when its own handles are gone, not only when those of its children are, too.

use std::sync::atomic::{Ordering, fence};

use argus_spool::{Current as Place, Thread};
use tracing_core::span::{Attributes, Current, Id, Record};
use tracing_core::subscriber::Interest;
use tracing_core::{Event, LevelFilter, Metadata};

use super::slab;
use super::spans::{OpenSpan, Spans};

/// Records spans and events. Made by [`subscriber`](crate::subscriber()) or
/// [`Options::subscriber`](super::Options::subscriber).
#[derive(Debug)]
pub struct Subscriber {
    spans: Spans,
    most: LevelFilter,
}

impl Subscriber {
    pub(super) fn new(spans: Spans, most: LevelFilter) -> Self {
        Self { spans, most }
    }
}

fn place(is_root: bool, parent: Option<&Id>) -> Place {
    match parent {
        Some(parent) => find(parent).map_or(Place::NONE, OpenSpan::place),
        None if is_root => Place::NONE,
        None => Thread::mine().current(),
    }
}

fn find(id: &Id) -> Option<&'static OpenSpan> {
    slab::get(id.into_u64())
}

impl tracing_core::Subscriber for Subscriber {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if self.enabled(metadata) {
            Interest::always()
        } else {
            Interest::never()
        }
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= self.most
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(self.most)
    }

    #[inline]
    fn new_span(&self, attributes: &Attributes<'_>) -> Id {
        let Some((id, span)) = slab::take() else {
            // Nobody finds a span there.
            return Id::from_u64(u64::MAX);
        };
        let parent = place(attributes.is_root(), attributes.parent());
        self.spans.open(span, attributes, parent);
        span.handles.store(1, Ordering::Relaxed);
        Id::from_u64(id)
    }

    fn record(&self, id: &Id, values: &Record<'_>) {
        if let Some(span) = find(id) {
            self.spans.record(span, values);
        }
    }

    fn record_follows_from(&self, id: &Id, follows: &Id) {
        if let (Some(span), Some(followed)) = (find(id), find(follows)) {
            self.spans.follow(span, followed.place());
        }
    }

    fn event(&self, event: &Event<'_>) {
        let around = match event.parent() {
            Some(parent) => Some(parent.into_u64()),
            None if event.is_root() => None,
            None => self.spans.innermost(),
        };
        let around = around.and_then(|id| Some((id, slab::get(id)?)));
        let place = place(event.is_root(), event.parent());
        self.spans.tell(event, place, around);
    }

    #[inline]
    fn enter(&self, id: &Id) {
        if let Some(span) = find(id) {
            self.spans.enter(id.into_u64(), span);
        }
    }

    #[inline]
    fn exit(&self, id: &Id) {
        self.spans.exit(id.into_u64(), || find(id));
    }

    #[inline]
    fn clone_span(&self, id: &Id) -> Id {
        if let Some(span) = find(id) {
            span.handles.fetch_add(1, Ordering::Relaxed);
        }
        id.clone()
    }

    #[inline]
    fn try_close(&self, id: Id) -> bool {
        let Some(span) = find(&id) else {
            return false;
        };
        // Who holds the only handle need not ask for the word: nobody else can make another.
        let is_last = span.handles.load(Ordering::Acquire) == 1
            || span.handles.fetch_sub(1, Ordering::Release) == 1;
        if is_last {
            fence(Ordering::Acquire);
            self.spans.close(id.into_u64(), span);
            slab::free(id.into_u64());
        }
        is_last
    }

    fn current_span(&self) -> Current {
        let innermost = self.spans.innermost();
        let found = innermost.and_then(|id| {
            let callsite = self.spans.callsite_of(slab::get(id)?)?;
            Some(Current::new(Id::from_u64(id), callsite.metadata))
        });
        found.unwrap_or_else(Current::none)
    }
}
