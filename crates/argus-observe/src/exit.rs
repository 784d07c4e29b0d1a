//! When and how processes end that are not our children.
//!
//! A pidfd becomes readable the moment its process has ended, so nobody has to look again and
//! again. The exit code needs a little patience: while a parent collects its child there is a
//! moment in which nobody can tell (see [`platform::exit_status`]). An [`Exit`] therefore follows a
//! death at once when its code is known, after [`PATIENCE`] at the latest, and then without one: an
//! unknown exit code is `None`, never 0.
//!
//! [`ExitWatch`] waits for one process, [`Watcher`] for any number.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::event::{PollFd, PollFlags, Timespec};

use crate::platform::{self, ExitStatus};
use crate::process::{AttachError, Instance, Target, explain};
use crate::stat;

/// How long a death may be known without its exit code.
pub const PATIENCE: Duration = Duration::from_millis(100);

/// How often the exit code is asked for meanwhile.
const ASK_AGAIN: Duration = Duration::from_millis(1);

/// How often a process without a pidfd is looked at.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// A process has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Exit {
    /// Its exit code, −N when signal N killed it, `None` when the kernel does not tell.
    pub code: Option<i32>,
    /// Whether its memory was written to a core file, `None` when the kernel does not tell.
    pub core_dumped: Option<bool>,
}

/// Waits for the end of one process.
#[derive(Debug)]
pub struct ExitWatch {
    process: Process,
}

impl ExitWatch {
    /// Begins to watch `target`.
    ///
    /// # Errors
    /// When it has ended meanwhile, even if another process has its id now, or may not be seen.
    pub fn attach(target: &Target) -> Result<Self, AttachError> {
        let process = Process::open(target.instance())?;
        Ok(Self { process })
    }

    /// Waits until the process has ended or `timeout` is over; then `None`.
    ///
    /// # Errors
    /// When the system call for waiting fails.
    pub fn wait(&self, timeout: Duration) -> io::Result<Option<Exit>> {
        let deadline = Deadline::after(timeout);
        while !self.process.has_ended()? {
            let left = deadline.left();
            if left.is_zero() {
                return Ok(None);
            }
            self.process.pause(left)?;
        }
        let patience = Instant::now() + PATIENCE;
        loop {
            if let Some(exit) = self.process.exit(Instant::now() >= patience) {
                return Ok(Some(exit));
            }
            std::thread::sleep(ASK_AGAIN);
        }
    }

    /// The descriptor that polls readable once the process has ended; `None` where the kernel has
    /// no pidfds and [`ExitWatch::wait`] must be called now and then.
    pub fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.process.pidfd.as_ref().map(AsFd::as_fd)
    }
}

/// Waits for the end of many processes at once.
///
/// Its descriptor ([`AsFd`]) polls readable when a process has ended; [`Watcher::poll`] says which.
#[derive(Debug)]
pub struct Watcher {
    epoll: OwnedFd,
    living: HashMap<u32, Process>,
    /// Ended, with the exit code still to be learnt until then.
    ended: Vec<(Process, Instant)>,
}

impl Watcher {
    /// A watcher of nothing.
    ///
    /// # Errors
    /// When the process is out of descriptors.
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            epoll: epoll::create(CreateFlags::CLOEXEC)?,
            living: HashMap::new(),
            ended: Vec::new(),
        })
    }

    /// Begins to watch the process with this id and start time; two descriptors until it ends.
    ///
    /// # Errors
    /// [`AttachError::EndedMeanwhile`] when it has ended already, how is then unknown.
    pub fn add(&mut self, pid: u32, start_ticks: u64) -> Result<(), AttachError> {
        let process = Process::open(Instance { pid, start_ticks })?;
        self.watch(process)
    }

    /// Begins to watch a process by a pidfd that was opened when it was found; it may have ended
    /// since, which is then told with its exit code where the kernel still knows it.
    ///
    /// # Errors
    /// As [`Watcher::add`] where there is no pidfd, or when no descriptor is left.
    pub fn adopt(&mut self, instance: Instance, pidfd: Option<OwnedFd>) -> Result<(), AttachError> {
        match pidfd {
            Some(pidfd) => self.watch(Process::behind(instance, pidfd)),
            None => self.add(instance.pid, instance.start_ticks),
        }
    }

    fn watch(&mut self, process: Process) -> Result<(), AttachError> {
        let pid = process.instance.pid;
        if let Some(pidfd) = &process.pidfd {
            let data = EventData::new_u64(pid.into());
            epoll::add(&self.epoll, pidfd, data, EventFlags::IN)
                .map_err(|error| AttachError::Unobservable(error.into()))?;
        }
        if let Some(predecessor) = self.living.insert(pid, process) {
            // Its id is another's now, so it has ended.
            self.ended.push((predecessor, Instant::now() + PATIENCE));
        }
        Ok(())
    }

    /// Stops watching a process; nothing more is heard of it.
    pub fn remove(&mut self, pid: u32) {
        // Closing a pidfd takes it out of the epoll set.
        self.living.remove(&pid);
        self.ended
            .retain(|(process, _)| process.instance.pid != pid);
    }

    /// Whether this process is being watched.
    pub fn watches(&self, pid: u32) -> bool {
        self.living.contains_key(&pid)
            || self
                .ended
                .iter()
                .any(|(process, _)| process.instance.pid == pid)
    }

    /// Waits at most `timeout` for ends, and returns those whose code is known or given up.
    ///
    /// # Errors
    /// When the system call for waiting fails.
    pub fn poll(&mut self, timeout: Duration) -> io::Result<Vec<(Instance, Exit)>> {
        let deadline = Deadline::after(timeout);
        loop {
            self.gather(
                deadline
                    .left()
                    .min(self.look_again().unwrap_or(Duration::MAX)),
            )?;
            let exits = self.settle();
            if !exits.is_empty() || deadline.left().is_zero() {
                return Ok(exits);
            }
        }
    }

    /// How long its descriptor can be waited for before it must be asked again: an exit code is to
    /// be learnt, or there is a process that the kernel cannot name by a descriptor.
    pub fn look_again(&self) -> Option<Duration> {
        if !self.ended.is_empty() {
            Some(ASK_AGAIN)
        } else if self.living.values().any(|process| process.pidfd.is_none()) {
            Some(LOOK_AGAIN)
        } else {
            None
        }
    }

    /// Moves processes that have ended from the living to the ended.
    fn gather(&mut self, timeout: Duration) -> io::Result<()> {
        // The pidfds of the ended stay in the set, so that whoever waits for our descriptor comes
        // back for their exit codes; here they would end every wait at once.
        let timeout = if self.ended.is_empty() {
            timeout
        } else {
            std::thread::sleep(timeout);
            Duration::ZERO
        };
        let mut events: Vec<epoll::Event> = Vec::with_capacity(64);
        let timespec = timespec(timeout);
        match epoll::wait(&self.epoll, spare_capacity(&mut events), timespec.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let ready = events
            .iter()
            .filter_map(|event| u32::try_from(event.data.u64()).ok());
        let without_pidfd = self
            .living
            .iter()
            .filter(|(_, process)| process.pidfd.is_none());
        let asked: Vec<u32> = ready.chain(without_pidfd.map(|(pid, _)| *pid)).collect();
        for pid in asked {
            // The event may be of an ended one whose id a new process has got meanwhile.
            let process = self.living.get(&pid);
            if process.is_some_and(|process| process.has_ended().unwrap_or(true))
                && let Some(process) = self.living.remove(&pid)
            {
                self.ended.push((process, Instant::now() + PATIENCE));
            }
        }
        Ok(())
    }

    /// Takes out the ended ones whose exit code is known, or whose time is up.
    fn settle(&mut self) -> Vec<(Instance, Exit)> {
        let now = Instant::now();
        let mut exits = Vec::new();
        self.ended.retain(|(process, patience)| {
            let exit = process.exit(now >= *patience);
            exits.extend(exit.map(|exit| (process.instance, exit)));
            exit.is_none()
        });
        exits
    }
}

impl AsFd for Watcher {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.epoll.as_fd()
    }
}

/// A process that was alive when this was made, and the means to learn of its end.
#[derive(Debug)]
struct Process {
    instance: Instance,
    pidfd: Option<OwnedFd>,
    stat: Option<File>,
}

impl Process {
    /// The pidfd is opened before the start time is read: if the start time is right afterwards,
    /// the id cannot have changed hands before.
    fn open(instance: Instance) -> Result<Self, AttachError> {
        let pid = instance.pid;
        let pidfd = match platform::pidfd_open(pid) {
            Ok(pidfd) => Some(pidfd),
            Err(error) => match error.raw_os_error() {
                Some(libc::ENOSYS | libc::EPERM | libc::EACCES) => None,
                Some(libc::EMFILE | libc::ENFILE | libc::ENOMEM) => {
                    return Err(AttachError::Unobservable(error));
                }
                _ => return Err(AttachError::EndedMeanwhile(pid)),
            },
        };
        let stat = File::open(format!("/proc/{pid}/stat")).map_err(|e| explain(pid, e))?;
        let process = Self {
            instance,
            pidfd,
            stat: Some(stat),
        };
        if process.is_shown() {
            Ok(process)
        } else {
            Err(AttachError::EndedMeanwhile(pid))
        }
    }

    /// The process that this pidfd names, alive or not.
    fn behind(instance: Instance, pidfd: OwnedFd) -> Self {
        let stat = File::open(format!("/proc/{}/stat", instance.pid)).ok();
        let mut process = Self {
            instance,
            pidfd: Some(pidfd),
            stat,
        };
        if !process.is_shown() {
            process.stat = None;
        }
        process
    }

    /// Whether the descriptor under `/proc` is of the process meant.
    fn is_shown(&self) -> bool {
        let stat = self.look();
        stat.is_some_and(|stat| stat.start_ticks == self.instance.start_ticks)
    }

    fn look(&self) -> Option<stat::Stat> {
        let mut space = [0; stat::MAX_BYTES];
        let length = self.stat.as_ref()?.read_at(&mut space, 0).ok()?;
        stat::parse(&space[..length])
    }

    fn has_ended(&self) -> io::Result<bool> {
        match &self.pidfd {
            Some(pidfd) => readable(pidfd, Duration::ZERO),
            None => Ok(self.look().is_none_or(|stat| stat.has_ended())),
        }
    }

    /// Waits for the end, or for the time to look again.
    fn pause(&self, longest: Duration) -> io::Result<()> {
        match &self.pidfd {
            Some(pidfd) => readable(pidfd, longest).map(drop),
            None => {
                std::thread::sleep(longest.min(LOOK_AGAIN));
                Ok(())
            }
        }
    }

    /// How it ended, if that is known or `last_chance` has come.
    fn exit(&self, last_chance: bool) -> Option<Exit> {
        match platform::exit_status(self.instance.pid, self.pidfd.as_ref(), self.stat.as_ref()) {
            ExitStatus::Ended { code, core_dumped } => Some(Exit {
                code: Some(code),
                core_dumped: Some(core_dumped),
            }),
            ExitStatus::NotYet if !last_chance => None,
            ExitStatus::NotYet | ExitStatus::Untold => Some(Exit::default()),
        }
    }
}

/// When to stop waiting; `None` for a time beyond what the clock can count.
#[derive(Debug, Clone, Copy)]
struct Deadline(Option<Instant>);

impl Deadline {
    fn after(timeout: Duration) -> Self {
        Self(Instant::now().checked_add(timeout))
    }

    fn left(self) -> Duration {
        self.0.map_or(Duration::MAX, |deadline| {
            deadline.saturating_duration_since(Instant::now())
        })
    }
}

fn readable(descriptor: &OwnedFd, timeout: Duration) -> io::Result<bool> {
    let mut polled = [PollFd::new(descriptor, PollFlags::IN)];
    match rustix::event::poll(&mut polled, timespec(timeout).as_ref()) {
        Ok(ready) => Ok(ready > 0),
        Err(rustix::io::Errno::INTR) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// `None`, "for ever", for durations beyond what the kernel can count.
pub(crate) fn timespec(duration: Duration) -> Option<Timespec> {
    Timespec::try_from(duration).ok()
}
