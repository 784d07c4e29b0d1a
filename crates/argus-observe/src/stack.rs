//! What a Python program is doing: the stack of each of its threads, without touching it.
//!
//! A [`StackSampler`] copies what the interpreter itself notes of its frames out of the running
//! process. The program is never stopped, traced, or signalled, and no code runs in it; it needs no
//! package and no preparation. CPython 2.7 and 3.3 to 3.15 can be read.
//!
//! **The price of not stopping it.** The program goes on while it is read. A read that fell apart is
//! repeated a few times, then given up and counted ([`StackError::Torn`]). A thread that waits is read
//! as it is; of one that runs, frames that came and went meanwhile may be missing or mixed.
//!
//! **Permission.** The kernel lets a process be read by whom it lets debug it: its own user where
//! nothing restricts that further, and the superuser. What refuses, and what would help, is a
//! [`Refusal`].
//!
//! Reading is what the library `py-spy` knows how to do, behind the feature `stacks`. It is kept on
//! a short lead: only its mode without pauses is used, and a panic in it is a torn read.

mod threads;

#[cfg(feature = "stacks")]
mod reader;
#[cfg(not(feature = "stacks"))]
#[path = "stack/no_reader.rs"]
mod reader;

use std::collections::HashMap;
use std::fmt;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::time::Duration;

use argus_model::Monotonic;

use crate::platform;
use crate::process::Target;
use crate::stat::{self, Stat};
use reader::Reader;
use threads::Threads;

/// Frames of a thread that are told, the innermost ones.
pub const MAX_FRAMES: usize = 128;
/// Threads of a process that are told.
pub const MAX_THREADS: usize = 256;
/// Bytes of a name or a path that are told, the first of a name, the last of a path.
pub const MAX_TEXT: usize = 200;

/// Attempts at a read before it is given up.
const ATTEMPTS: u32 = 5;
/// How long a reader that finds nothing any more is kept: the program may run another interpreter
/// now (`exec`), and finding out costs some 10 ms.
const LOOK_ANEW: Duration = Duration::from_secs(5);

/// What all threads of a program did at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stacks {
    /// When.
    pub at: Monotonic,
    /// The main thread first, the others by their ids.
    pub threads: Vec<ThreadStack>,
    /// Threads beyond [`MAX_THREADS`] that were left out.
    pub left_out: usize,
}

/// What one thread was doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ThreadStack {
    /// Its kernel id in the observer's namespace. Python notes it since 3.11; before, it is found for
    /// programs that use glibc.
    pub tid: Option<u32>,
    /// The name that the program gave it, else the kernel's.
    pub name: String,
    /// Whether it was at work.
    pub activity: Activity,
    /// It held the interpreter's lock.
    pub holds_gil: bool,
    /// The calls it was in, innermost first.
    pub frames: Vec<Frame>,
    /// Frames outside of these that were left out.
    pub left_out: usize,
}

/// Whether a thread was at work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Activity {
    /// On a CPU, or ready for one.
    Active,
    /// Waiting: for time, for input, for a lock.
    Idle,
}

/// One call.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Frame {
    /// The function, with its class where Python notes it (since 3.11).
    pub function: String,
    /// Its file, as Python names it.
    pub file: String,
    /// The line being executed, where known.
    pub line: Option<u32>,
}

impl fmt::Display for Frame {
    /// `function (file:line)`, the line left out where it is not known.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (function, file) = (&self.function, &self.file);
        match self.line {
            Some(line) => write!(f, "{function} ({file}:{line})"),
            None => write!(f, "{function} ({file})"),
        }
    }
}

/// What a library said.
type Cause = Box<dyn std::error::Error + Send + Sync>;

/// The stacks of a process cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum StackError {
    /// It has ended.
    #[error("process {0} has ended")]
    Ended(u32),
    /// It runs no CPython.
    #[error("process {0} is not a Python program")]
    NotPython(u32),
    /// This user may not read its memory.
    #[error("the memory of process {pid} may not be read: {why}")]
    Refused {
        /// The process.
        pid: u32,
        /// By whom or what.
        why: Refusal,
    },
    /// It runs a Python that cannot be read.
    #[error("process {pid} runs Python {version}, whose stacks cannot be read")]
    Unsupported {
        /// The process.
        pid: u32,
        /// What it runs.
        version: String,
    },
    /// Its interpreter was not found: it is just starting, or built in an unusual way.
    #[error("no Python interpreter was found in process {pid}")]
    NoInterpreter {
        /// The process.
        pid: u32,
        /// What was tried last.
        source: Cause,
    },
    /// A thread is deeper in calls than can be read.
    #[error("a thread of process {0} is more than 4096 calls deep, more than can be read")]
    TooDeep(u32),
    /// Every attempt fell apart, because the program went on meanwhile. The next may succeed.
    #[error("the stacks of process {pid} changed while they were read, {ATTEMPTS} times in a row")]
    Torn {
        /// The process.
        pid: u32,
        /// How the last attempt ended.
        source: Cause,
    },
    /// This program was built without it.
    #[error("this Argus was built without the reading of Python stacks")]
    NotBuilt,
}

impl StackError {
    /// Whether the next sample may succeed.
    pub fn is_passing(&self) -> bool {
        matches!(
            self,
            Self::NoInterpreter { .. } | Self::TooDeep(_) | Self::Torn { .. }
        )
    }

    /// What to do about it, where something can be done.
    pub fn advice(&self) -> Option<&'static str> {
        match self {
            Self::Refused { why, .. } => Some(why.advice()),
            Self::NoInterpreter { .. } => Some("try again once the program is running"),
            Self::Torn { .. } => Some("try again"),
            _ => None,
        }
    }
}

/// What keeps this user from reading a process's memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// It runs as this other user.
    OtherUser(u32),
    /// The kernel's setting `kernel.yama.ptrace_scope` is this.
    Yama(u8),
    /// It is this user's own; it asked not to be read, has more rights, or a sandbox forbids it.
    Protected,
}

impl Refusal {
    /// What would make it possible.
    pub const fn advice(self) -> &'static str {
        match self {
            Self::OtherUser(_) => "run this as the user of that program, or with sudo",
            Self::Yama(3..) => {
                "kernel.yama.ptrace_scope is 3, which only a restart of the machine can change"
            }
            Self::Yama(2) => {
                "run this with sudo (CAP_SYS_PTRACE), or set kernel.yama.ptrace_scope to 0"
            }
            Self::Yama(_) => "run this with sudo, or: sudo sysctl kernel.yama.ptrace_scope=0",
            Self::Protected => {
                "run this with sudo; in a container it needs the capability SYS_PTRACE"
            }
        }
    }

    fn find(pid: u32) -> Self {
        let owner = |path: String| fs::metadata(path).map(|metadata| metadata.uid()).ok();
        let scope = fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope")
            .ok()
            .and_then(|text| text.trim().parse().ok())
            .unwrap_or(0);
        let process = owner(format!("/proc/{pid}"));
        // What may not be dumped belongs to the superuser, but for the folder itself.
        let is_open = owner(format!("/proc/{pid}/maps")) == process;
        Self::explain(process, is_open, rustix::process::geteuid().as_raw(), scope)
    }

    /// The nearest reason, from the owner of the process, whether it may be dumped, our user, and
    /// Yama's setting.
    fn explain(owner: Option<u32>, is_open: bool, user: u32, scope: u8) -> Self {
        match owner {
            _ if scope >= 3 => Self::Yama(scope),
            Some(owner) if owner != user && user != 0 => Self::OtherUser(owner),
            _ if is_open && scope > 0 => Self::Yama(scope),
            _ => Self::Protected,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OtherUser(user) => write!(f, "it runs as another user (uid {user})"),
            Self::Yama(scope) => write!(f, "kernel.yama.ptrace_scope is {scope}"),
            Self::Protected => write!(f, "it is protected against being read"),
        }
    }
}

/// Reads the stacks of one Python program, again and again.
#[derive(Debug)]
pub struct StackSampler {
    pid: u32,
    /// Belongs to the process that was meant, not to its id.
    stat: File,
    start_ticks: u64,
    reader: Option<Reader>,
    failing_since: Option<Monotonic>,
    threads: Threads,
}

impl StackSampler {
    /// Finds the interpreter of `target`. Costs 10 to 100 ms and, for its time, some megabytes: the
    /// program's symbols are searched.
    ///
    /// # Errors
    /// See [`StackError`].
    pub fn attach(target: &Target) -> Result<Self, StackError> {
        let pid = target.pid;
        let stat = File::open(format!("/proc/{pid}/stat")).map_err(|_| StackError::Ended(pid))?;
        let mut sampler = Self {
            pid,
            stat,
            start_ticks: target.start_ticks,
            reader: None,
            failing_since: None,
            threads: Threads::of(pid),
        };
        sampler.reader = Some(sampler.open()?);
        Ok(sampler)
    }

    /// Reads the stacks of all threads now. Costs some microseconds a frame, and never stops the
    /// program.
    ///
    /// # Errors
    /// See [`StackError`]; those that pass ([`StackError::is_passing`]) say that this sample is
    /// missing.
    pub fn sample(&mut self) -> Result<Stacks, StackError> {
        let sampled = self.read();
        // The reads went by process id: they count if the process meant has lived through them.
        self.check_alive()?;
        match &sampled {
            Ok(_) => self.failing_since = None,
            Err(_) => self.give_up_reader(),
        }
        sampled
    }

    fn read(&mut self) -> Result<Stacks, StackError> {
        let mut reader = match self.reader.take() {
            Some(reader) => reader,
            None => self.open()?,
        };
        let outcome = self.read_with(&mut reader);
        self.reader = Some(reader);
        outcome
    }

    fn read_with(&mut self, reader: &mut Reader) -> Result<Stacks, StackError> {
        let mut attempt = 1;
        loop {
            let at = platform::monotonic_now();
            // Before the stacks: reading them takes time in which a thread may fall asleep.
            let states = self.threads.look();
            match reader.read(&states) {
                Ok(threads) => return Ok(bounded(at, self.pid, threads)),
                Err(Broken::TooDeep) => return Err(StackError::TooDeep(self.pid)),
                Err(Broken::Torn(source)) if attempt == ATTEMPTS => {
                    return Err(StackError::Torn {
                        pid: self.pid,
                        source,
                    });
                }
                Err(Broken::Torn(_)) => attempt += 1,
            }
        }
    }

    /// Lets a reader go that has failed for long.
    fn give_up_reader(&mut self) {
        let now = platform::monotonic_now();
        let since = *self.failing_since.get_or_insert(now);
        if now.since(since) >= LOOK_ANEW {
            self.reader = None;
            self.failing_since = Some(now);
        }
    }

    fn open(&self) -> Result<Reader, StackError> {
        self.check_alive()?;
        let pid = self.pid;
        if let Err(error) = platform::may_read_memory(pid) {
            self.check_alive()?;
            return Err(refused(pid, &error));
        }
        if !runs_python(pid) {
            self.check_alive()?;
            return Err(StackError::NotPython(pid));
        }
        Reader::open(pid).map_err(|error| match self.check_alive() {
            Ok(()) => error,
            Err(ended) => ended,
        })
    }

    fn check_alive(&self) -> Result<(), StackError> {
        let mut space = [0; stat::MAX_BYTES];
        let stat: Option<Stat> = match self.stat.read_at(&mut space, 0) {
            Ok(length) => stat::parse(&space[..length]),
            Err(_) => None,
        };
        match stat {
            Some(stat) if stat.start_ticks == self.start_ticks && !stat.has_ended() => Ok(()),
            _ => Err(StackError::Ended(self.pid)),
        }
    }
}

/// Why there is nothing to read.
fn refused(pid: u32, error: &io::Error) -> StackError {
    if rustix::io::Errno::from_io_error(error) == Some(rustix::io::Errno::SRCH) {
        // It lives and has no memory: a kernel thread.
        return StackError::NotPython(pid);
    }
    StackError::Refused {
        pid,
        why: Refusal::find(pid),
    }
}

/// Whether a process has a CPython in it: by its executable, the interpreter as a library, or an
/// extension module of the standard library. Looking for an interpreter where there is none would
/// mean to search all symbols of a strange program.
fn runs_python(pid: u32) -> bool {
    let named = fs::read_link(format!("/proc/{pid}/exe"))
        .ok()
        .and_then(|exe| Some(exe.file_name()?.to_string_lossy().contains("python")));
    named == Some(true)
        || fs::read(format!("/proc/{pid}/maps")).is_ok_and(|maps| {
            let maps = String::from_utf8_lossy(&maps);
            maps.lines()
                .any(|line| line.contains("/libpython") || line.contains("/lib-dynload/"))
        })
}

/// A read that came to nothing.
#[derive(Debug)]
#[cfg_attr(not(feature = "stacks"), expect(dead_code, reason = "nothing is read"))]
enum Broken {
    TooDeep,
    Torn(Cause),
}

/// What `/proc` said of the threads before they were read.
type States = HashMap<u32, threads::State>;

fn bounded(at: Monotonic, pid: u32, mut threads: Vec<ThreadStack>) -> Stacks {
    threads.sort_by_key(|thread| (thread.tid != Some(pid), thread.tid));
    let left_out = threads.len().saturating_sub(MAX_THREADS);
    threads.truncate(MAX_THREADS);
    Stacks {
        at,
        threads,
        left_out,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_the_nearest_reason() {
        let check = |owner, is_open, user, scope, expected: Refusal| {
            assert_eq!(Refusal::explain(owner, is_open, user, scope), expected);
        };
        check(Some(1000), true, 1001, 0, Refusal::OtherUser(1000));
        check(Some(1000), true, 1001, 1, Refusal::OtherUser(1000));
        check(Some(0), true, 1000, 1, Refusal::OtherUser(0));
        check(Some(1000), true, 1000, 1, Refusal::Yama(1));
        check(Some(1000), true, 1000, 2, Refusal::Yama(2));
        check(Some(0), true, 0, 3, Refusal::Yama(3));
        check(Some(1000), false, 1000, 1, Refusal::Protected);
        check(Some(1000), true, 1000, 0, Refusal::Protected);
        check(Some(1000), true, 0, 0, Refusal::Protected);
        check(None, true, 1000, 0, Refusal::Protected);
    }

    #[test]
    fn every_refusal_says_what_to_do() {
        let error = StackError::Refused {
            pid: 7,
            why: Refusal::Yama(1),
        };
        assert_eq!(
            error.to_string(),
            "the memory of process 7 may not be read: kernel.yama.ptrace_scope is 1"
        );
        assert_eq!(
            error.advice(),
            Some("run this with sudo, or: sudo sysctl kernel.yama.ptrace_scope=0")
        );
    }

    #[test]
    fn a_frame_reads_like_a_line_of_a_traceback() {
        let mut frame = Frame {
            function: "Shop.price".into(),
            file: "/app/shop.py".into(),
            line: Some(12),
        };
        assert_eq!(frame.to_string(), "Shop.price (/app/shop.py:12)");
        frame.line = None;
        assert_eq!(frame.to_string(), "Shop.price (/app/shop.py)");
    }

    #[test]
    fn the_main_thread_comes_first_and_what_is_too_much_is_counted() {
        let thread = |tid| ThreadStack {
            tid,
            name: String::new(),
            activity: Activity::Idle,
            holds_gil: false,
            frames: Vec::new(),
            left_out: 0,
        };
        let threads = (1..=300).rev().map(|tid| thread(Some(tid))).collect();
        let stacks = bounded(Monotonic::default(), 7, threads);
        assert_eq!(stacks.threads.len(), MAX_THREADS);
        assert_eq!(stacks.left_out, 44);
        let first: Vec<_> = stacks.threads[..3]
            .iter()
            .map(|thread| thread.tid)
            .collect();
        assert_eq!(first, [Some(7), Some(1), Some(2)]);
    }
}
