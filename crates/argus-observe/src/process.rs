//! Which process is meant: by id, or by a name that people use for it.
//!
//! A name matches what the kernel calls the process (15 bytes at most, so a longer name is compared
//! with the program's full name as well), or the base name of its first argument or its executable:
//! `python3` finds the interpreter behind `./server.py`. Matches on the kernel's name go first, and
//! among equals the lowest id does.
//!
//! A [`Target`] carries the start time, without which an id names nobody: ids are re-used.

use std::ffi::OsStr;
use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::platform;
use crate::stat::{self, Stat};

/// The longest name the kernel keeps for a process.
const KERNEL_NAME_BYTES: usize = 15;

/// One run of one process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Process id in the observer's namespace.
    pub pid: u32,
    /// Start time in clock ticks since boot.
    pub start_ticks: u64,
    /// Its full name where that can be known, else the 15 bytes that the kernel keeps.
    pub process_name: String,
    /// Its arguments, joined by spaces; empty for a kernel thread or when it may not be read.
    pub command_line: String,
    /// Its executable, where it may be read.
    pub exe: Option<PathBuf>,
}

/// The answer to a search by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The best match.
    pub first: Target,
    /// Further matches, best first: worth a warning.
    pub others: Vec<Target>,
}

/// A process cannot be observed.
#[derive(Debug, thiserror::Error)]
pub enum AttachError {
    /// No process has this id, or the one that had it has ended.
    #[error("there is no process with id {0}")]
    NoSuchProcess(u32),
    /// The id is that of a thread.
    #[error("{thread} is a thread of process {process}, not a process")]
    Thread {
        /// The id given.
        thread: u32,
        /// The process it belongs to.
        process: u32,
    },
    /// No process has this name.
    #[error("there is no process named {0:?}")]
    NoSuchName(String),
    /// It is there, and this user may not look at it.
    #[error("process {0} may not be observed by this user")]
    NotPermitted(u32),
    /// Processes cannot be observed on this machine, or no descriptor is left for it.
    #[error("processes cannot be observed here")]
    Unobservable(#[source] io::Error),
}

/// Finds the process with this id.
///
/// # Errors
/// See [`AttachError`]; "not there" and "not allowed" are told apart even where `/proc` hides other
/// users' processes.
pub fn find_by_pid(pid: u32) -> Result<Target, AttachError> {
    let stat = read_stat(pid).map_err(|error| explain(pid, error))?;
    if stat.has_ended() {
        return Err(AttachError::NoSuchProcess(pid));
    }
    match thread_group(pid) {
        Some(process) if process != pid => Err(AttachError::Thread {
            thread: pid,
            process,
        }),
        _ => Ok(describe(pid, &stat)),
    }
}

/// Finds the processes with this name, the caller itself left out.
///
/// Looks at every process once: about 20 µs each.
///
/// # Errors
/// [`AttachError::NoSuchName`], or [`AttachError::Unobservable`] without a `/proc`.
pub fn find_by_name(name: &str) -> Result<Found, AttachError> {
    let mut matches: Vec<(Likeness, Target)> = Vec::new();
    for pid in processes().map_err(AttachError::Unobservable)? {
        let Ok(stat) = read_stat(pid) else {
            continue; // It has ended since the listing, or is hidden from us.
        };
        if stat.has_ended() || pid == std::process::id() {
            continue;
        }
        let arguments = read_arguments(pid);
        let exe = fs::read_link(format!("/proc/{pid}/exe")).ok();
        let identity = Identity {
            kernel_name: &stat.name,
            argument: arguments.first().map(Vec::as_slice),
            exe: exe.as_deref(),
        };
        if let Some(likeness) = identity.likeness(name) {
            matches.push((likeness, describe(pid, &stat)));
        }
    }
    matches.sort_by_key(|(likeness, target)| (*likeness, target.pid));
    let mut targets = matches.into_iter().map(|(_, target)| target);
    let first = targets
        .next()
        .ok_or_else(|| AttachError::NoSuchName(name.to_owned()))?;
    Ok(Found {
        first,
        others: targets.collect(),
    })
}

/// Why this process could not be opened or read.
pub(crate) fn explain(pid: u32, error: io::Error) -> AttachError {
    match error.kind() {
        ErrorKind::PermissionDenied => AttachError::NotPermitted(pid),
        _ if !Path::new("/proc/self/stat").exists() => AttachError::Unobservable(error),
        _ if exists_but_hidden(pid) => AttachError::NotPermitted(pid),
        _ => AttachError::NoSuchProcess(pid),
    }
}

/// A `/proc` mounted with `hidepid` shows other users' processes as absent; the permission check of
/// `kill`, without a signal, still tells.
fn exists_but_hidden(pid: u32) -> bool {
    platform::raw_pid(pid)
        .is_some_and(|pid| rustix::process::test_kill_process(pid) == Err(rustix::io::Errno::PERM))
}

/// The ids of all processes, ascending.
fn processes() -> io::Result<Vec<u32>> {
    let mut ids = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        if let Some(pid) = name.to_str().and_then(|name| name.parse().ok()) {
            ids.push(pid);
        }
    }
    ids.sort_unstable();
    Ok(ids)
}

pub(crate) fn read_stat(pid: u32) -> io::Result<Stat> {
    let bytes = fs::read(format!("/proc/{pid}/stat"))?;
    stat::parse(&bytes).ok_or_else(|| io::Error::from(ErrorKind::InvalidData))
}

/// The process that the thread or process with this id belongs to.
fn thread_group(pid: u32) -> Option<u32> {
    let status = fs::read(format!("/proc/{pid}/status")).ok()?;
    let status = String::from_utf8_lossy(&status);
    let line = status.lines().find_map(|line| line.strip_prefix("Tgid:"))?;
    line.trim().parse().ok()
}

fn read_arguments(pid: u32) -> Vec<Vec<u8>> {
    let bytes = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let bytes = bytes.strip_suffix(b"\0").unwrap_or(&bytes);
    if bytes.is_empty() {
        return Vec::new();
    }
    bytes.split(|byte| *byte == 0).map(<[u8]>::to_vec).collect()
}

fn describe(pid: u32, stat: &Stat) -> Target {
    let arguments = read_arguments(pid);
    let exe = fs::read_link(format!("/proc/{pid}/exe")).ok();
    let identity = Identity {
        kernel_name: &stat.name,
        argument: arguments.first().map(Vec::as_slice),
        exe: exe.as_deref(),
    };
    Target {
        pid,
        start_ticks: stat.start_ticks,
        process_name: identity.full_name(),
        command_line: String::from_utf8_lossy(&arguments.join(&b' ')).into_owned(),
        exe,
    }
}

/// How well a name fits; the better is the smaller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Likeness {
    KernelName,
    FullName,
    Program,
}

/// What a process can be called by.
struct Identity<'a> {
    kernel_name: &'a str,
    argument: Option<&'a [u8]>,
    exe: Option<&'a Path>,
}

impl Identity<'_> {
    fn likeness(&self, name: &str) -> Option<Likeness> {
        if self.kernel_name == name {
            Some(Likeness::KernelName)
        } else if self.full_name() == name {
            Some(Likeness::FullName)
        } else if self.programs().any(|program| program == name) {
            Some(Likeness::Program)
        } else {
            None
        }
    }

    /// The kernel's name, completed from the program's where the kernel had to cut it.
    fn full_name(&self) -> String {
        let cut = self.kernel_name;
        if cut.len() < KERNEL_NAME_BYTES {
            return cut.to_owned();
        }
        self.programs()
            .find(|program| program.starts_with(cut))
            .unwrap_or_else(|| cut.to_owned())
    }

    /// Base names of the first argument and of the executable.
    fn programs(&self) -> impl Iterator<Item = String> {
        let base = |path: &Path| Some(path.file_name()?.to_string_lossy().into_owned());
        let argument = self
            .argument
            .map(|bytes| Path::new(OsStr::from_bytes(bytes)));
        let exe = self.exe.and_then(base).map(|name| {
            // What the kernel appends once the file was replaced or removed.
            name.strip_suffix(" (deleted)").unwrap_or(&name).to_owned()
        });
        argument.and_then(base).into_iter().chain(exe)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(kernel_name: &str, argument: &str, exe: &str, name: &str) -> Option<Likeness> {
        let identity = Identity {
            kernel_name,
            argument: Some(argument.as_bytes()).filter(|bytes| !bytes.is_empty()),
            exe: Some(Path::new(exe)).filter(|path| !path.as_os_str().is_empty()),
        };
        identity.likeness(name)
    }

    #[test]
    fn a_process_is_found_by_the_names_people_use() {
        use Likeness::{FullName, KernelName, Program};
        assert_eq!(
            check("nginx", "nginx: master process", "", "nginx"),
            Some(KernelName)
        );
        assert_eq!(
            check(
                "server.py",
                "/usr/bin/python3",
                "/usr/bin/python3.11",
                "python3"
            ),
            Some(Program)
        );
        assert_eq!(
            check(
                "server.py",
                "/usr/bin/python3",
                "/usr/bin/python3.11",
                "python3.11"
            ),
            Some(Program)
        );
        assert_eq!(
            check(
                "terrain_simulat",
                "./terrain_simulator",
                "",
                "terrain_simulator"
            ),
            Some(FullName)
        );
        assert_eq!(
            check(
                "terrain_simulat",
                "./terrain_simulator",
                "",
                "terrain_simulat"
            ),
            Some(KernelName)
        );
        assert_eq!(
            check("app", "", "/opt/tool (deleted)", "tool"),
            Some(Program)
        );
        assert_eq!(
            check("kworker/0:1", "", "", "kworker/0:1"),
            Some(KernelName)
        );
        assert_eq!(check("nginx", "nginx", "/usr/sbin/nginx", "ngin"), None);
        assert_eq!(check("x", "", "", ""), None);
    }

    #[test]
    fn a_cut_name_is_completed_from_the_program() {
        let identity = Identity {
            kernel_name: "terrain_simulat",
            argument: Some(b"-login"),
            exe: Some(Path::new("/opt/terrain_simulator")),
        };
        assert_eq!(identity.full_name(), "terrain_simulator");
    }

    #[test]
    fn no_process_and_a_thread_are_told_apart() {
        let id = i32::MAX.unsigned_abs();
        assert!(matches!(
            find_by_pid(id),
            Err(AttachError::NoSuchProcess(_))
        ));
        assert!(matches!(find_by_pid(0), Err(AttachError::NoSuchProcess(0))));
        let task = std::thread::spawn(|| {
            let me = fs::read_link("/proc/thread-self").unwrap();
            let id = me.file_name().unwrap().to_str().unwrap().parse().unwrap();
            (id, find_by_pid(id))
        });
        let (id, found) = task.join().unwrap();
        let process = std::process::id();
        assert!(
            matches!(found, Err(AttachError::Thread { thread, process: p }) if thread == id && p == process)
        );
    }

    #[test]
    fn this_process_describes_itself() {
        let me = find_by_pid(std::process::id()).unwrap();
        assert_eq!(me.exe, std::env::current_exe().ok());
        assert!(!me.process_name.is_empty() && me.start_ticks > 0);
    }
}
