//! The loop of gaze: measures every process when it is due, hears of every end, and waits.
//!
//! One thread does it for all processes. Those of the same interval are measured together, so that
//! fifty processes cost one awakening and not fifty.

use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use argus_model::Monotonic;
use argus_observe::exit::{Exit, Watcher};
use argus_observe::platform::{self, Signals};
use argus_observe::wake::wait_any;

use super::console::{Console, Ending, Label};
use super::recorder::{Event, Recorder, Subject};
use super::watched::Watched;

/// How much was recorded of processes that have ended.
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
    console: &'a Console,
    recorder: &'a Recorder,
    exits: Watcher,
    watched: Vec<Watched>,
    /// Measurements lie whole intervals from here.
    grid: Monotonic,
    ended: Vec<Arc<Subject>>,
}

impl<'a> Engine<'a> {
    /// Watches these, which live.
    ///
    /// # Errors
    /// When one has ended meanwhile, or we are out of descriptors.
    pub(super) fn new(
        console: &'a Console,
        recorder: &'a Recorder,
        watched: Vec<Watched>,
        grid: Monotonic,
    ) -> Result<Self> {
        let mut exits = Watcher::new()?;
        for process in &watched {
            exits.add(process.target.pid, process.target.start_ticks)?;
        }
        Ok(Self {
            console,
            recorder,
            exits,
            watched,
            grid,
            ended: Vec::new(),
        })
    }

    pub(super) fn console(&self) -> &'a Console {
        self.console
    }

    pub(super) fn recorder(&self) -> &'a Recorder {
        self.recorder
    }

    /// Notes that watching begins.
    pub(super) fn begin(&self) {
        for process in &self.watched {
            let started = Event::plain("monitoring_started");
            self.recorder.event(&process.subject, &started);
        }
    }

    /// Watches until the last process has ended, a signal arrives, or nobody reads our output.
    pub(super) fn run(&mut self, signals: &Signals) -> Result<Ending> {
        let alone = self.watched.len() == 1;
        loop {
            for (pid, exit) in self.exits.poll(Duration::ZERO)? {
                self.bury(pid, exit);
                if alone {
                    return Ok(Ending::Terminated(exit.code));
                }
            }
            if self.watched.is_empty() {
                let count = u64::try_from(self.ended.len()).unwrap_or(u64::MAX);
                return Ok(Ending::AllTerminated(count));
            }
            if signals.next().is_some() {
                return Ok(self.stop());
            }
            self.measure();
            let due = self.watched.iter().filter_map(Watched::due).min();
            let timeout = due.map(|due| due.since(platform::monotonic_now()));
            let [_, is_closed, _] = match self.exits.look_again() {
                // Its descriptor stays readable while an exit code is being learnt.
                Some(look_again) => {
                    let timeout = timeout.map_or(look_again, |timeout| timeout.min(look_again));
                    let waited = [signals.as_fd(), self.console.closed()];
                    let [signal, closed] = wait_any(waited, Some(timeout))?;
                    [signal, closed, true]
                }
                None => {
                    let waited = [signals.as_fd(), self.console.closed(), self.exits.as_fd()];
                    wait_any(waited, timeout)?
                }
            };
            if is_closed {
                return Ok(self.stop());
            }
        }
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

    fn measure(&mut self) {
        let now = platform::monotonic_now();
        for process in &mut self.watched {
            if let Some(reading) = process.measure(self.grid, now) {
                self.console.collecting();
                let number = self.recorder.sample(&process.subject, &reading);
                self.console.sample(&process.label, &reading, number);
            }
        }
    }

    /// Closes the account of a process that has ended.
    fn bury(&mut self, pid: u32, exit: Exit) {
        let is_it = |process: &Watched| process.target.pid == pid;
        let Some(place) = self.watched.iter().position(is_it) else {
            return;
        };
        let process = self.watched.swap_remove(place);
        let terminated = Event {
            exit_code: exit.code,
            ..Event::plain("terminated")
        };
        self.recorder.event(&process.subject, &terminated);
        if process.label != Label::NONE {
            self.console.terminated(&process.label, exit.code);
        }
        self.ended.push(process.subject);
    }

    /// Notes that nobody looks any more.
    fn stop(&self) -> Ending {
        for process in &self.watched {
            let stopped = Event::plain("monitoring_stopped");
            self.recorder.event(&process.subject, &stopped);
        }
        Ending::Stopped
    }
}
