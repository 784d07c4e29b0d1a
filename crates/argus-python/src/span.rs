//! `argus.span`: a span opened by hand, as a context manager.

use std::sync::{Mutex, PoisonError};

use argus_client::current::{self, Current, Thread};
use argus_model::record::OutcomeHead;
use argus_model::{NameKind, NameText, SpanNumber};
use argus_spool::{Definition, Weight, span_end, span_start};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::context::{self, Token};
use crate::emit::fields;
use crate::failure::exception_text;

/// A stretch of work with a name and fields: `with span("load", rows=10): ...`.
#[pyclass(frozen, name = "span", module = "argus", weakref)]
pub struct Span {
    name: String,
    group: Option<String>,
    fields: Option<Py<PyDict>>,
    open: Mutex<Vec<Open>>,
}

/// One entry into the `with` block; there can be several at once.
struct Open {
    within: Current,
    before: Current,
    token: Option<Token>,
}

#[pymethods]
impl Span {
    #[new]
    #[pyo3(signature = (name, /, **fields))]
    fn new(name: String, fields: Option<Py<PyDict>>) -> Self {
        Self {
            name,
            group: None,
            fields,
            open: Mutex::default(),
        }
    }

    fn __enter__<'py>(this: &Bound<'py, Self>) -> PyResult<Bound<'py, Self>> {
        let py = this.py();
        let span = this.get();
        // SAFETY: a bound object proves that the thread is attached.
        let before = unsafe { context::here(Thread::mine()) };
        if argus_spool::disabled() || !before.is_recorded() {
            span.note(Open {
                within: Current::unsampled(),
                before,
                token: None,
            });
            return Ok(this.clone());
        }
        let space = fields(span.fields.as_ref().map(|fields| fields.bind(py)))?;
        let name = definition(&span.name, span.group.as_deref());
        let number = span_start(name, before, |out| out.bytes(space.bytes()));
        let within = before.child(number);
        let mut token = None;
        // Not where this is: that may be known from the context, which outlives this block.
        let mut before = before;
        if number != SpanNumber::NONE {
            if context::in_event_loop(py) {
                token = Some(context::enter(py, within)?);
            } else {
                before = current::replace(within);
            }
        }
        span.note(Open {
            within,
            before,
            token,
        });
        Ok(this.clone())
    }

    fn __exit__(
        &self,
        py: Python<'_>,
        _class: &Bound<'_, PyAny>,
        exception: &Bound<'_, PyAny>,
        _traceback: &Bound<'_, PyAny>,
    ) -> bool {
        // SAFETY: `py` proves that the thread is attached.
        let here = unsafe { context::here(Thread::mine()) };
        let Some(Open {
            within,
            before,
            token,
        }) = self.left_from(here)
        else {
            return false;
        };
        if !within.is_recorded() {
            return false;
        }
        match token {
            Some(token) => context::leave(py, &token),
            // Elsewhere already, when blocks do not end in the order in which they began.
            None if current::current() == within => {
                current::replace(before);
            }
            None => {}
        }
        if !within.is_of_this_life() {
            return false;
        }
        if exception.is_none() {
            span_end(
                within.number(),
                OutcomeHead::default(),
                Weight::Normal,
                |_| Ok(()),
            );
        } else {
            let text = exception_text(exception);
            let head = OutcomeHead {
                exception: true,
                ..OutcomeHead::default()
            };
            span_end(within.number(), head, Weight::Error, |out| out.text(&text));
        }
        false
    }
}

/// A span in a process group.
#[pyfunction]
pub fn span_of_group(name: String, group: Option<String>, fields: Option<Py<PyDict>>) -> Span {
    Span {
        name,
        group,
        fields,
        open: Mutex::default(),
    }
}

/// The definition of a span's name in a process group.
pub(crate) fn definition(name: &str, group: Option<&str>) -> &'static Definition {
    argus_client::name::interned(&NameText {
        group: group.map(str::to_owned),
        ..NameText::plain(NameKind::Span, name)
    })
}

impl Span {
    /// The entry that ends now: several threads or tasks may be inside at once, and each ends its own.
    fn left_from(&self, here: Current) -> Option<Open> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let last = open.len().checked_sub(1)?;
        let mine = open.iter().rposition(|entry| entry.within == here);
        Some(open.remove(mine.unwrap_or(last)))
    }

    fn note(&self, open: Open) {
        self.open
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(open);
    }
}
