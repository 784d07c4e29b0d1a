//! Spans: a stretch of work with a name, fields, a parent, and an end.

use std::marker::PhantomData;

use argus_model::SpanNumber;
use argus_model::codec::Small;
use argus_model::record::{OutcomeHead, encode_parameter_key, packed_parameter_key};
use argus_spool::{Definition, Thread, Weight};

use crate::capture::Captured;
use crate::current::Current;
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
    // Nothing where nothing is recorded: all that costs then is to see it.
    open: Option<Open>,
    // The place it restores is the thread's own.
    thread_bound: PhantomData<*const ()>,
}

#[derive(Debug)]
struct Open {
    within: Current,
    before: Current,
    panicking_before: bool,
}

impl SpanGuard {
    /// Opens a span of this name with the values of its keys, inside the thread's current one.
    #[inline]
    pub fn enter(name: &'static StaticName, values: &[Captured<'_>]) -> Self {
        if argus_spool::disabled() {
            Self::of(None)
        } else {
            Self::enter_recorded(name, values)
        }
    }

    // Not part of the function that is recorded, so that one that is not has only a look at a flag.
    #[inline(never)]
    fn enter_recorded(name: &'static StaticName, values: &[Captured<'_>]) -> Self {
        let thread = Thread::mine();
        let before = thread.current();
        if !before.is_recorded() {
            return Self::of(None);
        }
        let number = start(thread, name.definition(), before, values);
        let within = before.child(number);
        if !number.is_none() {
            thread.replace(within);
        }
        Self::of(Some(Open {
            within,
            before,
            panicking_before: std::thread::panicking(),
        }))
    }

    #[inline]
    fn of(open: Option<Open>) -> Self {
        Self {
            open,
            thread_bound: PhantomData,
        }
    }
}

impl Open {
    #[inline(never)]
    fn leave(&self) {
        let thread = Thread::mine();
        thread.replace(self.before);
        if !self.within.is_of_this_life() {
            return;
        }
        let number = self.within.number();
        if std::thread::panicking() && !self.panicking_before {
            end_failed(thread, number);
        } else {
            thread.span_end_small(number, OutcomeHead::default(), &Small::new());
        }
    }
}

#[inline]
fn start(
    thread: Thread,
    name: &'static Definition,
    at: Current,
    values: &[Captured<'_>],
) -> SpanNumber {
    let mut fields = Small::new();
    let all = values
        .iter()
        .enumerate()
        .try_for_each(|(index, value)| value.push(&mut fields, packed_parameter_key(index)?));
    match all {
        Some(()) => thread.span_start_small(name, at, &fields),
        None => thread.span_start(name, at, |out| {
            for (index, value) in (0..).zip(values) {
                encode_parameter_key(out, index)?;
                value.encode(out)?;
            }
            Ok(())
        }),
    }
}

impl Drop for SpanGuard {
    #[inline]
    fn drop(&mut self) {
        if let Some(open) = &self.open {
            open.leave();
        }
    }
}

#[cold]
fn end_failed(thread: Thread, number: SpanNumber) {
    let head = OutcomeHead {
        exception: true,
        ..OutcomeHead::default()
    };
    thread.span_end(number, head, Weight::Error, |out| out.text("panicked"));
}
