//! Spans: a stretch of work with a name, fields, a parent, and an end.

use std::marker::PhantomData;

use argus_model::record::{OutcomeHead, encode_parameter_key};
use argus_spool::{Weight, span_end, span_start};

use crate::capture::Captured;
use crate::current::{self, Current};
use crate::name::StaticName;

/// Opens a span that ends when the answer goes out of scope.
///
/// The first argument is a literal name, then come fields: `key = value` for values that are
/// [`Capture`](crate::Capture), `key = ?value` for what `Debug` says of others.
///
/// ```
/// use argus_client::span;
///
/// let plan = vec![1, 2];
/// let span = span!("import", rows = 10, source = "book.csv", plan = ?plan);
/// drop(span);
/// ```
///
/// Costs two records; nothing is allocated unless `?` asks for it.
#[macro_export]
macro_rules! span {
    ($name:literal $(, $($fields:tt)*)?) => {{
        $crate::span!(@fields $name, [] [] $($($fields)*)?)
    }};
    (@fields $name:literal, [$($key:ident)*] [$($value:expr,)*] $(,)?) => {{
        static NAME: $crate::expansion::StaticName = $crate::expansion::StaticName::new(
            $name, ::std::file!(), ::std::line!(), &[$(::std::stringify!($key)),*],
        );
        $crate::expansion::SpanGuard::enter(&NAME, &[$($value),*])
    }};
    (@fields $name:literal, [$($key:ident)*] [$($done:expr,)*] $next:ident = ?$value:expr $(, $($rest:tt)*)?) => {
        $crate::span!(@fields $name, [$($key)* $next]
            [$($done,)* $crate::expansion::debug(&$value),] $($($rest)*)?)
    };
    (@fields $name:literal, [$($key:ident)*] [$($done:expr,)*] $next:ident = $value:expr $(, $($rest:tt)*)?) => {
        $crate::span!(@fields $name, [$($key)* $next]
            [$($done,)* $crate::expansion::Capture::capture(&$value),] $($($rest)*)?)
    };
}

/// An open span. It ends when this is dropped, on the thread that opened it.
#[derive(Debug)]
#[must_use = "the span ends as soon as its guard is dropped"]
pub struct SpanGuard {
    within: Current,
    before: Current,
    panicking_before: bool,
    // The place it restores is the thread's own.
    thread_bound: PhantomData<*const ()>,
}

impl SpanGuard {
    /// Opens a span of this name with the values of its keys, inside the thread's current one.
    #[inline]
    pub fn enter(name: &'static StaticName, values: &[Captured<'_>]) -> Self {
        let before = current::current();
        let mut within = before;
        if before.is_recorded() {
            let number = span_start(name.definition(), before.number(), |out| {
                for (index, value) in (0..).zip(values) {
                    encode_parameter_key(out, index)?;
                    value.encode(out)?;
                }
                Ok(())
            });
            within = Current::span(number);
            current::replace(if number.is_none() { before } else { within });
        }
        let panicking_before = std::thread::panicking();
        Self {
            within,
            before,
            panicking_before,
            thread_bound: PhantomData,
        }
    }
}

impl Drop for SpanGuard {
    #[inline]
    fn drop(&mut self) {
        if !self.within.is_recorded() {
            return;
        }
        current::replace(self.before);
        if self.within.of_this_life() != self.within {
            return;
        }
        let failed = std::thread::panicking() && !self.panicking_before;
        let weight = if failed {
            Weight::Error
        } else {
            Weight::Normal
        };
        let head = OutcomeHead {
            exception: failed,
            ..OutcomeHead::default()
        };
        span_end(self.within.number(), head, weight, |out| {
            if failed { out.text("panicked") } else { Ok(()) }
        });
    }
}
