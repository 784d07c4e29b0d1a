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
use argus_observe::exit::{self, Watcher};
use argus_observe::oom::OomWatch;
use argus_observe::sample::Sampler;
use argus_observe::wake::wait_any;
use argus_spool::control::ControlPage;
use argus_spool::place;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::exit::Exit;
use crate::failure::Refusal;
use crate::output;
use crate::retain::{self, RetainArgs};

/// How long the collector is given to ask who died before it is woken once more.
const ASKING_TAKES: Duration = Duration::from_millis(2);

/// Collect what programs record into the database (started on its own when needed)
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  argus collector                     collect until 30 s after the last program
  argus collector --idle-exit never   as a service
  argus collector --retain-age 2d --retain-group trading=6h --retain-size 500M
  argus collector --spool-budget 4G   room for bursts while the disk is slow

Limits may also stand in the environment: ARGUS_RETAIN_AGE, ARGUS_RETAIN_SIZE,
ARGUS_RETAIN_SESSIONS, ARGUS_RETAIN_GROUPS (as in trading=6h,slow=2d), ARGUS_SPOOL_BUDGET.")]
pub(crate) struct Args {
    /// Leave this many seconds after the last program and the last screen, or never
    #[arg(long, value_name = "SECONDS", default_value = "30", value_parser = idle_exit)]
    idle_exit: IdleExit,
    #[command(flatten)]
    retain: RetainArgs,
    /// Room on disk for what waits to be collected, for all programs of this database together; it
    /// stays set until another is given [default: 1G]
    #[arg(long, value_name = "SIZE", value_parser = retain::spool_budget)]
    spool_budget: Option<u64>,
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
    let retention = args.retain.retention(|name| std::env::var(name).ok())?;
    let budget = retain::spool_budget_meant(args.spool_budget, |name| std::env::var(name).ok())?;
    place::prepare(data)?;
    let path = data.control();
    let control =
        ControlPage::open(&path).with_context(|| format!("cannot map {}", path.display()))?;
    if let Some(bytes) = budget {
        // Before the election: it is also how the room is changed while a collector is at work.
        control.set_budget(bytes);
    }
    let path = data.lock();
    let election =
        Lock::attempt(&path).with_context(|| format!("cannot lock {}", path.display()))?;
    let Election::Won(lock) = election else {
        output::note("another collector is at work on this database");
        return Ok(Exit::Fine);
    };
    allow_many_descriptors();
    let sink = argus_store::open_writer(data.database())?;
    control.beat(std::process::id());
    let options = Options {
        place: data.clone(),
        idle_exit: args.idle_exit,
        retention,
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

/// Takes as many descriptors as it is allowed: one for each chunk that the collector reads, some for
/// each process that gaze watches. It may have been started by a shell that allows few.
pub(crate) fn allow_many_descriptors() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        ..limit
    };
    // With what it has it works as well, only on fewer at once.
    let _ = setrlimit(Resource::Nofile, raised);
}

/// The observers of `argus-observe` as the collector's eyes. A thread of its own waits for deaths,
/// only to wake the collector, which then asks who died.
struct Outside {
    watcher: Watcher,
    attached: HashMap<u32, Attached>,
    /// Dead because somebody else has their pid.
    succeeded: Vec<Death>,
}

/// A process under the collector's eyes.
struct Attached {
    start_ticks: u64,
    /// The kernel tells its end; else (it is dead already, or hidden from us) the process table is
    /// asked with every look.
    watched: bool,
    sampler: Option<Sampler>,
    /// From its first second on: one that dies sooner is not worth five files.
    kills: Option<OomWatch>,
}

/// An end of which nobody can tell more.
const UNKNOWN: argus_model::Death = argus_model::Death::of_code(None);

impl Attached {
    /// Why it has ended.
    fn explain(&self, exit: exit::Exit) -> argus_model::Death {
        match &self.kills {
            Some(kills) => kills.explain(exit.code, exit.core_dumped),
            None => argus_model::Death {
                core_dumped: exit.core_dumped,
                ..argus_model::Death::of_code(exit.code)
            },
        }
    }
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
            attached: HashMap::new(),
            succeeded: Vec::new(),
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
        if let Some(known) = self.attached.get(&pid) {
            let same = known.start_ticks == start_ticks;
            if same && self.watcher.watches(pid) {
                return;
            }
            if !same {
                // The pid has passed on, so the one who had it before is dead.
                let start_ticks = known.start_ticks;
                self.succeeded.push(Death {
                    pid,
                    start_ticks,
                    exit_code: None,
                    why: UNKNOWN,
                });
            }
            self.watcher.remove(pid);
        }
        let sampler = Sampler::attach_to(pid, start_ticks).ok();
        let watched = self.watcher.add(pid, start_ticks).is_ok();
        self.attached.insert(
            pid,
            Attached {
                start_ticks,
                watched,
                sampler,
                kills: None,
            },
        );
    }

    fn detach(&mut self, pid: u32, start_ticks: u64) {
        if self
            .attached
            .get(&pid)
            .is_some_and(|known| known.start_ticks == start_ticks)
        {
            self.watcher.remove(pid);
            self.attached.remove(&pid);
        }
    }

    fn deaths(&mut self) -> Vec<Death> {
        let mut deaths = std::mem::take(&mut self.succeeded);
        for (ended, exit) in self.watcher.poll(Duration::ZERO).unwrap_or_default() {
            if let Some(known) = self.attached.get(&ended.pid) {
                deaths.push(Death {
                    pid: ended.pid,
                    start_ticks: ended.start_ticks,
                    exit_code: exit.code,
                    why: known.explain(exit),
                });
            }
        }
        for (pid, known) in &mut self.attached {
            let ticks = || argus_spool::host::start_ticks(*pid);
            let gone = || ticks().is_ok_and(|ticks| ticks != Some(known.start_ticks));
            if !known.watched && gone() {
                known.watched = true;
                let start_ticks = known.start_ticks;
                deaths.push(Death {
                    pid: *pid,
                    start_ticks,
                    exit_code: None,
                    why: UNKNOWN,
                });
            }
        }
        deaths
    }

    fn sample(&mut self, pid: u32) -> Option<Reading> {
        let attached = self.attached.get_mut(&pid)?;
        let kills = attached.kills.get_or_insert_with(|| OomWatch::attach(pid));
        let reading = attached.sampler.as_mut()?.sample().ok().flatten()?;
        kills.renew(reading.at);
        Some(Reading {
            cpu_percent: reading.cpu_percent,
            rss_bytes: reading.rss_bytes,
            threads: reading.threads,
            measures: reading.measures,
        })
    }
}
