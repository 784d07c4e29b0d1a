//! A user without any right: programs that must not or need not run as root.

use std::ffi::OsStr;
use std::fs::Permissions;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

const NOBODY: u32 = 65_534;

/// A folder of this user's own, and programs that run as this user. Whoever is not root is this user.
pub(crate) struct Nobody {
    folder: TempDir,
    is_other: bool,
}

impl Nobody {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let is_other = rustix::process::geteuid().is_root();
        if is_other {
            chown(folder.path(), Some(NOBODY), Some(NOBODY)).unwrap();
        }
        Self { folder, is_other }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The `argus` command where this user can reach it: the target folder may be closed to others.
    pub(crate) fn argus(&self) -> PathBuf {
        let path = self.path("argus");
        if !path.exists() {
            std::fs::copy(env!("CARGO_BIN_EXE_argus"), &path).unwrap();
            std::fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
        }
        path
    }

    /// A program that this user runs, in the user's own folder.
    pub(crate) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = if self.is_other {
            let id = NOBODY.to_string();
            let mut command = Command::new("setpriv");
            command.args(["--reuid", &id, "--regid", &id, "--clear-groups"]);
            command.arg(program);
            command
        } else {
            Command::new(program)
        };
        command.current_dir(self.folder.path());
        command
    }
}
