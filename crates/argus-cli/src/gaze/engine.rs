//! The loop of gaze: measures every process when it is due, hears of every end, and waits.
//!
//! One thread does it for all processes. Those of the same interval are measured together, so that
//! fifty processes cost one awakening and not fifty.

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use argus_model::Monotonic;
use argus_observe::alarm::Commands;
use argus_observe::exit::{Exit, Watcher};
use argus_observe::platform::{self, Signals};
use argus_observe::wake::{wait_any, wait_for};

use super::console::Ending;
use super::desk::Desk;
use super::recorder::Subject;
use super::watched::Watched;

/// How long commands that alerts have started may still run when everything else is over.
const LAST_COMMANDS: Duration = Duration::from_secs(5);

/// How much was recorded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) processes: u64,
    pub(super) samples: u64,
    pub(super) lines: u64,
}

impl Tally {
    fn add(&mut self, subject: &Subject) {
        self.processes += 1;
        self.samples += subject.samples();
        self.lines += subject.lines();
    }
}

/// The processes that are watched, and what watches them.
pub(super) struct Engine<'a> {
    desk: Desk<'a>,
    exits: Watcher,
    watched: Vec<Watched>,
    /// Measurements lie whole intervals from here.
    grid: Monotonic,
    /// The processes that have ended: their log lines may still come.
    ended: Vec<Arc<Subject>>,
    /// What alerts of theirs have started.
    commands: Vec<Commands>,
}

impl<'a> Engine<'a> {
    /// Watches these, which live.
    ///
    /// # Errors
    /// When one has ended meanwhile, or we are out of descriptors.
    pub(super) fn new(desk: Desk<'a>, watched: Vec<Watched>, grid: Monotonic) -> Result<Self> {
        let mut exits = Watcher::new()?;
        for process in &watched {
            exits.add(process.target.pid, process.target.start_ticks)?;
        }
        Ok(Self {
            desk,
            exits,
            watched,
            grid,
            ended: Vec::new(),
            commands: Vec::new(),
        })
    }

    pub(super) fn desk(&self) -> Desk<'a> {
        self.desk
    }

    /// Notes that watching begins.
    pub(super) fn begin(&self) {
        for process in &self.watched {
            process.begin(self.desk);
        }
    }

    /// Watches until the last process has ended, a signal arrives, or nobody reads our output.
    pub(super) fn run(&mut self, signals: &Signals) -> Result<Ending> {
        let alone = self.watched.len() == 1;
        let ending = loop {
            let mut last = None;
            for (pid, exit) in self.exits.poll(Duration::ZERO)? {
                self.bury(pid, exit);
                last = Some(exit.code);
            }
            if let (Some(code), true) = (last, self.watched.is_empty()) {
                let count = u64::try_from(self.ended.len()).unwrap_or(u64::MAX);
                break match alone {
                    true => Ending::Terminated(code),
                    false => Ending::AllTerminated(count),
                };
            }
            let [is_closed] = wait_any([self.desk.console.closed()], Some(Duration::ZERO))?;
            if signals.next().is_some() || is_closed {
                let now = platform::monotonic_now();
                for process in &mut self.watched {
                    process.leave(now, self.desk);
                }
                break Ending::Stopped;
            }
            let now = platform::monotonic_now();
            for process in &mut self.watched {
                process.work(self.grid, now, self.desk);
            }
            self.wait(signals)?;
        };
        self.finish_commands();
        Ok(ending)
    }

    /// Waits until there is something to do.
    fn wait(&self, signals: &Signals) -> Result<()> {
        let due = self.watched.iter().filter_map(Watched::due).min();
        let mut timeout = due.map(|due| due.since(platform::monotonic_now()));
        let mut waited: Vec<BorrowedFd<'_>> = vec![signals.as_fd(), self.desk.console.closed()];
        waited.extend(self.watched.iter().flat_map(Watched::descriptors));
        match self.exits.look_again() {
            // Its descriptor stays readable while an exit code is being learnt.
            Some(look_again) => {
                timeout = Some(timeout.map_or(look_again, |timeout| timeout.min(look_again)));
            }
            None => waited.push(self.exits.as_fd()),
        }
        Ok(wait_for(&waited, timeout)?)
    }

    /// What was recorded of all processes.
    pub(super) fn tally(&self) -> Tally {
        let mut tally = Tally::default();
        let living = self.watched.iter().map(|process| &process.subject);
        for subject in self.ended.iter().chain(living) {
            tally.add(subject);
        }
        tally
    }

    /// Closes the account of a process that has ended.
    fn bury(&mut self, pid: u32, exit: Exit) {
        let is_it = |process: &Watched| process.target.pid == pid;
        let Some(place) = self.watched.iter().position(is_it) else {
            return;
        };
        let mut process = self.watched.swap_remove(place);
        process.bury(exit, platform::monotonic_now(), self.desk);
        self.ended.push(Arc::clone(&process.subject));
        self.commands.extend(process.into_commands());
    }

    /// Gives the commands of the last alerts the time to end by themselves.
    fn finish_commands(&mut self) {
        let deadline = platform::monotonic_now().plus(LAST_COMMANDS);
        let living = std::mem::take(&mut self.watched);
        for process in living {
            self.ended.push(Arc::clone(&process.subject));
            self.commands.extend(process.into_commands());
        }
        for mut commands in std::mem::take(&mut self.commands) {
            while let Some(due) = commands.next_due() {
                let now = platform::monotonic_now();
                if now >= deadline {
                    break;
                }
                let timeout = due.min(deadline).since(now);
                if wait_any([commands.as_fd()], Some(timeout)).is_err() {
                    break;
                }
                super::watched::collect(&mut commands, platform::monotonic_now());
            }
        }
    }
}
