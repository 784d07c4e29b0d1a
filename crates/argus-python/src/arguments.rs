//! The arguments of a call, as the vectorcall protocol passes them.

use argus_model::codec::{Encoder, Full, Small};
use argus_model::record::{encode_parameter_key, encode_text_key, packed_parameter_key};
use argus_model::value::{Shape, encode_masked, packed_masked};
use pyo3::ffi;
use pyo3::prelude::*;

use crate::foreign::{lend, prepare};
use crate::object::{Object, text_of};
use crate::plan::{Capture, Plan};
use crate::smart;
use crate::space::Space;

/// Arguments that the caller keeps alive for the time of the call.
#[derive(Clone, Copy)]
pub(crate) struct Arguments<'a> {
    /// Positional ones, then the values of the keywords.
    all: &'a [Object],
    positional: usize,
    keywords: Object,
}

/// What an argument is called.
#[derive(Clone, Copy)]
enum Key {
    Parameter(u32),
    Keyword(Object),
}

/// What was passed.
#[derive(Clone, Copy)]
enum Passed<'a> {
    Masked,
    One(Object),
    Rest(&'a [Object]),
}

impl<'a> Arguments<'a> {
    /// # Safety
    /// The three are as the vectorcall protocol has them, and stay alive for `'a`.
    #[inline]
    pub(crate) unsafe fn of(args: *const Object, flagged_count: usize, keywords: Object) -> Self {
        // SAFETY: `args` holds the positional arguments and one value for each keyword.
        unsafe {
            let positional = ffi::PyVectorcall_NARGS(flagged_count).cast_unsigned();
            let named = if keywords.is_null() {
                0
            } else {
                ffi::PyTuple_GET_SIZE(keywords)
            };
            let count = positional + named.cast_unsigned();
            let all = if count == 0 {
                &[]
            } else {
                std::slice::from_raw_parts(args, count)
            };
            Self {
                all,
                positional,
                keywords,
            }
        }
    }

    #[inline]
    fn each(
        &self,
        plan: &Plan,
        mut visit: impl FnMut(Key, Passed<'a>) -> Result<(), Full>,
    ) -> Result<(), Full> {
        let (given, named) = self.all.split_at(self.positional);
        let (fitting, rest) = given.split_at(plan.positional.min(given.len()));
        for ((index, value), parameter) in (0..).zip(fitting).zip(&plan.parameters) {
            let passed = if parameter.masked {
                Passed::Masked
            } else {
                Passed::One(*value)
            };
            visit(Key::Parameter(index), passed)?;
        }
        if let (Some(index), false) = (plan.rest, rest.is_empty()) {
            visit(Key::Parameter(narrow(index)), Passed::Rest(rest))?;
        }
        for (index, value) in (0..).zip(named) {
            // SAFETY: there are as many keywords as values for them.
            let keyword = unsafe { ffi::PyTuple_GET_ITEM(self.keywords, index) };
            let (key, masked) = named_key(plan, keyword);
            visit(
                key,
                if masked {
                    Passed::Masked
                } else {
                    Passed::One(*value)
                },
            )?;
        }
        Ok(())
    }

    /// Appends the arguments as fields, when each is told in a few bytes.
    #[inline]
    pub(crate) fn push_small(&self, plan: &Plan, fields: &mut Small) -> Option<()> {
        if plan.arguments == Capture::No {
            return Some(());
        }
        let (given, named) = self.all.split_at(self.positional);
        if plan.serializer.is_some() || given.len() > plan.positional {
            return None;
        }
        let mut push = |index: usize, value: Object| {
            let key = packed_parameter_key(index)?;
            if plan.parameters.get(index)?.masked {
                return fields.push(key.then(packed_masked()));
            }
            // SAFETY: the arguments are alive, and the thread is attached.
            unsafe { smart::push(fields, key, value, plan.max_repr) }
        };
        for (index, value) in given.iter().enumerate() {
            push(index, *value)?;
        }
        for (index, value) in (0..).zip(named) {
            // SAFETY: there are as many keywords as values for them.
            let keyword = unsafe { ffi::PyTuple_GET_ITEM(self.keywords, index) };
            push(parameter_of(plan, keyword)?, *value)?;
        }
        Some(())
    }

    /// Whether no argument needs foreign code.
    pub(crate) fn are_direct(&self, plan: &Plan) -> bool {
        // SAFETY: the arguments are alive, and a call is only made by an attached thread.
        plan.serializer.is_none()
            && self
                .all
                .iter()
                .all(|value| unsafe { smart::is_direct(*value) })
    }

    /// Appends the arguments as fields; none of them needs foreign code.
    pub(crate) fn encode_direct(&self, plan: &Plan, out: &mut Encoder<'_>) -> Result<(), Full> {
        self.each(plan, |key, passed| {
            encode_key(key, out)?;
            match passed {
                Passed::Masked => encode_masked(out),
                // SAFETY: the arguments are alive, and the thread is attached.
                Passed::One(value) => unsafe { smart::encode(out, value, plan.max_repr) },
                Passed::Rest(values) => encode_rest(values, plan, out),
            }
        })
    }

    /// The arguments as fields, after foreign code has told what they are.
    #[cold]
    pub(crate) fn encode_prepared(&self, py: Python<'_>, plan: &Plan) -> Space {
        let mut space = Space::default();
        if plan.arguments == Capture::No {
            return space;
        }
        let serializer = plan
            .serializer
            .as_ref()
            .map(|serializer| serializer.bind(py));
        let _ = self.each(plan, |key, passed| {
            // SAFETY: the caller holds the arguments during the call, whatever the foreign code does.
            let lent = |value| unsafe { lend(py, value) };
            match passed {
                Passed::One(value) => {
                    let prepared = prepare(&lent(value), serializer);
                    space.write(|out| {
                        encode_key(key, out)?;
                        prepared.encode(out, plan.max_repr)
                    });
                }
                Passed::Masked => space.write(|out| {
                    encode_key(key, out)?;
                    encode_masked(out)
                }),
                Passed::Rest(values) => space.write(|out| {
                    encode_key(key, out)?;
                    encode_rest(values, plan, out)
                }),
            }
            Ok(())
        });
        space
    }
}

#[inline]
fn narrow(index: usize) -> u32 {
    index as u32
}

/// The parameter that a keyword names; names are nearly always the same object.
#[inline]
fn parameter_of(plan: &Plan, keyword: Object) -> Option<usize> {
    let mut parameters = plan.parameters.iter();
    parameters.position(|parameter| parameter.name.as_ptr() == keyword)
}

fn named_key(plan: &Plan, keyword: Object) -> (Key, bool) {
    match parameter_of(plan, keyword) {
        Some(index) => (Key::Parameter(narrow(index)), plan.parameters[index].masked),
        None => {
            // SAFETY: keywords are strings, alive during the call.
            let text = unsafe { text_of(keyword) };
            (Key::Keyword(keyword), plan.sensitive.covers(&text))
        }
    }
}

#[inline]
fn encode_key(key: Key, out: &mut Encoder<'_>) -> Result<(), Full> {
    match key {
        Key::Parameter(index) => encode_parameter_key(out, index),
        // SAFETY: keywords are strings, alive during the call.
        Key::Keyword(keyword) => encode_text_key(out, &unsafe { text_of(keyword) }),
    }
}

fn encode_rest(values: &[Object], plan: &Plan, out: &mut Encoder<'_>) -> Result<(), Full> {
    let mut room = plan.max_repr;
    let length = values.len();
    // SAFETY: the arguments are alive, and the thread is attached.
    unsafe { smart::encode_sequence(out, Shape::Tuple, length, &mut room, 3, |at| values[at]) }
}
