//! `argus gaze`: watch a process from outside until it ends (spec/1).
//!
//! The processes are not touched. The main thread measures them and hears of their ends
//! ([`engine`]), another reads their log files ([`logs`]); both record what they see ([`recorder`])
//! before they show it ([`console`]). What is watched, and how, stands in a [`plan`]. In the end the
//! account is closed: the last lines, the events, the summary. Gaze returns when everything is in
//! the store, or says that it is not.

pub(crate) mod observers;
pub(crate) mod reading;
pub(crate) mod recorder;
pub(crate) mod scribe;

mod config;
mod console;
mod desk;
mod engine;
mod logs;
mod notify;
mod plan;
mod plugins;
mod source;
mod stacks;
mod unit;
mod watched;

use std::ffi::{OsStr, OsString};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use anyhow::Result;
use argus_model::Level;
use argus_model::paths::DataDir;
use argus_observe::alarm::{Hold, LinePatterns, LineRate, Rules, Threshold};
use argus_observe::argv::Argv;
use argus_observe::platform::{self, Signal, Signals};

use crate::autopsy;
use crate::collector;
use crate::exit::Exit;
use crate::failure::Refusal;
use crate::output;
use console::{Console, Crowd, Detail, Ending, Summary};
use desk::Desk;
use engine::{Call, Engine, Pause};
use notify::{NotTold, Notifier};
use observers::Interval;
use plan::{Plan, StackRate, Whom};
use reading::{Reading, ReadingArgs, Wanted};
use recorder::Recorder;
use source::Source;

/// Watch running processes from outside: CPU, memory, traffic, log files, children, ends
#[derive(Debug, clap::Args)]
#[command(override_usage = "argus gaze <--process <NAME>|--pid <PID>|--config <FILE>> [OPTIONS]")]
#[command(after_help = "\
Examples:
  argus gaze --process terrain_sim --logfile ./terrain_sim.log
  argus gaze --pid 12345 --app-name SnakeGame --interval 1 --adaptive --details
  argus gaze --process nginx --follow-children --follow-restarts
  argus gaze --pid 12345 --alert-cpu 80 --alert-command 'logger -t argus'
  argus gaze --config gaze.toml --print-unit > argus-gaze.service

Ends with the processes, or with Ctrl-C. Exit code 1 when there is no such process. Network traffic is
that over TCP: the kernel does not count UDP by process. What may not be seen is shown as \u{2013}.")]
pub(crate) struct Args {
    /// Watch the process with this name; may be repeated
    #[arg(long = "process", value_name = "NAME")]
    processes: Vec<String>,
    /// Watch the process with this id; may be repeated
    #[arg(long = "pid", value_name = "PID")]
    pids: Vec<u32>,
    /// Measure more often (to a tenth of the interval) while something moves, less often (to six
    /// times) while nothing does
    #[arg(long)]
    adaptive: bool,
    /// Watch the processes that its processes start as well, each as a run of its own
    #[arg(long)]
    follow_children: bool,
    /// Wait for a process that has ended to come back, by name or command line
    #[arg(long)]
    follow_restarts: bool,
    /// Watch several programs as this file says (TOML); SIGHUP reads it again
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print the systemd unit that runs gaze with --config as a service, and end
    #[arg(long)]
    print_unit: bool,
    /// Follow this log file, all that match a pattern ('/var/log/app/*.log'), or standard input (-);
    /// may be repeated
    #[arg(long = "logfile", value_name = "FILE")]
    logfiles: Vec<PathBuf>,
    /// Read the journal of this unit, or of programs that call themselves so; may be repeated
    #[arg(long = "journal", value_name = "UNIT")]
    units: Vec<String>,
    #[command(flatten)]
    reading: ReadingArgs,
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
    /// Record each thread's share of CPU as well
    #[arg(long)]
    threads: bool,
    /// Measure proportional memory (PSS) as well: walks all pages of the process
    #[arg(long)]
    pss: bool,
    /// Record what the threads of a Python program are doing, so many times a second (10 at most)
    #[arg(long, value_name = "HZ")]
    stacks: Option<StackRate>,
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
    /// Alert when a log line matches this regular expression; may be repeated
    #[arg(long = "alert-log", value_name = "REGEX", value_parser = reading::pattern)]
    log: Vec<String>,
    /// Alert when a log line is at least this severe, such as error (with --parse-logs)
    #[arg(long = "alert-level", value_name = "LEVEL", value_parser = reading::level)]
    log_level: Option<Level>,
    /// How many such lines it takes
    #[arg(long = "alert-lines", value_name = "N", default_value = "1",
        value_parser = clap::value_parser!(u32).range(1..=100_000))]
    lines: u32,
    /// Within how many seconds they must come
    #[arg(long = "alert-within", value_name = "SECONDS", default_value = "60")]
    within: Threshold,
    /// How long CPU or memory must be above its threshold [default: 10 for CPU, 0 for memory]
    #[arg(long = "alert-for", value_name = "SECONDS")]
    hold: Option<Hold>,
    /// Run this for every alert, without a shell; ARGUS_ALERT_RULE, _STATE, _VALUE, _THRESHOLD,
    /// _PID and _APP tell it which
    #[arg(long = "alert-command", value_name = "CMD")]
    command: Option<Argv>,
}

impl AlertArgs {
    fn rules(&self, wanted: &Wanted) -> Rules {
        let rate = LineRate {
            lines: self.lines,
            within: self.within.as_seconds(),
        };
        let others = Rules {
            cpu_percent: self.cpu,
            memory_mb: self.memory,
            silence_seconds: self.silence,
            hold: self.hold,
            ..Rules::default()
        };
        wanted.rules(rate, others)
    }

    /// Which log lines are spoken of.
    ///
    /// # Errors
    /// When patterns that are small enough by themselves are too large together.
    fn wanted(&self) -> Result<Wanted> {
        if let Err(error) = LinePatterns::new(&self.log) {
            return Err(Refusal::new(Exit::Usage, format!("--alert-log: {error}")).into());
        }
        Ok(Wanted {
            patterns: self.log.clone(),
            level: self.log_level,
        })
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
    if args.print_unit {
        return print_unit(args);
    }
    let mut source = args.source()?;
    collector::allow_many_descriptors();
    let has_logs = source.has_logs();
    let found = source.find()?;
    let crowd = match found.as_slice() {
        [one] if !source.is_service() && !one.plan.wants_births() => Crowd::One,
        _ => Crowd::Several,
    };
    // Before any thread starts: they are to have these signals blocked as well.
    let signals = Signals::collect(&[Signal::INT, Signal::TERM, Signal::HUP])?;
    let begun = platform::monotonic_now();
    recorder::prepare(data)?;
    let recorder = Recorder::default();
    let console = Console::open(args.detail(), crowd)?;
    let desk = Desk {
        recorder: &recorder,
        console: &console,
        data,
    };
    console.preamble(data.database());
    let (ending, tally, victim) = std::thread::scope(|scope| -> Result<_> {
        let mut engine = Engine::new(scope, desk, begun, source.is_service())?;
        engine.begin_all(found)?;
        console.threads_started(has_logs);
        let ending = hold(&mut engine, &mut source, &signals)?;
        let victim = engine.last_victim();
        Ok((ending, engine.finish(), victim))
    })?;
    let settled = recorder.settle(data);
    let summary = Summary {
        ending,
        time: platform::monotonic_now().since(begun),
        samples: tally.samples,
        lines: tally.lines,
        database: settled.is_stored().then(|| data.database()),
        autopsy: victim
            .filter(|_| settled.is_stored() && ending != Ending::Stopped)
            .map(|pid| autopsy::hint(pid, data)),
    };
    console.conclude(&summary);
    if let Some(complaint) = settled.complaint(data) {
        console::warn(&complaint);
    }
    Ok(Exit::Fine)
}

/// Watches until the end, reads the configuration again when told to, and keeps the service manager
/// informed.
fn hold(engine: &mut Engine<'_, '_>, source: &mut Source, signals: &Signals) -> Result<Ending> {
    let notifier = Notifier::from_environment().unwrap_or_else(|error| {
        console::warn(&format!("{:#}", anyhow::Error::from(error)));
        Notifier::default()
    });
    let tell = |told: Result<(), NotTold>| {
        if let Err(error) = told {
            console::warn(&format!("{:#}", anyhow::Error::from(error)));
        }
    };
    let status = |engine: &Engine<'_, '_>| format!("watching {} processes", engine.living());
    tell(notifier.ready(&status(engine)));
    let is_service = source.is_service();
    let mut calls = || match signals.next()?.number {
        number if is_service && number == Signal::HUP.as_raw() => Some(Call::Reload),
        _ => Some(Call::Stop),
    };
    loop {
        match engine.run(signals.as_fd(), &mut calls)? {
            Pause::Ended(ending) => {
                tell(notifier.stopping());
                return Ok(ending);
            }
            Pause::Reload => {
                tell(notifier.reloading(platform::monotonic_now()));
                source.reload(engine);
                tell(notifier.ready(&status(engine)));
            }
        }
    }
}

/// Prints the systemd unit that runs this program as a service.
fn print_unit(args: &Args) -> Result<Exit> {
    let Some(config) = &args.config else {
        let message = "--print-unit needs the configuration that the service is to have";
        let hint = "argus gaze --config FILE --print-unit";
        return Err(Refusal::new(Exit::Usage, message).hint(hint).into());
    };
    let program = std::env::current_exe()?;
    output::line(unit::unit(&program, &absolute(config)).trim_end())?;
    Ok(Exit::Fine)
}

impl Args {
    fn detail(&self) -> Detail {
        if self.verbose {
            Detail::Verbose
        } else if self.details {
            Detail::Measures
        } else if self.config.is_some() {
            Detail::Quiet
        } else {
            Detail::Standard
        }
    }

    /// Where what is to be watched stands.
    fn source(&self) -> Result<Source> {
        let is_named = !self.processes.is_empty() || !self.pids.is_empty();
        match &self.config {
            Some(_) if is_named => Err(which("--config stands for --process and --pid: give one")),
            Some(path) => Source::file(path),
            None => Ok(Source::Arguments(self.plans()?)),
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
        let mut units = self.units.clone();
        let wanted = self.alerts.wanted()?;
        let plan = |whom| Plan {
            whom,
            app_name: self.app_name.clone(),
            // Lines of a file belong to one process: the first.
            logfiles: std::mem::take(&mut logfiles),
            units: std::mem::take(&mut units),
            reading: Reading {
                alert: wanted.clone(),
                parse: self.reading.parses() || self.alerts.log_level.is_some(),
                ..self.reading.reading()
            },
            interval: self.interval,
            adaptive: self.adaptive,
            follow_children: self.follow_children,
            follow_restarts: self.follow_restarts,
            alerts: self.alerts.rules(&wanted),
            alert_command: self.alerts.command.clone(),
            plugins: self.plugins.clone(),
            stacks: self.stacks,
            pss: self.pss,
            threads: self.threads,
        };
        Ok(whom.into_iter().map(plan).collect())
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

/// The path as it holds from anywhere; `-`, the standard input, stays as it is.
pub(crate) fn absolute(path: &Path) -> PathBuf {
    if logs::is_stdin(path) {
        return path.to_owned();
    }
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
