//! The two records of a monitored call.

use argus_model::codec::{Packed, Small};
use argus_model::record::OutcomeHead;
use argus_model::{Monotonic, SpanNumber};
use argus_spool::{Current, Thread, Weight, span_end};
use pyo3::ffi;
use pyo3::prelude::*;

use crate::arguments::Arguments;
use crate::failure::Raised;
use crate::foreign::{lend, prepare};
use crate::object::Object;
use crate::plan::{Capture, Plan};
use crate::smart;
use crate::space::Space;

/// Whether a failed call belongs to a trace that is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trace {
    Sampled,
    Unsampled,
}

/// Opens the call's span.
///
/// Not inlined, like [`end`]: together with the call between them they would need more registers than
/// there are.
///
/// # Safety
/// The thread is attached.
#[inline(never)]
pub(crate) unsafe fn start(
    thread: Thread,
    plan: &Plan,
    at: Current,
    arguments: Arguments<'_>,
) -> SpanNumber {
    let mut fields = Small::new();
    match arguments.push_small(plan, &mut fields) {
        Some(()) => thread.span_start_small(plan.definition, at, &fields),
        // SAFETY: as demanded of the caller.
        None => unsafe { start_large(thread, plan, at, arguments) },
    }
}

#[inline(never)]
unsafe fn start_large(
    thread: Thread,
    plan: &Plan,
    at: Current,
    arguments: Arguments<'_>,
) -> SpanNumber {
    if arguments.are_direct(plan) {
        return thread.span_start(plan.definition, at, |out| {
            arguments.encode_direct(plan, out)
        });
    }
    // SAFETY: as demanded of the caller.
    let fields = arguments.encode_prepared(unsafe { Python::assume_attached() }, plan);
    thread.span_start(plan.definition, at, |out| out.bytes(fields.bytes()))
}

/// Ends the span of a call that returned `result`.
///
/// # Safety
/// The thread is attached and `result` alive.
#[inline(never)]
pub(crate) unsafe fn end(thread: Thread, plan: &Plan, number: SpanNumber, result: Object) {
    let mut small = Small::new();
    let mut head = OutcomeHead::default();
    if plan.result == Capture::Yes {
        head.result = true;
        // SAFETY: as demanded of the caller.
        unsafe {
            if plan.serializer.is_some()
                || smart::push(&mut small, Packed::default(), result, plan.max_repr).is_none()
            {
                end_large(thread, plan, number, head, result);
                return;
            }
        }
    }
    thread.span_end_small(number, head, &small);
}

#[inline(never)]
unsafe fn end_large(
    thread: Thread,
    plan: &Plan,
    number: SpanNumber,
    head: OutcomeHead,
    result: Object,
) {
    // SAFETY: as demanded of the caller.
    unsafe {
        if plan.serializer.is_none() && smart::is_direct(result) {
            thread.span_end(number, head, Weight::Normal, |out| {
                smart::encode(out, result, plan.max_repr)
            });
            return;
        }
        let space = prepared_value(plan, &lend(Python::assume_attached(), result));
        thread.span_end(number, head, Weight::Normal, |out| out.bytes(space.bytes()));
    }
}

/// A value as bytes, after what foreign code it needs has run.
pub(crate) fn prepared_value(plan: &Plan, value: &Bound<'_, PyAny>) -> Space {
    let serializer = plan
        .serializer
        .as_ref()
        .map(|serializer| serializer.bind(value.py()));
    let prepared = prepare(value, serializer);
    let mut space = Space::default();
    space.write(|out| prepared.encode(out, plan.max_repr));
    space
}

/// Ends the span of a call that raises what is set; it stays set.
///
/// # Safety
/// The thread is attached and an exception is set.
#[cold]
pub(crate) unsafe fn fail(plan: &Plan, number: SpanNumber, trace: Trace) {
    // SAFETY: as demanded of the caller.
    unsafe {
        if ffi::PyErr_Occurred().is_null() {
            // A callable that breaks the protocol; the interpreter will say so.
            span_end(number, OutcomeHead::default(), Weight::Normal, |_| Ok(()));
            return;
        }
        let raised = Raised::take();
        end_failed(Python::assume_attached(), plan, number, trace, &raised);
        raised.put_back();
    }
}

fn end_failed(py: Python<'_>, plan: &Plan, number: SpanNumber, trace: Trace, raised: &Raised) {
    let text = raised.text(py);
    let locals = match plan.locals {
        Capture::Yes => raised.locals(py, plan),
        Capture::No => Space::default(),
    };
    let unsampled = trace == Trace::Unsampled;
    let head = OutcomeHead {
        exception: true,
        unsampled,
        ..OutcomeHead::default()
    };
    span_end(number, head, Weight::Error, |out| {
        out.text(&text)?;
        out.bytes(locals.bytes())
    });
}

/// Records a call by itself that raises what is set, inside a trace that is not recorded.
///
/// # Safety
/// The thread is attached and an exception is set.
#[cold]
pub(crate) unsafe fn fail_alone(plan: &Plan, began: Monotonic, arguments: Arguments<'_>) {
    // SAFETY: as demanded of the caller.
    unsafe {
        if ffi::PyErr_Occurred().is_null() {
            return;
        }
        let py = Python::assume_attached();
        let raised = Raised::take();
        let fields = arguments.encode_prepared(py, plan);
        let number = Thread::mine().span_start_at(plan.definition, Current::NONE, began, |out| {
            out.bytes(fields.bytes())
        });
        end_failed(py, plan, number, Trace::Unsampled, &raised);
        raised.put_back();
    }
}
