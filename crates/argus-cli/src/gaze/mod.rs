//! `argus gaze`: watch a process from outside until it ends (spec/1).
//!
//! The process is not touched. Two threads look at it, one at its use of the machine, one at its
//! log files; both record what they see ([`recorder`]) before they show it ([`console`]). The main
//! thread waits for whatever comes first, the process's end or a signal, and closes the account:
//! the last lines, the event, the summary. It returns when everything is in the store, or says that
//! it is not.

pub(crate) mod observers;
pub(crate) mod recorder;

mod console;

use std::ffi::{OsStr, OsString};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;
use argus_model::Monotonic;
use argus_model::paths::DataDir;
use argus_model::record::LogSource;
use argus_observe::exit::ExitWatch;
use argus_observe::platform::{self, Signal, Signals};
use argus_observe::process::{self, Target};
use argus_observe::sample::Sampler;
use argus_observe::tail::{Follower, StartAt};
use argus_observe::wake::{Bell, wait_any};

use crate::exit::Exit;
use crate::failure::Refusal;
use console::{Console, Detail, Ending, Summary};
use observers::Interval;
use recorder::Recorder;

/// Watch a running process from outside: CPU, memory, threads, log files, its end
#[derive(Debug, clap::Args)]
#[command(override_usage = "argus gaze <--process <NAME>|--pid <PID>> [OPTIONS]")]
#[command(after_help = "\
Examples:
  argus gaze --process terrain_sim --logfile ./terrain_sim.log
  argus gaze --pid 12345 --app-name SnakeGame --interval 1

Ends with the process, or with Ctrl-C. Exit code 1 when there is no such process.")]
pub(crate) struct Args {
    /// Watch the process with this name
    #[arg(long, value_name = "NAME")]
    process: Option<String>,
    /// Watch the process with this id
    #[arg(long)]
    pid: Option<u32>,
    /// Follow this log file; may be repeated
    #[arg(long = "logfile", value_name = "FILE")]
    logfiles: Vec<PathBuf>,
    /// Measure every so many seconds; fractions are fine
    #[arg(long, value_name = "SECONDS", default_value = "5")]
    interval: Interval,
    /// Send what is recorded to this server (not available yet)
    #[arg(long, value_name = "URL")]
    server: Option<String>,
    /// Name of the application, when the process's own says too little
    #[arg(long, value_name = "NAME")]
    app_name: Option<String>,
    /// Tell what gaze itself is doing
    #[arg(long)]
    verbose: bool,
}

/// The arguments of this program; called by the name `gaze`, those of `argus gaze`.
pub(crate) fn command_line(arguments: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let mut arguments: Vec<_> = arguments.collect();
    let name = arguments
        .first()
        .and_then(|path| Path::new(path).file_name());
    if name == Some(OsStr::new("gaze")) {
        arguments.insert(1, "gaze".into());
    }
    arguments
}

/// Watches a process until it ends or the user does.
pub(crate) fn run(args: &Args, data: &DataDir) -> Result<Exit> {
    if args.server.is_some() {
        let message = "--server is not available yet: Argus sends nothing anywhere so far";
        return Err(Refusal::new(Exit::Usage, message).into());
    }
    let target = find(args)?;
    // Before any thread starts: they are to have these signals blocked as well.
    let signals = Signals::collect(&[Signal::INT, Signal::TERM, Signal::HUP])?;
    let sampler = Sampler::attach(&target)?;
    let exit = ExitWatch::attach(&target)?;
    let app_name = AppName::of(args.app_name.as_deref(), &target.process_name);
    recorder::prepare(data)?;
    let recorder = Recorder::begin(&target, &app_name.text);
    let session = Session {
        logfiles: args.logfiles.iter().map(|path| absolute(path)).collect(),
        interval: args.interval,
        console: Console::open(if args.verbose {
            Detail::Verbose
        } else {
            Detail::Standard
        })?,
        target,
        app_name,
        recorder,
    };
    session.hold(sampler, &exit, &signals, data)
}

/// The process that the arguments name.
fn find(args: &Args) -> Result<Target> {
    match (&args.process, args.pid) {
        (Some(name), None) => {
            let found = process::find_by_name(name)?;
            if !found.others.is_empty() {
                let others: Vec<_> = found.others.iter().map(|t| t.pid.to_string()).collect();
                console::warn(&format!(
                    "{} processes are named {name}; watching {}, not {} (--pid chooses)",
                    others.len() + 1,
                    found.first.pid,
                    others.join(", ")
                ));
            }
            Ok(found.first)
        }
        (None, Some(pid)) => Ok(process::find_by_pid(pid)?),
        (Some(_), Some(_)) => Err(which("--process and --pid exclude each other: give one")),
        (None, None) => Err(which("no process named: give --process NAME or --pid PID")),
    }
}

fn which(message: &str) -> anyhow::Error {
    let hint = "argus gaze --process NAME   (or --pid PID)";
    Refusal::new(Exit::Usage, message).hint(hint).into()
}

/// An application's name, and who gave it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AppName {
    pub(crate) text: String,
    origin: &'static str,
}

impl AppName {
    /// What the user says, else the process's own name, else `UnknownApp`.
    pub(crate) fn of(option: Option<&str>, process_name: &str) -> Self {
        let given = option.filter(|name| !name.trim().is_empty());
        let (text, origin) = match given {
            Some(name) => (name, "from --app-name"),
            None if !process_name.is_empty() => (process_name, "from process name"),
            None => ("UnknownApp", "nothing else is known"),
        };
        Self {
            text: text.to_owned(),
            origin,
        }
    }
}

/// The path as it holds from anywhere.
pub(crate) fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// One process being watched.
struct Session {
    target: Target,
    app_name: AppName,
    logfiles: Vec<PathBuf>,
    interval: Interval,
    console: Console,
    recorder: Recorder,
}

impl Session {
    /// Watches until the end, and accounts for it.
    fn hold(
        self,
        sampler: Sampler,
        exit: &ExitWatch,
        signals: &Signals,
        data: &DataDir,
    ) -> Result<Exit> {
        let begun = platform::monotonic_now();
        self.introduce(data);
        self.recorder.event("monitoring_started", None);
        let stop = Bell::new()?;
        let ending = std::thread::scope(|scope| {
            scope.spawn(|| self.measure(sampler, begun, &stop));
            if !self.logfiles.is_empty() {
                let (follower, warnings) = Follower::open(&self.logfiles, StartAt::End);
                for warning in warnings {
                    console::warn(&format!("{warning}; followed as soon as it can be read"));
                }
                scope.spawn(|| self.follow(follower, &stop));
            }
            self.console.threads_started(!self.logfiles.is_empty());
            let ending = self.await_end(exit, signals);
            stop.ring();
            ending
        })?;
        match ending {
            Ending::Terminated(code) => self.recorder.event("terminated", code),
            Ending::Stopped => self.recorder.event("monitoring_stopped", None),
        };
        let settled = self.recorder.settle(data);
        let summary = Summary {
            ending,
            time: platform::monotonic_now().since(begun),
            samples: self.recorder.samples(),
            lines: self.recorder.lines(),
            database: settled.is_stored().then(|| data.database()),
        };
        self.console.conclude(&summary);
        if let Some(complaint) = settled.complaint(data) {
            console::warn(&complaint);
        }
        Ok(Exit::Fine)
    }

    fn introduce(&self, data: &DataDir) {
        self.console.preamble(data.database(), &self.app_name);
        self.console.header(&console::Header {
            app_name: &self.app_name.text,
            process_name: &self.target.process_name,
            pid: self.target.pid,
            logfiles: &self.logfiles,
            interval: self.interval,
        });
    }

    fn measure(&self, sampler: Sampler, begun: Monotonic, stop: &Bell) {
        observers::measure(sampler, begun, self.interval, stop, |reading| {
            self.console.collecting();
            let number = self.recorder.sample(&reading);
            self.console.sample(&reading, number);
        });
    }

    fn follow(&self, follower: Follower, stop: &Bell) {
        observers::follow(follower, stop, |file, line| {
            let path = self.logfiles[file].to_string_lossy();
            let number = self.recorder.line(LogSource::File, &path, &line);
            self.console.line(&line.text, number);
        });
    }

    /// Waits for the process's end, a signal, or the end of whoever reads our output.
    fn await_end(&self, exit: &ExitWatch, signals: &Signals) -> Result<Ending> {
        const LOOK_AGAIN: Duration = Duration::from_millis(20);
        loop {
            if let Some(exit) = exit.wait(Duration::ZERO)? {
                return Ok(Ending::Terminated(exit.code));
            }
            if signals.next().is_some() {
                return Ok(Ending::Stopped);
            }
            let (death, timeout) = match exit.descriptor() {
                Some(pidfd) => (pidfd, None),
                None => (signals.as_fd(), Some(LOOK_AGAIN)),
            };
            let [_, _, is_closed] =
                wait_any([death, signals.as_fd(), self.console.closed()], timeout)?;
            if is_closed {
                return Ok(Ending::Stopped);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_application_name_is_the_option_then_the_process_then_unknown() {
        let check = |option: Option<&str>, process: &str, expected: &str| {
            assert_eq!(AppName::of(option, process).text, expected);
        };
        check(Some("SnakeGame"), "python3", "SnakeGame");
        check(None, "terrain_sim", "terrain_sim");
        check(Some(""), "terrain_sim", "terrain_sim");
        check(None, "", "UnknownApp");
    }

    #[test]
    fn the_name_gaze_stands_for_the_command() {
        let check = |given: &[&str], expected: &[&str]| {
            let given = given.iter().map(OsString::from);
            assert_eq!(command_line(given), expected);
        };
        check(
            &["/usr/bin/gaze", "--pid", "1"],
            &["/usr/bin/gaze", "gaze", "--pid", "1"],
        );
        check(&["argus", "status"], &["argus", "status"]);
        check(&[], &[]);
    }
}
