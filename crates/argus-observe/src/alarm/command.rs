//! Telling a program of the user's about alerts.
//!
//! It is started for every transition, without a shell, with the facts in its environment:
//!
//! | variable | value |
//! |---|---|
//! | `ARGUS_ALERT_RULE` | `cpu`, `memory` or `silence` |
//! | `ARGUS_ALERT_STATE` | `fired` or `cleared` |
//! | `ARGUS_ALERT_BECAUSE` | when cleared: `normal`, `ended` (the process), `unwatched`; else empty |
//! | `ARGUS_ALERT_VALUE` | the value, in percent of one core, MiB, or seconds |
//! | `ARGUS_ALERT_THRESHOLD` | the threshold, in the same unit |
//! | `ARGUS_ALERT_PID` | the observed process |
//! | `ARGUS_ALERT_APP` | the application's name |
//!
//! Nobody waits for it. At most [`MAX_RUNNING`] run at once, none longer than [`TIMEOUT`]: then it
//! is killed with all that it has started. Its input is empty, its output goes nowhere, of what it
//! says on its error stream the last line is passed on.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process::{Command, Stdio};
use std::time::Duration;

use argus_model::Monotonic;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::process::Signal;

use super::{Rule, Transition, Turn, rounded};
use crate::argv::Argv;
use crate::errand::{Errand, LOOK_AGAIN, LastLine};
use crate::platform::Bond;

/// So many commands run at once; who alerts faster than they end is told so.
pub const MAX_RUNNING: usize = 4;

/// How long a command may take.
pub const TIMEOUT: Duration = Duration::from_secs(30);

/// A command was not started.
#[derive(Debug, thiserror::Error)]
pub enum NotStarted {
    /// So many of them are still running.
    #[error("{MAX_RUNNING} alert commands are still running")]
    TooMany,
    /// The operating system refused.
    #[error("cannot start the alert command {program}")]
    Failed {
        /// What was to be run.
        program: String,
        /// The operating system's reason.
        source: io::Error,
    },
}

/// How a command has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// By itself: its exit code, −N when signal N killed it, `None` when that is not known.
    Ended(Option<i32>),
    /// It took too long and was killed.
    TimedOut,
}

/// A command has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finished {
    /// Of which rule it told.
    pub rule: Rule,
    /// How it has ended.
    pub outcome: Outcome,
    /// The last line on its error stream.
    pub said: Option<String>,
}

/// Starts a command for every alert of one target, and collects what has ended.
///
/// Its descriptor ([`AsFd`]) polls readable when [`Commands::collect`] has something to do. What
/// still runs when this is dropped is killed.
#[derive(Debug)]
pub struct Commands {
    argv: Argv,
    timeout: Duration,
    ends: OwnedFd,
    running: Vec<Running>,
    next_look: Monotonic,
}

#[derive(Debug)]
struct Running {
    errand: Errand,
    error: Option<LastLine>,
    rule: Rule,
    deadline: Monotonic,
    timed_out: bool,
}

impl Commands {
    /// Runs `argv` for every transition, each for `timeout` at most; usually [`TIMEOUT`].
    ///
    /// # Errors
    /// When the process is out of descriptors.
    pub fn new(argv: Argv, timeout: Duration) -> io::Result<Self> {
        Ok(Self {
            argv,
            timeout,
            ends: epoll::create(CreateFlags::CLOEXEC)?,
            running: Vec::new(),
            next_look: Monotonic::default(),
        })
    }

    /// Tells of a transition of this process. Costs a fork, and returns when the program has begun.
    ///
    /// # Errors
    /// See [`NotStarted`].
    pub fn start(
        &mut self,
        told: &Transition,
        pid: u32,
        app_name: &str,
        now: Monotonic,
    ) -> Result<(), NotStarted> {
        if self.running.len() >= MAX_RUNNING {
            return Err(NotStarted::TooMany);
        }
        let mut command = Command::new(self.argv.program());
        command
            .args(self.argv.arguments())
            .envs(environment(told, pid, app_name))
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let running = self.run(command, told.rule, now);
        self.running
            .push(running.map_err(|source| NotStarted::Failed {
                program: self.argv.program().to_owned(),
                source,
            })?);
        self.next_look = self.next_look.min(now.plus(LOOK_AGAIN));
        Ok(())
    }

    fn run(&self, command: Command, rule: Rule, now: Monotonic) -> io::Result<Running> {
        let mut errand = Errand::start(command, Bond::Free)?;
        if let Some(pidfd) = errand.descriptor() {
            epoll::add(&self.ends, pidfd, EventData::new_u64(0), EventFlags::IN)?;
        }
        Ok(Running {
            error: errand.error()?,
            errand,
            rule,
            deadline: now.plus(self.timeout),
            timed_out: false,
        })
    }

    /// Collects what has ended and kills what took too long. Never waits.
    pub fn collect(&mut self, now: Monotonic, mut each: impl FnMut(Finished)) {
        self.running.retain_mut(|running| {
            let finished = running.look(now);
            let goes_on = finished.is_none();
            finished.into_iter().for_each(&mut each);
            goes_on
        });
        self.next_look = now.plus(LOOK_AGAIN);
    }

    /// When [`Commands::collect`] is to be called at the latest; `None` while nothing runs.
    pub fn next_due(&self) -> Option<Monotonic> {
        let deadlines = self.running.iter().filter(|it| !it.timed_out);
        let first = deadlines.map(|running| running.deadline).min();
        let first = first.unwrap_or(self.next_look);
        (!self.running.is_empty()).then_some(first.min(self.next_look))
    }
}

impl AsFd for Commands {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.ends.as_fd()
    }
}

impl Running {
    fn look(&mut self, now: Monotonic) -> Option<Finished> {
        if let Some(error) = &mut self.error {
            error.read();
        }
        if !self.errand.has_ended() {
            if now >= self.deadline {
                self.timed_out = true;
                self.errand.signal(Signal::KILL);
            }
            return None;
        }
        let ended = self.errand.collect()?;
        // What it wrote at the very end, after the first look.
        if let Some(error) = &mut self.error {
            error.read();
        }
        Some(Finished {
            rule: self.rule,
            outcome: if self.timed_out {
                Outcome::TimedOut
            } else {
                Outcome::Ended(ended.code)
            },
            said: self.error.as_ref().and_then(LastLine::text),
        })
    }
}

fn environment(told: &Transition, pid: u32, app_name: &str) -> [(&'static str, String); 7] {
    let (state, because) = match told.turn {
        Turn::Fired { .. } => ("fired", ""),
        Turn::Cleared { because, .. } => ("cleared", because.name()),
    };
    [
        ("ARGUS_ALERT_RULE", told.rule.name().to_owned()),
        ("ARGUS_ALERT_STATE", state.to_owned()),
        ("ARGUS_ALERT_BECAUSE", because.to_owned()),
        ("ARGUS_ALERT_VALUE", rounded(told.value).to_string()),
        ("ARGUS_ALERT_THRESHOLD", told.threshold.to_string()),
        ("ARGUS_ALERT_PID", pid.to_string()),
        // A name with a zero byte would keep the command from starting.
        ("ARGUS_ALERT_APP", app_name.replace('\0', "\u{fffd}")),
    ]
}
