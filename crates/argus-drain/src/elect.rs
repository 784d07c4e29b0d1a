//! Who is the collector: the holder of an exclusive lock on `<database>.d/lock`.
//!
//! The kernel releases the lock with the process's last descriptor of the file, so a killed
//! collector is succeeded at once. The collector never forks, so no child inherits the lock.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// The lock, held until this is dropped.
#[derive(Debug)]
pub struct Lock {
    _file: File,
    path: PathBuf,
}

/// An attempt to become the collector.
#[derive(Debug)]
pub enum Election {
    /// This process is the collector.
    Won(Lock),
    /// Another one is.
    Lost,
}

impl Lock {
    /// Takes the lock if nobody holds it.
    pub fn attempt(path: &Path) -> io::Result<Election> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)?;
        match file.try_lock() {
            Ok(()) => Ok(Election::Won(Self {
                _file: file,
                path: path.to_owned(),
            })),
            Err(TryLockError::WouldBlock) => Ok(Election::Lost),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// Gives the lock up; whoever wants it back has to [`attempt`](Lock::attempt).
    pub fn release(self) -> PathBuf {
        self.path
    }
}
