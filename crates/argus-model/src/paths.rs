//! Where things stand, derived from the database's path alone.
//!
//! One database is one store, one lock, one user, one machine. Everything that belongs to it lies
//! beside it in `<database>.d/`:
//!
//! ```text
//! argus_runtime.db            the store
//! argus_runtime.db.d/
//!   lock                      held by the one collector
//!   control                   mapped by producers: heartbeat, wake-up, disk budget
//!   spool/<producer id>/      one directory per producer, holding its chunks
//!   followers/<pid>-<n>.sock  one datagram socket per follower, told of every commit
//! ```

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// The store's file name when `--db` and `ARGUS_DB` name none.
pub const DATABASE_NAME: &str = "argus_runtime.db";

/// The places that belong to one database. Pure arithmetic on paths; creates nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataDir {
    database: PathBuf,
}

impl DataDir {
    /// The places that belong to the database at `database`.
    pub fn of(database: impl Into<PathBuf>) -> Self {
        Self {
            database: database.into(),
        }
    }

    /// The places that the environment names: `ARGUS_DB`, else `ARGUS_HOME`, else `~/.argus`.
    ///
    /// `variable` looks an environment variable up; `None` when none of the three is set.
    pub fn from_environment(variable: impl Fn(&str) -> Option<std::ffi::OsString>) -> Option<Self> {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        if let Some(database) = set("ARGUS_DB") {
            return Some(Self::of(database));
        }
        if let Some(home) = set("ARGUS_HOME") {
            return Some(Self::of(Path::new(&home).join(DATABASE_NAME)));
        }
        Some(Self::of(
            Path::new(&set("HOME")?).join(".argus").join(DATABASE_NAME),
        ))
    }

    /// The store.
    pub fn database(&self) -> &Path {
        &self.database
    }

    /// The folder beside the store that holds the rest.
    pub fn folder(&self) -> PathBuf {
        let mut name = self
            .database
            .file_name()
            .unwrap_or(OsStr::new(DATABASE_NAME))
            .to_owned();
        name.push(".d");
        self.database.with_file_name(name)
    }

    /// The file whose lock makes a process the collector.
    pub fn lock(&self) -> PathBuf {
        self.folder().join("lock")
    }

    /// The page that producers and the collector share.
    pub fn control(&self) -> PathBuf {
        self.folder().join("control")
    }

    /// The folder of the producers' directories.
    pub fn spool(&self) -> PathBuf {
        self.folder().join("spool")
    }

    /// The folder of the followers' sockets.
    pub fn followers(&self) -> PathBuf {
        self.folder().join("followers")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(pairs: &[(&str, &str)]) -> Option<PathBuf> {
        let find = |name: &str| {
            pairs
                .iter()
                .find(|(key, _)| *key == name)
                .map(|(_, value)| (*value).into())
        };
        DataDir::from_environment(find).map(|dir| dir.database().to_owned())
    }

    #[test]
    fn the_more_particular_variable_wins() {
        let all = [
            ("ARGUS_DB", "/a/x.db"),
            ("ARGUS_HOME", "/b"),
            ("HOME", "/c"),
        ];
        assert_eq!(from(&all), Some("/a/x.db".into()));
        assert_eq!(from(&all[1..]), Some("/b/argus_runtime.db".into()));
        assert_eq!(from(&all[2..]), Some("/c/.argus/argus_runtime.db".into()));
        assert_eq!(from(&[("ARGUS_DB", "")]), None);
    }

    #[test]
    fn everything_lies_beside_the_database() {
        let dir = DataDir::of("/data/logs/observability.db");
        assert_eq!(dir.folder(), Path::new("/data/logs/observability.db.d"));
        assert_eq!(
            dir.spool(),
            Path::new("/data/logs/observability.db.d/spool")
        );
    }
}
