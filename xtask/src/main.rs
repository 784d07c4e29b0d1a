//! Development commands of Argus, run as `cargo xtask <command>`.
//!
//! `tidy` holds what a machine can hold of ARCHITECTURE.md and STYLE.md, `lint` and `test` are what
//! CI runs, `demo` shows the whole product on a real program. Each command stands in a file of its
//! own. A command that needs Python tools installs them, pinned, into a virtual environment inside
//! the workspace; nothing outside the workspace is changed.

mod demo;
mod lint;
mod python;
mod step;
mod test;
mod tidy;
mod workspace;

use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Result, bail};

use crate::workspace::Workspace;

const USAGE: &str = "\
Development commands of Argus.

usage: cargo xtask <command>

commands:
  tidy    check what ARCHITECTURE.md and STYLE.md promise (seconds, builds nothing)
  test    install the tools, build, run every Rust and Python test
  lint    formatting, clippy, rustdoc, tidy, ruff, type stubs; any warning fails
  demo    build everything in release and run a real program under Argus

examples:
  cargo xtask test && cargo xtask lint     what CI runs
  cargo xtask demo                         see it work; opens `argus watch` in a terminal
  cargo xtask help test                    what a command does in detail";

struct Command {
    name: &'static str,
    help: &'static str,
    run: fn(&Workspace) -> Result<()>,
}

const COMMANDS: &[Command] = &[
    Command {
        name: "tidy",
        help: tidy::HELP,
        run: tidy::run,
    },
    Command {
        name: "test",
        help: test::HELP,
        run: test::run,
    },
    Command {
        name: "lint",
        help: lint::HELP,
        run: lint::run,
    },
    Command {
        name: "demo",
        help: demo::HELP,
        run: demo::run,
    },
];

/// What a command line asks for.
enum Request {
    Usage,
    Help(&'static Command),
    Run(&'static Command),
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match parse(&words) {
        Ok(Request::Usage) => println!("{USAGE}"),
        Ok(Request::Help(command)) => println!("{}", command.help),
        Ok(Request::Run(command)) => return execute(command),
        Err(error) => {
            eprintln!("xtask: {error}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    }
    ExitCode::SUCCESS
}

fn execute(command: &Command) -> ExitCode {
    let started = Instant::now();
    let outcome = Workspace::find().and_then(|workspace| (command.run)(&workspace));
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
        [name] => Ok(Request::Run(find(name)?)),
        [name, rest @ ..] => {
            find(name)?;
            bail!(
                "`{name}` takes no arguments, but was given `{}`",
                rest.join(" ")
            )
        }
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

    fn check(words: &[&str], expected: &str) {
        let seen = match parse(words) {
            Ok(Request::Usage) => "usage".to_owned(),
            Ok(Request::Help(command)) => format!("help {}", command.name),
            Ok(Request::Run(command)) => format!("run {}", command.name),
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
    }
}
