//! Looking at Python objects without running any of their code.

use std::ffi::CStr;

use pyo3::ffi;

/// An object that somebody else keeps alive while it is looked at.
pub(crate) type Object = *mut ffi::PyObject;

/// Calls `function` as the interpreter's own `PyObject_Vectorcall` does, less its check that the
/// answer and the error indicator agree: whoever called us checks the same of what we answer.
///
/// # Safety
/// The protocol of a vectorcall, by an attached thread.
#[inline]
pub(crate) unsafe fn call(
    function: Object,
    args: *const Object,
    flagged_count: usize,
    keywords: Object,
) -> Object {
    // SAFETY: a type with the flag says where its instances keep a pointer to their vectorcall, which
    // may be null.
    unsafe {
        let kind = ffi::Py_TYPE(function);
        if (*kind).tp_flags & ffi::Py_TPFLAGS_HAVE_VECTORCALL != 0 {
            let slot = function.byte_offset((*kind).tp_vectorcall_offset);
            if let Some(target) = slot.cast::<Option<ffi::vectorcallfunc>>().read() {
                return target(function, args, flagged_count, keywords);
            }
        }
        ffi::PyObject_Vectorcall(function, args, flagged_count, keywords)
    }
}

/// The name of an object's class, without its module.
///
/// # Safety
/// `object` is alive and the thread is attached to the interpreter. The answer holds as long as the
/// class lives.
pub(crate) unsafe fn class_name<'a>(object: Object) -> &'a str {
    // SAFETY: as demanded of the caller.
    let name = unsafe { class_name_bytes(object) };
    std::str::from_utf8(name).unwrap_or("?")
}

/// [`class_name`] as the interpreter keeps it.
///
/// # Safety
/// As for [`class_name`].
pub(crate) unsafe fn class_name_bytes<'a>(object: Object) -> &'a [u8] {
    // SAFETY: a type's `tp_name` is a NUL-terminated string for as long as the type lives.
    let name = unsafe { CStr::from_ptr((*ffi::Py_TYPE(object)).tp_name) }.to_bytes();
    // A call of `memrchr` would take longer than most names.
    let after = name.iter().rposition(|byte| *byte == b'.');
    &name[after.map_or(0, |dot| dot + 1)..]
}

/// Whether the object's class has one of the flags that mark the built-in classes and their heirs.
///
/// # Safety
/// As for [`class_name`].
#[inline]
pub(crate) unsafe fn has_flag(object: Object, flags: std::ffi::c_ulong) -> bool {
    // SAFETY: an object's type is valid as long as the object.
    unsafe { (*ffi::Py_TYPE(object)).tp_flags & flags != 0 }
}

/// The characters of a `str`, without the UTF-8 copy that the interpreter would keep in it.
pub(crate) enum Characters<'a> {
    /// All below 128.
    Ascii(&'a str),
    /// Below 256.
    Latin(&'a [u8]),
    /// Below 65,536.
    Two(&'a [u16]),
    /// Any.
    Four(&'a [u32]),
}

impl<'a> Characters<'a> {
    /// The characters of `text`; nothing for a string in the form that only Python up to 3.11 has,
    /// and hardly ever.
    ///
    /// # Safety
    /// `text` is a `str` or an heir, alive, and stays so as long as the answer is used.
    #[inline]
    pub(crate) unsafe fn of(text: Object) -> Option<Self> {
        // SAFETY: a ready string has `length` items of its kind at its data pointer, and strings
        // never change.
        unsafe {
            if ffi::PyUnicode_IS_READY(text) == 0 {
                return None;
            }
            let length = ffi::PyUnicode_GET_LENGTH(text).cast_unsigned();
            let data = ffi::PyUnicode_DATA(text);
            Some(match ffi::PyUnicode_KIND(text) {
                ffi::PyUnicode_1BYTE_KIND => {
                    let bytes = std::slice::from_raw_parts(data.cast::<u8>(), length);
                    if ffi::PyUnicode_IS_ASCII(text) != 0 {
                        Self::Ascii(std::str::from_utf8_unchecked(bytes))
                    } else {
                        Self::Latin(bytes)
                    }
                }
                ffi::PyUnicode_2BYTE_KIND => {
                    Self::Two(std::slice::from_raw_parts(data.cast(), length))
                }
                _ => Self::Four(std::slice::from_raw_parts(data.cast(), length)),
            })
        }
    }

    /// How many there are.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Ascii(text) => text.len(),
            Self::Latin(items) => items.len(),
            Self::Two(items) => items.len(),
            Self::Four(items) => items.len(),
        }
    }

    /// The first `count`, one by one. Half a surrogate pair, which UTF-8 cannot hold, becomes U+FFFD.
    pub(crate) fn first(&self, count: usize) -> impl Iterator<Item = char> + use<'a, '_> {
        (0..count.min(self.len())).map(move |index| {
            let point = match self {
                Self::Ascii(text) => text.as_bytes()[index].into(),
                Self::Latin(items) => items[index].into(),
                Self::Two(items) => items[index].into(),
                Self::Four(items) => items[index],
            };
            char::from_u32(point).unwrap_or(char::REPLACEMENT_CHARACTER)
        })
    }

    /// All of them as text.
    pub(crate) fn to_text(&self) -> String {
        match self {
            Self::Ascii(text) => (*text).to_owned(),
            _ => self.first(usize::MAX).collect(),
        }
    }
}

/// A `str`'s text; a question mark for what is none.
///
/// # Safety
/// `text` is alive and the thread is attached.
pub(crate) unsafe fn text_of(text: Object) -> String {
    // SAFETY: checked to be a string, kept alive by the caller.
    unsafe {
        if ffi::PyUnicode_Check(text) == 0 {
            return "?".to_owned();
        }
        Characters::of(text).map_or_else(|| "?".to_owned(), |characters| characters.to_text())
    }
}
