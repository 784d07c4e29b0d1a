//! Running another code in the place of the program's script.
//!
//! A script is compiled and run by the interpreter itself, past every import hook. It announces the
//! code to the audit hooks just before it runs it, with no Python frame below. There the code that
//! stands for it is run to its end, in the same namespace and as the outermost frame, as the script
//! would have been; then the interpreter is told to leave. Launching the script from Python instead
//! (as `runpy` does) would put frames into its tracebacks and change what `__main__` knows of itself.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use pyo3::prelude::*;
use pyo3::types::{PyCode, PyDict, PyString};
use pyo3::{ffi, intern};

use crate::foreign::swallow;
use crate::object::Object;

unsafe extern "C" {
    // Public and stable, but not declared by the bindings.
    fn PySys_AddAuditHook(hook: Hook, data: *mut c_void) -> c_int;
}

type Hook = unsafe extern "C" fn(*const c_char, Object, *mut c_void) -> c_int;

/// Whether the script is still to come: all that other audit events cost.
static WAITING: AtomicBool = AtomicBool::new(false);
static COMPILE: Mutex<Option<Py<PyAny>>> = Mutex::new(None);

/// Has the script run as the code that `compile` answers for its path; as it is, when that is no code.
#[pyfunction]
pub fn instead_of_script(compile: Py<PyAny>) -> PyResult<()> {
    *COMPILE.lock().unwrap_or_else(PoisonError::into_inner) = Some(compile);
    if WAITING.swap(true, Ordering::Relaxed) {
        return Ok(());
    }
    // SAFETY: the hook lives as long as the module, which is never unloaded.
    if unsafe { PySys_AddAuditHook(hook, ptr::null_mut()) } != 0 {
        return Err(Python::attach(PyErr::fetch));
    }
    Ok(())
}

unsafe extern "C" fn hook(event: *const c_char, arguments: Object, _: *mut c_void) -> c_int {
    if !WAITING.load(Ordering::Relaxed) {
        return 0;
    }
    // SAFETY: the interpreter passes a string and a tuple; "exec" comes from an attached thread, and
    // its one argument is the code.
    unsafe {
        if CStr::from_ptr(event) != c"exec" || !ffi::PyEval_GetFrame().is_null() {
            return 0;
        }
        let py = Python::assume_attached();
        let code = Bound::from_borrowed_ptr(py, ffi::PyTuple_GetItem(arguments, 0));
        match instead_of(&code) {
            Ok(Some((instead, namespace))) => run(&instead, &namespace),
            Ok(None) => 0,
            Err(error) => {
                swallow(py, &error);
                0
            }
        }
    }
}

/// What is to be run in the place of `code`, and where, if `code` is the script.
fn instead_of<'py>(
    code: &Bound<'py, PyAny>,
) -> PyResult<Option<(Bound<'py, PyAny>, Bound<'py, PyDict>)>> {
    let py = code.py();
    let namespace = py.import("__main__")?.dict();
    let Some(path) = namespace.get_item(intern!(py, "__file__"))? else {
        return Ok(None);
    };
    WAITING.store(false, Ordering::Relaxed);
    let compile = COMPILE
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .take();
    let Some(compile) = compile else {
        return Ok(None);
    };
    let named = code.getattr("co_filename")?;
    if !path.is_instance_of::<PyString>() || !named.eq(&path)? {
        return Ok(None);
    }
    let instead = compile.bind(py).call1((path,))?;
    Ok(instead
        .is_instance_of::<PyCode>()
        .then_some((instead, namespace)))
}

/// Runs the code as the interpreter would have run the script.
///
/// # Safety
/// Both are alive and the thread attached.
unsafe fn run(code: &Bound<'_, PyAny>, namespace: &Bound<'_, PyDict>) -> c_int {
    // SAFETY: as demanded of the caller.
    unsafe {
        let namespace = namespace.as_ptr();
        let answer = ffi::PyEval_EvalCode(code.as_ptr(), namespace, namespace);
        if !answer.is_null() {
            ffi::Py_DECREF(answer);
            // The script itself is not to run again; leaving is what the interpreter does next.
            ffi::PyErr_SetNone(ffi::PyExc_SystemExit);
        }
        -1
    }
}
