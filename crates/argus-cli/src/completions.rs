//! `argus completions`: a script that lets a shell complete our commands and options.

use std::io::{self, Write};

use anyhow::Result;
use clap::CommandFactory;
use clap_complete::Shell;

use crate::args::Cli;
use crate::exit::Exit;

/// Print a completion script for a shell
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  argus completions bash > ~/.local/share/bash-completion/completions/argus
  argus completions zsh > ~/.zfunc/_argus   (a folder named in fpath)
  argus completions fish > ~/.config/fish/completions/argus.fish")]
pub(crate) struct Args {
    /// The shell
    shell: Shell,
}

/// Prints the script.
pub(crate) fn run(args: &Args) -> Result<Exit> {
    // Into memory first: the generator panics when it cannot write.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "argus", &mut script);
    io::stdout().write_all(&script)?;
    Ok(Exit::Fine)
}
