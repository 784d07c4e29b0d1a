//! An exception on its way through a monitored call: looked at, recorded, passed on unchanged.

use argus_model::record::encode_text_key;
use argus_model::value::encode_masked;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyString};

use crate::foreign::{Quiet, lend, prepare, swallow};
use crate::object::{Object, class_name};
use crate::plan::Plan;
use crate::space::Space;

/// The most characters of an exception's text; the middle is left out.
const MOST_TEXT: usize = 16_000;
/// The most local variables recorded.
const MOST_LOCALS: usize = 50;

/// The exception that the thread is raising, taken out of the interpreter.
pub(crate) struct Raised {
    class: Object,
    value: Object,
    traceback: Object,
}

impl Raised {
    /// Takes the exception that is set; there is one.
    ///
    /// # Safety
    /// The thread is attached.
    pub(crate) unsafe fn take() -> Self {
        let mut raised = Self {
            class: std::ptr::null_mut(),
            value: std::ptr::null_mut(),
            traceback: std::ptr::null_mut(),
        };
        // SAFETY: the three places are valid; afterwards the references are ours.
        #[allow(deprecated, reason = "the newer call is missing before Python 3.12")]
        unsafe {
            let Self {
                class,
                value,
                traceback,
            } = &mut raised;
            ffi::PyErr_Fetch(class, value, traceback);
            ffi::PyErr_NormalizeException(class, value, traceback);
            if !value.is_null() && !traceback.is_null() {
                ffi::PyException_SetTraceback(*value, *traceback);
            }
        }
        raised
    }

    /// Sets it again, the same objects.
    ///
    /// # Safety
    /// The thread is attached and nothing else is set.
    pub(crate) unsafe fn put_back(self) {
        // SAFETY: gives the references back that `take` got.
        #[allow(deprecated, reason = "the newer call is missing before Python 3.12")]
        unsafe {
            ffi::PyErr_Restore(self.class, self.value, self.traceback);
        }
    }

    /// The exception as the interpreter would print it, or its class when that fails.
    pub(crate) fn text(&self, py: Python<'_>) -> String {
        if self.value.is_null() {
            return "unknown exception".to_owned();
        }
        // SAFETY: the exception is alive while `self` is.
        exception_text(&unsafe { lend(py, self.value) })
    }

    /// The local variables of the outermost frame that the exception has left, as fields.
    pub(crate) fn locals(&self, py: Python<'_>, plan: &Plan) -> Space {
        let mut space = Space::default();
        if self.traceback.is_null() {
            return space;
        }
        let _quiet = Quiet::begin();
        // SAFETY: the traceback is alive while `self` is.
        let traceback = unsafe { lend(py, self.traceback) };
        if let Err(error) = locals_of(&traceback, plan, &mut space) {
            swallow(py, &error);
        }
        space
    }
}

/// The text of an exception with its traceback; its class when making that text fails.
pub(crate) fn exception_text(exception: &Bound<'_, PyAny>) -> String {
    static FORMAT: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let py = exception.py();
    let _quiet = Quiet::begin();
    let text = FORMAT
        .import(py, "argus._failure", "exception_text")
        .and_then(|format| format.call1((exception,)))
        .and_then(|text| text.cast_into::<PyString>().map_err(PyErr::from));
    match text {
        Ok(text) => without_middle(&text.to_string_lossy()),
        Err(error) => {
            swallow(py, &error);
            // SAFETY: a bound object is alive, and binding attaches the thread.
            unsafe { class_name(exception.as_ptr()) }.to_owned()
        }
    }
}

fn without_middle(text: &str) -> String {
    if text.len() <= MOST_TEXT {
        return text.to_owned();
    }
    let half = MOST_TEXT / 2;
    let beginning = &text[..text.floor_char_boundary(half)];
    let end = &text[text.ceil_char_boundary(text.len() - half)..];
    format!("{beginning}\n  [...]\n{end}")
}

fn locals_of(traceback: &Bound<'_, PyAny>, plan: &Plan, space: &mut Space) -> PyResult<()> {
    let py = traceback.py();
    let locals = traceback.getattr("tb_frame")?.getattr("f_locals")?;
    // From Python 3.13 on this is a view of the frame.
    let snapshot = PyDict::new(py);
    snapshot.update(
        locals
            .cast::<pyo3::types::PyMapping>()
            .map_err(PyErr::from)?,
    )?;
    let serializer = plan
        .serializer
        .as_ref()
        .map(|serializer| serializer.bind(py));
    for (name, value) in snapshot.iter().take(MOST_LOCALS) {
        let name = name.str()?.to_string_lossy().into_owned();
        if plan.sensitive.covers(&name) {
            space.write(|out| {
                encode_text_key(out, &name)?;
                encode_masked(out)
            });
            continue;
        }
        let prepared = prepare(&value, serializer);
        space.write(|out| {
            encode_text_key(out, &name)?;
            prepared.encode(out, plan.max_repr)
        });
    }
    Ok(())
}
