//! Functions that are recorded as they are: the same objects, called through another slot.
//!
//! A Python function keeps a pointer to the C function that calls it. Instrumenting one puts ours
//! there, so its type, its identity and everything `inspect` answers stay what they were, and whoever
//! holds the function calls the recorded one. From Python 3.12 on the interpreter looks at that slot
//! before it runs a function without calling it; 3.11 does not look, but it asks for the exact type,
//! so there the function becomes one of a type that differs from `function` in nothing else
//! ([`heir`]).
//!
//! Python 3.12 and later also offer `sys.monitoring`. Measured on a function of two arguments, with C
//! callbacks that do nothing: 3.12.1 adds 21–24 ns a call by the slot and 49–59 ns by monitoring, which
//! does not tell the arguments; reading them from the frame makes it 100–110 ns. 3.13.0: 22 ns,
//! 31–32 ns, 84–93 ns. So the slot is taken everywhere.
//!
//! The plan hangs on the function's code (`co_extra`), and is freed with it: a function that is made
//! again and again, as nested ones are, is instrumented by one look and one store. It is made at the
//! first call, since most functions that a program defines are never called in a run.

use std::ffi::{c_int, c_void};
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicIsize, AtomicUsize, Ordering};

use pyo3::exceptions::{PyRuntimeError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use pyo3::{ffi, intern};

use crate::arguments::Arguments;
use crate::call::within_span;
use crate::foreign::{Quiet, lend, swallow};
#[cfg(all(Py_3_11, not(Py_3_12)))]
use crate::heir;
use crate::monitored;
use crate::object::Object;
use crate::plan::Plan;

unsafe extern "C" {
    // Public or stable for years, but not declared by the bindings.
    #[cfg_attr(Py_3_12, link_name = "PyUnstable_Eval_RequestCodeExtraIndex")]
    #[cfg_attr(not(Py_3_12), link_name = "_PyEval_RequestCodeExtraIndex")]
    fn request_index(free: unsafe extern "C" fn(*mut c_void)) -> ffi::Py_ssize_t;
    #[cfg_attr(Py_3_12, link_name = "PyUnstable_Code_GetExtra")]
    #[cfg_attr(not(Py_3_12), link_name = "_PyCode_GetExtra")]
    fn extra_of(code: Object, index: ffi::Py_ssize_t, extra: *mut *mut c_void) -> c_int;
    #[cfg_attr(Py_3_12, link_name = "PyUnstable_Code_SetExtra")]
    #[cfg_attr(not(Py_3_12), link_name = "_PyCode_SetExtra")]
    fn set_extra(code: Object, index: ffi::Py_ssize_t, extra: *mut c_void) -> c_int;
    #[cfg(Py_3_12)]
    fn PyFunction_SetVectorcall(function: Object, target: ffi::vectorcallfunc);
}

const STEPPING: c_int = ffi::CO_GENERATOR | ffi::CO_COROUTINE | ffi::CO_ASYNC_GENERATOR;

/// Where in a code's extras its plan is; below 0 until the first plan is made.
static INDEX: AtomicIsize = AtomicIsize::new(-1);
/// What the slot of every function holds that nobody has touched, by its address.
static ORIGINAL: AtomicUsize = AtomicUsize::new(0);

/// What is known of a code some function of which is instrumented.
struct Entry {
    /// Calling a function with this code only makes what runs later.
    in_steps: bool,
    state: State,
}

enum State {
    /// It was not called so far; the recipe says how it is to be recorded.
    Uncalled(Uncalled),
    Planned(Arc<Plan>),
    /// Its recipe has failed.
    Unrecorded,
}

/// Who says how functions with a code are recorded, and what the first of them was called when it was
/// made.
struct Uncalled {
    recipe: Py<PyAny>,
    module: Py<PyAny>,
    qualname: Py<PyAny>,
}

impl Uncalled {
    fn of(function: &Bound<'_, PyAny>, recipe: &Bound<'_, PyAny>) -> PyResult<Self> {
        Ok(Self {
            recipe: recipe.clone().unbind(),
            module: function.getattr("__module__")?.unbind(),
            qualname: function.getattr("__qualname__")?.unbind(),
        })
    }

    fn clone_ref(&self, py: Python<'_>) -> Self {
        Self {
            recipe: self.recipe.clone_ref(py),
            module: self.module.clone_ref(py),
            qualname: self.qualname.clone_ref(py),
        }
    }

    fn plan(&self, function: &Bound<'_, PyAny>) -> PyResult<Plan> {
        let py = function.py();
        let _quiet = Quiet::begin();
        let arguments = (function, &self.module, &self.qualname);
        let recipe = self.recipe.bind(py);
        let options = recipe.call_method1(intern!(py, "options_of"), arguments)?;
        Plan::read(options.cast::<PyDict>().map_err(PyErr::from)?)
    }
}

/// Makes a decorator that instruments functions. The recipe's `stepping` answers what stands for one
/// that runs in steps, its `options_of` how one is recorded. It never raises.
#[pyfunction]
pub fn instrument<'py>(recipe: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let method = Box::leak(Box::new(ffi::PyMethodDef {
        ml_name: c"instrumented".as_ptr(),
        ml_meth: ffi::PyMethodDefPointer {
            PyCFunction: decorate,
        },
        ml_flags: ffi::METH_O,
        ml_doc: ptr::null(),
    }));
    // SAFETY: the definition lives for ever; the answer is a new reference or null.
    unsafe {
        let made = ffi::PyCFunction_NewEx(method, recipe.as_ptr(), ptr::null_mut());
        Bound::from_owned_ptr_or_err(recipe.py(), made)
    }
}

unsafe extern "C" fn decorate(recipe: Object, function: Object) -> Object {
    // SAFETY: the interpreter calls this attached, with living objects.
    unsafe {
        let py = Python::assume_attached();
        let function = Bound::from_borrowed_ptr(py, function);
        if !is_plain(&function) {
            return function.into_ptr();
        }
        match instrumented(&function, &Bound::from_borrowed_ptr(py, recipe)) {
            Ok(instead) => instead.into_ptr(),
            Err(error) => {
                swallow(py, &error);
                function.into_ptr()
            }
        }
    }
}

fn instrumented<'py>(
    function: &Bound<'py, PyAny>,
    recipe: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    // SAFETY: the caller has seen that it is a plain function.
    unsafe {
        if (*entry_of(function, recipe)?).in_steps {
            return recipe.call_method1(intern!(function.py(), "stepping"), (function,));
        }
        put_in_place(function.as_ptr());
    }
    Ok(function.clone())
}

/// Has every call of `function` recorded, as the first recipe for its code says.
#[pyfunction]
pub fn attach(function: &Bound<'_, PyAny>, recipe: &Bound<'_, PyAny>) -> PyResult<()> {
    if !is_plain(function) {
        return Err(PyTypeError::new_err("not called as other functions are"));
    }
    // SAFETY: checked to be a function.
    unsafe {
        entry_of(function, recipe)?;
        put_in_place(function.as_ptr());
    }
    Ok(())
}

/// Whether the code of `function` has a recipe.
#[pyfunction]
pub fn is_planned(function: &Bound<'_, PyAny>) -> bool {
    // SAFETY: checked to be a function.
    is_function(function) && unsafe { entry_at(code_of(function.as_ptr())) }.is_some()
}

/// Takes an [`attach`] back.
#[pyfunction]
pub fn detach(function: &Bound<'_, PyAny>) {
    if !is_attached(function) {
        return;
    }
    // SAFETY: an instrumented function; the slot's original was kept when it was replaced.
    unsafe {
        #[cfg(all(Py_3_11, not(Py_3_12)))]
        heir::disown(function.as_ptr());
        set_slot(function.as_ptr(), original());
    }
}

/// Whether calls of `function` are recorded because of an [`attach`].
#[pyfunction]
pub fn is_attached(function: &Bound<'_, PyAny>) -> bool {
    // SAFETY: checked to be a function, whose slot is valid.
    is_function(function)
        && unsafe { slot(function.as_ptr()).read() }
            .is_some_and(|target| target as usize == call as *const () as usize)
}

/// Whether `object` is what `argus.monitor` has made of something.
#[pyfunction]
pub fn is_monitored(object: &Bound<'_, PyAny>) -> bool {
    monitored::plan_of(object).is_some()
}

/// A monitored object for `function`, as the first recipe for its code says.
#[pyfunction]
pub fn monitored_of<'py>(
    function: &Bound<'py, PyAny>,
    recipe: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    if !is_function(function) {
        return Err(PyTypeError::new_err("not a function"));
    }
    // SAFETY: checked to be a function; its code is kept alive by it.
    let plan = unsafe {
        let entry = entry_of(function, recipe)?;
        plan_of(function.as_ptr(), entry)
    };
    let plan = plan.ok_or_else(|| PyTypeError::new_err("cannot be described"))?;
    monitored::wrap(function, plan)
}

/// The slot of an instrumented function.
unsafe extern "C" fn call(
    function: Object,
    args: *const Object,
    flagged_count: usize,
    keywords: Object,
) -> Object {
    // SAFETY: the interpreter calls this as the protocol says, with a function in whose slot it found
    // it. The program may give the function another code meanwhile, so the one at hand, and with it
    // its entry, is held.
    unsafe {
        let run = || original()(function, args, flagged_count, keywords);
        let code = code_of(function);
        let Some(entry) = entry_at(code) else {
            return run();
        };
        ffi::Py_INCREF(code);
        let passed = Arguments::of(args, flagged_count, keywords);
        let result = match &(*entry).state {
            State::Planned(plan) => within_span(plan, passed, run),
            State::Unrecorded => run(),
            State::Uncalled(_) => match plan_of(function, entry) {
                Some(plan) => within_span(&plan, passed, run),
                None => run(),
            },
        };
        ffi::Py_DECREF(code);
        result
    }
}

/// The plan in an entry, made now if it is not there yet.
///
/// # Safety
/// `function` is a function with the code whose entry it is, both alive, and the thread is attached.
#[cold]
unsafe fn plan_of(function: Object, entry: *mut Entry) -> Option<Arc<Plan>> {
    // SAFETY: as demanded of the caller. Python code runs meanwhile, which may come by here for the
    // same entry: it is not borrowed then, only replaced, and a plan in it stays as long as the code.
    unsafe {
        let py = Python::assume_attached();
        let uncalled = match &(*entry).state {
            State::Planned(plan) => return Some(Arc::clone(plan)),
            State::Unrecorded => return None,
            State::Uncalled(uncalled) => uncalled.clone_ref(py),
        };
        let made = uncalled.plan(&lend(py, function));
        if let State::Planned(plan) = &(*entry).state {
            return Some(Arc::clone(plan));
        }
        match made {
            Ok(plan) => {
                let plan = Arc::new(plan);
                (*entry).state = State::Planned(Arc::clone(&plan));
                Some(plan)
            }
            Err(error) => {
                swallow(py, &error);
                (*entry).state = State::Unrecorded;
                None
            }
        }
    }
}

/// The entry of a function's code, made now if there is none.
///
/// # Safety
/// `function` is a function.
unsafe fn entry_of(function: &Bound<'_, PyAny>, recipe: &Bound<'_, PyAny>) -> PyResult<*mut Entry> {
    // SAFETY: as demanded of the caller; the function keeps its code alive.
    unsafe {
        let code = code_of(function.as_ptr());
        if let Some(entry) = entry_at(code) {
            return Ok(entry);
        }
        let flags: c_int = function
            .getattr("__code__")?
            .getattr("co_flags")?
            .extract()?;
        let entry = Box::into_raw(Box::new(Entry {
            in_steps: flags & STEPPING != 0,
            state: State::Uncalled(Uncalled::of(function, recipe)?),
        }));
        let set = index().map(|index| set_extra(code, index, entry.cast()));
        if !matches!(set, Ok(0)) {
            drop(Box::from_raw(entry));
            set?;
            return Err(PyErr::fetch(function.py()));
        }
        Ok(entry)
    }
}

unsafe extern "C" fn free_entry(extra: *mut c_void) {
    if !extra.is_null() {
        // SAFETY: what `entry_of` has put there.
        drop(unsafe { Box::from_raw(extra.cast::<Entry>()) });
    }
}

/// The index of our extras, asked for once.
fn index() -> PyResult<isize> {
    let known = INDEX.load(Ordering::Relaxed);
    if known >= 0 {
        return Ok(known);
    }
    // SAFETY: the thread is attached, and the function lives as long as the module, which is never
    // unloaded.
    let index = unsafe { request_index(free_entry) };
    if index < 0 {
        return Err(PyRuntimeError::new_err(
            "the interpreter has no room for more extras of code",
        ));
    }
    INDEX.store(index, Ordering::Relaxed);
    Ok(index)
}

/// What is known of a code.
///
/// # Safety
/// `code` is a living code object and the thread attached.
#[inline]
unsafe fn entry_at(code: Object) -> Option<*mut Entry> {
    let index = INDEX.load(Ordering::Relaxed);
    if index < 0 {
        return None;
    }
    let mut extra = ptr::null_mut();
    // SAFETY: as demanded of the caller.
    unsafe { extra_of(code, index, &raw mut extra) };
    (!extra.is_null()).then(|| extra.cast())
}

fn is_function(object: &Bound<'_, PyAny>) -> bool {
    // SAFETY: reading a type's address.
    let function = unsafe { ffi::Py_TYPE(object.as_ptr()) == &raw mut ffi::PyFunction_Type };
    #[cfg(all(Py_3_11, not(Py_3_12)))]
    let function = function || heir::is(object);
    function
}

/// Whether it is a function whose slot nobody else has replaced.
fn is_plain(object: &Bound<'_, PyAny>) -> bool {
    if !is_function(object) {
        return false;
    }
    // SAFETY: checked to be a function.
    let Some(target) = (unsafe { slot(object.as_ptr()).read() }) else {
        return false;
    };
    let address = target as usize;
    if ORIGINAL.load(Ordering::Relaxed) == 0 {
        ORIGINAL.store(untouched_slot(object).unwrap_or(0), Ordering::Relaxed);
    }
    address == ORIGINAL.load(Ordering::Relaxed) || address == call as *const () as usize
}

/// The slot's content of a function that is made for this question.
fn untouched_slot(object: &Bound<'_, PyAny>) -> Option<usize> {
    // SAFETY: both arguments of the new function are what a function has; its slot is read while it
    // lives.
    unsafe {
        let code = code_of(object.as_ptr());
        let globals = PyDict::new(object.py());
        let fresh = ffi::PyFunction_New(code, globals.as_ptr());
        let fresh = Bound::from_owned_ptr_or_opt(object.py(), fresh)?;
        slot(fresh.as_ptr()).read().map(|target| target as usize)
    }
}

/// # Safety
/// `function` is a function.
#[inline]
unsafe fn code_of(function: Object) -> Object {
    // SAFETY: a function has a code at all times.
    unsafe { (*function.cast::<ffi::PyFunctionObject>()).func_code }
}

/// # Safety
/// `function` is a function.
#[inline]
unsafe fn slot(function: Object) -> *mut Option<ffi::vectorcallfunc> {
    // SAFETY: the type says where its instances keep the slot.
    unsafe {
        let offset = (*ffi::Py_TYPE(function)).tp_vectorcall_offset;
        function.byte_offset(offset).cast()
    }
}

/// What stood in the slot before.
#[inline]
fn original() -> ffi::vectorcallfunc {
    let address = ptr::with_exposed_provenance::<c_void>(ORIGINAL.load(Ordering::Relaxed));
    // SAFETY: no function is instrumented before the address is known to be that of the function
    // which the interpreter puts there.
    unsafe { std::mem::transmute(address) }
}

/// # Safety
/// `function` is a function that `is_plain`.
#[inline]
unsafe fn put_in_place(function: Object) {
    // SAFETY: as demanded of the caller.
    unsafe {
        set_slot(function, call);
        #[cfg(all(Py_3_11, not(Py_3_12)))]
        heir::adopt(function);
    }
}

/// # Safety
/// `function` is a function.
#[inline]
unsafe fn set_slot(function: Object, target: ffi::vectorcallfunc) {
    // SAFETY: as demanded of the caller. The interpreter's own setter also forgets what it knew of
    // the function.
    unsafe {
        #[cfg(Py_3_12)]
        PyFunction_SetVectorcall(function, target);
        #[cfg(not(Py_3_12))]
        slot(function).write(Some(target));
    }
}
