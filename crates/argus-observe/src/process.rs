//! Which process is meant: by id, or by a name that people use for it.
//!
//! The module `names` says which names fit. Matches on the kernel's name go first, and among equals the
//! lowest id does. Argus does not observe itself: processes of this very program are no match for a
//! name, and those that started it (the shell it was typed into, `sudo`) match last of all, so that
//! `--process bash` means the shell that was meant.
//!
//! A [`Target`] carries the start time, without which an id names nobody: ids are re-used. Two
//! processes with the same id and the same start time, which counts in hundredths of a second, would
//! need every other id to be used up between the two.

mod names;
mod refusal;

use std::fs;
use std::io::{self, ErrorKind};
use std::path::PathBuf;

use crate::stat::{self, Kin, Stat};
use names::{Identity, KERNEL_NAME_BYTES, Likeness};

pub use refusal::AttachError;
pub(crate) use refusal::explain;
use refusal::{check_proc, explain_absence, refuse};

/// How far up [`ancestors`] looks: deeper than any tree of processes that people make.
const MOST_ANCESTORS: usize = 64;

/// What tells one run of one process from every other of this boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Instance {
    /// Process id in the observer's namespace.
    pub pid: u32,
    /// Start time in clock ticks since boot.
    pub start_ticks: u64,
}

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

impl Target {
    /// What tells it from all others.
    pub fn instance(&self) -> Instance {
        Instance {
            pid: self.pid,
            start_ticks: self.start_ticks,
        }
    }

    /// Whether a search by this name would have found it.
    pub fn is_named(&self, name: &str) -> bool {
        let kernel_name = self.process_name.as_bytes().get(..KERNEL_NAME_BYTES);
        let identity = Identity {
            kernel_name: &self.process_name,
            argument: self.command_line.split(' ').next().map(str::as_bytes),
            exe: self.exe.as_deref(),
        };
        kernel_name == Some(name.as_bytes()) || identity.likeness(name).is_some()
    }
}

/// The answer to a search by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The best match.
    pub first: Target,
    /// Further matches, best first: worth a warning.
    pub others: Vec<Target>,
}

/// Finds the process with this id.
///
/// # Errors
/// See [`AttachError`]; "not there" and "not allowed" are told apart even where `/proc` hides other
/// users' processes.
pub fn find_by_pid(pid: u32) -> Result<Target, AttachError> {
    check_proc()?;
    let seen = look(pid).map_err(|error| explain_absence(pid, error))?;
    match thread_group(pid) {
        Some(process) if process != pid => {
            return Err(AttachError::Thread {
                thread: pid,
                process,
            });
        }
        _ => {}
    }
    match refuse(pid, &seen) {
        Some(refusal) => Err(refusal),
        None => Ok(describe(pid, &seen.stat)),
    }
}

/// Finds the processes with this name: programs that live, and not Argus itself.
///
/// Looks at every process once: about 20 µs each.
///
/// # Errors
/// [`AttachError::NoSuchName`], or why the only ones with this name cannot be observed
/// ([`AttachError::OnlyArgus`], [`AttachError::Zombie`], [`AttachError::KernelThread`]), or
/// [`AttachError::Unobservable`] and [`AttachError::ForeignProc`] without a `/proc` of our own.
pub fn find_by_name(name: &str) -> Result<Found, AttachError> {
    check_proc()?;
    let own_program = fs::read_link("/proc/self/exe").ok();
    let mut matches: Vec<(Likeness, Target)> = Vec::new();
    let mut refused = Vec::new();
    let mut argus = Vec::new();
    for pid in processes().map_err(AttachError::Unobservable)? {
        let Ok(seen) = look(pid) else {
            continue; // It has ended since the listing, or is hidden from us.
        };
        let arguments = read_arguments(pid);
        let exe = read_exe(pid);
        let identity = Identity {
            kernel_name: &seen.stat.name,
            argument: arguments.first().map(Vec::as_slice),
            exe: exe.as_deref(),
        };
        let Some(likeness) = identity.likeness(name) else {
            continue;
        };
        let is_argus = exe.is_some() && exe == own_program;
        match refuse(pid, &seen) {
            _ if is_argus => argus.push(pid),
            Some(refusal) => refused.push(refusal),
            None => matches.push((likeness, describe(pid, &seen.stat))),
        }
    }
    best_first(matches).ok_or_else(|| {
        if !argus.is_empty() {
            let name = name.to_owned();
            return AttachError::OnlyArgus { name, pids: argus };
        }
        let no_such_name = || AttachError::NoSuchName(name.to_owned());
        refused.into_iter().next().unwrap_or_else(no_such_name)
    })
}

fn best_first(mut matches: Vec<(Likeness, Target)>) -> Option<Found> {
    let ours = ancestors(std::process::id());
    matches.sort_by_key(|(likeness, target)| {
        (ours.contains(&target.instance()), *likeness, target.pid)
    });
    let mut targets = matches.into_iter().map(|(_, target)| target);
    let first = targets.next()?;
    let others = targets.collect();
    Some(Found { first, others })
}

/// Finds the processes whose arguments, joined by spaces, hold this text: programs that live, and
/// not Argus itself, whose own arguments hold it too.
///
/// Looks at every process once: about 20 µs each.
///
/// # Errors
/// [`AttachError::NoSuchCommandLine`], or [`AttachError::Unobservable`] and
/// [`AttachError::ForeignProc`] without a `/proc` of our own.
pub fn find_by_command_line(text: &str) -> Result<Found, AttachError> {
    check_proc()?;
    let own_program = fs::read_link("/proc/self/exe").ok();
    let mut matches = Vec::new();
    for pid in processes().map_err(AttachError::Unobservable)? {
        let Ok(seen) = look(pid) else {
            continue; // It has ended since the listing, or is hidden from us.
        };
        let exe = read_exe(pid);
        let is_argus = exe.is_some() && exe == own_program;
        if is_argus || refuse(pid, &seen).is_some() {
            continue;
        }
        let target = describe(pid, &seen.stat);
        if target.command_line.contains(text) {
            matches.push((Likeness::FullName, target));
        }
    }
    best_first(matches).ok_or_else(|| AttachError::NoSuchCommandLine(text.to_owned()))
}

/// This process, which [`find_by_pid`] refuses to observe.
///
/// # Errors
/// [`AttachError::Unobservable`] without a `/proc`.
pub fn oneself() -> Result<Target, AttachError> {
    let pid = std::process::id();
    let seen = look(pid).map_err(AttachError::Unobservable)?;
    Ok(describe(pid, &seen.stat))
}

/// The parent of a process, that one's parent, and so on up; empty when it has ended. About 10 µs
/// each.
pub fn ancestors(pid: u32) -> Vec<Instance> {
    let mut found = Vec::new();
    let mut next = look(pid).map_or(0, |seen| seen.kin.parent);
    while next != 0 && found.len() < MOST_ANCESTORS {
        let Ok(seen) = look(next) else {
            break;
        };
        found.push(Instance {
            pid: next,
            start_ticks: seen.stat.start_ticks,
        });
        next = seen.kin.parent;
    }
    found
}

/// The ids of all processes, ascending.
pub(crate) fn processes() -> io::Result<Vec<u32>> {
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

/// What one look at `/proc/PID/stat` shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) stat: Stat,
    pub(crate) kin: Kin,
}

/// Looks at a process once: about 10 µs.
pub(crate) fn look(pid: u32) -> io::Result<Seen> {
    let bytes = fs::read(format!("/proc/{pid}/stat"))?;
    let seen = stat::parse(&bytes).zip(stat::parse_kin(&bytes));
    let (stat, kin) = seen.ok_or_else(|| io::Error::from(ErrorKind::InvalidData))?;
    Ok(Seen { stat, kin })
}

/// The process that the thread or process with this id belongs to.
pub(crate) fn thread_group(pid: u32) -> Option<u32> {
    status_field(pid, "Tgid:")?.trim().parse().ok()
}

/// What `/proc/PID/status` says behind a label, a colon included.
fn status_field(pid: u32, label: &str) -> Option<String> {
    let status = fs::read(format!("/proc/{pid}/status")).ok()?;
    let status = String::from_utf8_lossy(&status);
    let line = status.lines().find_map(|line| line.strip_prefix(label))?;
    Some(line.to_owned())
}

fn read_arguments(pid: u32) -> Vec<Vec<u8>> {
    let bytes = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let bytes = bytes.strip_suffix(b"\0").unwrap_or(&bytes);
    if bytes.is_empty() {
        return Vec::new();
    }
    bytes.split(|byte| *byte == 0).map(<[u8]>::to_vec).collect()
}

fn read_exe(pid: u32) -> Option<PathBuf> {
    fs::read_link(format!("/proc/{pid}/exe")).ok()
}

/// Describes the process whose `stat` this is, as it is called now. About 30 µs.
pub(crate) fn describe(pid: u32, stat: &Stat) -> Target {
    let arguments = read_arguments(pid);
    let exe = read_exe(pid);
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

#[cfg(test)]
mod tests {
    use super::*;

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
    fn nobody_observes_oneself() {
        let pid = std::process::id();
        let error = find_by_pid(pid).unwrap_err();
        assert!(matches!(error, AttachError::Oneself(id) if id == pid));
        let name = oneself().unwrap().process_name;
        let error = find_by_name(&name).unwrap_err();
        assert!(matches!(error, AttachError::OnlyArgus { pids, .. } if pids.contains(&pid)));
    }

    #[test]
    fn a_thread_of_the_kernel_is_no_program() {
        let is_kernel_thread = |pid: &u32| look(*pid).is_ok_and(|seen| seen.kin.is_kernel_thread);
        let Some(pid) = processes().unwrap().into_iter().find(is_kernel_thread) else {
            return; // A container shows none.
        };
        let refused = |answer: AttachError| matches!(answer, AttachError::KernelThread { pid: id, .. } if id == pid);
        assert!(refused(find_by_pid(pid).unwrap_err()));
        let name = look(pid).unwrap().stat.name;
        assert!(refused(find_by_name(&name).unwrap_err()), "{name}");
    }

    #[test]
    fn who_started_this_process_comes_last() {
        let ours = ancestors(std::process::id());
        let parent = std::os::unix::process::parent_id();
        assert_eq!(ours.first().map(|ancestor| ancestor.pid), Some(parent));
        let target = |instance: Instance| Target {
            pid: instance.pid,
            start_ticks: instance.start_ticks,
            process_name: String::new(),
            command_line: String::new(),
            exe: None,
        };
        let other = target(Instance {
            pid: parent + 1,
            start_ticks: 1,
        });
        let matches = vec![
            (Likeness::KernelName, target(ours[0])),
            (Likeness::Program, other.clone()),
        ];
        let found = best_first(matches).unwrap();
        assert_eq!(found.first, other);
        assert_eq!(found.others, [target(ours[0])]);
    }

    #[test]
    fn a_target_answers_to_the_names_that_find_it() {
        let target = Target {
            pid: 1,
            start_ticks: 1,
            process_name: "terrain_simulator".into(),
            command_line: "./terrain_simulator --fast".into(),
            exe: Some("/opt/terrain_simulator-2".into()),
        };
        for name in [
            "terrain_simulator",
            "terrain_simulat",
            "terrain_simulator-2",
        ] {
            assert!(target.is_named(name), "{name}");
        }
        for name in ["terrain", "--fast", ""] {
            assert!(!target.is_named(name), "{name}");
        }
    }

    #[test]
    fn this_process_describes_itself() {
        let me = oneself().unwrap();
        assert_eq!(me.exe, std::env::current_exe().ok());
        assert!(!me.process_name.is_empty() && me.start_ticks > 0);
    }
}
