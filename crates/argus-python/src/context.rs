//! Where a task is: the current span of `asyncio` code, which leaves the thread at every `await`.
//!
//! While a monitored coroutine runs, the thread is in its span. Between its steps the thread belongs
//! to other tasks, so the span is also kept in a `ContextVar`, from which the tasks it creates (and
//! `asyncio.to_thread`) inherit it. Of both places the one opened later is right.

use std::sync::atomic::{AtomicBool, Ordering};

use argus_client::current::{Current, Thread};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

/// A place in a context.
#[pyclass(frozen)]
struct Place(Current);

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
    let Some(variable) = VARIABLE.get(py) else {
        return Current::NONE;
    };
    let mut value = std::ptr::null_mut();
    let none = std::ptr::null_mut();
    // SAFETY: the variable is a context variable; the answer is a new reference or null.
    let value = unsafe {
        if ffi::PyContextVar_Get(variable.as_ptr(), none, &raw mut value) != 0 {
            ffi::PyErr_Clear();
        }
        Bound::from_owned_ptr_or_opt(py, value)
    };
    let place = value.and_then(|value| value.cast_into::<Place>().ok());
    place.map_or(Current::NONE, |place| place.get().0.of_this_life())
}

/// Puts the calling context into `place`.
pub(crate) fn enter(py: Python<'_>, place: Current) -> PyResult<Token> {
    let variable = VARIABLE.get_or_try_init(py, || -> PyResult<_> {
        // SAFETY: the name is NUL-terminated; the answer is a new reference or null.
        unsafe {
            let variable = ffi::PyContextVar_New(c"argus_span".as_ptr(), std::ptr::null_mut());
            Ok(Bound::from_owned_ptr_or_err(py, variable)?.unbind())
        }
    })?;
    let value = Bound::new(py, Place(place))?;
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
    let running = RUNNING.get_or_try_init(py, || {
        let modules = py.import("sys")?.getattr("modules")?;
        PyResult::Ok(
            modules
                .get_item("asyncio.events")?
                .getattr("_get_running_loop")?
                .unbind(),
        )
    });
    running
        .and_then(|running| running.call0(py))
        .is_ok_and(|running| !running.is_none(py))
}
