//! `argus autopsy`: how a run ended, and what it was doing; and the short form that `argus run`
//! prints when its program dies badly.

mod document;
mod report;
mod words;

use std::convert::Infallible;
use std::io::{self, Write};
use std::str::FromStr;

use anyhow::Result;
use argus_model::paths::DataDir;
use argus_read::Autopsy;
use argus_read::autopsy::{Limits, perform};
use argus_spool::place;
use argus_store::Store;
use argus_store::query::WhichRun;

use crate::args::FormatArgs;
use crate::exit::Exit;
use crate::failure::Refusal;
use crate::moment;
use crate::open::open_store;
use crate::output::{self, Format, Screen};

/// Tell how a program ended and what it was doing: a crash report
///
/// Exit code or signal, out-of-memory kills told from others, the calls that were open with their
/// arguments, failures, CPU and memory of the last minute, events, the last 50 log lines, children
/// that are still alive. Of a program that lives it tells the same about now.
///
/// JSON is one document:
///   {"run": {...}, "others": N, "alive": BOOL, "lived_ms": N,
///    "end": {"at", "exit_code" (-N for signal N), "signal", "cause", "evidence", "core_dumped"},
///    "open": [{"process", "arguments", "tid", "thread", "depth", "started_at", "elapsed_ms", ...}],
///    "failed": [...], "samples": [...], "metrics": [...], "events": [...], "logs": [...],
///    "children": [...], "records": {"emitted", "lost", ...}, "cut": [lists that are not complete]}
/// "end" is null while it lives. "cause" is exit, signal, oom_kill, perhaps_oom_kill, sigkill (whose
/// is not known) or unknown; "evidence" is exit_status, kernel_log, control_group, machine or none.
/// What is not known is null. Rows look as in traces, metrics, logs and export.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
#[command(after_help = "\
Examples:
  argus autopsy                  the program that ended last
  argus autopsy 4711             the last one with this process id (or the run with this id)
  argus autopsy prices --json    the last one of this name that ended
  argus autopsy run:12           the run with this id; likewise pid:4711 and app:prices

Exit code 1 when no run fits.")]
pub(crate) struct Args {
    /// A process id, an application's or process's name, or a run's id; the run that ended last otherwise
    #[arg(value_name = "RUN", default_value = "", hide_default_value = true)]
    run: Sought,
    #[command(flatten)]
    format: FormatArgs,
}

/// What somebody typed for a run: what it can mean, the likelier first.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Sought {
    text: String,
    meanings: Vec<WhichRun>,
}

impl FromStr for Sought {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        let named = |name: &str| vec![WhichRun::Named(name.to_owned())];
        let meanings = match text.split_once(':') {
            _ if text.is_empty() => vec![WhichRun::Last],
            Some(("app", name)) => named(name),
            Some(("run", id)) => id
                .parse()
                .map_or_else(|_| named(text), |id| vec![WhichRun::Id(id)]),
            Some(("pid", pid)) => pid
                .parse()
                .map_or_else(|_| named(text), |pid| vec![WhichRun::Pid(pid)]),
            _ => {
                let pid = text.parse().ok().map(WhichRun::Pid);
                let id = text.parse().ok().map(WhichRun::Id);
                pid.into_iter().chain(id).chain(named(text)).collect()
            }
        };
        Ok(Self {
            text: text.to_owned(),
            meanings,
        })
    }
}

/// Prints the report.
pub(crate) fn run(args: &Args, data: &DataDir) -> Result<Exit> {
    let store = open_store(data)?;
    let (which, autopsy) = find(store.as_ref(), &args.run)?;
    match args.format.format() {
        Format::Json => output::document(&document::Document::of(&autopsy))?,
        Format::Human => {
            let text = report::whole(&autopsy, Screen::of_stdout());
            io::stdout().lock().write_all(text.as_bytes())?;
        }
    }
    if let Some(note) = note(&which, &autopsy) {
        output::note(&note);
    }
    Ok(Exit::Fine)
}

fn find(store: &dyn Store, sought: &Sought) -> Result<(WhichRun, Autopsy)> {
    for which in &sought.meanings {
        if let Some(autopsy) = perform(store, which, Limits::default(), moment::now())? {
            return Ok((which.clone(), autopsy));
        }
    }
    let refusal = match sought.meanings[..] {
        [WhichRun::Last] => Refusal::new(Exit::NotFound, "no program has been recorded yet")
            .hint("argus run -- COMMAND   (records a program)"),
        _ => Refusal::new(
            Exit::NotFound,
            format!("no run is called {:?}", sought.text),
        )
        .hint("argus status   (names the programs that were recorded)"),
    };
    Err(refusal.into())
}

/// Which one it is, where the question left that open.
fn note(which: &WhichRun, autopsy: &Autopsy) -> Option<String> {
    let others = match autopsy.others {
        0 => None,
        1 => Some("1 other run".to_owned()),
        others => Some(format!("{} other runs", output::grouped(others))),
    };
    let id = autopsy.run.id;
    match (which, &autopsy.ended, others) {
        (WhichRun::Id(_), ..) | (WhichRun::Pid(_) | WhichRun::Named(_), _, None) => None,
        (WhichRun::Last, Some(_), _) => Some(format!(
            "run {id}, the one that ended last; argus autopsy RUN names another"
        )),
        (WhichRun::Last, None, _) => Some(format!("run {id}, the last one; none has ended yet")),
        (WhichRun::Pid(pid), _, Some(others)) => Some(format!(
            "run {id}, the last one with process id {pid}; {others} had it before"
        )),
        (WhichRun::Named(name), Some(_), Some(others)) => Some(format!(
            "run {id}, the last one called {name} that ended; {others} called so"
        )),
        (WhichRun::Named(name), None, Some(others)) => Some(format!(
            "run {id}, the last one called {name}; {others} called so"
        )),
    }
}

/// The command that tells what a process was doing when it ended.
pub(crate) fn hint(pid: u32, data: &DataDir) -> String {
    let usual = place::from_environment().is_ok_and(|usual| usual == *data);
    let database = match usual {
        true => String::new(),
        false => format!(" --db {}", data.database().display()),
    };
    format!("argus autopsy {pid}{database}")
}

/// The short form for a program of ours that has just ended, if it died badly
/// ([`Autopsy::is_crash`]).
///
/// # Errors
/// When the store cannot be read.
pub(crate) fn after_death(pid: u32, code: i32, data: &DataDir) -> Result<Option<String>> {
    if code == 0 {
        return Ok(None);
    }
    let which = WhichRun::Pid(pid);
    let told = |store: &dyn Store| perform(store, &which, Limits::default(), moment::now());
    let mut autopsy = told(argus_store::open_reader(data.database())?.as_ref())?;
    if autopsy.as_ref().is_some_and(|it| it.run.instrumented) {
        // What it recorded itself may still lie in its spool.
        autopsy = told(open_store(data)?.as_ref())?;
    }
    let Some(autopsy) = autopsy.filter(Autopsy::is_crash) else {
        return Ok(None);
    };
    let mut text = report::short(&autopsy, Screen::of_stderr());
    text.push_str(&format!("more: {}\n", hint(pid, data)));
    Ok(Some(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[WhichRun]) {
        let sought: Sought = text.parse().unwrap();
        assert_eq!(sought.meanings, expected, "{text}");
    }

    #[test]
    fn what_is_typed_can_mean_a_pid_a_run_or_a_name() {
        let named = |name: &str| WhichRun::Named(name.into());
        check("", &[WhichRun::Last]);
        check("prices", &[named("prices")]);
        check("12", &[WhichRun::Pid(12), WhichRun::Id(12), named("12")]);
        check("run:12", &[WhichRun::Id(12)]);
        check("pid:4711", &[WhichRun::Pid(4711)]);
        check("app:12", &[named("12")]);
        check("run:fast", &[named("run:fast")]);
        check("a:b", &[named("a:b")]);
    }
}
