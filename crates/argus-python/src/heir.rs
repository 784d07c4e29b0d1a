//! The type of instrumented functions on Python 3.11, which runs a function of the exact type
//! `function` without looking at its slot.
//!
//! It is made from `function` and differs in nothing that can be asked but `type(f) is FunctionType`:
//! `__class__` and `isinstance` answer as before, and it pickles and copies by its qualified name.

use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

use pyo3::ffi;
use pyo3::prelude::*;

use crate::object::Object;

static TYPE: AtomicPtr<ffi::PyTypeObject> = AtomicPtr::new(ptr::null_mut());

/// Whether `object` is a function of this type.
pub(crate) fn is(object: &Bound<'_, PyAny>) -> bool {
    // SAFETY: reading a type's address.
    unsafe { ffi::Py_TYPE(object.as_ptr()) == TYPE.load(Ordering::Relaxed) }
}

/// Makes a function one of this type. Where the type cannot be made it stays as it is: calls by
/// Python code are then not seen.
///
/// # Safety
/// `function` is a function and the thread attached.
pub(crate) unsafe fn adopt(function: Object) {
    // SAFETY: the two types have one layout, and static types are not counted by their instances.
    unsafe {
        let mut kind = TYPE.load(Ordering::Relaxed);
        if kind.is_null() {
            kind = make();
            TYPE.store(kind, Ordering::Relaxed);
        }
        if !kind.is_null() {
            (*function).ob_type = kind;
        }
    }
}

/// Takes an [`adopt`] back.
///
/// # Safety
/// `function` is a function and the thread attached.
pub(crate) unsafe fn disown(function: Object) {
    // SAFETY: as for `adopt`.
    unsafe { (*function).ob_type = &raw mut ffi::PyFunction_Type };
}

unsafe fn make() -> *mut ffi::PyTypeObject {
    // SAFETY: all-zero is an empty type and the end mark of the tables, which live for ever; the base
    // is ready since the interpreter began.
    unsafe {
        let base = &raw mut ffi::PyFunction_Type;
        let mut kind: ffi::PyTypeObject = std::mem::zeroed();
        kind.ob_base.ob_base.ob_refcnt = 1;
        kind.ob_base.ob_base.ob_type = &raw mut ffi::PyType_Type;
        kind.tp_name = (*base).tp_name;
        kind.tp_doc = (*base).tp_doc;
        kind.tp_base = base;
        kind.tp_basicsize = (*base).tp_basicsize;
        kind.tp_dealloc = (*base).tp_dealloc;
        kind.tp_traverse = (*base).tp_traverse;
        kind.tp_clear = (*base).tp_clear;
        kind.tp_repr = (*base).tp_repr;
        kind.tp_call = (*base).tp_call;
        kind.tp_getattro = (*base).tp_getattro;
        kind.tp_setattro = (*base).tp_setattro;
        kind.tp_descr_get = (*base).tp_descr_get;
        kind.tp_dictoffset = (*base).tp_dictoffset;
        kind.tp_weaklistoffset = (*base).tp_weaklistoffset;
        kind.tp_vectorcall_offset = (*base).tp_vectorcall_offset;
        kind.tp_flags = ffi::Py_TPFLAGS_DEFAULT
            | ffi::Py_TPFLAGS_HAVE_GC
            | ffi::Py_TPFLAGS_HAVE_VECTORCALL
            | ffi::Py_TPFLAGS_METHOD_DESCRIPTOR
            | ffi::Py_TPFLAGS_IMMUTABLETYPE;
        let class = ffi::PyGetSetDef {
            name: c"__class__".as_ptr(),
            get: Some(class_of),
            ..std::mem::zeroed()
        };
        kind.tp_getset = Box::leak(Box::new([class, std::mem::zeroed()])).as_mut_ptr();
        let reduce = ffi::PyMethodDef {
            ml_name: c"__reduce__".as_ptr(),
            ml_meth: ffi::PyMethodDefPointer {
                PyCFunction: reduce,
            },
            ml_flags: ffi::METH_NOARGS,
            ml_doc: ptr::null(),
        };
        let no_method = std::mem::zeroed();
        kind.tp_methods = Box::leak(Box::new([reduce, no_method])).as_mut_ptr();
        let kind = Box::into_raw(Box::new(kind));
        // The type's own documentation would hide that of each function.
        if ffi::PyType_Ready(kind) != 0
            || ffi::PyDict_DelItemString((*kind).tp_dict, c"__doc__".as_ptr()) != 0
        {
            ffi::PyErr_Clear();
            return ptr::null_mut();
        }
        ffi::PyType_Modified(kind);
        kind
    }
}

unsafe extern "C" fn class_of(_: Object, _: *mut std::ffi::c_void) -> Object {
    let class = (&raw mut ffi::PyFunction_Type).cast::<ffi::PyObject>();
    // SAFETY: the type lives as long as the interpreter.
    unsafe { ffi::Py_INCREF(class) };
    class
}

/// A string: "the global of this name in my module", as functions pickle.
unsafe extern "C" fn reduce(this: Object, _: Object) -> Object {
    // SAFETY: a slot is called attached, with a living object.
    unsafe { ffi::PyObject_GetAttrString(this, c"__qualname__".as_ptr()) }
}
