//! The `argus` command: from arguments to a result, from a result to an exit code.
//!
//! `dispatch` shows every command. Each command has a file (or folder) of its own with its
//! arguments and its work; [`exit`] lists the codes, [`failure`] prints errors and hints, [`open`]
//! finds and opens the database. Data goes to standard output, messages to standard error.

#![forbid(unsafe_code)]

mod args;

mod gaze;
mod run;
mod stack;
mod watch;

mod analyze;
mod autopsy;
mod listing;
mod logs;
mod metrics;
mod query;
mod status;
mod traces;

mod collector;
mod completions;
mod doctor;
mod export;
mod man;
mod verify;

mod exit;
mod failure;
mod instrumented;
mod keeper;
mod open;

mod moment;
mod ordered;
mod output;
mod progress;
mod retain;

use std::process::ExitCode;

use clap::Parser;

use crate::args::{Cli, Command};
use crate::exit::Exit;

fn main() -> ExitCode {
    let exit = match Cli::try_parse_from(gaze::command_line(std::env::args_os())) {
        Ok(cli) => dispatch(&cli).unwrap_or_else(|error| failure::report(&error)),
        Err(answer) => print_usage(&answer),
    };
    exit.into()
}

fn dispatch(cli: &Cli) -> anyhow::Result<Exit> {
    let data = || open::data_dir(cli.db.as_deref());
    match &cli.command {
        Command::Run(args) => run::run(args, &data()?),
        Command::Gaze(args) => gaze::run(args, &data()?),
        Command::Watch(args) => watch::run(args, &data()?),
        Command::Autopsy(args) => autopsy::run(args, &data()?),
        Command::Stack(args) => stack::run(args),
        Command::Status(args) => status::run(args, &data()?),
        Command::Traces(args) => traces::run(args, &data()?),
        Command::Logs(args) => logs::run(args, &data()?),
        Command::Metrics(args) => metrics::run(args, &data()?),
        Command::Analyze(args) => analyze::run(args, &data()?),
        Command::Query(args) => query::run(args, &data()?),
        Command::Verify(args) => verify::run(args, &data()?),
        Command::Export(args) => export::run(args, &data()?),
        Command::Collector(args) => collector::run(args, &data()?),
        Command::Doctor(args) => doctor::run(args, &data()?),
        Command::Completions(args) => completions::run(args),
        Command::Man(args) => man::run(args),
    }
}

/// Prints help and version (which are answers) or what is wrong with the arguments.
fn print_usage(answer: &clap::Error) -> Exit {
    // Whoever asked may have closed the pipe; there is nobody else to tell.
    let _ = answer.print();
    if answer.use_stderr() {
        Exit::Usage
    } else {
        Exit::Fine
    }
}
