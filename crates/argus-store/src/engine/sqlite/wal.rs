//! Keeps the WAL within bounds when a reader does not move.
//!
//! What a reader sees of the store cannot be taken from under it: as long as one holds an old state
//! open (it was stopped, or forgot its transaction), the WAL cannot start anew, and every commit
//! makes it longer. Beyond [`HOLD_BACK_BYTES`] a commit is refused, before it changes anything,
//! until a checkpoint finds the way free. The file never grows further than that and one
//! transaction more, and shrinks to the size that [`settle`](super::writer::settle) allows with the
//! first commit after.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::Connection;

use super::BUSY;

/// A WAL of this size takes nothing more until it can start anew. Far above the size at which
/// commits move it into the database, far enough below 128 MiB for the largest usual transaction.
const HOLD_BACK_BYTES: u64 = 96 << 20;

/// SQLite's locks of readers are these bytes of the `-shm` file: read marks 0 to 4 (`WAL_READ_LOCK`
/// behind `UNIX_SHM_BASE`). Who has mark 0 reads the database alone, into which nothing may be
/// moved meanwhile; the others read a part of the WAL.
const READ_MARKS: std::ops::RangeInclusive<u64> = 123..=127;

/// A reader stands in the way.
#[derive(Debug)]
pub(super) struct Blocked {
    /// Everybody who reads now, so far as can be known.
    pub(super) readers: Vec<u32>,
}

/// The files beside a database.
#[derive(Debug)]
pub(super) struct Wal {
    wal: PathBuf,
    shm: PathBuf,
}

impl Wal {
    pub(super) fn of(connection: &Connection) -> Self {
        let beside = |suffix: &str| PathBuf::from(format!("{}{suffix}", name(connection)));
        Self {
            wal: beside("-wal"),
            shm: beside("-shm"),
        }
    }

    /// Makes room for a transaction. Costs one `stat` while there is.
    pub(super) fn make_room(
        &self,
        connection: &Connection,
    ) -> rusqlite::Result<Result<(), Blocked>> {
        // Not by SQLite's own count, which tells nothing between transactions.
        if fs::metadata(&self.wal).map_or(0, |file| file.len()) <= HOLD_BACK_BYTES {
            return Ok(Ok(()));
        }
        // Waiting for a reader would be waiting without a heartbeat.
        connection.busy_timeout(Duration::ZERO)?;
        let busy: rusqlite::Result<bool> =
            connection.query_row("PRAGMA wal_checkpoint(RESTART)", [], |row| row.get(0));
        connection.busy_timeout(BUSY)?;
        Ok(match busy? {
            false => Ok(()),
            true => Err(Blocked {
                readers: readers_of(&self.shm).unwrap_or_default(),
            }),
        })
    }
}

fn name(connection: &Connection) -> &str {
    connection.path().unwrap_or_default()
}

/// The processes other than this one that hold a read mark, as far as `/proc/locks` tells: those in
/// another pid namespace stay unknown.
fn readers_of(shm: &Path) -> Option<Vec<u32>> {
    let inode = fs::metadata(shm).ok()?.ino();
    let locks = fs::read_to_string("/proc/locks").ok()?;
    let holders = locks.lines().filter_map(|line| holder(line, inode));
    let others = holders.filter(|&pid| pid != 0 && pid != std::process::id());
    Some(others.collect())
}

/// The pid in a line such as `3: POSIX  ADVISORY  READ  4711 fe:00:1234 124 124`, if it is about a
/// read mark of this file. The device is not compared: overlay and btrfs give another one here.
fn holder(line: &str, inode: u64) -> Option<u32> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let &[_, "POSIX", _, "READ", pid, file, first, _] = &words[..] else {
        return None;
    };
    let same = file.rsplit(':').next()?.parse() == Ok(inode);
    let marked = READ_MARKS.contains(&first.parse().ok()?);
    (same && marked).then(|| pid.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_holders_of_a_read_mark_of_the_file_stand_in_the_way() {
        let check = |line: &str| holder(line, 1_234);
        assert_eq!(
            check("3: POSIX  ADVISORY  READ 4711 fe:00:1234 124 124"),
            Some(4_711)
        );
        for other in [
            "3: POSIX  ADVISORY  READ 4711 fe:00:1234 122 122",
            "3: POSIX  ADVISORY  READ 4711 fe:00:1234 128 128",
            "3: POSIX  ADVISORY  READ 4711 fe:00:12345 124 124",
            "3: POSIX  ADVISORY  WRITE 4711 fe:00:1234 124 124",
            "3: -> POSIX  ADVISORY  READ 4711 fe:00:1234 124 124",
            "3: FLOCK  ADVISORY  READ 4711 fe:00:1234 0 EOF",
            "3: OFDLCK ADVISORY  READ -1 fe:00:1234 124 124",
            "",
        ] {
            assert_eq!(check(other), None, "{other}");
        }
    }
}
