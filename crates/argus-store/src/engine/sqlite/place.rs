//! Where a store may lie: in a folder and a file of ours, on a file system of this machine.
//!
//! SQLite's WAL needs shared memory between all who open it, which network file systems do not
//! give; another user's file would be read and then owned by two. Both are refused before SQLite
//! touches anything.

use std::fs::{self, DirBuilder, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use argus_model::paths;

use crate::error::OpenError;

/// Makes folder and file where they are missing, 0700 and 0600, and refuses places that are no
/// good. A folder that exists keeps its mode; a file that exists loses what it grants to others.
pub(super) fn prepare(database: &Path) -> Result<(), OpenError> {
    let io = |source: io::Error| io_error(database, source);
    let folder = folder_of(database);
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(io)?;
    check_folder(database, folder)?;
    if !database.try_exists().map_err(io)? {
        let created = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(database);
        match created {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(io(error)),
            _ => {}
        }
    }
    for file in files_of(database) {
        if let Some(metadata) = check_file(database, &file)?
            && metadata.mode() & 0o077 != 0
        {
            fs::set_permissions(&file, Permissions::from_mode(0o600)).map_err(io)?;
        }
    }
    Ok(())
}

/// Refuses a place that is missing or no good; changes nothing.
pub(super) fn check(database: &Path) -> Result<(), OpenError> {
    if !database
        .try_exists()
        .map_err(|error| io_error(database, error))?
    {
        return Err(OpenError::Missing(database.to_owned()));
    }
    check_folder(database, folder_of(database))?;
    for file in files_of(database) {
        check_file(database, &file)?;
    }
    Ok(())
}

pub(super) fn check_folder(database: &Path, folder: &Path) -> Result<(), OpenError> {
    let metadata = fs::metadata(folder).map_err(|error| io_error(database, error))?;
    // Root's folders (`/tmp`, `/srv`) are everybody's ground; it could do as it likes anyway.
    if metadata.uid() != 0 && metadata.uid() != our_user() {
        return Err(OpenError::NotOurs(folder.to_owned()));
    }
    check_file_system(database, folder)
}

#[cfg(target_os = "linux")]
fn check_file_system(database: &Path, folder: &Path) -> Result<(), OpenError> {
    let status = rustix::fs::statfs(folder).map_err(|error| io_error(database, error.into()))?;
    match paths::network_kind(status.f_type as u64) {
        Some(kind) => Err(OpenError::Network {
            path: database.to_owned(),
            kind,
        }),
        None => Ok(()),
    }
}

#[cfg(not(target_os = "linux"))]
fn check_file_system(_database: &Path, _folder: &Path) -> Result<(), OpenError> {
    Ok(())
}

fn check_file(database: &Path, file: &Path) -> Result<Option<fs::Metadata>, OpenError> {
    match fs::metadata(file) {
        Ok(metadata) if metadata.uid() != our_user() => Err(OpenError::NotOurs(file.to_owned())),
        Ok(metadata) if !metadata.is_file() => Err(OpenError::Damaged {
            path: file.to_owned(),
            source: "not a regular file".into(),
        }),
        Ok(metadata) => Ok(Some(metadata)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(io_error(database, error)),
    }
}

/// The database and what SQLite keeps beside it.
fn files_of(database: &Path) -> [PathBuf; 3] {
    ["", "-wal", "-shm"].map(|suffix| {
        let mut name = database.as_os_str().to_owned();
        name.push(suffix);
        name.into()
    })
}

pub(super) fn folder_of(database: &Path) -> &Path {
    match database.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

fn our_user() -> u32 {
    rustix::process::geteuid().as_raw()
}

fn io_error(database: &Path, source: io::Error) -> OpenError {
    OpenError::Io {
        path: database.to_owned(),
        source: source.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o777
    }

    #[test]
    fn what_we_make_is_ours_alone_and_what_exists_keeps_its_mode() {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
        let database = folder.path().join("new/deep/store.db");
        prepare(&database).unwrap();
        assert_eq!(mode(folder.path()), 0o755);
        assert_eq!(mode(&folder.path().join("new")), 0o700);
        assert_eq!(mode(&folder.path().join("new/deep")), 0o700);
        assert_eq!(mode(&database), 0o600);
    }

    #[test]
    fn a_file_that_others_could_read_is_closed_to_them() {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("store.db");
        fs::write(&database, "").unwrap();
        fs::set_permissions(&database, Permissions::from_mode(0o644)).unwrap();
        prepare(&database).unwrap();
        assert_eq!(mode(&database), 0o600);
    }

    #[test]
    fn another_users_file_or_folder_is_refused() {
        if our_user() != 0 {
            // Only root can give files away; where tests run as a user, root's own file stands in.
            let foreign = Path::new("/etc/hostname");
            assert!(matches!(check(foreign), Err(OpenError::NotOurs(_))));
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("store.db");
        prepare(&database).unwrap();
        std::os::unix::fs::chown(&database, Some(12_345), None).unwrap();
        assert!(matches!(check(&database), Err(OpenError::NotOurs(path)) if path == database));
        std::os::unix::fs::chown(&database, Some(0), None).unwrap();
        std::os::unix::fs::chown(folder.path(), Some(12_345), None).unwrap();
        assert!(
            matches!(prepare(&database), Err(OpenError::NotOurs(path)) if path == folder.path())
        );
    }
}
