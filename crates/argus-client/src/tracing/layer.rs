//! The layer for a registry of `tracing-subscriber`.

use argus_spool::{Current, Thread};
use tracing_core::span::{Attributes, Id, Record};
use tracing_core::{Event, Subscriber};
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

use super::spans::Spans;
use super::table::Table;

/// Records the spans and events of a registry. Made by [`layer`](crate::layer) or
/// [`Options::layer`](super::Options::layer).
#[derive(Debug)]
pub struct Layer {
    spans: Spans,
    open: Table,
    /// Another one stands in the same stack and records all.
    is_doubled: bool,
}

impl Layer {
    pub(super) fn new(spans: Spans) -> Self {
        Self {
            spans,
            open: Table::new(),
            is_doubled: false,
        }
    }

    /// Where something with these relations is; nothing where `tracing` names a span that is not ours.
    #[inline]
    fn place(&self, is_root: bool, parent: Option<&Id>) -> Option<Current> {
        match parent {
            Some(parent) => self.open.get(parent.into_u64()).map(|span| span.place()),
            None if is_root => Some(Current::NONE),
            None => Some(Thread::mine().current()),
        }
    }
}

impl<S> tracing_subscriber::Layer<S> for Layer
where
    S: Subscriber + for<'lookup> LookupSpan<'lookup>,
{
    fn on_layer(&mut self, subscriber: &mut S) {
        let subscriber: &dyn Subscriber = subscriber;
        self.is_doubled = subscriber.is::<Self>();
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if self.is_doubled {
            return;
        }
        let place = self.place(attributes.is_root(), attributes.parent());
        // A parent that a filter keeps from us stands for the nearest that it does not.
        let place = place.or_else(|| {
            let ours = context.span(id)?.parent()?;
            self.open.get(ours.id().into_u64()).map(|span| span.place())
        });
        let span = self.open.insert(id.into_u64());
        self.spans
            .open(span, attributes, place.unwrap_or(Current::NONE));
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, _: Context<'_, S>) {
        if let Some(span) = self.open.get(id.into_u64()) {
            self.spans.record(span, values);
        }
    }

    fn on_follows_from(&self, id: &Id, follows: &Id, _: Context<'_, S>) {
        let followed = self.open.get(follows.into_u64());
        if let (Some(span), Some(followed)) = (self.open.get(id.into_u64()), followed) {
            self.spans.follow(span, followed.place());
        }
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if self.is_doubled {
            return;
        }
        // Of a span that a filter keeps from us, its parents cannot be learned here.
        let place = self.place(event.is_root(), event.parent());
        let around = match event.parent() {
            Some(parent) => Some(parent.into_u64()),
            None if event.is_root() => None,
            None => self.spans.innermost(),
        };
        let around = around.and_then(|id| Some((id, self.open.get(id)?)));
        self.spans
            .tell(event, place.unwrap_or(Current::NONE), around);
    }

    fn on_enter(&self, id: &Id, _: Context<'_, S>) {
        let id = id.into_u64();
        if let Some(span) = self.open.get(id) {
            self.spans.enter(id, span);
        }
    }

    fn on_exit(&self, id: &Id, _: Context<'_, S>) {
        let id = id.into_u64();
        self.spans.exit(id, || self.open.get(id));
    }

    fn on_close(&self, id: Id, _: Context<'_, S>) {
        let id = id.into_u64();
        self.open.remove(id, |span| self.spans.close(id, span));
    }
}

impl Drop for Layer {
    /// A layer that is taken out of its stack (by `reload`) hears of no more ends: what is open ends now.
    fn drop(&mut self) {
        for (id, span) in self.open.all() {
            self.spans.close(id, span);
        }
    }
}
