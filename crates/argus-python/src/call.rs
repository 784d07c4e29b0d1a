//! A monitored call: the hot path.

use argus_client::current::{self, Current};
use argus_spool::monotonic_now;
use pyo3::ffi;

use crate::arguments::Arguments;
use crate::monitored::Monitored;
use crate::object::Object;
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
    if stack::is_low() {
        return refuse();
    }
    // SAFETY: the caller holds `this` and the arguments during the call; the thread is attached. The
    // callee may use the slot before the arguments exactly as we were allowed to.
    unsafe {
        let monitored = this.cast::<Monitored>();
        let plan = &*(*monitored).plan;
        let run = || ffi::PyObject_Vectorcall((*monitored).function, args, flagged_count, keywords);
        let positional = ffi::PyVectorcall_NARGS(flagged_count).cast_unsigned();
        let arguments = Arguments::of(args, positional, keywords);
        let before = context::here();
        if !before.is_recorded() || (before.is_none() && !plan.sampler.next_is_recorded()) {
            return call_unrecorded(plan, before, arguments, run);
        }
        pressure::look(plan);
        let number = record::start(plan, before.number(), arguments);
        // Without a number the start was lost; what is called inside then hangs on our parent.
        let within = if number.is_none() {
            before
        } else {
            Current::span(number)
        };
        let place = current::replace(within);
        let result = run();
        current::replace(place);
        if within.of_this_life() != within {
            // This is a forked child; the span is its parent's to end.
        } else if result.is_null() {
            record::fail(plan, number, record::Trace::Sampled);
        } else {
            record::end(plan, number, result);
        }
        result
    }
}

/// A call inside a trace that is not recorded, or the root of one: recorded only when it fails.
#[cold]
unsafe fn call_unrecorded(
    plan: &Plan,
    before: Current,
    arguments: Arguments<'_>,
    run: impl FnOnce() -> Object,
) -> Object {
    if before.is_quiet() {
        return run();
    }
    let began = monotonic_now();
    let place = current::replace(Current::unsampled());
    let result = run();
    current::replace(place);
    if result.is_null() {
        // SAFETY: the thread is attached; a call without result has set an exception.
        unsafe { record::fail_alone(plan, began, arguments) };
    }
    result
}

#[cold]
fn refuse() -> Object {
    let text = c"maximum recursion depth exceeded: the C stack is nearly used up";
    // SAFETY: a slot is called by an attached thread.
    unsafe { ffi::PyErr_SetString(ffi::PyExc_RecursionError, text.as_ptr()) };
    std::ptr::null_mut()
}
