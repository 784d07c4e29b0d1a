//! Events of `tracing` as log lines.
//!
//! An event that tells an error lets the span around it end as failed: one at level ERROR with a field
//! `error` or `err`, or one of any level that has no other field, which is what `#[instrument(err)]`
//! emits.

use std::error::Error;
use std::fmt::{self, Debug};

use argus_model::level::Level;
use argus_spool::Current;
use tracing_core::Event;
use tracing_core::field::{Field, Visit};

use super::callsites::Callsite;
use super::fields::Chain;
use super::spans::{OpenSpan, Spans};
use crate::capture::format_into;
use crate::line::{Line, Shown};

impl Spans {
    /// Records an event at this place. `around` is the span it is in, as `tracing` has it.
    pub(super) fn tell(&self, event: &Event<'_>, place: Current, around: Option<(u64, &OpenSpan)>) {
        let metadata = event.metadata();
        let level = level(*metadata.level());
        // A trace that is not recorded has no lines either, but for what went wrong in it.
        let is_wanted = place.is_recorded() || level >= Level::Error && !place.is_quiet();
        let callsite = self.callsites.of(metadata);
        if !is_wanted && callsite.error.is_none() {
            return;
        }
        let mut told = Told {
            callsite,
            line: Line::begin(),
            error: String::new(),
        };
        event.record(&mut told);
        if is_wanted {
            told.line.write(level, metadata.target(), place.number());
        }
        if let (Some(_), Some((id, span))) = (callsite.error, around)
            && !told.error.is_empty()
        {
            self.fail(id, span, &told.error);
        }
        told.line.end();
    }
}

pub(super) fn level(level: tracing_core::Level) -> Level {
    match level {
        tracing_core::Level::ERROR => Level::Error,
        tracing_core::Level::WARN => Level::Warn,
        tracing_core::Level::INFO => Level::Info,
        tracing_core::Level::DEBUG => Level::Debug,
        tracing_core::Level::TRACE => Level::Trace,
    }
}

/// Collects what an event says.
struct Told<'a> {
    callsite: &'a Callsite,
    line: Box<Line>,
    error: String,
}

impl Told<'_> {
    fn take(&mut self, field: &Field, value: Shown<'_>) {
        let index = field.index();
        if self.callsite.masks(index) {
            return self.line.add(field.name(), Shown::Masked);
        }
        self.line.add(field.name(), value);
    }

    fn take_text(&mut self, field: &Field, text: fmt::Arguments<'_>) {
        let index = field.index();
        if self.callsite.message == Some(index) {
            return self.line.say(text);
        }
        if self.callsite.error == Some(index) && !self.callsite.masks(index) {
            format_into(&mut self.error, text);
            let error = std::mem::take(&mut self.error);
            self.line.add(field.name(), Shown::Text(&error));
            self.error = error;
            return;
        }
        self.take(field, Shown::Formatted(text));
    }
}

impl Visit for Told<'_> {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.take(field, Shown::Float(value));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.take(field, Shown::Int(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        match i64::try_from(value) {
            Ok(value) => self.take(field, Shown::Int(value)),
            Err(_) => self.take_text(field, format_args!("{value}")),
        }
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.take(field, Shown::Bool(value));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.take_text(field, format_args!("{value}"));
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        self.take_text(field, format_args!("{}", Chain(value)));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.take_text(field, format_args!("{value:?}"));
    }
}
