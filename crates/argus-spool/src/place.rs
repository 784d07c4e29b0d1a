//! The folder beside the database: made where missing, refused where it cannot be trusted.

use std::ffi::CString;
use std::fs::{DirBuilder, Metadata};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use argus_model::paths::{self, DataDir};

/// The data folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PlaceError {
    /// Another user owns it.
    #[error("{0} belongs to another user")]
    NotOurs(PathBuf),
    /// It lies on a network file system, where mapped files would be nobody's or everybody's.
    #[error("{path} lies on a network file system ({kind})")]
    Network {
        /// The folder.
        path: PathBuf,
        /// Which one.
        kind: &'static str,
    },
    /// It cannot be made or looked at.
    #[error("cannot use {path}")]
    Io {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Nothing names a place: neither `ARGUS_DB`, `ARGUS_HOME` nor `HOME` is set.
    #[error("neither ARGUS_DB, ARGUS_HOME nor HOME is set")]
    Unnamed,
}

/// Where the environment says that the data lies, as an absolute path: a program may change its
/// working directory later.
pub fn from_environment() -> Result<DataDir, PlaceError> {
    let place = DataDir::from_environment(|name| std::env::var_os(name));
    place.map(absolute).ok_or(PlaceError::Unnamed)
}

/// The same place by its absolute path.
pub fn absolute(place: DataDir) -> DataDir {
    std::path::absolute(place.database()).map_or(place, DataDir::of)
}

/// Makes the folders of a data place, mode 0700. Folders that exist keep their mode; one that belongs
/// to another user, or lies on a network file system, is refused.
pub fn prepare(place: &DataDir) -> Result<(), PlaceError> {
    let folder = place.folder();
    if let Some(parent) = folder
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
    {
        make(parent)?;
        check_file_system(parent)?;
    }
    for folder in [folder, place.spool(), place.followers()] {
        make(&folder)?;
        let data = std::fs::metadata(&folder).map_err(|source| PlaceError::Io {
            path: folder.clone(),
            source,
        })?;
        if !is_ours(&data) {
            return Err(PlaceError::NotOurs(folder));
        }
        check_file_system(&folder)?;
    }
    match std::fs::metadata(place.database()) {
        Ok(data) if !is_ours(&data) => Err(PlaceError::NotOurs(place.database().to_owned())),
        _ => Ok(()),
    }
}

fn make(folder: &Path) -> Result<(), PlaceError> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.map_err(|source| PlaceError::Io {
        path: folder.to_owned(),
        source,
    })
}

fn check_file_system(folder: &Path) -> Result<(), PlaceError> {
    let io = |source: io::Error| PlaceError::Io {
        path: folder.to_owned(),
        source,
    };
    let name = CString::new(folder.as_os_str().as_bytes()).map_err(|error| io(error.into()))?;
    // SAFETY: plain memory that the kernel fills; a zeroed one names no file system.
    let mut system: libc::statfs = unsafe { std::mem::zeroed() };
    // SAFETY: a string that ends in zero, and a valid place to write to.
    if unsafe { libc::statfs(name.as_ptr(), &raw mut system) } != 0 {
        return Err(io(io::Error::last_os_error()));
    }
    match paths::network_kind(system.f_type as u64) {
        Some(kind) => Err(PlaceError::Network {
            path: folder.to_owned(),
            kind,
        }),
        None => Ok(()),
    }
}

fn is_ours(data: &Metadata) -> bool {
    // SAFETY: a system call without arguments that cannot fail.
    data.uid() == unsafe { libc::geteuid() }
}
