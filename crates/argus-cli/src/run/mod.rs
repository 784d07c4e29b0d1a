//! `argus run`: start a program under observation.
//!
//! The program behaves as if it had been started without us: its streams and signals pass through,
//! and its exit code is ours. Meanwhile its lines are kept as log entries, it is measured, and what
//! it records itself goes to the same database, which it is told by its environment. Nothing is
//! printed but what concerns the recording itself, on standard error, before or after, and, when the
//! program dies badly, what it was doing. [`instrument`] asks its Pythons to record their functions.

mod instrument;

use std::ffi::{OsStr, OsString};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::Result;
use argus_model::paths::DataDir;
use argus_observe::child::{Child, Ended, FORWARDED, Launch, Streams};
use argus_observe::oom::OomWatch;
use argus_observe::platform::{self, Signals};
use argus_observe::process;
use argus_observe::sample::Sampler;
use argus_observe::tail::{Follower, Told};
use argus_observe::wake::Bell;
use argus_tui::sanitize;

use crate::autopsy;
use crate::exit::Exit;
use crate::failure::Refusal;
use crate::gaze::observers::{self, Interval};
use crate::gaze::reading::{Reading, ReadingArgs, complaint};
use crate::gaze::recorder::{self, Event, Parent, Recorder, Subject};
use crate::gaze::scribe::{Outcome, Pipe, Scribe};
use crate::gaze::{AppName, absolute};
use crate::moment;

/// Start a program and record it: exit code, output, CPU, memory, what it records itself
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  argus run -- python3 app.py
  argus run --app-name Prices -- python3 -m prices
  argus run --app-name Terrain --logfile terrain.log -- ./terrain_sim --seed 42
  argus run --instrument 'prices.*' --instrument __main__ -- python3 app.py

Returns the program's exit code, 128 + N when signal N ended it; 127 when there is no such command,
126 when it cannot be executed.

When a signal ends it (other than SIGINT and SIGPIPE), or when it leaves with a code other than 0
while calls are open or have just failed, a short report follows on standard error: what it was doing.
`argus autopsy` tells more.")]
pub(crate) struct Args {
    /// Name of the application; the program's file name otherwise (python3 for a script)
    #[arg(long, value_name = "NAME")]
    app_name: Option<String>,
    /// Follow this log file as well; may be repeated
    #[arg(long = "logfile", value_name = "FILE")]
    logfiles: Vec<PathBuf>,
    #[command(flatten)]
    reading: ReadingArgs,
    /// Measure every so many seconds; fractions are fine
    #[arg(long, value_name = "SECONDS", default_value = "1")]
    interval: Interval,
    /// Print no report when the program dies badly
    #[arg(long)]
    no_autopsy: bool,
    #[command(flatten)]
    instrument: instrument::InstrumentArgs,
    /// The program and its arguments
    #[arg(
        trailing_var_arg = true,
        allow_hyphen_values = true,
        required = true,
        value_name = "CMD"
    )]
    command: Vec<OsString>,
}

/// Runs the program to its end.
pub(crate) fn run(args: &Args, data: &DataDir) -> Result<Exit> {
    let Some((program, arguments)) = args.command.split_first() else {
        return Err(Refusal::new(Exit::Usage, "no program to run").into());
    };
    let app_name = AppName::of(args.app_name.as_deref(), &base_name(program)).text;
    let launch = Launch {
        program: program.clone(),
        arguments: arguments.to_vec(),
        environment: [environment(data, &app_name), args.instrument.environment()].concat(),
    };
    // Before any thread starts: they are to have these signals blocked as well.
    let signals = Signals::collect(&FORWARDED)?;
    recorder::prepare(data)?;
    // Where the files end is noted before the program can write to them.
    let logfiles: Vec<_> = args.logfiles.iter().map(|path| absolute(path)).collect();
    let reading = args.reading.reading();
    let memory = reading.memory(data)?;
    let (follower, warnings) = Follower::open_with(&logfiles, reading.start(), memory);
    for warning in warnings {
        tell(&complaint(&warning));
    }
    let began = moment::now();
    let child = Child::spawn(&launch, Streams::of_caller(), &signals)?;
    let session = Session {
        subject: Subject::new(child.target(), &app_name, parent()),
        recorder: Recorder::default(),
        reading,
        interval: args.interval,
    };
    let pid = child.target().pid;
    let ended = session.hold(child, follower)?;
    let settled = session.recorder.settle(data);
    if let Some(complaint) = settled.complaint(data) {
        tell(&complaint);
    }
    // One that fails may not have come to what was to be instrumented.
    if settled.is_stored() && ended.code == 0 {
        args.instrument
            .complain_if_nothing_was(&app_name, began, data);
    }
    if settled.is_stored() && !args.no_autopsy {
        report(pid, ended.code, data);
    }
    Ok(Exit::Child(ended.shell_code()))
}

/// Tells what the program was doing if it has died badly, whoever reads standard error: a log of
/// unattended work is where such a report is wanted most.
fn report(pid: u32, code: i32, data: &DataDir) {
    match autopsy::after_death(pid, code, data) {
        Ok(None) => {}
        // Nobody is left to tell when standard error is closed.
        Ok(Some(text)) => drop(io::stderr().lock().write_all(text.as_bytes())),
        Err(error) => tell(&format!("no crash report: {error}")),
    }
}

/// What the program needs to record itself to the same place.
fn environment(data: &DataDir, app_name: &str) -> Vec<(OsString, OsString)> {
    let mut environment = vec![
        ("ARGUS_DB".into(), data.database().into()),
        ("ARGUS_APP_NAME".into(), app_name.into()),
    ];
    if let Ok(command) = std::env::current_exe() {
        environment.push(("ARGUS_BIN".into(), command.into()));
    }
    environment
}

/// This process, as the parent of what it starts.
fn parent() -> Option<Parent> {
    let me = process::find_by_pid(std::process::id()).ok()?;
    Some(Parent {
        pid: me.pid,
        start_ticks: me.start_ticks,
    })
}

/// The file name of a program: what the application is called for want of a better name.
fn base_name(program: &OsStr) -> String {
    let name = Path::new(program).file_name().unwrap_or(program);
    name.to_string_lossy().into_owned()
}

/// A message about the recording, on standard error.
fn tell(message: &str) {
    let _ = writeln!(io::stderr(), "argus: {}", sanitize(message));
}

fn locked(kills: &Mutex<OomWatch>) -> MutexGuard<'_, OomWatch> {
    // Readings are replaced whole: a panic elsewhere has left none half-way.
    kills.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One program being run.
struct Session {
    subject: Subject,
    recorder: Recorder,
    reading: Reading,
    interval: Interval,
}

impl Session {
    fn hold(&self, child: Child<'_>, follower: Follower) -> Result<Ended> {
        let mut files = Scribe::new(&self.recorder, &self.reading)?;
        let mut output = Scribe::new(&self.recorder, &self.reading)?;
        let kills = Mutex::new(OomWatch::attach(child.target().pid));
        let begun = platform::monotonic_now();
        self.recorder.event(&self.subject, &Event::plain("started"));
        let stop = Bell::new()?;
        std::thread::scope(|scope| {
            // A program that has ended already has nothing left to measure.
            if let Ok(sampler) = Sampler::attach(child.target()) {
                scope.spawn(|| {
                    observers::measure(sampler, begun, self.interval, &stop, |reading| {
                        self.recorder.sample(&self.subject, &reading);
                        locked(&kills).renew(reading.at);
                    });
                });
            }
            if !follower.is_empty() {
                scope.spawn(|| {
                    let take = |told: Told<'_>| {
                        files.take(&self.subject, told, |outcome| match outcome {
                            Outcome::Written(_) => {}
                            Outcome::Missing(gap) => tell(&format!("lines are missing: {gap}")),
                            Outcome::Warning(warning) => tell(&complaint(&warning)),
                        })
                    };
                    observers::follow(follower, &stop, take, || {});
                });
            }
            let ended = child.relay(&mut |source, line| {
                output.line(&self.subject, &Pipe::of(source), &line, |_| {});
            });
            stop.ring();
            let ended = ended?;
            let death = locked(&kills).explain(Some(ended.code), Some(ended.core_dumped));
            let terminated = Event {
                exit_code: Some(ended.code),
                detail: &death.detail(),
                ..Event::plain("terminated")
            };
            self.recorder.event(&self.subject, &terminated);
            Ok(ended)
        })
    }
}
