//! Where work belongs that is done elsewhere: in another thread, in another process.

use std::sync::{Mutex, PoisonError};

use argus_client::current::{self, Current, Thread};
use argus_model::TraceContext;
use argus_spool::remote;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use crate::context::{self, Token};

/// A place that can be carried into another thread.
#[pyclass(frozen, name = "Place")]
pub struct Carried(Current);

/// Where the caller is; nothing where there is nothing to carry.
#[pyfunction]
pub fn here() -> Option<Carried> {
    // SAFETY: a function of the module is called by an attached thread.
    let place = unsafe { context::here(Thread::mine()) };
    (!place.begins_a_trace() && !place.is_quiet()).then_some(Carried(place))
}

#[pymethods]
impl Carried {
    /// Puts the calling thread, which has just begun, into the place.
    fn settle(&self) {
        current::replace(self.0);
    }

    /// Calls `function` in the place; the thread is where it was afterwards.
    #[pyo3(signature = (function, /, *args, **kwargs))]
    fn run(
        &self,
        function: &Bound<'_, PyAny>,
        args: &Bound<'_, PyTuple>,
        kwargs: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Py<PyAny>> {
        let before = current::replace(self.0);
        let result = function.call(args, kwargs);
        current::replace(before);
        result.map(Bound::unbind)
    }
}

/// Puts the calling thread outside of any trace.
#[pyfunction]
pub fn leave() {
    current::replace(Current::NONE);
}

/// What another program has to be told to go on with the caller's trace (the header `traceparent`);
/// nothing outside of any trace, and in one that is not recorded.
#[pyfunction]
pub fn traceparent() -> Option<String> {
    // SAFETY: a function of the module is called by an attached thread.
    let place = unsafe { context::here(Thread::mine()) };
    remote::context_of(place).map(|context| context.to_string())
}

/// Whether the caller is in a trace that is not recorded.
#[pyfunction]
pub fn is_unrecorded() -> bool {
    // SAFETY: a function of the module is called by an attached thread.
    let place = unsafe { context::here(Thread::mine()) };
    !place.is_recorded() && !place.is_quiet()
}

/// The place below a parent in another program, as a context manager.
#[pyclass(frozen)]
pub struct Below {
    context: Option<TraceContext>,
    entered: Mutex<Vec<Entered>>,
}

struct Entered {
    within: Current,
    before: Current,
    token: Option<Token>,
}

#[pymethods]
impl Below {
    /// A text that is no `traceparent` means no parent, as the recommendation has it.
    #[new]
    fn new(traceparent: Option<&str>) -> Self {
        Self {
            context: traceparent.and_then(|text| text.parse().ok()),
            entered: Mutex::default(),
        }
    }

    /// Puts the calling thread, which has just begun, into the place.
    fn settle(&self) {
        if let Some(context) = self.context {
            current::replace(remote::below(context));
        }
    }

    fn __enter__<'py>(this: &Bound<'py, Self>) -> PyResult<Bound<'py, Self>> {
        let below = this.get();
        let mut entered = below.entered.lock().unwrap_or_else(PoisonError::into_inner);
        let before = current::current();
        let (mut within, mut token) = (before, None);
        if let Some(context) = below.context {
            within = remote::below(context);
            if context::in_event_loop(this.py()) {
                token = Some(context::enter(this.py(), within)?);
            } else {
                current::replace(within);
            }
        }
        entered.push(Entered {
            within,
            before,
            token,
        });
        drop(entered);
        Ok(this.clone())
    }

    #[pyo3(signature = (*_exception))]
    fn __exit__(&self, py: Python<'_>, _exception: &Bound<'_, PyTuple>) -> bool {
        let mut entered = self.entered.lock().unwrap_or_else(PoisonError::into_inner);
        let last = entered.pop();
        drop(entered);
        match last {
            Some(Entered {
                token: Some(token), ..
            }) => context::leave(py, &token),
            // Elsewhere already, when blocks do not end in the order in which they began.
            Some(Entered { within, before, .. }) if current::current() == within => {
                current::replace(before);
            }
            _ => {}
        }
        false
    }
}
