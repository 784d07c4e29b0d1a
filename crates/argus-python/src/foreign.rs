//! Values that only foreign code can tell: serializers of the program's, shapes of arrays and frames.
//!
//! This runs before a record is begun, with no error set. What the foreign code raises ends here; an
//! interrupt by the user is delivered to the program instead. Functions decorated with
//! `@argus.monitor` that the foreign code calls are not recorded.

use argus_client::current::{self, Current};
use argus_model::codec::{Encoder, Full};
use argus_model::value::Shape;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyFrozenSet, PySet, PyString, PyTuple};

use crate::object::{Object, class_name, text_of};
use crate::smart;

/// A value whose foreign code has run.
pub(crate) enum Prepared<'py> {
    /// Nothing foreign is needed.
    Direct(Bound<'py, PyAny>),
    /// The text that stands for it.
    Text(String),
    /// The first elements of a set, and their true number.
    Set(Shape, Vec<Bound<'py, PyAny>>, usize),
}

/// Runs what foreign code the value needs. `serializer` is the program's own, if it has one.
pub(crate) fn prepare<'py>(
    value: &Bound<'py, PyAny>,
    serializer: Option<&Bound<'py, PyAny>>,
) -> Prepared<'py> {
    // SAFETY: a bound object is alive, and binding attaches the thread.
    if serializer.is_none() && unsafe { smart::is_direct(value.as_ptr()) } {
        return Prepared::Direct(value.clone());
    }
    let _quiet = Quiet::begin();
    let told = match serializer {
        Some(serializer) => serialize(value, serializer),
        None => summarise(value),
    };
    told.unwrap_or_else(|error| {
        swallow(value.py(), &error);
        Prepared::Direct(value.clone())
    })
}

impl Prepared<'_> {
    /// Appends the value, at most about `most` characters of it.
    pub(crate) fn encode(&self, out: &mut Encoder<'_>, most: usize) -> Result<(), Full> {
        let mut room = most;
        match self {
            // SAFETY: the object is alive and the thread attached.
            Self::Direct(value) => unsafe { smart::encode(out, value.as_ptr(), most) },
            Self::Text(text) => smart::encode_verbatim_cut(out, text, &mut room),
            // SAFETY: every index below the number of elements held has a living element.
            Self::Set(shape, shown, length) => unsafe {
                smart::encode_sequence(out, *shape, *length, &mut room, 2, |index| {
                    shown.get(index).map_or(ffi::Py_None(), Bound::as_ptr)
                })
            },
        }
    }
}

fn serialize<'py>(
    value: &Bound<'py, PyAny>,
    serializer: &Bound<'py, PyAny>,
) -> PyResult<Prepared<'py>> {
    let answer = serializer.call1((value,))?;
    Ok(match answer.cast_exact::<PyString>() {
        // SAFETY: a bound string is alive, and binding attaches the thread.
        Ok(text) => Prepared::Text(unsafe { text_of(text.as_ptr()) }),
        Err(_) => Prepared::Direct(answer),
    })
}

fn summarise<'py>(value: &Bound<'py, PyAny>) -> PyResult<Prepared<'py>> {
    if value.is_exact_instance_of::<PySet>() || value.is_exact_instance_of::<PyFrozenSet>() {
        let shown = value.try_iter()?.take(3).collect::<PyResult<Vec<_>>>()?;
        // SAFETY: checked to be a set.
        let shape = unsafe { smart::set_shape(value.as_ptr()) };
        return Ok(Prepared::Set(shape, shown, value.len()?));
    }
    // SAFETY: a bound object is alive, and binding attaches the thread.
    let class = unsafe { class_name(value.as_ptr()) };
    let module = value
        .get_type()
        .getattr("__module__")?
        .extract::<String>()?;
    let family = module.split('.').next().unwrap_or_default();
    let text = match (family, class) {
        ("numpy", "ndarray") => {
            let kind = value.getattr("dtype")?.str()?.to_string();
            format!("[ndarray {kind} {}]", shape(value)?.replace(", ", ","))
        }
        ("pandas" | "polars", "DataFrame") => {
            let (rows, columns) = value.getattr("shape")?.extract::<(usize, usize)>()?;
            format!("[DataFrame {rows}×{columns}]")
        }
        ("pandas" | "polars", "Series") => format!("[Series {}]", value.len()?),
        _ => return Ok(Prepared::Direct(value.clone())),
    };
    Ok(Prepared::Text(text))
}

fn shape(value: &Bound<'_, PyAny>) -> PyResult<String> {
    let shape = value.getattr("shape")?;
    Ok(shape
        .cast::<PyTuple>()
        .map_err(PyErr::from)?
        .repr()?
        .to_string())
}

/// While this stands, the thread records nothing.
pub(crate) struct Quiet(Current);

impl Quiet {
    pub(crate) fn begin() -> Self {
        Self(current::replace(Current::quiet()))
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        current::replace(self.0);
    }
}

/// Ends what foreign code raised here. The user's interrupt is the program's to handle: it is raised
/// again as soon as the program itself runs.
pub(crate) fn swallow(py: Python<'_>, error: &PyErr) {
    if error.is_instance_of::<pyo3::exceptions::PyKeyboardInterrupt>(py) {
        // SAFETY: only notes that a signal has come.
        unsafe { ffi::PyErr_SetInterrupt() };
    }
}

/// An object that a caller lends for the time of a call.
///
/// # Safety
/// `object` is alive and the thread attached for as long as `py` is.
pub(crate) unsafe fn lend<'py>(py: Python<'py>, object: Object) -> Bound<'py, PyAny> {
    // SAFETY: as demanded of the caller; this takes a reference of its own.
    unsafe { Bound::from_borrowed_ptr(py, object) }
}
