//! Whether it was the kernel that killed a process, because memory ran out.
//!
//! A wait status says SIGKILL, and not whose. But the kernel counts what it kills for want of
//! memory: in the control group of the victim (`memory.events.local` of version 2,
//! `memory.oom_control` of version 1) and for the whole machine (`/proc/vmstat`). A count that has
//! not risen clears the kernel for certain. One that has risen speaks of this process if nobody else
//! who was in its group is gone; otherwise it is only likely, unless the kernel's log, where it may
//! be read, names the process.
//!
//! Counts are compared with those of half a minute before or more ([`OomWatch::renew`]): between the
//! kernel's count and the end of a large process there can be seconds. They are renewed soon after,
//! so that a kill of long ago is not held against the kernel for ever.
//!
//! No descriptor is kept. It would not help: once a control group is removed, the files of it that
//! are still open only answer `ENODEV`, and the machine's count has to do.

mod group;
mod log;

use std::fs;
use std::time::Duration;

use argus_model::Monotonic;
use argus_model::death::{Cause, Death, Evidence};

use crate::platform;
use group::Group;

/// How often the count is looked at, and how old a reading becomes at least before it is given up.
const LOOK_EVERY: Duration = Duration::from_secs(30);

/// How often who is in the group, and which group it is, are found out anew.
const RENEW_EVERY: Duration = Duration::from_secs(300);

/// What the kernel had counted while a process lived.
#[derive(Debug)]
pub struct OomWatch {
    pid: u32,
    /// What is compared when the process has died.
    older: Reading,
    newer: Reading,
    looked_at: Monotonic,
}

/// The counts at one moment; what may not be read, or does not exist here, is absent.
#[derive(Debug, Clone)]
struct Reading {
    at: Monotonic,
    group: Option<Group>,
    machine: Option<u64>,
}

impl OomWatch {
    /// Begins to watch a living process. Reads five files, which takes about 300 µs: more than a
    /// process that lives for a moment is worth.
    pub fn attach(pid: u32) -> Self {
        let reading = Reading::take(pid);
        Self {
            pid,
            looked_at: reading.at,
            older: reading.clone(),
            newer: reading,
        }
    }

    /// Keeps what is compared up to date; to be called now and then while the process lives, with
    /// every sample for instance. Every half minute it reads one small file.
    pub fn renew(&mut self, now: Monotonic) {
        if now.since(self.looked_at) >= LOOK_EVERY {
            self.look(now);
        }
    }

    fn look(&mut self, now: Monotonic) {
        self.looked_at = now;
        if self.older.at != self.newer.at {
            self.older = self.newer.clone();
        }
        if now.since(self.newer.at) >= RENEW_EVERY || !self.newer.holds() {
            self.newer = Reading::take(self.pid);
        }
    }

    /// Why the process, which has just ended, did so. `code` is its exit code, −N for signal N.
    ///
    /// Reads nothing unless it was SIGKILL.
    pub fn explain(&self, code: Option<i32>, core_dumped: Option<bool>) -> Death {
        let death = Death {
            core_dumped,
            ..Death::of_code(code)
        };
        if death.cause != Cause::Killed {
            return death;
        }
        let (cause, evidence) = self.judge();
        Death {
            cause,
            evidence,
            ..death
        }
    }

    fn judge(&self) -> (Cause, Evidence) {
        let machine = risen(self.older.machine, machine_count());
        if machine == Some(0) {
            return (Cause::Signal, Evidence::Machine);
        }
        if log::names(self.pid, self.older.at) {
            return (Cause::OutOfMemory, Evidence::KernelLog);
        }
        let group = self.older.group.as_ref();
        match group.and_then(|group| Some((group, group.kills_since()?))) {
            Some((_, 0)) => (Cause::Signal, Evidence::ControlGroup),
            Some((group, kills)) if group.has_lost_fewer_than(kills, self.pid) => {
                (Cause::OutOfMemory, Evidence::ControlGroup)
            }
            Some(_) => (Cause::PerhapsOutOfMemory, Evidence::ControlGroup),
            None if machine.is_some() => (Cause::PerhapsOutOfMemory, Evidence::Machine),
            None => (Cause::Killed, Evidence::None),
        }
    }
}

impl Reading {
    fn take(pid: u32) -> Self {
        Self {
            at: platform::monotonic_now(),
            group: Group::of(pid),
            machine: machine_count(),
        }
    }

    /// Whether nothing has been counted since.
    fn holds(&self) -> bool {
        match &self.group {
            Some(group) => group.kills_since() == Some(0),
            None => machine_count() == self.machine,
        }
    }
}

/// By how much a count has risen; a lower one is another's, so nothing is known.
fn risen(before: Option<u64>, now: Option<u64>) -> Option<u64> {
    now?.checked_sub(before?)
}

/// Out-of-memory kills on this machine since it started; kernels before 4.13 do not count.
fn machine_count() -> Option<u64> {
    count(&fs::read_to_string("/proc/vmstat").ok()?)
}

/// The line `oom_kill N`, as all these files have it.
fn count(text: &str) -> Option<u64> {
    let counts = text.lines().filter_map(|line| line.split_once(' '));
    let (_, value) = counts.into_iter().find(|(name, _)| *name == "oom_kill")?;
    value.trim().parse().ok()
}

#[cfg(test)]
mod tests;
