//! `argus watch`: the live screen.

use std::io::{self, IsTerminal};

use anyhow::{Context, Result};
use argus_model::paths::DataDir;
use argus_read::Follower;
use argus_tui::{WatchError, WatchOptions};

use crate::exit::Exit;
use crate::failure::Refusal;
use crate::keeper;
use crate::open::store_if_any;

/// Watch programs live: open calls, CPU, memory, what just ended
///
/// Keys: arrows move, Space stops time, ? explains the rest, q leaves.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  argus watch
  argus watch --pid 4711")]
pub(crate) struct Args {
    /// Only this process id
    #[arg(long)]
    pid: Option<u32>,
}

/// Shows the screen until the user leaves it.
pub(crate) fn run(args: &Args, data: &DataDir) -> Result<Exit> {
    if !io::stdout().is_terminal() {
        let refusal = Refusal::new(Exit::Usage, WatchError::NotATerminal.to_string());
        return Err(refusal.hint("argus status --json").into());
    }
    // What cannot be used is refused before anything is made beside it.
    store_if_any(data)?;
    keeper::keep(data)?;
    let follower = Follower::bind(data).context("cannot follow the database")?;
    let options = WatchOptions {
        database: data.database().to_owned(),
        pid: args.pid,
        open: Box::new({
            let data = data.clone();
            move || store_if_any(&data)
        }),
    };
    match argus_tui::watch(follower, options) {
        Ok(()) => Ok(Exit::Fine),
        // Stands for the error it holds, whose type knows code and hint.
        Err(WatchError::Open(error)) => Err(error.into()),
        Err(error) => Err(error.into()),
    }
}
