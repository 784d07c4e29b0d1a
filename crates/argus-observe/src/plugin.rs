//! Metrics that a program of the user's finds out.
//!
//! A plugin prints what it knows, one value a line ([`Metric`]: Prometheus text or `name value`), and
//! is told by its environment whom it is about: `ARGUS_PID`, `ARGUS_APP_NAME`. How it works shows in
//! what it does:
//!
//! - **One that ends with exit code 0** is started again at the next interval, though at most once
//!   a second. From then on it is known to end, and stopped when it takes longer than [`TIMEOUT`].
//! - **One that goes on running** prints whenever it likes. It must print its first value within
//!   [`TIMEOUT`], because a program that hangs looks the same until then.
//!
//! One that fails, dies, or had to be stopped is started again after a pause that doubles each
//! time, up to [`LONGEST_PAUSE`]. Being stopped means SIGTERM to it and all that it has started,
//! and SIGKILL two seconds later. What it has left behind when it ends is killed.
//!
//! Nothing here waits: the plugin's pipe is read when it has something ([`Plugin`] polls readable),
//! and only so much of it per interval ([`MAX_LINES`]); then the plugin waits. Each kind of trouble
//! is said once and counted from then on. The plugin's file is judged before every start
//! ([`Refused`]).

mod intake;
mod text;
mod trust;

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process::{Command, Stdio};
use std::time::Duration;

use argus_model::Monotonic;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::process::Signal;

use crate::argv::Argv;
use crate::errand::{Errand, LOOK_AGAIN, LastLine};
use crate::line::Splitter;
use crate::platform::Bond;
use intake::{Each, Intake};
use trust::Launch;

pub use intake::{Counts, MAX_LINE_BYTES, MAX_LINES, MAX_METRICS, Told, Trouble};
pub use text::Metric;
pub use trust::Refused;

/// How long a plugin may take to end, or to print its first value.
pub const TIMEOUT: Duration = Duration::from_secs(10);

/// The longest pause before a plugin that fails is tried again.
pub const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// Starting a program costs more than reading a value: no plugin is started more often.
const SHORTEST_INTERVAL: Duration = Duration::from_secs(1);

/// What a plugin may take to end after it was asked to.
const KILL_AFTER: Duration = Duration::from_secs(2);

/// Which plugin, and for whom.
#[derive(Debug, Clone)]
pub struct Plan {
    /// What to run. `X.py` that is not executable is run with `python3`.
    pub argv: Argv,
    /// The process it is asked about.
    pub pid: u32,
    /// The application's name.
    pub app_name: String,
    /// How often it is asked.
    pub interval: Duration,
    /// How long it may take; usually [`TIMEOUT`].
    pub timeout: Duration,
}

/// A plugin.
///
/// Its descriptor ([`AsFd`]) stays the same and polls readable when [`Plugin::advance`] has
/// something to do. Dropping it kills what runs of it.
#[derive(Debug)]
pub struct Plugin {
    plan: Plan,
    launch: Launch,
    events: OwnedFd,
    run: Option<Run>,
    next_start: Monotonic,
    habit: Habit,
    /// Failures since it last went well.
    failures: u32,
    intake: Intake,
}

/// What is known of how a plugin works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Habit {
    Unknown,
    OneShot,
}

/// One run of the program.
#[derive(Debug)]
struct Run {
    errand: Errand,
    output: Option<OwnedFd>,
    error: Option<LastLine>,
    lines: Splitter,
    begun: Monotonic,
    looked: Monotonic,
    values_before: u64,
    /// When its output was closed.
    closed: Option<Monotonic>,
    stop: Stop,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stop {
    No,
    /// Asked to end; killed then.
    Asked {
        kill_at: Monotonic,
    },
    Killed,
}

impl Plugin {
    /// Finds the plugin and judges whether it may be run. It starts with [`Plugin::advance`].
    ///
    /// # Errors
    /// See [`Refused`].
    pub fn new(plan: Plan) -> Result<Self, Refused> {
        let launch = Launch::find(&plan.argv)?;
        launch.check()?;
        let events = epoll::create(CreateFlags::CLOEXEC);
        let events = events.map_err(|error| Refused::Unreadable {
            path: launch.program.clone(),
            source: error.into(),
        })?;
        Ok(Self {
            plan,
            launch,
            events,
            run: None,
            next_start: Monotonic::default(),
            habit: Habit::Unknown,
            failures: 0,
            intake: Intake::default(),
        })
    }

    /// Reads what was printed, starts what is due, stops what takes too long. Never waits; a start
    /// costs a fork. The plugin is asked to end when the calling thread ends, however that comes
    /// about, so it is called by one that stays.
    pub fn advance(&mut self, now: Monotonic, mut each: impl FnMut(Told)) {
        let each: &mut Each<'_> = &mut each;
        self.refill(now);
        if let Some(mut run) = self.run.take() {
            self.read(&mut run, now, each);
            if run.errand.has_ended() {
                self.conclude(run, now, each);
            } else {
                self.hurry(&mut run, now, each);
                self.run = Some(run);
            }
        }
        if self.run.is_none() && now >= self.next_start {
            self.start(now, each);
        }
    }

    /// When [`Plugin::advance`] is to be called at the latest.
    pub fn next_due(&self) -> Monotonic {
        let Some(run) = &self.run else {
            return self.next_start;
        };
        let mut due = self.intake.window_end();
        if run.errand.descriptor().is_none() {
            due = due.min(run.looked.plus(LOOK_AGAIN));
        }
        match run.stop {
            Stop::Asked { kill_at } => due.min(kill_at),
            Stop::No => self.deadline(run).map_or(due, |deadline| due.min(deadline)),
            Stop::Killed => due,
        }
    }

    /// The plugin as the user wrote it.
    pub fn argv(&self) -> &Argv {
        &self.plan.argv
    }

    /// What was counted so far.
    pub fn counts(&self) -> Counts {
        self.intake.counts
    }

    /// How often the program is started, and how long what is read is counted.
    fn interval(&self) -> Duration {
        self.plan.interval.max(SHORTEST_INTERVAL)
    }

    /// A new interval: so much may be read again.
    fn refill(&mut self, now: Monotonic) {
        if now < self.intake.window_end() {
            return;
        }
        let was_used_up = self.intake.is_used_up();
        self.intake.refill(now.plus(self.interval()));
        if let Some(output) = self.run.as_ref().and_then(|run| run.output.as_ref())
            && was_used_up
        {
            // It fails only when memory is short; then the next interval reads on.
            let _ = watch(&self.events, output.as_fd());
        }
    }

    fn start(&mut self, now: Monotonic, each: &mut Each<'_>) {
        self.intake.counts.runs += 1;
        let run = self.launch.check().map_err(Trouble::Refused);
        let run = run.and_then(|()| self.spawn(now).map_err(Trouble::NotStarted));
        match run {
            Ok(run) => self.run = Some(run),
            Err(trouble) => self.fail(trouble, now, each),
        }
    }

    fn spawn(&self, now: Monotonic) -> io::Result<Run> {
        let mut command = Command::new(&self.launch.program);
        command
            .args(&self.launch.arguments)
            .env("ARGUS_PID", self.plan.pid.to_string())
            // A name with a zero byte would keep the plugin from starting.
            .env(
                "ARGUS_APP_NAME",
                self.plan.app_name.replace('\0', "\u{fffd}"),
            )
            // Python keeps what goes to a pipe until there are 8 KiB of it.
            .env("PYTHONUNBUFFERED", "1")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut errand = Errand::start(command, Bond::Bound)?;
        let output = errand.output()?;
        if let Some(output) = &output {
            watch(&self.events, output.as_fd())?;
        }
        if let Some(pidfd) = errand.descriptor() {
            watch(&self.events, pidfd)?;
        }
        Ok(Run {
            error: errand.error()?,
            errand,
            output,
            lines: Splitter::up_to(MAX_LINE_BYTES),
            begun: now,
            looked: now,
            values_before: self.intake.counts.values,
            closed: None,
            stop: Stop::No,
        })
    }

    /// Takes what the plugin has printed, as far as this interval allows.
    fn read(&mut self, run: &mut Run, now: Monotonic, each: &mut Each<'_>) {
        let mut space = [0; 8192];
        run.looked = now;
        if let Some(error) = &mut run.error {
            error.read();
        }
        while let Some(output) = &run.output {
            if self.intake.is_used_up() {
                let _ = epoll::delete(&self.events, output);
                self.intake.complain(Trouble::TooMuch, each);
                return;
            }
            match rustix::io::read(output, &mut space) {
                Ok(0) => {
                    run.output = None;
                    run.closed = Some(now);
                }
                Ok(count) => {
                    let intake = &mut self.intake;
                    intake.has_read(count);
                    run.lines
                        .push(&space[..count], |line| intake.take(&line, each));
                }
                Err(rustix::io::Errno::INTR) => {}
                Err(_) => return,
            }
        }
    }

    /// The plugin has ended: takes its last words and plans the next start.
    fn conclude(&mut self, mut run: Run, now: Monotonic, each: &mut Each<'_>) {
        // What it has started could go on for ever, and more of it come with every start.
        run.errand.signal(Signal::KILL);
        let exit = run.errand.collect();
        self.read(&mut run, now, each);
        let intake = &mut self.intake;
        run.lines.finish(|line| intake.take(&line, each));
        let said = run.error.as_ref().and_then(LastLine::text);
        let code = exit.and_then(|exit| exit.code);
        if run.stop != Stop::No {
            self.fail(Trouble::TimedOut(self.plan.timeout), now, each);
        } else if code == Some(0) {
            self.habit = Habit::OneShot;
            self.failures = 0;
            self.next_start = run.begun.plus(self.interval()).max(now);
            if self.intake.counts.values == run.values_before {
                self.intake.complain(Trouble::Nothing, each);
            }
        } else {
            self.fail(Trouble::Failed { code, said }, now, each);
        }
    }

    fn fail(&mut self, trouble: Trouble, now: Monotonic, each: &mut Each<'_>) {
        self.intake.counts.failures += 1;
        let longest = LONGEST_PAUSE.max(self.interval());
        let doubled = 2_u32.saturating_pow(self.failures);
        let pause = self.interval().saturating_mul(doubled).min(longest);
        self.failures = self.failures.saturating_add(1);
        self.next_start = now.plus(pause);
        self.intake.complain(trouble, each);
    }

    /// Stops a run whose time is up.
    fn hurry(&mut self, run: &mut Run, now: Monotonic, each: &mut Each<'_>) {
        match run.stop {
            Stop::No if self.deadline(run).is_some_and(|deadline| now >= deadline) => {
                run.errand.signal(Signal::TERM);
                let kill_at = now.plus(KILL_AFTER);
                run.stop = Stop::Asked { kill_at };
                self.intake
                    .complain(Trouble::TimedOut(self.plan.timeout), each);
            }
            Stop::Asked { kill_at } if now >= kill_at => {
                run.errand.signal(Signal::KILL);
                run.stop = Stop::Killed;
            }
            _ => {}
        }
    }

    /// When a run must have ended; `None` for one that may go on.
    fn deadline(&self, run: &Run) -> Option<Monotonic> {
        let is_silent = self.intake.counts.values == run.values_before;
        let since = if is_silent || self.habit == Habit::OneShot {
            run.begun
        } else {
            // It cannot print any more, so it can only end.
            run.closed?
        };
        Some(since.plus(self.plan.timeout))
    }
}

impl AsFd for Plugin {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.events.as_fd()
    }
}

fn watch(events: &OwnedFd, descriptor: BorrowedFd<'_>) -> io::Result<()> {
    Ok(epoll::add(
        events,
        descriptor,
        EventData::new_u64(0),
        EventFlags::IN,
    )?)
}
