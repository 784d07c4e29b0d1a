//! `argus collector`: the one process that moves records from the spools into the store.
//!
//! It is started by whatever records and finds none; nobody has to start it by hand. A second one
//! sees the lock taken and leaves at once.

use std::collections::HashMap;
use std::os::fd::{AsFd, OwnedFd};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use argus_drain::elect::{Election, Lock};
use argus_drain::{Collector, CollectorError, Death, IdleExit, Observer, Options, Reading};
use argus_model::paths::DataDir;
use argus_observe::exit::Watcher;
use argus_observe::sample::Sampler;
use argus_observe::wake::wait_any;
use argus_spool::control::ControlPage;
use argus_spool::place;

use crate::exit::Exit;
use crate::failure::Refusal;
use crate::output;

/// How long the collector is given to ask who died before it is woken once more.
const ASKING_TAKES: Duration = Duration::from_millis(2);

/// Collect what programs record into the database (started on its own when needed)
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  argus collector                     collect until 30 s after the last program
  argus collector --idle-exit never   as a service")]
pub(crate) struct Args {
    /// Leave this many seconds after the last program and the last screen, or never
    #[arg(long, value_name = "SECONDS", default_value = "30", value_parser = idle_exit)]
    idle_exit: IdleExit,
}

fn idle_exit(text: &str) -> Result<IdleExit, String> {
    if text == "never" {
        return Ok(IdleExit::Never);
    }
    let seconds = text
        .parse::<f64>()
        .ok()
        .and_then(|s| Duration::try_from_secs_f64(s).ok());
    seconds
        .map(IdleExit::After)
        .ok_or_else(|| "a number of seconds, or never".into())
}

/// Collects until there is nobody left to collect for.
pub(crate) fn run(args: &Args, data: &DataDir) -> Result<Exit> {
    place::prepare(data)?;
    let path = data.lock();
    let election =
        Lock::attempt(&path).with_context(|| format!("cannot lock {}", path.display()))?;
    let Election::Won(lock) = election else {
        output::note("another collector is at work on this database");
        return Ok(Exit::Fine);
    };
    let sink = argus_store::open_writer(data.database())?;
    let path = data.control();
    let control =
        ControlPage::open(&path).with_context(|| format!("cannot map {}", path.display()))?;
    control.beat(std::process::id());
    let options = Options {
        place: data.clone(),
        idle_exit: args.idle_exit,
    };
    let collector = Collector::new(options, control, sink, Box::new(Outside::new(control)?));
    match collector.run(lock) {
        Ok(()) => Ok(Exit::Fine),
        Err(error @ CollectorError::Superseded) => {
            Err(Refusal::new(Exit::Store, error.to_string()).into())
        }
        Err(error) => Err(error.into()),
    }
}

/// The observers of `argus-observe` as the collector's eyes. A thread of its own waits for deaths,
/// only to wake the collector, which then asks who died.
struct Outside {
    watcher: Watcher,
    /// Processes that could not be watched: dead already, or hidden from us. The process table tells
    /// their end.
    unwatched: Vec<(u32, u64)>,
    /// Everybody attached, with the means to measure those that may be measured.
    attached: HashMap<u32, Option<Sampler>>,
}

impl Outside {
    fn new(control: ControlPage) -> Result<Self> {
        let watcher = Watcher::new().context("cannot watch processes")?;
        let ends = watcher
            .as_fd()
            .try_clone_to_owned()
            .context("cannot watch processes")?;
        thread::Builder::new()
            .name("deaths".into())
            .spawn(move || wake_at_deaths(&ends, control))
            .context("cannot start a thread")?;
        Ok(Self {
            watcher,
            unwatched: Vec::new(),
            attached: HashMap::new(),
        })
    }
}

/// Runs as long as the collector: the descriptor stays readable until it has asked who died.
fn wake_at_deaths(ends: &OwnedFd, control: ControlPage) {
    loop {
        if wait_any([ends.as_fd()], None).is_ok_and(|[died]| died) {
            control.wake_collector();
        }
        thread::sleep(ASKING_TAKES);
    }
}

impl Observer for Outside {
    fn attach(&mut self, pid: u32, start_ticks: u64) {
        if self.attached.contains_key(&pid) {
            return;
        }
        if self.watcher.add(pid, start_ticks).is_err() {
            self.unwatched.push((pid, start_ticks));
        }
        self.attached
            .insert(pid, Sampler::attach_to(pid, start_ticks).ok());
    }

    fn detach(&mut self, pid: u32) {
        self.watcher.remove(pid);
        self.unwatched.retain(|(known, _)| *known != pid);
        self.attached.remove(&pid);
    }

    fn deaths(&mut self) -> Vec<Death> {
        let ended = self.watcher.poll(Duration::ZERO).unwrap_or_default();
        let mut deaths: Vec<Death> = ended
            .into_iter()
            .map(|(pid, exit)| Death {
                pid,
                exit_code: exit.code,
            })
            .collect();
        self.unwatched.retain(|(pid, start_ticks)| {
            let alive = argus_spool::host::start_ticks(*pid) == Some(*start_ticks);
            if !alive {
                deaths.push(Death {
                    pid: *pid,
                    exit_code: None,
                });
            }
            alive
        });
        deaths
    }

    fn sample(&mut self, pid: u32) -> Option<Reading> {
        let sampler = self.attached.get_mut(&pid)?.as_mut()?;
        let reading = sampler.sample().ok().flatten()?;
        Some(Reading {
            cpu_percent: reading.cpu_percent,
            rss_bytes: reading.rss_bytes,
            threads: reading.threads,
        })
    }
}
