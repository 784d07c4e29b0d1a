//! What the decorator's options come to for one function.

use argus_client::redact::Sensitive;
use argus_client::sampling::Sampler;
use argus_model::{NameKind, NameText};
use argus_spool::Definition;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};

/// One function's options, made once.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) definition: &'static Definition,
    /// The parameters by name, positional ones first, `*args` last when there is one.
    pub(crate) parameters: Vec<Parameter>,
    /// How many of them take positional arguments.
    pub(crate) positional: usize,
    /// The index of `*args` among the parameters.
    pub(crate) rest: Option<usize>,
    pub(crate) arguments: Capture,
    pub(crate) result: Capture,
    pub(crate) locals: Capture,
    /// The program's own serializer; the smart one without.
    pub(crate) serializer: Option<Py<PyAny>>,
    /// The most characters of one value.
    pub(crate) max_repr: usize,
    pub(crate) sensitive: Sensitive,
    pub(crate) sampler: Sampler,
    /// The number of records waiting for the collector beyond which the program is told.
    pub(crate) queue_warning_threshold: u64,
}

/// Whether something is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Capture {
    Yes,
    No,
}

/// One parameter.
#[derive(Debug)]
pub(crate) struct Parameter {
    /// The name, as the interpreter passes it with keyword arguments.
    pub(crate) name: Py<PyString>,
    pub(crate) masked: bool,
}

impl Plan {
    /// Reads the options as `argus/_options.py` has settled them.
    pub(crate) fn read(options: &Bound<'_, PyDict>) -> PyResult<Self> {
        let option = |name: &str| {
            options.get_item(name)?.ok_or_else(|| {
                pyo3::exceptions::PyKeyError::new_err(format!("option {name:?} is missing"))
            })
        };
        let capture = |name: &str| {
            PyResult::Ok(if option(name)?.is_truthy()? {
                Capture::Yes
            } else {
                Capture::No
            })
        };
        let sensitive = Sensitive::new(option("sensitive_fields")?.extract::<Vec<String>>()?);
        let names = option("parameters")?.extract::<Vec<Bound<'_, PyString>>>()?;
        let texts = names
            .iter()
            .map(|name| name.to_string_lossy().into_owned())
            .collect();
        let masked = |name: &Bound<'_, PyString>| sensitive.covers(&name.to_string_lossy());
        let parameters = names
            .iter()
            .map(|name| Parameter {
                name: name.clone().unbind(),
                masked: masked(name),
            })
            .collect();
        let serializer = option("serializer")?;
        let name = NameText {
            kind: NameKind::Function,
            text: option("name")?.extract()?,
            group: option("process_group")?.extract()?,
            file: option("file")?.extract()?,
            line: option("line")?.extract()?,
            parameters: texts,
        };
        Ok(Self {
            definition: argus_client::name::interned(&name),
            parameters,
            positional: option("positional")?.extract()?,
            rest: option("rest")?.extract()?,
            arguments: capture("args")?,
            result: capture("result")?,
            locals: capture("locals")?,
            serializer: (!serializer.is_none()).then(|| serializer.unbind()),
            max_repr: option("max_repr")?.extract()?,
            sensitive,
            sampler: Sampler::new(option("sample_rate")?.extract()?),
            queue_warning_threshold: option("queue_warning_threshold")?.extract()?,
        })
    }
}
