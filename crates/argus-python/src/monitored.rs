//! The object that `@argus.monitor` puts in the place of a function.
//!
//! It is an instance of a heap type with a vectorcall slot, so calling it makes neither a tuple nor a
//! Python frame, and it is a method descriptor, so a method call through it makes no bound method. To
//! everybody who asks it is the function: name, documentation, signature, attributes, and class
//! answer as before, and it pickles by its qualified name.

use std::ffi::{c_int, c_void};
use std::mem::{ManuallyDrop, offset_of};
use std::ptr;
use std::sync::Arc;

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyType};

use crate::call;
use crate::object::Object;
use crate::plan::Plan;

/// The object's layout; the interpreter finds the four fields after the head by their offsets.
#[repr(C)]
pub(crate) struct Monitored {
    head: ffi::PyObject,
    vectorcall: ffi::vectorcallfunc,
    attributes: Object,
    weak_references: Object,
    pub(crate) function: Object,
    /// Counted: the plan of a function's code is shared by all functions made of it.
    pub(crate) plan: *const Plan,
}

unsafe extern "C" {
    // Public and stable, but not declared by the bindings.
    fn PyMethod_New(function: Object, instance: Object) -> Object;
}

static TYPE: PyOnceLock<Py<PyType>> = PyOnceLock::new();

/// Wraps `function`; see `argus/_options.py` for the options.
#[pyfunction]
pub fn monitor<'py>(
    function: &Bound<'py, PyAny>,
    options: &Bound<'py, PyDict>,
) -> PyResult<Bound<'py, PyAny>> {
    wrap(function, Arc::new(Plan::read(options)?))
}

/// Wraps `function` with a plan that others may have as well.
pub(crate) fn wrap<'py>(
    function: &Bound<'py, PyAny>,
    plan: Arc<Plan>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = function.py();
    let kind = TYPE
        .get_or_try_init(py, || make_type(py))?
        .bind(py)
        .as_type_ptr();
    // SAFETY: the type's allocation zeroes the object, whose fields are then all set before anybody
    // else sees it.
    unsafe {
        let allocate = (*kind).tp_alloc.expect("every ready type can allocate");
        let object = allocate(kind, 0);
        let made = Bound::from_owned_ptr_or_err(py, object)?;
        let monitored = object.cast::<Monitored>();
        (&raw mut (*monitored).vectorcall).write(call::call);
        (&raw mut (*monitored).function).write(function.clone().into_ptr());
        (&raw mut (*monitored).plan).write(Arc::into_raw(plan));
        Ok(made)
    }
}

/// The options of a monitored function; nothing for any other object.
pub(crate) fn plan_of<'a>(object: &'a Bound<'_, PyAny>) -> Option<&'a Plan> {
    let kind = TYPE.get(object.py())?.bind(object.py()).as_type_ptr();
    // SAFETY: the type says what the object is; its plan lives as long as it does.
    unsafe {
        if ffi::Py_TYPE(object.as_ptr()) != kind {
            return None;
        }
        (*object.as_ptr().cast::<Monitored>()).plan.as_ref()
    }
}

fn member(name: &'static std::ffi::CStr, offset: usize) -> ffi::PyMemberDef {
    ffi::PyMemberDef {
        name: name.as_ptr(),
        type_code: ffi::Py_T_PYSSIZET,
        offset: offset.cast_signed(),
        flags: ffi::Py_READONLY,
        doc: ptr::null(),
    }
}

fn slot(number: c_int, function: *mut c_void) -> ffi::PyType_Slot {
    ffi::PyType_Slot {
        slot: number,
        pfunc: function,
    }
}

/// Tables that the type refers to for ever.
fn leak<T>(table: Vec<T>) -> *mut c_void {
    Box::leak(table.into_boxed_slice()).as_mut_ptr().cast()
}

fn make_type(py: Python<'_>) -> PyResult<Py<PyType>> {
    // SAFETY: all-zero is the end mark of these tables.
    let (no_member, no_getset, no_method): (ffi::PyMemberDef, ffi::PyGetSetDef, ffi::PyMethodDef) =
        unsafe { (std::mem::zeroed(), std::mem::zeroed(), std::mem::zeroed()) };
    let members = vec![
        member(c"__vectorcalloffset__", offset_of!(Monitored, vectorcall)),
        member(c"__dictoffset__", offset_of!(Monitored, attributes)),
        member(
            c"__weaklistoffset__",
            offset_of!(Monitored, weak_references),
        ),
        no_member,
    ];
    let dict = ffi::PyGetSetDef {
        name: c"__dict__".as_ptr(),
        get: Some(ffi::PyObject_GenericGetDict),
        set: Some(ffi::PyObject_GenericSetDict),
        doc: ptr::null(),
        closure: ptr::null_mut(),
    };
    let class = ffi::PyGetSetDef {
        name: c"__class__".as_ptr(),
        get: Some(class_of),
        set: None,
        ..dict
    };
    let getset = vec![dict, class, no_getset];
    let reduce = ffi::PyMethodDef {
        ml_name: c"__reduce__".as_ptr(),
        ml_meth: ffi::PyMethodDefPointer {
            PyCFunction: reduce,
        },
        ml_flags: ffi::METH_NOARGS,
        ml_doc: ptr::null(),
    };
    let methods = vec![reduce, no_method];
    let mut slots = vec![
        slot(ffi::Py_tp_new, refuse_new as *mut c_void),
        slot(ffi::Py_tp_call, ffi::PyVectorcall_Call as *mut c_void),
        slot(ffi::Py_tp_descr_get, bind as *mut c_void),
        slot(ffi::Py_tp_dealloc, deallocate as *mut c_void),
        slot(ffi::Py_tp_traverse, traverse as *mut c_void),
        slot(ffi::Py_tp_clear, clear as *mut c_void),
        slot(ffi::Py_tp_getattro, attribute as *mut c_void),
        slot(ffi::Py_tp_setattro, set_attribute as *mut c_void),
        slot(ffi::Py_tp_repr, repr as *mut c_void),
        slot(ffi::Py_tp_members, leak(members)),
        slot(ffi::Py_tp_getset, leak(getset)),
        slot(ffi::Py_tp_methods, leak(methods)),
        slot(0, ptr::null_mut()),
    ];
    let flags = ffi::Py_TPFLAGS_DEFAULT
        | ffi::Py_TPFLAGS_HAVE_GC
        | ffi::Py_TPFLAGS_HAVE_VECTORCALL
        | ffi::Py_TPFLAGS_METHOD_DESCRIPTOR;
    let mut specification = ffi::PyType_Spec {
        name: c"argus.Monitored".as_ptr(),
        basicsize: c_int::try_from(size_of::<Monitored>()).expect("the object is small"),
        itemsize: 0,
        flags: u32::try_from(flags).expect("type flags have 32 bits"),
        slots: slots.as_mut_ptr(),
    };
    // SAFETY: the specification is complete; its tables live for ever, its slots until the call ends.
    let kind =
        unsafe { Bound::from_owned_ptr_or_err(py, ffi::PyType_FromSpec(&raw mut specification))? };
    Ok(kind.cast_into::<PyType>().map_err(PyErr::from)?.unbind())
}

// The functions below are slots: the interpreter calls them attached, with living objects, and of
// `Monitored` where the type's own object is meant. Each `unsafe` block relies on that.

unsafe extern "C" fn refuse_new(_: *mut ffi::PyTypeObject, _: Object, _: Object) -> Object {
    // SAFETY: see above.
    unsafe {
        ffi::PyErr_SetString(ffi::PyExc_TypeError, c"use argus.monitor".as_ptr());
    }
    ptr::null_mut()
}

unsafe extern "C" fn bind(this: Object, instance: Object, _: Object) -> Object {
    // SAFETY: see above.
    unsafe {
        if instance.is_null() || instance == ffi::Py_None() {
            ffi::Py_INCREF(this);
            return this;
        }
        PyMethod_New(this, instance)
    }
}

unsafe extern "C" fn traverse(this: Object, visit: ffi::visitproc, argument: *mut c_void) -> c_int {
    // SAFETY: see above; no reference count changes here.
    unsafe {
        let monitored = this.cast::<Monitored>();
        let serializer = own_serializer((*monitored).plan);
        let held = [
            ffi::Py_TYPE(this).cast::<ffi::PyObject>(),
            (*monitored).attributes,
            (*monitored).function,
            serializer.map_or(ptr::null_mut(), Py::as_ptr),
        ];
        for object in held {
            if !object.is_null() {
                let stop = visit(object, argument);
                if stop != 0 {
                    return stop;
                }
            }
        }
    }
    0
}

/// The serializer, unless it is held by others, too, who would be seen to hold it more often than they
/// do.
unsafe fn own_serializer<'a>(plan: *const Plan) -> Option<&'a Py<PyAny>> {
    // SAFETY: see above; the plan is null until the object is made, then an `Arc` of its own.
    unsafe {
        let plan = plan.as_ref()?;
        let held = ManuallyDrop::new(Arc::from_raw(plan));
        let alone = Arc::strong_count(&held) == 1;
        plan.serializer.as_ref().filter(|_| alone)
    }
}

unsafe extern "C" fn clear(this: Object) -> c_int {
    // SAFETY: see above. The function stays callable until the object is gone: others in the same
    // cycle may still call it from their finalizers. Its own references are cut by clearing it.
    unsafe {
        let attributes = &raw mut (*this.cast::<Monitored>()).attributes;
        let taken = attributes.replace(ptr::null_mut());
        ffi::Py_XDECREF(taken);
    }
    0
}

unsafe extern "C" fn deallocate(this: Object) {
    // SAFETY: see above; nobody refers to the object any more.
    unsafe {
        let monitored = this.cast::<Monitored>();
        let kind = ffi::Py_TYPE(this);
        ffi::PyObject_GC_UnTrack(this.cast());
        if !(*monitored).weak_references.is_null() {
            ffi::PyObject_ClearWeakRefs(this);
        }
        clear(this);
        ffi::Py_XDECREF((*monitored).function);
        if !(*monitored).plan.is_null() {
            drop(Arc::from_raw((*monitored).plan));
        }
        if let Some(free) = (*kind).tp_free {
            free(this.cast());
        }
        ffi::Py_DECREF(kind.cast());
    }
}

/// Attributes of its own first, then the function's.
unsafe extern "C" fn attribute(this: Object, name: Object) -> Object {
    // SAFETY: see above.
    unsafe {
        let own = ffi::PyObject_GenericGetAttr(this, name);
        if !own.is_null() || ffi::PyErr_ExceptionMatches(ffi::PyExc_AttributeError) == 0 {
            return own;
        }
        ffi::PyErr_Clear();
        ffi::PyObject_GetAttr((*this.cast::<Monitored>()).function, name)
    }
}

/// What steers the function's calls is set on the function, the rest beside it.
unsafe extern "C" fn set_attribute(this: Object, name: Object, value: Object) -> c_int {
    // SAFETY: see above.
    unsafe {
        for steering in [c"__defaults__", c"__kwdefaults__", c"__code__"] {
            if ffi::PyUnicode_CompareWithASCIIString(name, steering.as_ptr()) == 0 {
                let function = (*this.cast::<Monitored>()).function;
                return ffi::PyObject_SetAttr(function, name, value);
            }
        }
        ffi::PyObject_GenericSetAttr(this, name, value)
    }
}

unsafe extern "C" fn class_of(this: Object, _: *mut c_void) -> Object {
    // SAFETY: see above.
    unsafe {
        let class = ffi::Py_TYPE((*this.cast::<Monitored>()).function).cast();
        ffi::Py_INCREF(class);
        class
    }
}

unsafe extern "C" fn repr(this: Object) -> Object {
    // SAFETY: see above.
    unsafe { ffi::PyObject_Repr((*this.cast::<Monitored>()).function) }
}

/// A string: "the global of this name in my module", as functions pickle.
unsafe extern "C" fn reduce(this: Object, _: Object) -> Object {
    // SAFETY: see above.
    unsafe { ffi::PyObject_GetAttrString(this, c"__qualname__".as_ptr()) }
}
