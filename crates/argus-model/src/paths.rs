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

/// The network file system that `statfs` names by this magic number; nothing for a local one.
///
/// No database and no spool may lie on one: SQLite's WAL and the spools are memory shared between
/// processes, which a network does not give, and a server that is gone would hold a host up or kill it.
/// FUSE is not among them: most of what it carries is local.
pub fn network_kind(magic: u64) -> Option<&'static str> {
    // The number's width and sign differ between machines; 32 bits of it have a meaning.
    Some(match magic & 0xffff_ffff {
        0x6969 => "nfs",
        0x517b | 0xff53_4d42 | 0xfe53_4d42 => "smb",
        0x0102_1997 => "9p",
        0x00c3_6400 => "ceph",
        0x5346_414f | 0x6b41_4653 => "afs",
        0x7375_7245 => "coda",
        0x564c => "ncp",
        0x0bd0_0bd0 => "lustre",
        0x0116_1970 => "gfs2",
        0x7461_636f => "ocfs2",
        0x1983_0326 => "beegfs",
        0x4750_4653 => "gpfs",
        _ => return None,
    })
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

    #[test]
    fn network_file_systems_are_told_from_local_ones() {
        let local = [
            (0xef53, "ext4"),
            (0x5846_5342, "xfs"),
            (0x9123_683e, "btrfs"),
            (0x0102_1994, "tmpfs"),
            (0x794c_7630, "overlayfs"),
            (0x2fc1_2fc1, "zfs"),
            (0xf2f5_2010, "f2fs"),
            (0x6573_5546, "fuse"),
        ];
        for (magic, name) in local {
            assert_eq!(network_kind(magic), None, "{name}");
        }
        assert_eq!(network_kind(0x6969), Some("nfs"));
        assert_eq!(network_kind(0x0102_1997), Some("9p"));
        let smb = 0xff53_4d42;
        assert_eq!(network_kind(smb), Some("smb"));
        assert_eq!(
            network_kind(smb | 0xffff_ffff << 32),
            Some("smb"),
            "as a signed word"
        );
    }
}
