//! The one place where a command finds and opens its database.

use std::path::Path;

use anyhow::Result;
use argus_model::paths::DataDir;
use argus_spool::place;
use argus_store::{OpenError, Store};

use crate::keeper;

/// The database that `--db` names, else the one that the environment names.
///
/// Its path is absolute: it is handed to processes that may work elsewhere.
pub(crate) fn data_dir(db: Option<&Path>) -> Result<DataDir> {
    match db {
        Some(db) => Ok(place::absolute(DataDir::of(db))),
        None => Ok(place::from_environment()?),
    }
}

/// Opens the store for reading, once it holds what lay in the spools.
pub(crate) fn open_store(data: &DataDir) -> Result<Box<dyn Store>> {
    keeper::catch_up(data)?;
    Ok(argus_store::open_reader(data.database())?)
}

/// Opens the store for reading; `None` where there is nothing to read yet: nothing is recorded, or an
/// older Argus's store waits for the collector to bring it up to date.
pub(crate) fn store_if_any(data: &DataDir) -> Result<Option<Box<dyn Store>>, OpenError> {
    match argus_store::open_reader(data.database()) {
        Err(OpenError::Missing(_) | OpenError::Older { .. }) => Ok(None),
        opened => opened.map(Some),
    }
}
