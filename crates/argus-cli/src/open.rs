//! The one place where a command finds and opens its database.

use std::path::Path;

use anyhow::{Context, Result};
use argus_model::paths::DataDir;
use argus_store::{OpenError, Store};

use crate::exit::Exit;
use crate::failure::Refusal;

/// The database that `--db` names, else the one that the environment names.
///
/// The path is made absolute: it is handed to processes that may work elsewhere.
pub(crate) fn data_dir(db: Option<&Path>) -> Result<DataDir> {
    let data = match db {
        Some(db) => DataDir::of(db),
        None => DataDir::from_environment(|name| std::env::var_os(name)).ok_or_else(|| {
            Refusal::new(
                Exit::Usage,
                "no database: HOME, ARGUS_HOME and ARGUS_DB are not set",
            )
            .hint("argus status --db FILE")
        })?,
    };
    let path = data.database();
    let absolute = std::path::absolute(path)
        .with_context(|| format!("cannot make {} absolute", path.display()))?;
    Ok(DataDir::of(absolute))
}

/// Opens the store for reading.
pub(crate) fn open_store(data: &DataDir) -> Result<Box<dyn Store>> {
    Ok(argus_store::open_reader(data.database())?)
}

/// Opens the store for reading; `None` where nothing is recorded yet.
pub(crate) fn store_if_any(data: &DataDir) -> Result<Option<Box<dyn Store>>, OpenError> {
    match argus_store::open_reader(data.database()) {
        Err(OpenError::Missing(_)) => Ok(None),
        opened => opened.map(Some),
    }
}
