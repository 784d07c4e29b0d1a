//! A monitored call: the hot path.

use argus_client::current::{Current, Thread};
use argus_spool::monotonic_now;
use pyo3::ffi;

use crate::arguments::Arguments;
use crate::monitored::Monitored;
use crate::object::{self, Object};
use crate::plan::Plan;
use crate::{context, pressure, record, stack};

/// The vectorcall slot.
///
/// # Safety
/// Called by the interpreter, as its protocol says, with an object of our type.
pub(crate) unsafe extern "C" fn call(
    this: Object,
    args: *const Object,
    flagged_count: usize,
    keywords: Object,
) -> Object {
    // SAFETY: the caller holds `this` and the arguments during the call; the thread is attached. The
    // callee may use the slot before the arguments exactly as we were allowed to.
    unsafe {
        let monitored = &*this.cast::<Monitored>();
        let run = || object::call(monitored.function, args, flagged_count, keywords);
        let passed = Arguments::of(args, flagged_count, keywords);
        within_span(&*monitored.plan, passed, run)
    }
}

/// Makes a call inside a span of its own.
///
/// # Safety
/// The thread is attached; `run` makes the call and answers as the vectorcall protocol says; the plan
/// and the arguments stay alive meanwhile.
#[inline(always)]
pub(crate) unsafe fn within_span(
    plan: &Plan,
    passed: Arguments<'_>,
    run: impl Fn() -> Object,
) -> Object {
    let thread = Thread::mine();
    if stack::is_low(thread) {
        return refuse();
    }
    // SAFETY: as demanded of the caller.
    unsafe {
        let before = context::here(thread);
        if !before.is_recorded() || (before.begins_a_trace() && !plan.sampler.next_is_recorded()) {
            return call_unrecorded(thread, plan, before, passed, run);
        }
        pressure::look(plan);
        let number = record::start(thread, plan, before, passed);
        // Without a number the start was lost; what is called inside then hangs on our parent.
        let within = if number.is_none() {
            before
        } else {
            before.child(number)
        };
        let place = thread.replace(within);
        let result = run();
        thread.replace(place);
        if !within.is_of_this_life() {
            // This is a forked child; the span is its parent's to end.
        } else if result.is_null() {
            record::fail(plan, number, record::Trace::Sampled);
        } else {
            record::end(thread, plan, number, result);
        }
        result
    }
}

/// A call inside a trace that is not recorded, or the root of one: recorded only when it fails.
///
/// # Safety
/// As for [`within_span`].
#[cold]
unsafe fn call_unrecorded(
    thread: Thread,
    plan: &Plan,
    before: Current,
    passed: Arguments<'_>,
    run: impl Fn() -> Object,
) -> Object {
    // SAFETY: as demanded of the caller.
    unsafe {
        if before.is_quiet() {
            return run();
        }
        let began = monotonic_now();
        let place = thread.replace(Current::unsampled());
        let result = run();
        thread.replace(place);
        if result.is_null() {
            record::fail_alone(plan, began, passed);
        }
        result
    }
}

#[cold]
fn refuse() -> Object {
    let text = c"maximum recursion depth exceeded: the C stack is nearly used up";
    // SAFETY: a slot is called by an attached thread.
    unsafe { ffi::PyErr_SetString(ffi::PyExc_RecursionError, text.as_ptr()) };
    std::ptr::null_mut()
}
