//! One look at a process that may be new, may be a thread, and may be gone.

use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use crate::platform;
use crate::process::{self, Seen};
use crate::wake::wait_any;

/// What changes when a process becomes another program: its name, or at least where its arguments
/// lie, which the kernel chooses anew at every `exec`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Face {
    name: String,
    arguments_at: u64,
}

impl Face {
    pub(super) fn of(seen: &Seen) -> Self {
        Self {
            name: seen.stat.name.clone(),
            arguments_at: seen.kin.arguments_at,
        }
    }
}

/// What an id turned out to be.
#[derive(Debug)]
pub(super) enum Inspected {
    /// A process, alive or not yet collected.
    Process { pidfd: Option<OwnedFd>, seen: Seen },
    /// A thread of one, or a process that lives and that this user is not shown.
    NotShown,
    /// Nothing that is shown.
    Absent,
}

/// Finds out what has this id, the pidfd first: it tells threads and the absent by one system call.
pub(super) fn inspect(pid: u32) -> Inspected {
    let pidfd = match platform::pidfd_open(pid) {
        Ok(pidfd) => Some(pidfd),
        Err(error) => match error.raw_os_error() {
            Some(libc::ENOENT) => return Inspected::NotShown,
            Some(libc::ESRCH) => return Inspected::Absent,
            // Before 6.15 `EINVAL` is a thread, or a process about to appear.
            _ => None,
        },
    };
    let Ok(seen) = process::look(pid) else {
        // A `/proc` mounted with `hidepid` keeps other users' processes to itself.
        return match pidfd {
            Some(pidfd) if lives(&pidfd) => Inspected::NotShown,
            _ => Inspected::Absent,
        };
    };
    if pidfd.is_none() && process::thread_group(pid) != Some(pid) {
        return Inspected::NotShown;
    }
    Inspected::Process { pidfd, seen }
}

fn lives(pidfd: &OwnedFd) -> bool {
    wait_any([pidfd.as_fd()], Some(Duration::ZERO)).is_ok_and(|ended| ended == [false])
}
