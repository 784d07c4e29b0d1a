//! Which process ids were given away since the last look, from one number in `/proc/loadavg`.
//!
//! Its last field is the id given away last in the reader's pid namespace. Ids are given in
//! ascending order, those in use left out, and from the top back to 300 (`RESERVED_PIDS`), so two
//! readings bound what was born in between. A reading through a descriptor that stays open takes
//! about 2 µs; nothing else is looked at while nothing is born.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::time::Duration;

use argus_model::Monotonic;

use crate::platform;

/// More ids than this are not looked at one by one: all of `/proc` is read once instead.
pub(super) const MOST_IDS: usize = 4096;

/// After so long without a look, all ids may have been given away once.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// The lowest id that is given away a second time.
const RESERVED: u32 = 300;

/// What was given away between two looks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Given {
    /// Exactly these, ascending in time. Threads have ids, too, and some were free again at once.
    Ids(Vec<u32>),
    /// Too many to tell.
    Many,
}

/// Reads the id given away last, again and again.
#[derive(Debug)]
pub(super) struct LastPid {
    loadavg: File,
    last: u32,
    /// Exclusive.
    limit: u32,
    looked_at: Monotonic,
    /// When the look before this one was taken, in the unit of start times.
    looked_at_ticks: u64,
}

impl LastPid {
    /// Takes the first reading.
    pub(super) fn open(now: Monotonic) -> io::Result<Self> {
        let mut last_pid = Self {
            loadavg: File::open("/proc/loadavg")?,
            last: 0,
            limit: limit(),
            looked_at: now,
            looked_at_ticks: platform::ticks_now(),
        };
        last_pid.last = last_pid.read()?;
        Ok(last_pid)
    }

    /// What was given away since the look before, and when that was in ticks since boot.
    pub(super) fn look(&mut self, now: Monotonic) -> io::Result<(Given, u64)> {
        let pause = now.since(std::mem::replace(&mut self.looked_at, now));
        let ticks = std::mem::replace(&mut self.looked_at_ticks, platform::ticks_now());
        let last = self.read()?;
        let before = std::mem::replace(&mut self.last, last);
        if last == before {
            return Ok((Given::Ids(Vec::new()), ticks));
        }
        if last < before {
            self.limit = limit();
        }
        let given = if pause > LONGEST_PAUSE {
            Given::Many
        } else {
            between(before, last, self.limit)
        };
        Ok((given, ticks))
    }

    fn read(&self) -> io::Result<u32> {
        let mut space = [0; 128];
        let length = self.loadavg.read_at(&mut space, 0)?;
        parse(&space[..length]).ok_or_else(|| io::ErrorKind::InvalidData.into())
    }
}

fn parse(loadavg: &[u8]) -> Option<u32> {
    let text = std::str::from_utf8(loadavg).ok()?;
    text.split_ascii_whitespace().last()?.parse().ok()
}

fn limit() -> u32 {
    let text = fs::read_to_string("/proc/sys/kernel/pid_max").unwrap_or_default();
    text.trim().parse().unwrap_or(1 << 22)
}

/// The ids after `before`, up to and with `last`.
fn between(before: u32, last: u32, limit: u32) -> Given {
    let (to_the_top, from_below) = if last > before {
        (before + 1..last + 1, 0..0)
    } else {
        let lowest = if last < RESERVED { 1 } else { RESERVED };
        (before + 1..limit.max(before + 1), lowest..last + 1)
    };
    if to_the_top.len() + from_below.len() > MOST_IDS {
        return Given::Many;
    }
    Given::Ids(to_the_top.chain(from_below).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(before: u32, last: u32, expected: &[u32]) {
        assert_eq!(between(before, last, 32768), Given::Ids(expected.to_vec()));
    }

    #[test]
    fn ids_are_given_away_upwards_and_begin_again_above_the_reserved_ones() {
        check(100, 101, &[101]);
        check(100, 104, &[101, 102, 103, 104]);
        check(32_765, 302, &[32_766, 32_767, 300, 301, 302]);
        check(32_767, 300, &[300]);
        check(32_766, 3, &[32_767, 1, 2, 3]);
        // The limit was lowered meanwhile.
        check(40_000, 301, &[300, 301]);
    }

    #[test]
    fn a_great_many_are_not_told_one_by_one() {
        assert_eq!(between(1000, 9000, 32768), Given::Many);
        assert_eq!(between(5000, 4000, 1 << 22), Given::Many);
    }

    #[test]
    fn the_last_field_is_the_last_id() {
        assert_eq!(parse(b"0.20 0.18 0.12 1/80 11206\n"), Some(11_206));
        assert_eq!(parse(b""), None);
        assert_eq!(parse(b"0.20 x"), None);
    }

    #[test]
    fn a_process_born_in_between_is_among_those_told() {
        let mut last_pid = LastPid::open(platform::monotonic_now()).unwrap();
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let (given, _) = last_pid.look(platform::monotonic_now()).unwrap();
        let is_told = match given {
            Given::Ids(ids) => ids.contains(&child.id()),
            Given::Many => true,
        };
        assert!(is_told);
        child.wait().unwrap();
    }
}
