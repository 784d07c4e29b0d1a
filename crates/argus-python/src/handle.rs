//! Spans that end by hand, in any order, in any thread: those of `argus.Profiler.start`.

use std::sync::Arc;

use argus_client::current::Thread;
use argus_model::SpanNumber;
use argus_model::record::OutcomeHead;
use argus_spool::{Weight, span_end, span_start};
use pyo3::exceptions::PyBaseException;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};

use crate::context::{self, Spot};
use crate::emit::fields;
use crate::failure::exception_text;
use crate::object::class_name;
use crate::span::definition;

/// What a span says whose handle is gone before its end.
const FORGOTTEN: &str = "not ended: its handle was dropped";

/// A span that was started by hand.
#[pyclass(frozen, name = "SpanHandle", module = "argus", weakref)]
pub struct Handle(Arc<Spot>);

/// Opens a span now, inside the current one; it is the current one of the calling thread or task
/// until it ends.
#[pyfunction]
pub fn start(
    py: Python<'_>,
    name: &str,
    group: Option<&str>,
    given: Option<&Bound<'_, PyDict>>,
) -> PyResult<Handle> {
    // SAFETY: `py` proves that the thread is attached.
    let before = unsafe { context::here(Thread::mine()) };
    if argus_spool::disabled() || !before.is_recorded() {
        return Ok(Handle(context::nowhere()));
    }
    let space = fields(given)?;
    let name = definition(name, group);
    let number = span_start(name, before, |out| out.bytes(space.bytes()));
    if number == SpanNumber::NONE {
        return Ok(Handle(context::nowhere()));
    }
    Ok(Handle(context::stay(py, before.child(number))?))
}

#[pymethods]
impl Handle {
    /// Its number in this process, as in `process_trace`; none where it is not recorded.
    #[getter]
    fn span(&self) -> Option<u64> {
        let number = self.0.span().number();
        (number != SpanNumber::NONE).then_some(number.0)
    }

    /// Ends the span. Answers whether this call did: a span ends once.
    #[pyo3(name = "end", signature = (**fields))]
    fn end_well(&self, fields: Option<&Bound<'_, PyDict>>) -> PyResult<bool> {
        self.end(None, fields)
    }

    /// Ends the span as failed with this exception or text.
    #[pyo3(signature = (error, /, **fields))]
    fn fail(&self, error: &Bound<'_, PyAny>, fields: Option<&Bound<'_, PyDict>>) -> PyResult<bool> {
        let text = if error.is_instance_of::<PyBaseException>() {
            exception_text(error)
        } else {
            // SAFETY: a bound object is alive, and binding attaches the thread.
            error.cast::<PyString>().map_or_else(
                |_| unsafe { class_name(error.as_ptr()) }.to_owned(),
                |text| text.to_string_lossy().into_owned(),
            )
        };
        self.end(Some(&text), fields)
    }
}

impl Handle {
    fn end(&self, failure: Option<&str>, given: Option<&Bound<'_, PyDict>>) -> PyResult<bool> {
        let space = fields(given)?;
        if !self.0.leave() {
            return Ok(false);
        }
        let span = self.0.span();
        if !span.is_recorded() {
            return Ok(true);
        }
        if !span.is_of_this_life() {
            return Ok(false);
        }
        let head = OutcomeHead {
            exception: failure.is_some(),
            ..OutcomeHead::default()
        };
        let weight = failure.map_or(Weight::Normal, |_| Weight::Error);
        span_end(span.number(), head, weight, |out| {
            failure.map_or(Ok(()), |text| out.text(text))?;
            out.bytes(space.bytes())
        });
        Ok(true)
    }
}

/// Nobody can end the span any more. When it is the interpreter that goes, it is open still, and the
/// collector will see it interrupted.
impl Drop for Handle {
    fn drop(&mut self) {
        if is_finalizing() || !self.0.leave() {
            return;
        }
        let span = self.0.span();
        if span.is_recorded() && span.is_of_this_life() {
            let head = OutcomeHead {
                exception: true,
                ..OutcomeHead::default()
            };
            span_end(span.number(), head, Weight::Error, |out| {
                out.text(FORGOTTEN)
            });
        }
    }
}

#[cfg(Py_3_13)]
fn is_finalizing() -> bool {
    // SAFETY: may be called at any time.
    unsafe { pyo3::ffi::Py_IsFinalizing() != 0 }
}

#[cfg(not(Py_3_13))]
fn is_finalizing() -> bool {
    unsafe extern "C" {
        fn _Py_IsFinalizing() -> std::ffi::c_int;
    }
    // SAFETY: what the function was called before it became public.
    unsafe { _Py_IsFinalizing() != 0 }
}
