//! Where a task is: the current span of `asyncio` code, which leaves the thread at every `await`.
//!
//! While a monitored coroutine runs, the thread is in its span. Between its steps the thread belongs
//! to other tasks, so the span is also kept in a `ContextVar`, from which the tasks it creates (and
//! `asyncio.to_thread`) inherit it. Of both places the one opened later is right.
//!
//! Spans that end by hand are kept there, too: they end in any order and anywhere, so nobody could
//! put back what was there before. Each place knows the one around it, and places that were left are
//! passed over when the variable is read.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use argus_client::current::{Current, Thread};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::{ffi, intern};

/// A place in a context.
#[pyclass(frozen)]
struct Place(Arc<Spot>);

impl Place {
    /// The innermost span here that was not left.
    fn innermost(&self) -> Option<&Arc<Spot>> {
        let mut spot = &self.0;
        while spot.is_left() {
            spot = spot.outer.as_ref()?;
        }
        Some(spot)
    }
}

/// A span, and the one that was open around it in the same context.
pub(crate) struct Spot {
    span: Current,
    left: AtomicBool,
    outer: Option<Arc<Self>>,
}

impl Spot {
    fn new(span: Current, outer: Option<Arc<Self>>) -> Arc<Self> {
        Arc::new(Self {
            span,
            left: AtomicBool::new(false),
            outer,
        })
    }

    /// The span.
    pub(crate) fn span(&self) -> Current {
        self.span
    }

    /// Ends its time as the current one, wherever it is. True the first time.
    pub(crate) fn leave(&self) -> bool {
        !self.left.swap(true, Ordering::Relaxed)
    }

    fn is_left(&self) -> bool {
        self.left.load(Ordering::Relaxed)
    }
}

/// One by one: a program may leave any number of spans open inside each other.
impl Drop for Spot {
    fn drop(&mut self) {
        let mut outer = self.outer.take();
        while let Some(spot) = outer {
            outer = Arc::try_unwrap(spot)
                .ok()
                .and_then(|mut spot| spot.outer.take());
        }
    }
}

static VARIABLE: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
/// Until a context was used for the first time, looking there would be a waste.
static USED: AtomicBool = AtomicBool::new(false);

/// Undoes an [`enter`].
pub(crate) type Token = Py<PyAny>;

/// Where `thread`, the calling one, or the task it runs, is.
///
/// # Safety
/// The thread is attached to the interpreter.
#[inline]
pub(crate) unsafe fn here(thread: Thread) -> Current {
    let place = thread.current();
    if USED.load(Ordering::Relaxed) {
        // SAFETY: as demanded of the caller.
        return place.inner(in_context(unsafe { Python::assume_attached() }));
    }
    place
}

#[cold]
fn in_context(py: Python<'_>) -> Current {
    let place = place(py);
    let spot = place.as_ref().and_then(|place| place.get().innermost());
    spot.map_or(Current::NONE, |spot| spot.span.of_this_life())
}

/// What the calling context holds.
fn place(py: Python<'_>) -> Option<Bound<'_, Place>> {
    let variable = VARIABLE.get(py)?;
    let mut value = std::ptr::null_mut();
    let none = std::ptr::null_mut();
    // SAFETY: the variable is a context variable; the answer is a new reference or null.
    let value = unsafe {
        if ffi::PyContextVar_Get(variable.as_ptr(), none, &raw mut value) != 0 {
            ffi::PyErr_Clear();
        }
        Bound::from_owned_ptr_or_opt(py, value)
    };
    value?.cast_into::<Place>().ok()
}

/// Puts the calling context into `place`.
pub(crate) fn enter(py: Python<'_>, place: Current) -> PyResult<Token> {
    set(py, Spot::new(place, None))
}

/// A place that is nobody's to go to: of a span that is not recorded.
pub(crate) fn nowhere() -> Arc<Spot> {
    Spot::new(Current::unsampled(), None)
}

/// Puts the calling context into `place` until that is left.
pub(crate) fn stay(py: Python<'_>, place: Current) -> PyResult<Arc<Spot>> {
    let around = self::place(py).and_then(|place| place.get().innermost().cloned());
    let spot = Spot::new(place, around);
    set(py, Arc::clone(&spot))?;
    Ok(spot)
}

fn set(py: Python<'_>, spot: Arc<Spot>) -> PyResult<Token> {
    let variable = VARIABLE.get_or_try_init(py, || -> PyResult<_> {
        // SAFETY: the name is NUL-terminated; the answer is a new reference or null.
        unsafe {
            let variable = ffi::PyContextVar_New(c"argus_span".as_ptr(), std::ptr::null_mut());
            Ok(Bound::from_owned_ptr_or_err(py, variable)?.unbind())
        }
    })?;
    let value = Bound::new(py, Place(spot))?;
    USED.store(true, Ordering::Relaxed);
    // SAFETY: both are alive; the answer is a new reference or null.
    unsafe {
        let token = ffi::PyContextVar_Set(variable.as_ptr(), value.as_ptr());
        Ok(Bound::from_owned_ptr_or_err(py, token)?.unbind())
    }
}

/// Takes the calling context back to where it was. In another context than that of the `enter` there
/// is nothing to take back.
pub(crate) fn leave(py: Python<'_>, token: &Token) {
    if let Some(variable) = VARIABLE.get(py) {
        // SAFETY: both are alive; an error says that the context is another, and is dropped.
        unsafe {
            if ffi::PyContextVar_Reset(variable.as_ptr(), token.as_ptr()) != 0 {
                ffi::PyErr_Clear();
            }
        }
    }
}

/// Whether the calling thread runs an `asyncio` loop at this moment.
pub(crate) fn in_event_loop(py: Python<'_>) -> bool {
    static RUNNING: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let running = RUNNING.get(py).or_else(|| {
        // Most programs have no `asyncio`, so asking for it must not raise.
        // SAFETY: the name is a string; the answer is a new reference or null, with an error only where
        // the table of modules is none.
        let events = unsafe {
            let module = ffi::PyImport_GetModule(intern!(py, "asyncio.events").as_ptr());
            if module.is_null() {
                ffi::PyErr_Clear();
            }
            Bound::from_owned_ptr_or_opt(py, module)
        };
        let running = events?.getattr("_get_running_loop").ok()?.unbind();
        Some(RUNNING.get_or_init(py, || running))
    });
    running
        .and_then(|running| running.call0(py).ok())
        .is_some_and(|running| !running.is_none(py))
}
