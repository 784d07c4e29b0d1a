//! `argus gaze`: watch a process from outside until it ends (spec/1).
//!
//! The processes are not touched. The main thread measures them and hears of their ends
//! ([`engine`]), another reads their log files ([`logs`]); both record what they see ([`recorder`])
//! before they show it ([`console`]). What is watched, and how, stands in a [`plan`]. In the end the
//! account is closed: the last lines, the events, the summary. Gaze returns when everything is in
//! the store, or says that it is not.

pub(crate) mod observers;
pub(crate) mod recorder;

mod config;
mod console;
mod desk;
mod engine;
mod logs;
mod notify;
mod plan;
mod plugins;
mod unit;
mod watched;

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use anyhow::Result;
use argus_model::paths::DataDir;
use argus_observe::alarm::{Hold, Rules, Threshold};
use argus_observe::argv::Argv;
use argus_observe::platform::{self, Signal, Signals};
use argus_observe::process::Target;
use argus_observe::sample::Pss;
use argus_observe::wake::Bell;

use crate::exit::Exit;
use crate::failure::Refusal;
use console::{Console, Detail, Ending, Introduction, Summary};
use desk::Desk;
use engine::Engine;
use logs::Logs;
use observers::Interval;
use plan::{Plan, Whom};
use recorder::Recorder;
use watched::Watched;

/// Watch a running process from outside: CPU, memory, threads, log files, its end
#[derive(Debug, clap::Args)]
#[command(override_usage = "argus gaze <--process <NAME>|--pid <PID>> [OPTIONS]")]
#[command(after_help = "\
Examples:
  argus gaze --process terrain_sim --logfile ./terrain_sim.log
  argus gaze --pid 12345 --app-name SnakeGame --interval 1

Ends with the process, or with Ctrl-C. Exit code 1 when there is no such process.")]
pub(crate) struct Args {
    /// Watch the process with this name; may be repeated
    #[arg(long = "process", value_name = "NAME")]
    processes: Vec<String>,
    /// Watch the process with this id; may be repeated
    #[arg(long = "pid", value_name = "PID")]
    pids: Vec<u32>,
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
    #[command(flatten)]
    alerts: AlertArgs,
    /// Run a program that prints further metrics (`name value` lines or Prometheus text); may be
    /// repeated
    #[arg(long = "plugin", value_name = "CMD")]
    plugins: Vec<Argv>,
    /// Measure proportional memory (PSS) as well: walks all pages of the process
    #[arg(long)]
    pss: bool,
    /// Show every measure of a sample, not only CPU, memory and threads
    #[arg(long)]
    details: bool,
    /// Tell what gaze itself is doing
    #[arg(long)]
    verbose: bool,
}

/// When to speak up.
#[derive(Debug, clap::Args)]
struct AlertArgs {
    /// Alert when CPU is above so many percent of one core
    #[arg(long = "alert-cpu", value_name = "PCT")]
    cpu: Option<Threshold>,
    /// Alert when memory is above so many MB
    #[arg(long = "alert-memory", value_name = "MB")]
    memory: Option<Threshold>,
    /// Alert when there was no log line (without a log: no CPU used) for so many seconds
    #[arg(long = "alert-silence", value_name = "SECONDS")]
    silence: Option<Threshold>,
    /// How long CPU or memory must be above its threshold [default: 10 for CPU, 0 for memory]
    #[arg(long = "alert-for", value_name = "SECONDS")]
    hold: Option<Hold>,
    /// Run this for every alert, without a shell; ARGUS_ALERT_RULE, _STATE, _VALUE, _THRESHOLD,
    /// _PID and _APP tell it which
    #[arg(long = "alert-command", value_name = "CMD")]
    command: Option<Argv>,
}

impl AlertArgs {
    fn rules(&self) -> Rules {
        Rules {
            cpu_percent: self.cpu,
            memory_mb: self.memory,
            silence_seconds: self.silence,
            hold: self.hold,
        }
    }
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

/// Watches processes until they end or the user does.
pub(crate) fn run(args: &Args, data: &DataDir) -> Result<Exit> {
    if args.server.is_some() {
        let message = "--server is not available yet: Argus sends nothing anywhere so far";
        return Err(Refusal::new(Exit::Usage, message).into());
    }
    let (plans, targets) = find(args.plans()?)?;
    // Before any thread starts: they are to have these signals blocked as well.
    let signals = Signals::collect(&[Signal::INT, Signal::TERM, Signal::HUP])?;
    let now = platform::monotonic_now();
    let attach = |(index, target): (usize, Target)| {
        Watched::attach(target, (index, &plans[index]), None, now)
    };
    let mut watched = targets
        .into_iter()
        .enumerate()
        .map(attach)
        .collect::<Result<Vec<_>>>()?;
    if watched.len() > 1 {
        watched = watched.into_iter().map(Watched::among_others).collect();
    }
    recorder::prepare(data)?;
    let recorder = Recorder::default();
    let console = Console::open(args.detail())?;
    introduce(&console, &watched, &plans, data);
    let voices = watched.iter().map(Watched::voice).collect();
    let logs = Logs::of(&plans, voices);
    let desk = Desk {
        recorder: &recorder,
        console: &console,
    };
    let mut engine = Engine::new(desk, watched, now)?;
    let ending = hold(&mut engine, &logs, &signals)?;
    let settled = recorder.settle(data);
    let tally = engine.tally();
    let summary = Summary {
        ending,
        time: platform::monotonic_now().since(now),
        samples: tally.samples,
        lines: tally.lines,
        database: settled.is_stored().then(|| data.database()),
    };
    console.conclude(&summary);
    if let Some(complaint) = settled.complaint(data) {
        console::warn(&complaint);
    }
    Ok(Exit::Fine)
}

/// The processes that the plans mean, in their order. A plan for a process that another one means,
/// too, is left out, with a warning.
fn find(plans: Vec<Plan>) -> Result<(Vec<Plan>, Vec<Target>)> {
    let mut kept: Vec<Plan> = Vec::new();
    let mut targets: Vec<Target> = Vec::new();
    for plan in plans {
        let target = plan.find()?;
        if let Some(place) = targets.iter().position(|known| known.pid == target.pid) {
            console::warn(&format!("process {} is named twice", target.pid));
            kept[place].logfiles.extend(plan.logfiles);
        } else {
            kept.push(plan);
            targets.push(target);
        }
    }
    Ok((kept, targets))
}

impl Args {
    fn detail(&self) -> Detail {
        match (self.verbose, self.details) {
            (true, _) => Detail::Verbose,
            (false, true) => Detail::Measures,
            (false, false) => Detail::Standard,
        }
    }

    /// What is to be watched, in the order of the command line.
    fn plans(&self) -> Result<Vec<Plan>> {
        let whom: Vec<Whom> = match (self.processes.as_slice(), self.pids.as_slice()) {
            ([], []) => {
                return Err(which("no process named: give --process NAME or --pid PID"));
            }
            (names, []) => names.iter().cloned().map(Whom::Name).collect(),
            ([], pids) => pids.iter().copied().map(Whom::Pid).collect(),
            _ => return Err(which("--process and --pid exclude each other: give one")),
        };
        let mut logfiles: Vec<_> = self.logfiles.iter().map(|path| absolute(path)).collect();
        let plan = |whom| Plan {
            whom,
            app_name: self.app_name.clone(),
            // Lines of a file belong to one process: the first.
            logfiles: std::mem::take(&mut logfiles),
            interval: self.interval,
            rules: self.alerts.rules(),
            alert_command: self.alerts.command.clone(),
            plugins: self.plugins.clone(),
            pss: if self.pss { Pss::Measured } else { Pss::Left },
        };
        Ok(whom.into_iter().map(plan).collect())
    }
}

fn which(message: &str) -> anyhow::Error {
    let hint = "argus gaze --process NAME   (or --pid PID)";
    Refusal::new(Exit::Usage, message).hint(hint).into()
}

fn introduce(console: &Console, watched: &[Watched], plans: &[Plan], data: &DataDir) {
    let names: Vec<_> = watched.iter().map(|process| &process.app_name).collect();
    console.preamble(data.database(), &names);
    let introductions: Vec<_> = watched
        .iter()
        .map(|process| Introduction {
            app_name: &process.app_name.text,
            process_name: &process.target.process_name,
            pid: process.target.pid,
            logfiles: &plans[process.plan].logfiles,
            interval: plans[process.plan].interval,
        })
        .collect();
    console.header(&introductions);
}

/// Watches processes and log files until the end.
fn hold(engine: &mut Engine<'_>, logs: &Logs, signals: &Signals) -> Result<Ending> {
    engine.begin();
    let stop = Bell::new()?;
    std::thread::scope(|scope| {
        if !logs.is_empty() {
            let (follower, warnings) = logs.open();
            for warning in warnings {
                console::warn(&format!("{warning}; followed as soon as it can be read"));
            }
            let (desk, stop) = (engine.desk(), &stop);
            scope.spawn(move || logs.follow(follower, stop, desk));
        }
        engine.desk().console.threads_started(!logs.is_empty());
        let ending = engine.run(signals);
        stop.ring();
        ending
    })
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
