//! Which span the calling thread is in.
//!
//! Rust guards and the Python package share this place, so that spans nest rightly in programs made
//! of both. It holds a number of this process's life only: in a forked child the spans of the parent
//! do not exist, and what is read here is "no span".

use std::cell::Cell;

use argus_model::SpanNumber;

/// What a thread is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Current {
    number: SpanNumber,
    life: usize,
}

const UNSAMPLED: SpanNumber = SpanNumber(u64::MAX - 1);
const QUIET: SpanNumber = SpanNumber(u64::MAX);

thread_local! {
    static CURRENT: Cell<Current> = const { Cell::new(Current::NONE) };
}

impl Current {
    /// In no span.
    pub const NONE: Self = Self {
        number: SpanNumber::NONE,
        life: 0,
    };

    /// The span with this number, which this process has just opened.
    #[inline]
    pub fn span(number: SpanNumber) -> Self {
        Self {
            number,
            life: argus_spool::life(),
        }
    }

    /// In a trace that is not recorded.
    #[inline]
    pub fn unsampled() -> Self {
        Self::span(UNSAMPLED)
    }

    /// In code that the recorder runs itself, such as a serializer: nothing there is recorded.
    #[inline]
    pub fn quiet() -> Self {
        Self::span(QUIET)
    }

    /// The same place, or none when it belongs to the process that this one was forked from.
    #[inline]
    #[must_use]
    pub fn of_this_life(self) -> Self {
        if self.life == argus_spool::life() {
            self
        } else {
            Self::NONE
        }
    }

    /// The number of the span; [`SpanNumber::NONE`] when in none or in an unrecorded one.
    #[inline]
    pub fn number(self) -> SpanNumber {
        if self.is_recorded() {
            self.number
        } else {
            SpanNumber::NONE
        }
    }

    /// Whether what opens here is recorded: true in a span and in none.
    #[inline]
    pub fn is_recorded(self) -> bool {
        self.number.0 < UNSAMPLED.0
    }

    /// Whether this is inside the recorder itself.
    #[inline]
    pub fn is_quiet(self) -> bool {
        self.number == QUIET
    }

    /// The later opened of two places that the same thread is in, for programs that keep one in the
    /// thread and one in a task.
    #[inline]
    #[must_use]
    pub fn inner(self, other: Self) -> Self {
        // A thread is given rising numbers, and the two marks are above all of them.
        if other.number > self.number {
            other
        } else {
            self
        }
    }

    /// Whether this is no place at all: what opens here is a root.
    #[inline]
    pub fn is_none(self) -> bool {
        self.number.is_none()
    }
}

/// Where the calling thread is.
#[inline]
pub fn current() -> Current {
    CURRENT.get().of_this_life()
}

/// Puts the calling thread elsewhere; answers where it was.
#[inline]
pub fn replace(current: Current) -> Current {
    CURRENT.replace(current)
}
