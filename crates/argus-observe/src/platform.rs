//! What the operating system is asked, and the only `unsafe` of this crate.
//!
//! Everything here is Linux. Each question has an answer for kernels that cannot give the best one
//! (the floor is 5.4): [`exit_status`] says "not told" instead of guessing, [`process_cpu_time`]
//! fails and the sampler counts clock ticks instead.

mod exit_status;
mod filter;
mod memory;
mod signals;

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::Duration;

use argus_model::Monotonic;
use rustix::process::{Pid, PidfdFlags};

pub use rustix::process::Signal;

pub(crate) use exit_status::code_of;
pub use exit_status::{ExitStatus, exit_status};
pub(crate) use filter::{FilterStep, attach_filter};
pub(crate) use memory::may_read_memory;
#[cfg(feature = "stacks")]
pub(crate) use memory::read_memory;
pub use signals::{Delivered, Sender, Signals};

/// A descriptor that names one process for good and becomes readable when it ends.
///
/// # Errors
/// `ESRCH` when there is no such process, `EINVAL` (`ENOENT` on new kernels) when the id is a
/// thread's, `ENOSYS` or `EPERM` where the kernel or a sandbox has no pidfds.
pub fn pidfd_open(pid: u32) -> io::Result<OwnedFd> {
    let pid = raw_pid(pid).ok_or(rustix::io::Errno::SRCH)?;
    Ok(rustix::process::pidfd_open(pid, PidfdFlags::empty())?)
}

/// The kernel's form of a process id; `None` for 0 and for numbers no process can have.
pub fn raw_pid(pid: u32) -> Option<Pid> {
    Pid::from_raw(i32::try_from(pid).ok()?)
}

/// CPU time that all threads of a process have used, ended threads included, in nanoseconds exact
/// to the last scheduler tick. `/proc/PID/stat` counts the same in steps of 10 ms.
///
/// Anyone may ask about anyone; one system call.
///
/// # Errors
/// When there is no such process.
pub fn process_cpu_time(pid: u32) -> io::Result<Duration> {
    const SCHEDULER_CLOCK: i32 = 2;
    // Process 0 would be the caller, and ids beyond the kernel's limit would spill into other clocks.
    let id = i32::try_from(pid)
        .ok()
        .filter(|id| (1..=1 << 22).contains(id));
    let id = id.ok_or(io::ErrorKind::InvalidInput)?;
    let clock = (!id << 3) | SCHEDULER_CLOCK;
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the kernel writes one timespec through a pointer to a live local of that type, and
    // refuses a clock id that names no process.
    let answer = unsafe { libc::clock_gettime(clock, &raw mut time) };
    if answer != 0 {
        return Err(io::Error::last_os_error());
    }
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let nanos = u32::try_from(time.tv_nsec).unwrap_or(0);
    Ok(Duration::new(seconds, nanos))
}

/// Clock ticks per second, the unit of the times in `/proc/PID/stat`.
pub fn ticks_per_second() -> u64 {
    rustix::param::clock_ticks_per_second()
}

/// Bytes in a page, the unit of `/proc/PID/statm`.
pub fn page_size() -> u64 {
    rustix::param::page_size() as u64
}

/// The machine's monotonic clock, comparable between all processes of this boot.
pub fn monotonic_now() -> Monotonic {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let nanos = u64::try_from(time.tv_nsec).unwrap_or(0);
    Monotonic::from_nanos(seconds * 1_000_000_000 + nanos)
}

/// Clock ticks since boot, time asleep included: the unit and the clock of a process's start time.
pub fn ticks_now() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let nanos = u64::try_from(time.tv_nsec).unwrap_or(0);
    let ticks = ticks_per_second();
    seconds * ticks + nanos * ticks / 1_000_000_000
}

/// The machine's name.
pub fn hostname() -> String {
    let names = rustix::system::uname();
    names.nodename().to_string_lossy().into_owned()
}

/// The kernel's release, such as `6.18.2`.
pub fn kernel_release() -> String {
    let names = rustix::system::uname();
    names.release().to_string_lossy().into_owned()
}

/// Makes the program start in a session of its own, with its standard input as that session's
/// controlling terminal: what a login does, so that job control and `/dev/tty` work.
pub(crate) fn start_in_terminal_session(command: &mut Command) {
    // SAFETY: the closure runs between fork and exec. It allocates nothing, takes no lock, and
    // makes two async-signal-safe system calls on its own process and its own descriptor 0.
    unsafe {
        command.pre_exec(|| {
            rustix::process::setsid()?;
            rustix::process::ioctl_tiocsctty(rustix::stdio::stdin())?;
            Ok(())
        });
    }
}

/// Makes the program start with the signals blocked that were before ours were collected: a mask
/// outlives `exec`, and a program that cannot be interrupted would be our doing.
pub(crate) fn start_with_mask_before(command: &mut Command, signals: &Signals) {
    let mask = signals.mask_before();
    // SAFETY: the closure runs between fork and exec and only sets the new process's own mask, from
    // a copy that it owns; pthread_sigmask is async-signal-safe.
    unsafe {
        command.pre_exec(move || {
            signals::restore(&mask);
            Ok(())
        });
    }
}

/// Whether a program of ours goes on when its caller dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bond {
    /// It gets SIGTERM when the thread that started it ends, so that must be one that stays.
    Bound,
    /// It goes on.
    Free,
}

/// Makes the program start as the leader of a process group of its own, with no signal blocked: it
/// would inherit our mask, and could not be asked to end.
pub(crate) fn start_in_own_group(command: &mut Command, bond: Bond) {
    command.process_group(0);
    let caller = rustix::process::getpid();
    // SAFETY: the closure runs between fork and exec. It allocates nothing, takes no lock, and makes
    // three async-signal-safe system calls that concern its own process only.
    unsafe {
        command.pre_exec(move || {
            signals::block_nothing();
            if bond == Bond::Bound {
                rustix::process::set_parent_process_death_signal(Some(Signal::TERM))?;
                // The caller may have died before the kernel knew whom to tell.
                if rustix::process::getppid() != Some(caller) {
                    return Err(rustix::io::Errno::SRCH.into());
                }
            }
            Ok(())
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cpu_clock_of_this_process_grows_with_work() {
        let before = process_cpu_time(std::process::id()).unwrap();
        let mut sum = 0_u64;
        while process_cpu_time(std::process::id()).unwrap() < before + Duration::from_millis(5) {
            sum = std::hint::black_box(sum.wrapping_add(1));
        }
    }

    #[test]
    fn the_cpu_clock_of_no_process_is_an_error() {
        assert!(process_cpu_time(0).is_err());
        assert!(process_cpu_time(u32::MAX).is_err());
        assert!(process_cpu_time(i32::MAX.unsigned_abs()).is_err());
    }

    #[test]
    fn the_machine_describes_itself() {
        assert!(page_size().is_power_of_two());
        assert!(ticks_per_second() > 0);
        assert!(!kernel_release().is_empty());
        assert!(monotonic_now() <= monotonic_now());
        assert!(!hostname().is_empty());
    }

    #[test]
    fn ids_no_process_can_have_are_refused() {
        assert!(raw_pid(0).is_none());
        assert!(raw_pid(u32::MAX).is_none());
        let error = pidfd_open(0).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ESRCH));
    }
}
