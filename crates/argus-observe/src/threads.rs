//! The threads of a process: what each is called, does, and costs.
//!
//! Read only when somebody wants to see it. A look opens, reads and closes two files a thread, some
//! five times the cost of a plain [sample](crate::sample) for each: a tenth of a second for ten
//! thousand threads. So that a watcher cannot be made to do nothing else, at most [`MOST`] threads
//! are looked at, the first ones, and [`Look::more`] says how many were left out.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read};

use argus_model::Monotonic;
use rustix::fs::{Dir, Mode, OFlags};
use rustix::io::Errno;

use crate::platform;
use crate::process::{self, AttachError, Target, explain};
use crate::stat;

/// As many threads are looked at.
pub const MOST: usize = 10_000;

/// One thread as it was at a look.
#[derive(Debug, Clone, PartialEq)]
pub struct Thread {
    /// Its id; the first thread's is the process's.
    pub tid: u32,
    /// Its name, at most 15 bytes; as its program chose it, so it may hold anything.
    pub name: String,
    /// Percent of one core since the look before; `None` for one that was not there then.
    pub cpu_percent: Option<f64>,
    /// What it does.
    pub state: State,
}

/// What a thread does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It runs, or could if a CPU were free.
    Running,
    /// It waits for something.
    Waiting,
    /// It waits for a device, and cannot even be killed.
    WaitingForDevice,
    /// It was stopped, by a signal or a debugger.
    Stopped,
    /// It has ended, or is ending.
    Ended,
}

/// The threads at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Look {
    /// When.
    pub at: Monotonic,
    /// In the order in which they began.
    pub threads: Vec<Thread>,
    /// Threads that were left out.
    pub more: usize,
}

/// Looks at the threads of one process, again and again.
#[derive(Debug)]
pub struct Threads {
    task: File,
    before: HashMap<u32, Before>,
    looked: Option<Monotonic>,
}

/// What a thread had used. Its start tells it from another that has its id now.
#[derive(Debug, Clone, Copy)]
struct Before {
    start_ticks: u64,
    used: Used,
}

/// CPU time, in nanoseconds where the kernel keeps that account, else in ticks.
#[derive(Debug, Clone, Copy)]
enum Used {
    Nanos(u64),
    Ticks(u64),
}

impl Threads {
    /// Begins to look at `target`. One descriptor.
    ///
    /// # Errors
    /// When it has ended meanwhile, even if another process has its id now, or may not be read.
    pub fn attach(target: &Target) -> Result<Self, AttachError> {
        let pid = target.pid;
        let how = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let task = rustix::fs::open(format!("/proc/{pid}/task"), how, Mode::empty())
            .map_err(|error| explain(pid, error.into()))?;
        // The folder was opened first, so it is of the process that has this id and start.
        let stat = process::look(pid)
            .map(|seen| seen.stat)
            .map_err(|error| explain(pid, error))?;
        if stat.start_ticks != target.start_ticks || stat.has_ended() {
            return Err(AttachError::EndedMeanwhile(pid));
        }
        Ok(Self {
            task: task.into(),
            before: HashMap::new(),
            looked: None,
        })
    }

    /// Looks now. The first look knows no shares of CPU. `None` once the process has ended.
    ///
    /// # Errors
    /// When the kernel refuses to list what it let us open.
    pub fn look(&mut self) -> io::Result<Option<Look>> {
        let at = platform::monotonic_now();
        let mut all = ids(&self.task)?;
        let more = all.len().saturating_sub(MOST);
        all.truncate(MOST);
        let seconds = self.looked.map(|looked| at.since(looked).as_secs_f64());
        let mut threads = Vec::with_capacity(all.len());
        let mut now = HashMap::with_capacity(all.len());
        for tid in all {
            let Some(stat) = self.read(tid, "stat").as_deref().and_then(stat::parse) else {
                continue; // It has ended since the listing.
            };
            let used = self.used(tid, stat.cpu_ticks);
            let before = self.before.get(&tid);
            let before = before.filter(|before| before.start_ticks == stat.start_ticks);
            let share = before.zip(seconds).and_then(|(before, seconds)| {
                let busy = used.seconds_since(before.used)?;
                (seconds > 0.0).then(|| 100.0 * busy / seconds)
            });
            let start_ticks = stat.start_ticks;
            now.insert(tid, Before { start_ticks, used });
            threads.push(Thread {
                tid,
                name: stat.name,
                cpu_percent: share,
                state: State::of(stat.state),
            });
        }
        self.before = now;
        self.looked = Some(at);
        let lives = threads.iter().any(|thread| thread.state != State::Ended);
        Ok(lives.then_some(Look { at, threads, more }))
    }

    /// Ticks are a hundredth of a second, too coarse for a second's share; the scheduler's account,
    /// where it is kept, is exact.
    fn used(&self, tid: u32, ticks: u64) -> Used {
        let text = self.read(tid, "schedstat").unwrap_or_default();
        let first = text.split(|byte| *byte == b' ').next();
        let nanos = first.and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok());
        match nanos {
            // A thread that has run at all has used something.
            Some(nanos) if nanos > 0 || ticks == 0 => Used::Nanos(nanos),
            _ => Used::Ticks(ticks),
        }
    }

    fn read(&self, tid: u32, name: &str) -> Option<Vec<u8>> {
        let path = format!("{tid}/{name}");
        let how = OFlags::RDONLY | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&self.task, path.as_str(), how, Mode::empty()).ok()?;
        let mut bytes = Vec::with_capacity(stat::MAX_BYTES);
        let most = stat::MAX_BYTES as u64;
        File::from(file).take(most).read_to_end(&mut bytes).ok()?;
        Some(bytes)
    }
}

/// The ids of all threads, from `/proc/PID/task`, in the order in which they began; none once the
/// process is gone.
pub(crate) fn ids(task: &File) -> io::Result<Vec<u32>> {
    let mut ids = Vec::new();
    let mut list = || {
        for entry in Dir::read_from(task)? {
            let entry = entry?;
            let name = entry.file_name().to_str().ok();
            ids.extend(name.and_then(|name| name.parse::<u32>().ok()));
        }
        Ok(())
    };
    match list() {
        Ok(()) | Err(Errno::NOENT | Errno::SRCH) => Ok(ids),
        Err(error) => Err(error.into()),
    }
}

impl Used {
    /// `None` where the two are not of one kind.
    fn seconds_since(self, before: Self) -> Option<f64> {
        match (self, before) {
            (Self::Nanos(now), Self::Nanos(before)) => {
                Some(now.saturating_sub(before) as f64 / 1e9)
            }
            (Self::Ticks(now), Self::Ticks(before)) => {
                let ticks = now.saturating_sub(before) as f64;
                Some(ticks / platform::ticks_per_second() as f64)
            }
            _ => None,
        }
    }
}

impl State {
    /// From the letter of `/proc/PID/stat`.
    fn of(letter: u8) -> Self {
        match letter {
            b'R' => Self::Running,
            b'D' => Self::WaitingForDevice,
            b'T' | b't' => Self::Stopped,
            b'Z' | b'X' | b'x' => Self::Ended,
            _ => Self::Waiting,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_are_states() {
        assert_eq!(State::of(b'R'), State::Running);
        assert_eq!(State::of(b'S'), State::Waiting);
        assert_eq!(State::of(b'I'), State::Waiting, "an idle kernel thread");
        assert_eq!(State::of(b'D'), State::WaitingForDevice);
        assert_eq!(State::of(b't'), State::Stopped);
        assert_eq!(State::of(b'Z'), State::Ended);
    }

    #[test]
    fn time_used_in_different_units_is_not_compared() {
        let (nanos, ticks) = (Used::Nanos(3_000_000_000), Used::Ticks(5));
        assert_eq!(nanos.seconds_since(Used::Nanos(1_000_000_000)), Some(2.0));
        assert_eq!(nanos.seconds_since(ticks), None);
        assert_eq!(Used::Ticks(3).seconds_since(ticks), Some(0.0));
    }
}
