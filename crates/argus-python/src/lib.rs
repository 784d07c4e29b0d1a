//! The native part of the Python package `argus`.
//!
//! `@argus.monitor` puts a `monitored` object in the place of a function. Calling it costs two
//! records and nothing else: a vectorcall slot, values as typed bytes straight from the objects
//! (`smart`), no Python frame, no foreign code. What does need foreign code (a serializer of the
//! user's, a data frame's shape, a traceback's text) runs before the record is begun (`foreign`).
//!
//! Where the interpreter has to see a real `async def` or generator function, `argus/_wrap.py`
//! provides one around `steps`, which puts the thread into the span for as long as the body runs.
//!
//! The module never changes what the program does: exceptions pass with their identity, what the
//! recorder's own Python code raises is swallowed, and a call that cannot be recorded is counted.

// The module's functions are public to Python, not to Rust.
#![allow(
    unreachable_pub,
    reason = "pyo3 needs the items of a module to be reachable"
)]

mod arguments;
mod call;
mod carry;
mod context;
mod emit;
mod failure;
mod foreign;
mod handle;
#[cfg(all(Py_3_11, not(Py_3_12)))]
mod heir;
mod instrument;
mod log;
mod monitored;
mod object;
mod plan;
mod pressure;
mod record;
mod script;
mod smart;
mod space;
mod span;
mod stack;
mod steps;

use pyo3::prelude::*;

/// The native part of the package; its functions are documented where the package exports them.
#[pymodule(gil_used = true)]
mod _native {
    #[pymodule_export]
    use crate::carry::{Below, Carried, here, is_unrecorded, leave, traceparent};
    #[pymodule_export]
    use crate::emit::{configure, disabled, flush, metric, new_session_id, session_event, stats};
    #[pymodule_export]
    use crate::handle::{Handle, start};
    #[pymodule_export]
    use crate::instrument::{
        attach, detach, instrument, is_attached, is_monitored, is_planned, monitored_of,
    };
    #[pymodule_export]
    use crate::log::log;
    #[pymodule_export]
    use crate::monitored::monitor;
    #[pymodule_export]
    use crate::script::instead_of_script;
    #[pymodule_export]
    use crate::span::{Span, span_of_group};
    #[pymodule_export]
    use crate::steps::{OpenSpan, Steps};
}
