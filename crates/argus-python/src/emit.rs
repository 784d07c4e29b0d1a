//! Metrics, session events, and the recorder's account.

use std::path::PathBuf;
use std::time::Duration;

use argus_client::redact::Sensitive;
use argus_model::codec::{Encoder, Full};
use argus_model::record::encode_text_key;
use argus_model::value::encode_masked;
use argus_spool::{Configuration, Flushed};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::foreign::{Prepared, prepare};
use crate::pressure;
use crate::space::Space;

/// The most characters of a field's value.
const MOST_CHARACTERS: usize = 1_000;

/// Describes the program, before its first record.
#[pyfunction]
pub fn configure(runtime: String, command: Option<PathBuf>) {
    argus_spool::configure(Configuration {
        runtime,
        command,
        ..Configuration::default()
    });
}

/// Whether `ARGUS_DISABLE` turns everything off.
#[pyfunction]
pub fn disabled() -> bool {
    argus_spool::disabled()
}

/// Records one reading of a named quantity.
#[pyfunction]
#[pyo3(signature = (name, value, unit = "", /, **attributes))]
pub fn metric(
    name: &str,
    value: f64,
    unit: &str,
    attributes: Option<&Bound<'_, PyDict>>,
) -> PyResult<()> {
    let space = fields(attributes)?;
    argus_client::metric::metric_with(name, value, unit, |out| out.bytes(space.bytes()));
    Ok(())
}

/// Appends one event to a session.
#[pyfunction]
pub fn session_event(session: &str, event_type: &str, data: &str) {
    argus_client::session::emit(session, event_type, data);
}

/// A session id that no other session has.
#[pyfunction]
pub fn new_session_id() -> String {
    argus_client::session::new_id()
}

/// Waits until everything emitted so far is in the store.
#[pyfunction]
pub fn flush(py: Python<'_>, timeout: f64) -> bool {
    let timeout = Duration::try_from_secs_f64(timeout.max(0.0)).unwrap_or(Duration::MAX);
    // A year is as good as for ever, and can be added to any moment.
    let timeout = timeout.min(Duration::from_secs(365 * 86_400));
    py.detach(|| argus_spool::flush(timeout)) != Flushed::TimedOut
}

/// The recorder's account of this process.
#[pyfunction]
pub fn stats(py: Python<'_>) -> PyResult<Bound<'_, PyDict>> {
    let stats = argus_spool::stats();
    let overflow = pressure::overflow(stats.depth);
    let account = PyDict::new(py);
    for (key, count) in [
        ("emitted", stats.emitted),
        ("depth", stats.depth),
        ("overflowed", overflow.overflowed),
        ("recovered", overflow.recovered),
        ("dropped", stats.lost_normal),
        ("errors_dropped", stats.lost_errors),
    ] {
        account.set_item(key, count)?;
    }
    Ok(account)
}

/// Keyword arguments as fields; the default sensitive names are masked.
pub(crate) fn fields(given: Option<&Bound<'_, PyDict>>) -> PyResult<Space> {
    let mut space = Space::default();
    let Some(given) = given else { return Ok(space) };
    let sensitive = Sensitive::default();
    for (key, value) in given.iter() {
        let key = key.str()?.to_string_lossy().into_owned();
        let prepared = (!sensitive.covers(&key)).then(|| prepare(&value, None));
        space.write(|out| encode_field(out, &key, prepared.as_ref()));
    }
    Ok(space)
}

fn encode_field(
    out: &mut Encoder<'_>,
    key: &str,
    value: Option<&Prepared<'_>>,
) -> Result<(), Full> {
    encode_text_key(out, key)?;
    match value {
        Some(value) => value.encode(out, MOST_CHARACTERS),
        None => encode_masked(out),
    }
}
