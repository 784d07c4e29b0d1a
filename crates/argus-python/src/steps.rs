//! Coroutines and generators: bodies that run in steps.
//!
//! `argus/_wrap.py` makes the function that the program sees, a real `async def` or generator; it
//! awaits or yields from a [`Steps`], which passes every step on to the body and has the thread in the
//! span for just as long. The span opens with the first step. It ends when the body returns, raises,
//! or is closed or dropped.

use std::sync::{Mutex, PoisonError};

use argus_client::current::{self, Current, Thread};
use argus_model::SpanNumber;
use argus_model::record::OutcomeHead;
use argus_spool::{Weight, span_end};
use pyo3::exceptions::{PyGeneratorExit, PyStopAsyncIteration, PyStopIteration, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};
use pyo3::{PyTraverseError, PyVisit, ffi};

use crate::arguments::Arguments;
use crate::context::{self, Token};
use crate::monitored::plan_of;
use crate::plan::{Capture, Plan};
use crate::record::{self, Trace};
use crate::space::Space;

/// The span of one run of a body.
#[pyclass(frozen)]
pub struct OpenSpan {
    monitored: Py<PyAny>,
    arguments: Py<PyTuple>,
    keywords: Option<Py<PyDict>>,
    began: argus_model::Monotonic,
    within: Current,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Where the body was when it gave the thread away; spans that it opened may be open still.
    inside: Option<Current>,
    first: Option<Space>,
    token: Option<Token>,
    ended: bool,
}

#[pymethods]
impl OpenSpan {
    /// Opens the span of a run of `monitored` with these arguments.
    #[new]
    fn new(
        py: Python<'_>,
        monitored: Bound<'_, PyAny>,
        arguments: Py<PyTuple>,
        keywords: Option<Py<PyDict>>,
    ) -> PyResult<Self> {
        let plan =
            plan_of(&monitored).ok_or_else(|| PyTypeError::new_err("not a monitored function"))?;
        // SAFETY: `py` proves that the thread is attached.
        let before = unsafe { context::here(Thread::mine()) };
        let began = argus_spool::monotonic_now();
        let within = if before.is_quiet() {
            before
        } else if !before.is_recorded()
            || (before.begins_a_trace() && !plan.sampler.next_is_recorded())
        {
            Current::unsampled()
        } else {
            let flat = Flat::of(py, &arguments, keywords.as_ref());
            // SAFETY: the thread is attached.
            before.child(unsafe { record::start(Thread::mine(), plan, before, flat.arguments()) })
        };
        let monitored = monitored.unbind();
        Ok(Self {
            monitored,
            arguments,
            keywords,
            began,
            within,
            state: Mutex::default(),
        })
    }

    /// Notes the first value that a generator yields.
    fn yielded(&self, value: &Bound<'_, PyAny>) {
        let plan = self.plan(value.py());
        if plan.result == Capture::No || !self.is_running() || self.locked().first.is_some() {
            return;
        }
        let first = record::prepared_value(plan, value);
        self.locked().first = Some(first);
    }

    /// Ends the span: the body returned, or nobody wants more of it.
    fn finish(&self, py: Python<'_>) {
        let Some(first) = self.end(py) else { return };
        let head = OutcomeHead {
            result: first.is_some(),
            ..OutcomeHead::default()
        };
        span_end(self.within.number(), head, Weight::Normal, |out| {
            first
                .as_ref()
                .map_or(Ok(()), |first| out.bytes(first.bytes()))
        });
    }

    /// Ends the span of a body that raised.
    fn fail(&self, py: Python<'_>, exception: Bound<'_, PyAny>) {
        if exception.is_instance_of::<PyGeneratorExit>() {
            self.finish(py);
            return;
        }
        let error = PyErr::from_value(exception);
        error.restore(py);
        self.fail_with_what_is_set(py);
        // It stays the caller's to raise.
        drop(PyErr::take(py));
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.monitored)?;
        visit.call(&self.arguments)?;
        visit.call(&self.keywords)
    }
}

impl Drop for OpenSpan {
    fn drop(&mut self) {
        Python::attach(|py| self.finish(py));
    }
}

impl OpenSpan {
    fn plan<'a>(&'a self, py: Python<'a>) -> &'a Plan {
        plan_of(self.monitored.bind(py)).expect("checked when the span was opened")
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the span is recorded, open, and ours to end.
    fn is_running(&self) -> bool {
        self.within.is_recorded() && self.within.is_of_this_life() && !self.locked().ended
    }

    /// Leaves the span; answers what the generator yielded first, the first time it is called.
    fn end(&self, py: Python<'_>) -> Option<Option<Space>> {
        let running = self.is_running();
        let (token, first) = {
            let mut state = self.locked();
            state.ended = true;
            (state.token.take(), state.first.take())
        };
        if let Some(token) = token {
            context::leave(py, &token);
        }
        running.then_some(first)
    }

    fn return_with(&self, py: Python<'_>, result: &Bound<'_, PyAny>) {
        if self.end(py).is_some() {
            // SAFETY: the thread is attached, the result bound.
            unsafe {
                let number = self.within.number();
                record::end(Thread::mine(), self.plan(py), number, result.as_ptr());
            }
        }
    }

    fn fail_with_what_is_set(&self, py: Python<'_>) {
        let unsampled = !self.within.is_recorded() && !self.within.is_quiet();
        let already = self.locked().ended;
        let running = self.end(py).is_some();
        // SAFETY: the thread is attached and an exception set.
        unsafe {
            if running {
                record::fail(self.plan(py), self.within.number(), Trace::Sampled);
            } else if unsampled && !already {
                let flat = Flat::of(py, &self.arguments, self.keywords.as_ref());
                record::fail_alone(self.plan(py), self.began, flat.arguments());
            }
        }
    }
}

/// Arguments in the shape that the vectorcall protocol has.
struct Flat {
    values: Vec<*mut ffi::PyObject>,
    positional: usize,
    keywords: Option<Py<PyTuple>>,
}

impl Flat {
    /// The tuple and the dictionary keep the values alive for as long as their borrower does.
    fn of(py: Python<'_>, arguments: &Py<PyTuple>, keywords: Option<&Py<PyDict>>) -> Self {
        let mut values: Vec<_> = arguments
            .bind(py)
            .iter()
            .map(|value| value.as_ptr())
            .collect();
        let positional = values.len();
        let keywords = keywords
            .map(|keywords| keywords.bind(py))
            .filter(|named| !named.is_empty());
        let names = keywords.and_then(|named| {
            values.extend(named.iter().map(|(_, value)| value.as_ptr()));
            PyTuple::new(py, named.iter().map(|(name, _)| name))
                .ok()
                .map(Bound::unbind)
        });
        if names.is_none() {
            values.truncate(positional);
        }
        Self {
            values,
            positional,
            keywords: names,
        }
    }

    fn arguments(&self) -> Arguments<'_> {
        let keywords = self
            .keywords
            .as_ref()
            .map_or(std::ptr::null_mut(), Py::as_ptr);
        // SAFETY: the values are kept by the tuple and the dictionary they came from.
        unsafe { Arguments::of(self.values.as_ptr(), self.positional, keywords) }
    }
}

/// What a body runs for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    /// A whole coroutine: its value is the result.
    Coroutine,
    /// A whole generator: its first value is the result.
    Generator,
    /// One piece of an async generator, which ends the span itself.
    Piece,
}

/// A body whose steps are made inside its span.
#[pyclass(frozen)]
pub struct Steps {
    span: Py<OpenSpan>,
    body: Py<PyAny>,
    part: Part,
}

#[pymethods]
impl Steps {
    #[new]
    fn new(
        py: Python<'_>,
        span: Py<OpenSpan>,
        body: Bound<'_, PyAny>,
        part: &str,
    ) -> PyResult<Self> {
        let part = match part {
            "coroutine" => Part::Coroutine,
            "generator" => Part::Generator,
            _ => Part::Piece,
        };
        if part == Part::Coroutine && span.get().is_running() {
            let token = context::enter(py, span.get().within)?;
            span.get().locked().token = Some(token);
        }
        Ok(Self {
            span,
            body: body.unbind(),
            part,
        })
    }

    fn __await__(this: PyRef<'_, Self>) -> PyRef<'_, Self> {
        this
    }

    fn __iter__(this: PyRef<'_, Self>) -> PyRef<'_, Self> {
        this
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.step(py, || send(self.body.bind(py), &py.None().into_bound(py)))
    }

    fn send<'py>(&self, value: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let py = value.py();
        self.step(py, || send(self.body.bind(py), value))
    }

    #[pyo3(signature = (*raised))]
    fn throw<'py>(&self, raised: &Bound<'py, PyTuple>) -> PyResult<Bound<'py, PyAny>> {
        let py = raised.py();
        self.step(py, || {
            returned(self.body.bind(py).call_method1("throw", raised))
        })
    }

    fn close(&self, py: Python<'_>) -> PyResult<()> {
        let span = self.span.get();
        let closed = span.inside(|| self.body.bind(py).call_method0("close"));
        match closed {
            Ok(_) => {
                if self.part != Part::Piece {
                    span.finish(py);
                }
                Ok(())
            }
            Err(error) => Err(self.failed(py, error)),
        }
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.span)?;
        visit.call(&self.body)
    }
}

/// How a step ended that did not raise.
enum Step<'py> {
    Yielded(Bound<'py, PyAny>),
    Returned(Bound<'py, PyAny>),
}

impl OpenSpan {
    /// Runs one step of the body with the thread in the span.
    fn inside<R>(&self, step: impl FnOnce() -> R) -> R {
        let inside = self.locked().inside.take().unwrap_or(self.within);
        let entered = if self.within.number() == SpanNumber::NONE && self.within.is_recorded() {
            None // The start was lost: what the body calls hangs on our parent.
        } else {
            Some(current::replace(inside))
        };
        let done = step();
        if let Some(outside) = entered {
            let inside = current::replace(outside);
            self.locked().inside = Some(inside);
        }
        done
    }
}

impl Steps {
    fn step<'py>(
        &self,
        py: Python<'py>,
        step: impl FnOnce() -> PyResult<Step<'py>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let span = self.span.get();
        match span.inside(step) {
            Ok(Step::Yielded(value)) => {
                if self.part == Part::Generator {
                    span.yielded(&value);
                }
                Ok(value)
            }
            Ok(Step::Returned(result)) => {
                match self.part {
                    Part::Coroutine => span.return_with(py, &result),
                    Part::Generator => span.finish(py),
                    Part::Piece => {}
                }
                Err(PyStopIteration::new_err((result.unbind(),)))
            }
            Err(error) => Err(self.failed(py, error)),
        }
    }

    fn failed(&self, py: Python<'_>, error: PyErr) -> PyErr {
        let span = self.span.get();
        let is_end = error.is_instance_of::<PyGeneratorExit>(py)
            || error.is_instance_of::<PyStopAsyncIteration>(py);
        if self.part == Part::Piece {
            return error;
        }
        if is_end {
            span.finish(py);
            return error;
        }
        error.restore(py);
        span.fail_with_what_is_set(py);
        PyErr::fetch(py)
    }
}

/// Makes the body run on; like `PyIter_Send`, which Python 3.9 lacks.
fn send<'py>(body: &Bound<'py, PyAny>, value: &Bound<'py, PyAny>) -> PyResult<Step<'py>> {
    #[cfg(Py_3_10)]
    {
        let mut answer = std::ptr::null_mut();
        // SAFETY: both objects are alive; the answer is a new reference unless the send raised.
        unsafe {
            let sent = ffi::PyIter_Send(body.as_ptr(), value.as_ptr(), &raw mut answer);
            let answer = Bound::from_owned_ptr_or_opt(body.py(), answer);
            match (sent, answer) {
                (ffi::PySendResult::PYGEN_NEXT, Some(value)) => Ok(Step::Yielded(value)),
                (ffi::PySendResult::PYGEN_RETURN, Some(value)) => Ok(Step::Returned(value)),
                _ => Err(PyErr::fetch(body.py())),
            }
        }
    }
    #[cfg(not(Py_3_10))]
    {
        if value.is_none() && body.hasattr("__next__")? {
            returned(body.call_method0("__next__"))
        } else {
            returned(body.call_method1("send", (value,)))
        }
    }
}

/// Tells a return, which travels as `StopIteration`, from what else is raised.
fn returned<'py>(answer: PyResult<Bound<'py, PyAny>>) -> PyResult<Step<'py>> {
    match answer {
        Ok(value) => Ok(Step::Yielded(value)),
        Err(error) => Python::attach(|py| {
            if error.is_instance_of::<PyStopIteration>(py) {
                let value = error.value(py).getattr("value")?.unbind();
                // SAFETY: the thread was attached for `'py` already.
                let py: Python<'py> = unsafe { Python::assume_attached() };
                Ok(Step::Returned(value.into_bound(py)))
            } else {
                Err(error)
            }
        }),
    }
}
