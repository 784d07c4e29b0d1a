//! The smart serializer: what is recorded of a value, without running any code of the program.
//!
//! Numbers, text, `None` and truth values are recorded as they are; lists and tuples by their first
//! three elements, mappings by their first two keys, both with their true length; every other object
//! by its class and address. `max_repr` bounds the characters of one value. Nothing is allocated as
//! a Python object here (that could start the garbage collector, and with it foreign finalizers),
//! except the text of an integer beyond 64 bits, which is not tracked by it.

use argus_model::codec::{Encoder, Full, Packed, Small};
use argus_model::value::{self, Shape};
use pyo3::ffi;

use crate::object::{Characters, Object, class_name, class_name_bytes, has_flag, text_of};

/// Elements shown of a list or tuple.
const SHOWN_ELEMENTS: usize = 3;
/// Keys shown of a mapping.
const SHOWN_KEYS: u8 = 2;
/// Containers inside containers are shown down to this depth; below it, only their length.
const DEPTH: u8 = 3;

const PLAIN: std::ffi::c_ulong = ffi::Py_TPFLAGS_LONG_SUBCLASS
    | ffi::Py_TPFLAGS_UNICODE_SUBCLASS
    | ffi::Py_TPFLAGS_LIST_SUBCLASS
    | ffi::Py_TPFLAGS_TUPLE_SUBCLASS
    | ffi::Py_TPFLAGS_DICT_SUBCLASS
    | ffi::Py_TPFLAGS_BYTES_SUBCLASS
    | ffi::Py_TPFLAGS_TYPE_SUBCLASS
    | ffi::Py_TPFLAGS_BASE_EXC_SUBCLASS;

/// Whether everything about this value can be told without foreign code and without allocating.
///
/// # Safety
/// `object` is alive and the thread is attached.
#[inline]
pub(crate) unsafe fn is_direct(object: Object) -> bool {
    // SAFETY: as demanded of the caller.
    unsafe { has_flag(object, PLAIN) || object == ffi::Py_None() || is_object_direct(object) }
}

unsafe fn is_object_direct(object: Object) -> bool {
    // SAFETY: as demanded of the caller.
    unsafe {
        ffi::PyFloat_CheckExact(object) != 0
            || (ffi::PyAnySet_CheckExact(object) == 0 && !is_summarised(class_name_bytes(object)))
    }
}

/// Whether `foreign` has a summary of objects of a class of this name.
fn is_summarised(class: &[u8]) -> bool {
    matches!(class, b"ndarray" | b"DataFrame" | b"Series")
}

/// Appends `before` and the value, if that is told in a few bytes: `None`, a truth value, an integer
/// of 32 bits, a float, a short ASCII text, an object with a short class name.
///
/// # Safety
/// `object` is alive and the thread is attached.
#[inline]
pub(crate) unsafe fn push(
    out: &mut Small,
    before: Packed,
    object: Object,
    most: usize,
) -> Option<()> {
    // SAFETY: as demanded of the caller; the flag tells the layout.
    unsafe {
        if has_flag(object, ffi::Py_TPFLAGS_LONG_SUBCLASS) {
            let value = if ffi::Py_TYPE(object) == &raw mut ffi::PyBool_Type {
                value::packed_bool(object == ffi::Py_True())
            } else {
                value::packed_int(small_integer(object)?)?
            };
            return out.push(before.then(value));
        }
        push_other(out, before, object, most)
    }
}

unsafe fn push_other(out: &mut Small, before: Packed, object: Object, most: usize) -> Option<()> {
    // SAFETY: as for `push`.
    unsafe {
        if object == ffi::Py_None() {
            return out.push(before.then(value::packed_none()));
        }
        if ffi::PyFloat_CheckExact(object) != 0 {
            return value::push_float(out, before, ffi::PyFloat_AS_DOUBLE(object));
        }
        if !has_flag(object, PLAIN) {
            return push_object(out, before, object);
        }
        if !has_flag(object, ffi::Py_TPFLAGS_UNICODE_SUBCLASS) {
            return None;
        }
        match Characters::of(object)? {
            Characters::Ascii(text) if text.len() <= most => value::push_text(out, before, text),
            _ => None,
        }
    }
}

/// Appends `before`, class and address of an object that is told by them.
unsafe fn push_object(out: &mut Small, before: Packed, object: Object) -> Option<()> {
    // SAFETY: as for `push`.
    let class = unsafe {
        if ffi::PyAnySet_CheckExact(object) != 0 || ffi::PyFloat_Check(object) != 0 {
            return None;
        }
        class_name_bytes(object)
    };
    if is_summarised(class) {
        return None;
    }
    value::push_object(
        out,
        before,
        std::str::from_utf8(class).ok()?,
        address(object),
    )
}

/// Appends one value of at most about `most` characters.
///
/// # Safety
/// `object` is alive, the thread is attached, and stays so.
pub(crate) unsafe fn encode(
    out: &mut Encoder<'_>,
    object: Object,
    most: usize,
) -> Result<(), Full> {
    let mut room = most;
    // SAFETY: as demanded of the caller.
    unsafe { encode_within(out, object, &mut room, DEPTH) }
}

unsafe fn encode_within(
    out: &mut Encoder<'_>,
    object: Object,
    room: &mut usize,
    depth: u8,
) -> Result<(), Full> {
    // SAFETY: the flags tell the layout; containers are only read while nothing else can run.
    unsafe {
        let kind = ffi::Py_TYPE(object);
        let flags = (*kind).tp_flags;
        if flags & ffi::Py_TPFLAGS_LONG_SUBCLASS != 0 {
            encode_integer(out, object, room)
        } else if flags & ffi::Py_TPFLAGS_UNICODE_SUBCLASS != 0 {
            encode_text(out, object, room)
        } else if kind == &raw mut ffi::PyFloat_Type {
            spend(room, 8);
            value::encode_float(out, ffi::PyFloat_AS_DOUBLE(object))
        } else if object == ffi::Py_None() {
            spend(room, 4);
            out.u8(0)
        } else {
            encode_larger(out, object, flags, room, depth)
        }
    }
}

#[inline]
fn spend(room: &mut usize, characters: usize) {
    *room = room.saturating_sub(characters);
}

/// The value of an integer of at most one digit, read where it lies: the interpreter's
/// own function for it costs more than the rest of its encoding.
///
/// # Safety
/// `object` is an `int` or an heir, and alive.
#[inline]
unsafe fn small_integer(object: Object) -> Option<i64> {
    /// `longintrepr.h` of the versions named below.
    #[repr(C)]
    struct Integer {
        head: ffi::PyObject,
        tag: isize,
        digit: u32,
    }
    // SAFETY: the layout is that of the interpreter that this is compiled for; zero has a digit of
    // memory too.
    let (tag, digit) = unsafe {
        let integer = object.cast::<Integer>();
        ((*integer).tag, i64::from((*integer).digit))
    };
    // Up to 3.11 the number of digits, negative for a negative number.
    #[cfg(not(Py_3_12))]
    return match tag {
        0 => Some(0),
        1 => Some(digit),
        -1 => Some(-digit),
        _ => None,
    };
    // Since 3.12 the number of digits times eight, and in the low two bits 0 for a positive number,
    // 1 for zero, 2 for a negative one.
    #[cfg(all(Py_3_12, not(Py_3_15)))]
    return match (tag >> 3, tag & 3) {
        (0, _) => Some(0),
        (1, 0) => Some(digit),
        (1, 2) => Some(-digit),
        _ => None,
    };
    #[cfg(Py_3_15)]
    return {
        let _ = (tag, digit);
        None
    };
}

unsafe fn encode_integer(
    out: &mut Encoder<'_>,
    object: Object,
    room: &mut usize,
) -> Result<(), Full> {
    // SAFETY: an integer's value is read from the object itself, whatever its class defines.
    unsafe {
        spend(room, 4);
        if object == ffi::Py_True() || object == ffi::Py_False() {
            return out.u8(1 + u8::from(object == ffi::Py_True()));
        }
        let mut overflow = 0;
        let number = ffi::PyLong_AsLongLongAndOverflow(object, &raw mut overflow);
        if overflow == 0 {
            return value::encode_int(out, number);
        }
        encode_large_integer(out, object, room)
    }
}

#[cold]
unsafe fn encode_large_integer(
    out: &mut Encoder<'_>,
    object: Object,
    room: &mut usize,
) -> Result<(), Full> {
    // SAFETY: `int.__repr__` itself is called, not an override; no error is set when this begins.
    unsafe {
        // Making decimal digits takes quadratic time, so beyond a double's range there are none.
        let magnitude = ffi::PyLong_AsDouble(object);
        let repr = ffi::PyLong_Type.tp_repr;
        let digits = match repr {
            Some(repr) if ffi::PyErr_Occurred().is_null() && magnitude.is_finite() => repr(object),
            _ => std::ptr::null_mut(),
        };
        if digits.is_null() {
            ffi::PyErr_Clear();
            return value::encode_verbatim(out, "<int beyond 1e308>");
        }
        let text = text_of(digits);
        ffi::Py_DECREF(digits);
        encode_verbatim_cut(out, &text, room)
    }
}

/// Appends text that is shown as it is, cut to what room there is.
pub(crate) fn encode_verbatim_cut(
    out: &mut Encoder<'_>,
    text: &str,
    room: &mut usize,
) -> Result<(), Full> {
    let most = *room;
    spend(room, text.len());
    match text.char_indices().nth(most) {
        None => value::encode_verbatim(out, text),
        Some((cut, _)) => {
            let mut shown = text[..cut].to_owned();
            shown.push_str("...");
            value::encode_verbatim(out, &shown)
        }
    }
}

unsafe fn encode_text(out: &mut Encoder<'_>, object: Object, room: &mut usize) -> Result<(), Full> {
    // SAFETY: the flag says that it is a string; it is alive.
    let Some(characters) = (unsafe { Characters::of(object) }) else {
        // SAFETY: as above.
        return unsafe { encode_object(out, object) };
    };
    let most = *room;
    let length = characters.len();
    spend(room, length + 2);
    match characters {
        Characters::Ascii(text) if length <= most => value::encode_text(out, text),
        Characters::Ascii(text) => value::encode_cut_text(out, &text[..most], length as u64),
        wide => encode_wide(out, &wide, most),
    }
}

fn encode_wide(out: &mut Encoder<'_>, text: &Characters<'_>, most: usize) -> Result<(), Full> {
    let bytes: usize = text.first(most).map(char::len_utf8).sum();
    if text.len() <= most {
        out.u8(5)?;
    } else {
        out.u8(6)?;
        out.varint(text.len() as u64)?;
    }
    out.varint(bytes as u64)?;
    text.first(most)
        .try_for_each(|character| out.bytes(character.encode_utf8(&mut [0; 4]).as_bytes()))
}

unsafe fn encode_larger(
    out: &mut Encoder<'_>,
    object: Object,
    flags: std::ffi::c_ulong,
    room: &mut usize,
    depth: u8,
) -> Result<(), Full> {
    // SAFETY: the flags tell the layout.
    unsafe {
        if flags & ffi::Py_TPFLAGS_TUPLE_SUBCLASS != 0 {
            let length = ffi::PyTuple_GET_SIZE(object).cast_unsigned();
            encode_sequence(out, Shape::Tuple, length, room, depth, |index| {
                ffi::PyTuple_GET_ITEM(object, index.cast_signed())
            })
        } else if flags & ffi::Py_TPFLAGS_LIST_SUBCLASS != 0 {
            let length = ffi::PyList_GET_SIZE(object).cast_unsigned();
            encode_sequence(out, Shape::List, length, room, depth, |index| {
                ffi::PyList_GET_ITEM(object, index.cast_signed())
            })
        } else if flags & ffi::Py_TPFLAGS_DICT_SUBCLASS != 0 {
            encode_mapping(out, object, room, depth)
        } else if flags & ffi::Py_TPFLAGS_BYTES_SUBCLASS != 0 {
            let bytes = ffi::PyBytes_AsString(object).cast::<u8>();
            let length = ffi::PyBytes_Size(object).cast_unsigned();
            encode_bytes(out, std::slice::from_raw_parts(bytes, length), room)
        } else if ffi::PyAnySet_CheckExact(object) != 0 {
            // Walking a set needs an iterator object; see `foreign`.
            let length = ffi::PySet_Size(object).cast_unsigned() as u64;
            value::encode_sequence_head(out, set_shape(object), length).map(drop)
        } else if ffi::PyFloat_Check(object) != 0 {
            spend(room, 8);
            value::encode_float(out, ffi::PyFloat_AS_DOUBLE(object))
        } else {
            spend(room, 24);
            encode_object(out, object)
        }
    }
}

/// The brackets of a set.
///
/// # Safety
/// `set` is a `set` or `frozenset`.
pub(crate) unsafe fn set_shape(set: Object) -> Shape {
    // SAFETY: as demanded of the caller.
    if unsafe { ffi::PyFrozenSet_CheckExact(set) } != 0 {
        Shape::FrozenSet
    } else {
        Shape::Set
    }
}

fn address(object: Object) -> u64 {
    object.addr() as u64
}

/// Appends class and address.
///
/// # Safety
/// `object` is alive and the thread is attached.
pub(crate) unsafe fn encode_object(out: &mut Encoder<'_>, object: Object) -> Result<(), Full> {
    // SAFETY: as demanded of the caller.
    value::encode_object(out, unsafe { class_name(object) }, address(object))
}

/// Appends up to three of `length` elements, as long as there is room for their text.
///
/// # Safety
/// `element` answers a living object for every index below `length`.
pub(crate) unsafe fn encode_sequence(
    out: &mut Encoder<'_>,
    shape: Shape,
    length: usize,
    room: &mut usize,
    depth: u8,
    element: impl Fn(usize) -> Object,
) -> Result<(), Full> {
    spend(room, 4);
    let count = value::encode_sequence_head(out, shape, length as u64)?;
    let most = if depth == 0 { 0 } else { SHOWN_ELEMENTS };
    for (shown, index) in (1..).zip(0..length.min(most)) {
        if *room == 0 {
            break;
        }
        // SAFETY: as demanded of the caller.
        unsafe { encode_within(out, element(index), room, depth - 1)? };
        *count = shown;
    }
    Ok(())
}

unsafe fn encode_mapping(
    out: &mut Encoder<'_>,
    object: Object,
    room: &mut usize,
    depth: u8,
) -> Result<(), Full> {
    // SAFETY: `PyDict_Next` reads the dict's own storage; nothing can change it meanwhile.
    unsafe {
        spend(room, 4);
        let length = ffi::PyDict_Size(object).cast_unsigned() as u64;
        let count = value::encode_mapping_head(out, length)?;
        let (mut position, mut key) = (0, std::ptr::null_mut());
        let most = if depth == 0 { 0 } else { SHOWN_KEYS };
        for shown in 1..=most {
            let ignored = std::ptr::null_mut();
            if *room == 0 || ffi::PyDict_Next(object, &raw mut position, &raw mut key, ignored) == 0
            {
                break;
            }
            spend(room, 5);
            encode_within(out, key, room, depth - 1)?;
            *count = shown;
        }
        Ok(())
    }
}

fn encode_bytes(out: &mut Encoder<'_>, bytes: &[u8], room: &mut usize) -> Result<(), Full> {
    let most = *room;
    let quote = if bytes.contains(&b'\'') && !bytes.contains(&b'"') {
        '"'
    } else {
        '\''
    };
    let mut text = String::from("b");
    text.push(quote);
    for byte in bytes {
        if text.len() > most {
            break;
        }
        match char::from(*byte) {
            character if character == quote => text.extend(['\\', character]),
            character @ ('\'' | '"') => text.push(character),
            _ => text.extend(std::ascii::escape_default(*byte).map(char::from)),
        }
    }
    text.push(quote);
    encode_verbatim_cut(out, &text, room)
}
