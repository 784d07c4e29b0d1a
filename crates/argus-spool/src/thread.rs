//! What a thread has: its pen, and where it is.
//!
//! Both lie in one piece of thread-local storage, because finding that storage from a shared library
//! is a call, and a recorded call of a program needs both, twice. A [`Thread`] is the result of
//! finding it.
//!
//! Where a thread is, is a number of this process's life only: in a forked child the spans of the
//! parent do not exist, and what is read there is "no span".

use std::cell::Cell;
use std::ptr;
use std::sync::atomic::{Ordering, compiler_fence};

use argus_model::SpanNumber;
use argus_model::record::LossReason;

use crate::fork;
use crate::kept::KeptCurrent;
use crate::life;
use crate::remote;
use crate::writer::{self, Attached, Writer};

/// What a thread is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Current {
    pub(crate) number: SpanNumber,
    /// What the trace begins with: the number of a span, or the key of a parent in another program.
    pub(crate) root: u64,
    pub(crate) life: usize,
}

const UNSAMPLED: SpanNumber = SpanNumber(u64::MAX - 1);
const QUIET: SpanNumber = SpanNumber(u64::MAX);

impl Current {
    /// In no span.
    pub const NONE: Self = Self {
        number: SpanNumber::NONE,
        root: 0,
        life: 0,
    };

    /// The span with this number, which this process has just opened here.
    #[inline]
    #[must_use]
    pub fn child(self, number: SpanNumber) -> Self {
        let root = if self.root == 0 { number.0 } else { self.root };
        Self {
            number,
            root,
            life: life(),
        }
    }

    /// Below a parent in another program.
    pub(crate) fn below(key: u64) -> Self {
        Self {
            root: key,
            ..Self::NONE
        }
    }

    /// In a trace that is not recorded.
    #[inline]
    pub fn unsampled() -> Self {
        Self::NONE.child(UNSAMPLED)
    }

    /// In code that the recorder runs itself, such as a serializer: nothing there is recorded.
    #[inline]
    pub fn quiet() -> Self {
        Self::NONE.child(QUIET)
    }

    /// The same place; seen from a forked child, a span of its parent is a parent in another program.
    #[inline]
    #[must_use]
    pub fn of_this_life(self) -> Self {
        if self.is_none() || self.is_of_this_life() {
            self
        } else {
            self.of_another_life()
        }
    }

    #[cold]
    fn of_another_life(self) -> Self {
        if self.is_recorded() && self.life != 0 {
            remote::below_ancestor(self)
        } else {
            Self::NONE
        }
    }

    /// Whether the process that was here is this one, not one that it was forked from.
    #[inline]
    pub fn is_of_this_life(self) -> bool {
        self.life == life()
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

    /// Whether the parent of what opens here is in another program.
    #[inline]
    pub fn is_remote(self) -> bool {
        self.number.is_none() && self.root != 0
    }

    /// Whether a trace begins with what opens here, so that it is to be decided whether to record it.
    #[inline]
    pub fn begins_a_trace(self) -> bool {
        self.number.is_none() && self.root == 0
    }

    pub(crate) fn root(self) -> u64 {
        self.root
    }

    pub(crate) fn life(self) -> usize {
        self.life
    }

    /// The later opened of two places that the same thread is in, for programs that keep one in the
    /// thread, this, and one in a task.
    #[inline]
    #[must_use]
    pub fn inner(self, other: Self) -> Self {
        // What is opened below a parent in another program shares its root, and only that is inside it.
        if other.is_remote() && self.root != other.root {
            return other;
        }
        // A span has a higher number than its parent, and the two marks are above all of them.
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

/// How a thread came to a place, and from where.
#[derive(Debug, Clone, Copy)]
pub struct Step {
    number: SpanNumber,
    life: usize,
    before: Current,
}

impl Step {
    /// No step at all.
    pub const NONE: Self = Self {
        number: SpanNumber::NONE,
        life: 0,
        before: Current::NONE,
    };

    /// Leads back to where `outer` does: to where `outer` led is no way back any more.
    pub fn inherit(&mut self, outer: &Self) {
        self.before = outer.before;
    }
}

/// The storage. It has no destructor, so it can be used for as long as its thread runs.
struct Desk {
    pen: Cell<*mut Writer>,
    /// An emit of this thread is under way.
    busy: Cell<bool>,
    current: Cell<Current>,
    stack_floor: Cell<usize>,
}

thread_local! {
    static DESK: Desk = const {
        Desk {
            pen: Cell::new(ptr::null_mut()),
            busy: Cell::new(false),
            current: Cell::new(Current::NONE),
            stack_floor: Cell::new(usize::MAX),
        }
    };
}

/// The calling thread, as the recorder knows it. Cannot leave the thread.
#[derive(Debug, Clone, Copy)]
pub struct Thread(*const Desk);

/// Why no pen can be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// Recording is off.
    Disabled,
    /// It is lost, for this reason.
    Lost(LossReason),
}

impl Thread {
    /// The calling thread.
    #[inline]
    pub fn mine() -> Self {
        DESK.with(|desk| Self(ptr::from_ref(desk)))
    }

    #[inline]
    fn desk<'a>(self) -> &'a Desk {
        // SAFETY: the value cannot leave its thread, and the storage lives as long as that.
        unsafe { &*self.0 }
    }

    /// Where the thread is.
    #[inline]
    pub fn current(self) -> Current {
        let place = self.desk().current.get();
        if place.is_none() || place.is_of_this_life() {
            return place;
        }
        self.moved_by_fork()
    }

    // Reads the place anew: as an argument it would have to be in memory, also where this is not called.
    #[cold]
    #[inline(never)]
    fn moved_by_fork(self) -> Current {
        let here = self.desk().current.get().of_this_life();
        self.desk().current.set(here);
        here
    }

    /// Puts the thread elsewhere; answers where it was.
    #[inline]
    pub fn replace(self, current: Current) -> Current {
        self.desk().current.replace(current)
    }

    /// Goes to a place that others know, too. `step` will take the thread back; it is written where it
    /// stays, because a copy of words that were just written holds the processor up.
    #[inline]
    pub fn go_to(self, kept: &KeptCurrent, step: &mut Step) {
        let place = kept.current();
        if place.is_none() || place.is_of_this_life() {
            self.step_to(place, step);
        } else {
            self.step_to_another_life(kept, step);
        }
    }

    // Takes what is kept and not the place, as `moved_by_fork` does.
    #[cold]
    #[inline(never)]
    fn step_to_another_life(self, kept: &KeptCurrent, step: &mut Step) {
        self.step_to(kept.current().of_another_life(), step);
    }

    #[inline]
    fn step_to(self, place: Current, step: &mut Step) {
        step.number = place.number;
        step.life = place.life;
        step.before = self.replace(place);
    }

    /// Takes a step back. Nothing when the thread is elsewhere by now, unless it is in another life.
    #[inline]
    pub fn take_back(self, step: &Step) {
        let here = &self.desk().current;
        let place = here.get();
        if (place.number, place.life) == (step.number, step.life) || step.life != life() {
            here.set(step.before);
        }
    }

    /// A word for a language's binding that must look at every call how much of the stack is left:
    /// the lowest address it may use, `usize::MAX` until [`Thread::set_stack_floor`].
    #[inline]
    pub fn stack_floor(self) -> usize {
        self.desk().stack_floor.get()
    }

    /// Sets the answer of [`Thread::stack_floor`].
    pub fn set_stack_floor(self, address: usize) {
        self.desk().stack_floor.set(address);
    }

    /// Runs `work` with the thread's pen. Refused inside itself: a signal handler or a serializer may
    /// emit while this thread does.
    #[inline(always)]
    pub(crate) fn write<R>(self, work: impl FnOnce(&mut Writer) -> R) -> Result<R, Refused> {
        let desk = self.desk();
        if desk.busy.replace(true) {
            return Err(Refused::Lost(LossReason::Reentrant));
        }
        // A signal handler on this thread must see the flag before anything else changes.
        compiler_fence(Ordering::SeqCst);
        let mut pen = desk.pen.get();
        let mut parting = false;
        // SAFETY: the pointer is null or this thread's own, and no reference to the writer is alive,
        // which is what `busy` says.
        if !unsafe { pen.as_ref() }.is_some_and(Writer::is_of_this_life) {
            Attached { pen, parting } = self.attach()?;
        }
        // SAFETY: as above.
        let done = work(unsafe { &mut *pen });
        if parting {
            self.put_pen_away();
        }
        compiler_fence(Ordering::SeqCst);
        desk.busy.set(false);
        Ok(done)
    }

    #[cold]
    fn attach(self) -> Result<Attached, Refused> {
        let attached = writer::attach();
        match &attached {
            Ok(attached) => self.desk().pen.set(attached.pen),
            Err(_) => self.desk().busy.set(false),
        }
        attached
    }

    /// [`Thread::write`] with the pen that all threads of the process share, one after the other.
    pub(crate) fn write_shared<R>(self, work: impl FnOnce(&mut Writer) -> R) -> Result<R, Refused> {
        let desk = self.desk();
        let Some(page) = fork::page() else {
            return Err(Refused::Lost(LossReason::Disk));
        };
        // Also so that a signal handler on this thread does not wait for what it interrupts.
        if desk.busy.replace(true) {
            return Err(Refused::Lost(LossReason::Reentrant));
        }
        compiler_fence(Ordering::SeqCst);
        let done = page.with_shared_pen(|pen| {
            if pen.is_null() {
                *pen = writer::make()?;
            }
            // SAFETY: made by `make` and never freed; the page's lock is held, and a fork clears it.
            Ok(work(unsafe { &mut **pen }))
        });
        compiler_fence(Ordering::SeqCst);
        desk.busy.set(false);
        done
    }

    /// Seals and frees the pen; the thread ends.
    #[cold]
    pub(crate) fn put_pen_away(self) {
        let pen = self.desk().pen.replace(ptr::null_mut());
        // SAFETY: a pen is made by `attach`, belongs to this thread, and is freed only here; nobody
        // keeps a reference to it.
        unsafe {
            if pen.as_ref().is_some_and(Writer::is_of_this_life) {
                Box::from_raw(pen).finish();
            }
        }
    }
}
