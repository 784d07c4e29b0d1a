//! Development commands of Argus, run as `cargo xtask <command>`.
//!
//! `tidy` holds what a machine can hold of ARCHITECTURE.md and STYLE.md, `lint` and `test` are what
//! CI runs, `demo` shows the whole product on a real program, `bench` measures it beside its peers.
//! Each command stands in a file of its own. A command that needs Python tools installs them, pinned, into a virtual environment inside
//! the workspace; nothing outside the workspace is changed.

mod bench;
mod demo;
mod fuzz;
mod lint;
mod python;
mod step;
mod test;
mod tidy;
mod torture;
mod workspace;

use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Result, bail};

use crate::workspace::Workspace;

const USAGE: &str = "\
Development commands of Argus.

usage: cargo xtask <command>

commands:
  tidy     check what ARCHITECTURE.md and STYLE.md promise (seconds, builds nothing)
  test     install the tools, build, run every Rust and Python test
  lint     formatting, clippy, rustdoc, tidy, ruff, type stubs; any warning fails
  demo     build everything in release and run a real program under Argus
  bench    measure Argus beside its peers; writes bench/results
  fuzz     feed the fuzz targets, guided by coverage
  torture  break things for real, long, and balance the ledger each time

examples:
  cargo xtask test && cargo xtask lint     what CI runs
  cargo xtask demo                         see it work; opens `argus watch` in a terminal
  cargo xtask help test                    what a command does in detail";

struct Command {
    name: &'static str,
    help: &'static str,
    action: Action,
}

enum Action {
    /// Takes no words.
    Plain(fn(&Workspace) -> Result<()>),
    /// Makes a job of the words behind its name, or says what is wrong with them.
    Worded(fn(&[&str]) -> Result<Job>),
}

/// What is done once the whole command line is understood.
type Job = Box<dyn FnOnce(&Workspace) -> Result<()>>;

const COMMANDS: &[Command] = &[
    Command {
        name: "tidy",
        help: tidy::HELP,
        action: Action::Plain(tidy::run),
    },
    Command {
        name: "test",
        help: test::HELP,
        action: Action::Plain(test::run),
    },
    Command {
        name: "lint",
        help: lint::HELP,
        action: Action::Plain(lint::run),
    },
    Command {
        name: "demo",
        help: demo::HELP,
        action: Action::Plain(demo::run),
    },
    Command {
        name: "bench",
        help: bench::HELP,
        action: Action::Worded(bench::plan),
    },
    Command {
        name: "fuzz",
        help: fuzz::HELP,
        action: Action::Worded(fuzz::plan),
    },
    Command {
        name: "torture",
        help: torture::HELP,
        action: Action::Worded(torture::plan),
    },
];

/// What a command line asks for.
enum Request {
    Usage,
    Help(&'static Command),
    Run(&'static Command, Job),
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match parse(&words) {
        Ok(Request::Usage) => println!("{USAGE}"),
        Ok(Request::Help(command)) => println!("{}", command.help),
        Ok(Request::Run(command, job)) => return execute(command, job),
        Err(error) => {
            eprintln!("xtask: {error}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    }
    ExitCode::SUCCESS
}

fn execute(command: &Command, job: Job) -> ExitCode {
    let started = Instant::now();
    let outcome = Workspace::find().and_then(|workspace| job(&workspace));
    let took = step::spoken(started.elapsed());
    match outcome {
        Ok(()) => {
            eprintln!("==> {}: passed in {took}", command.name);
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("xtask: {error:#}");
            eprintln!("==> {}: failed after {took}", command.name);
            ExitCode::FAILURE
        }
    }
}

fn parse(words: &[&str]) -> Result<Request> {
    match words {
        [] | ["help" | "--help" | "-h"] => Ok(Request::Usage),
        ["help", name] | [name, "--help" | "-h"] => Ok(Request::Help(find(name)?)),
        [name, words @ ..] => {
            let command = find(name)?;
            Ok(Request::Run(command, job(command, words)?))
        }
    }
}

fn job(command: &Command, words: &[&str]) -> Result<Job> {
    match command.action {
        Action::Worded(plan) => plan(words),
        Action::Plain(run) if words.is_empty() => Ok(Box::new(run)),
        Action::Plain(_) => bail!(
            "`{}` takes no arguments, but was given `{}`",
            command.name,
            words.join(" ")
        ),
    }
}

fn find(name: &str) -> Result<&'static Command> {
    match COMMANDS.iter().find(|command| command.name == name) {
        Some(command) => Ok(command),
        None => bail!("there is no command `{name}`"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Why a plan was refused, or that it was not.
    pub(crate) fn refusal<T>(plan: Result<T>) -> String {
        match plan {
            Ok(_) => "nothing wrong".to_owned(),
            Err(error) => error.to_string(),
        }
    }

    fn check(words: &[&str], expected: &str) {
        let seen = match parse(words) {
            Ok(Request::Usage) => "usage".to_owned(),
            Ok(Request::Help(command)) => format!("help {}", command.name),
            Ok(Request::Run(command, _)) => format!("run {}", command.name),
            Err(error) => error.to_string(),
        };
        assert_eq!(seen, expected);
    }

    #[test]
    fn every_command_can_be_run_and_explained() {
        for command in COMMANDS {
            check(&[command.name], &format!("run {}", command.name));
            check(&["help", command.name], &format!("help {}", command.name));
            check(&[command.name, "--help"], &format!("help {}", command.name));
            assert!(USAGE.contains(&format!("\n  {}  ", command.name)));
        }
    }

    #[test]
    fn nothing_and_help_print_the_usage() {
        check(&[], "usage");
        check(&["help"], "usage");
        check(&["--help"], "usage");
    }

    #[test]
    fn a_wrong_word_is_named() {
        check(&["tset"], "there is no command `tset`");
        check(
            &["test", "--fast"],
            "`test` takes no arguments, but was given `--fast`",
        );
        check(&["bench", "drian"], "there is no bench `drian`");
    }
}
