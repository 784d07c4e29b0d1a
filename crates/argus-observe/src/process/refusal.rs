//! Why a process cannot be observed: every reason its own, with what to do instead.

use std::io::{self, ErrorKind};
use std::path::Path;

use super::{Seen, Target, describe, look, processes, status_field};
use crate::platform;

/// The number that the kernel gives to the first of all pid namespaces.
const INITIAL_PID_NAMESPACE: &str = "pid:[4026531836]";

/// A process cannot be observed.
#[derive(Debug, thiserror::Error)]
pub enum AttachError {
    /// No process has this id, or the one that had it has ended.
    #[error("there is no process with id {0}")]
    NoSuchProcess(u32),
    /// No process has this id here, and some have it in a pid namespace below this one.
    #[error("there is no process with id {pid} here; {}", in_containers(.here))]
    InOtherNamespace {
        /// The id given.
        pid: u32,
        /// The processes that have it in a container, with the ids that they have here.
        here: Vec<Target>,
    },
    /// No process has this id in our pid namespace, which is not the machine's first: it may well be
    /// one outside.
    #[error(
        "there is no process with id {0} in this pid namespace; \
         one outside of the container can only be observed from outside"
    )]
    NotInThisNamespace(u32),
    /// The id is that of a thread.
    #[error("{thread} is a thread of process {process}, not a process")]
    Thread {
        /// The id given.
        thread: u32,
        /// The process it belongs to.
        process: u32,
    },
    /// It has ended, and its parent has not asked yet how.
    #[error(
        "process {pid} ({name}) has ended already; only its parent, {parent}, is still to be observed"
    )]
    Zombie {
        /// The id given or found.
        pid: u32,
        /// What it was called.
        name: String,
        /// Its parent.
        parent: u32,
    },
    /// A part of the kernel: it has no memory, no files and no end.
    #[error(
        "{pid} ({name}) is a thread of the kernel and not a program, which alone can be observed"
    )]
    KernelThread {
        /// The id given or found.
        pid: u32,
        /// What it is called.
        name: String,
    },
    /// The process that asks.
    #[error("process {0} is this observer itself, which does not observe itself")]
    Oneself(u32),
    /// No process has this name but those that run this very program.
    #[error("only Argus itself is named {name:?} here; one of its processes is observed by id ({})", ids(.pids))]
    OnlyArgus {
        /// The name given.
        name: String,
        /// The processes of this program, this one included.
        pids: Vec<u32>,
    },
    /// No process has this text among its arguments.
    #[error("there is no process with {0:?} in its command line")]
    NoSuchCommandLine(String),
    /// No process has this name.
    #[error("there is no process named {0:?}")]
    NoSuchName(String),
    /// It was there when it was looked for, and is gone.
    #[error("process {0} ended before it could be observed")]
    EndedMeanwhile(u32),
    /// It is there, and this user may not look at it.
    #[error("process {0} may not be observed by this user")]
    NotPermitted(u32),
    /// `/proc` shows the processes of another pid namespace: its ids mean others than ours do.
    #[error("/proc is that of another pid namespace; mount one of this namespace first")]
    ForeignProc,
    /// Processes cannot be observed on this machine, or no descriptor is left for it.
    #[error("processes cannot be observed here")]
    Unobservable(#[source] io::Error),
}

/// Why a process that is there is not to be observed.
pub(super) fn refuse(pid: u32, seen: &Seen) -> Option<AttachError> {
    let name = || seen.stat.name.clone();
    if pid == std::process::id() {
        Some(AttachError::Oneself(pid))
    } else if seen.kin.is_kernel_thread {
        Some(AttachError::KernelThread { pid, name: name() })
    } else if seen.stat.has_ended() {
        Some(AttachError::Zombie {
            pid,
            name: name(),
            parent: seen.kin.parent,
        })
    } else {
        None
    }
}

/// Whether `/proc` speaks of the ids that system calls understand.
pub(super) fn check_proc() -> Result<(), AttachError> {
    let own = std::fs::read_link("/proc/self").map_err(|error| match error.kind() {
        // Mounted for a namespace in which this process is not to be seen at all.
        ErrorKind::NotFound if Path::new("/proc/loadavg").exists() => AttachError::ForeignProc,
        _ => AttachError::Unobservable(error),
    })?;
    let is_ours = own.as_os_str().to_str() == Some(&std::process::id().to_string());
    is_ours.then_some(()).ok_or(AttachError::ForeignProc)
}

/// Why a process that was found before could not be opened or read.
pub(crate) fn explain(pid: u32, error: io::Error) -> AttachError {
    let no_descriptor_is_left = matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE));
    match error.kind() {
        ErrorKind::PermissionDenied => AttachError::NotPermitted(pid),
        _ if no_descriptor_is_left => AttachError::Unobservable(error),
        _ if !Path::new("/proc/self/stat").exists() => AttachError::Unobservable(error),
        _ if exists_but_hidden(pid) => AttachError::NotPermitted(pid),
        _ => AttachError::EndedMeanwhile(pid),
    }
}

/// Why no process can be found by this id. Looks at every process, about 20 µs each, for the one
/// that may be meant.
pub(super) fn explain_absence(pid: u32, error: io::Error) -> AttachError {
    match explain(pid, error) {
        AttachError::EndedMeanwhile(pid) => absent(pid),
        other => other,
    }
}

fn absent(pid: u32) -> AttachError {
    let here = in_namespaces_below(pid);
    let namespace = std::fs::read_link("/proc/self/ns/pid").ok();
    if !here.is_empty() {
        AttachError::InOtherNamespace { pid, here }
    } else if namespace.is_some_and(|name| name != Path::new(INITIAL_PID_NAMESPACE)) {
        AttachError::NotInThisNamespace(pid)
    } else {
        AttachError::NoSuchProcess(pid)
    }
}

/// The processes that have this id in a pid namespace below ours.
fn in_namespaces_below(pid: u32) -> Vec<Target> {
    let mut found = Vec::new();
    for here in processes().unwrap_or_default() {
        let ids = status_field(here, "NSpid:").unwrap_or_default();
        // From the outermost namespace that we see to the process's own.
        let mut below = ids.split_ascii_whitespace().skip(1);
        if below.any(|id| id.parse() == Ok(pid))
            && let Ok(seen) = look(here)
            && refuse(here, &seen).is_none()
        {
            found.push(describe(here, &seen.stat));
        }
    }
    found
}

/// A `/proc` mounted with `hidepid` shows other users' processes as absent; the permission check of
/// `kill`, without a signal, still tells.
fn exists_but_hidden(pid: u32) -> bool {
    platform::raw_pid(pid)
        .is_some_and(|pid| rustix::process::test_kill_process(pid) == Err(rustix::io::Errno::PERM))
}

fn in_containers(here: &[Target]) -> String {
    let named = here
        .iter()
        .map(|target| format!("{} ({})", target.pid, target.process_name));
    let named: Vec<_> = named.collect();
    format!("in a container that is {}", named.join(" or "))
}

fn ids(pids: &[u32]) -> String {
    let ids: Vec<_> = pids.iter().map(u32::to_string).collect();
    ids.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lack_of_descriptors_is_not_a_death() {
        let error = io::Error::from_raw_os_error(libc::EMFILE);
        let answer = explain(std::process::id(), error);
        assert!(matches!(answer, AttachError::Unobservable(_)), "{answer:?}");
    }
}
