//! How a process that is not our child has ended.
//!
//! `waitpid` answers a parent only. Since Linux 6.15 a pidfd answers anybody (`PIDFD_GET_INFO` with
//! `PIDFD_INFO_EXIT`), but only after the parent has collected the process, and only to those who
//! opened the pidfd before. Between the two, and on older kernels, the dead process stands in
//! `/proc` as a zombie whose last field is its wait status, shown to those who might trace it.
//!
//! Both sources have a trap that turns "not told" into a false 0. The ioctl leaves the field 0
//! while its mask lacks `PIDFD_INFO_EXIT`, and fails with `ESRCH` in the moment of collection; the
//! zombie's field reads 0 for whoever may not trace it. A status is believed only when the source
//! says that it holds one; everything else is "not yet" or "never".

use std::fs::{self, File};
use std::io;
use std::mem;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::FileExt;

use crate::stat;

/// What is known about a process's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExitStatus {
    /// It has ended.
    Ended {
        /// Its exit code, or −N when signal N killed it.
        code: i32,
        /// The kernel wrote its memory to a file, or to a program that takes such.
        core_dumped: bool,
    },
    /// Nothing yet: it lives, or is just being collected. Ask again.
    NotYet,
    /// This kernel will not tell.
    Untold,
}

/// Asks once how the process behind `pidfd` has ended. `stat` is its `/proc/PID/stat`, opened while
/// it could be.
///
/// Costs one system call where the kernel knows, four where a zombie must be looked at.
pub fn exit_status(pid: u32, pidfd: Option<&impl AsFd>, stat: Option<&File>) -> ExitStatus {
    let told = pidfd.map_or(ExitStatus::Untold, |pidfd| ask_pidfd(pidfd));
    if let ExitStatus::Ended { .. } = told {
        return told;
    }
    stat.and_then(|stat| zombie_status(pid, stat))
        .unwrap_or(told)
}

fn ask_pidfd(pidfd: &impl AsFd) -> ExitStatus {
    // SAFETY: the struct holds integers only, for which all bits zero is a value.
    let mut info: libc::pidfd_info = unsafe { mem::zeroed() };
    let wanted = u64::from(libc::PIDFD_INFO_EXIT);
    info.mask = wanted;
    // SAFETY: the descriptor is open for the duration of the borrow, and the request's size field
    // tells the kernel exactly how much it may write through the pointer.
    let answer = unsafe {
        libc::ioctl(
            pidfd.as_fd().as_raw_fd(),
            libc::PIDFD_GET_INFO,
            &raw mut info,
        )
    };
    if answer == 0 && info.mask & wanted != 0 {
        return status_of(info.exit_code).unwrap_or(ExitStatus::Untold);
    }
    // Success without the bit: alive, a zombie, or a kernel between 6.13 and 6.15, which knows the
    // call but not the bit; the caller's patience tells these apart.
    if answer == 0 || io::Error::last_os_error().raw_os_error() == Some(libc::ESRCH) {
        return ExitStatus::NotYet;
    }
    ExitStatus::Untold
}

/// The wait status of a process that has died and was not collected yet.
///
/// `exe` of a zombie is `ENOENT` for those who may trace it and `EACCES` for all others; only the
/// former are shown the true status. It is asked first: had the process been collected between the
/// two, the kept descriptor would fail.
fn zombie_status(pid: u32, stat: &File) -> Option<ExitStatus> {
    let may_trace = fs::read_link(format!("/proc/{pid}/exe"))
        .is_err_and(|error| error.kind() == io::ErrorKind::NotFound);
    if !may_trace {
        return None;
    }
    let mut space = [0; stat::MAX_BYTES];
    let length = stat.read_at(&mut space, 0).ok()?;
    status_of(stat::zombie_wait_status(&space[..length])?)
}

/// Exit code, or −N for signal N; `None` for a status that is not an end.
pub(crate) fn code_of(wait_status: i32) -> Option<i32> {
    match status_of(wait_status) {
        Some(ExitStatus::Ended { code, .. }) => Some(code),
        _ => None,
    }
}

/// What a wait status says; `None` for one that is not an end.
fn status_of(wait_status: i32) -> Option<ExitStatus> {
    if libc::WIFEXITED(wait_status) {
        Some(ExitStatus::Ended {
            code: libc::WEXITSTATUS(wait_status),
            core_dumped: false,
        })
    } else if libc::WIFSIGNALED(wait_status) {
        Some(ExitStatus::Ended {
            code: -libc::WTERMSIG(wait_status),
            core_dumped: libc::WCOREDUMP(wait_status),
        })
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_status_becomes_a_code_or_a_negative_signal() {
        let ended = |code, core_dumped| Some(ExitStatus::Ended { code, core_dumped });
        assert_eq!(status_of(0), ended(0, false));
        assert_eq!(status_of(7 << 8), ended(7, false));
        assert_eq!(status_of(9), ended(-9, false));
        assert_eq!(status_of(11 | 0x80), ended(-11, true));
        assert_eq!(status_of(0x137f), None, "stopped is no end");
    }

    #[test]
    fn a_living_process_has_no_status_yet() {
        let pid = std::process::id();
        let pidfd = super::super::pidfd_open(pid).unwrap();
        let stat = File::open("/proc/self/stat").unwrap();
        let status = exit_status(pid, Some(&pidfd), Some(&stat));
        assert!(!matches!(status, ExitStatus::Ended { .. }), "{status:?}");
    }
}
