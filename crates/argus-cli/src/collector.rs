//! `argus collector`: the one process that moves records from the spools into the store.
//!
//! It is started by whatever records and finds none; nobody has to start it by hand. A second one
//! sees the lock taken and leaves at once.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use argus_drain::elect::{Election, Lock};
use argus_drain::{Collector, CollectorError, Death, IdleExit, Observer, Options, Reading};
use argus_model::paths::DataDir;
use argus_observe::exit::Watcher;
use argus_observe::sample::Sampler;
use argus_spool::control::ControlPage;
use argus_spool::place;

use crate::exit::Exit;
use crate::failure::Refusal;
use crate::output;

/// How often the watching thread looks for new processes to watch.
const TAKE_UP_EVERY: Duration = Duration::from_millis(50);

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

enum Order {
    Watch { pid: u32, start_ticks: u64 },
    Leave { pid: u32 },
}

/// The observers of `argus-observe` as the collector's eyes: deaths are waited for in a thread of
/// their own, which wakes the collector.
struct Outside {
    orders: Sender<Order>,
    deaths: Receiver<Death>,
    samplers: Vec<(u32, Sampler)>,
}

impl Outside {
    fn new(control: ControlPage) -> Result<Self> {
        let watcher = Watcher::new().context("cannot watch processes")?;
        let (orders, taken) = channel();
        let (told, deaths) = channel();
        thread::Builder::new()
            .name("deaths".into())
            .spawn(move || await_deaths(watcher, &taken, &told, control))
            .context("cannot start a thread")?;
        Ok(Self {
            orders,
            deaths,
            samplers: Vec::new(),
        })
    }
}

/// Ends when the collector is gone, which drops the other ends of the channels.
fn await_deaths(
    mut watcher: Watcher,
    orders: &Receiver<Order>,
    told: &Sender<Death>,
    control: ControlPage,
) {
    let mut unwatched = Vec::new();
    loop {
        let mut news = false;
        loop {
            match orders.try_recv() {
                Ok(Order::Watch { pid, start_ticks }) => {
                    if watcher.add(pid, start_ticks).is_err() {
                        unwatched.push((pid, start_ticks));
                    }
                }
                Ok(Order::Leave { pid }) => {
                    watcher.remove(pid);
                    unwatched.retain(|(other, _)| *other != pid);
                }
                Err(std::sync::mpsc::TryRecvError::Empty) => break,
                Err(std::sync::mpsc::TryRecvError::Disconnected) => return,
            }
        }
        // One that could not be watched is dead already, or hidden from us: then the process table
        // tells its end.
        unwatched.retain(|(pid, start_ticks)| {
            let alive = argus_spool::host::start_ticks(*pid) == Some(*start_ticks);
            if !alive {
                news |= told
                    .send(Death {
                        pid: *pid,
                        exit_code: None,
                    })
                    .is_ok();
            }
            alive
        });
        for (pid, exit) in watcher.poll(TAKE_UP_EVERY).unwrap_or_default() {
            news |= told
                .send(Death {
                    pid,
                    exit_code: exit.code,
                })
                .is_ok();
        }
        if news {
            control.wake_collector();
        }
    }
}

impl Observer for Outside {
    fn attach(&mut self, pid: u32, start_ticks: u64) {
        if self.samplers.iter().any(|(known, _)| *known == pid) {
            return;
        }
        // The thread lives as long as the receiver of its deaths.
        let _ = self.orders.send(Order::Watch { pid, start_ticks });
        if let Ok(sampler) = Sampler::attach_to(pid, start_ticks) {
            self.samplers.push((pid, sampler));
        }
    }

    fn detach(&mut self, pid: u32) {
        let _ = self.orders.send(Order::Leave { pid });
        self.samplers.retain(|(known, _)| *known != pid);
    }

    fn deaths(&mut self) -> Vec<Death> {
        self.deaths.try_iter().collect()
    }

    fn sample(&mut self, pid: u32) -> Option<Reading> {
        let (_, sampler) = self.samplers.iter_mut().find(|(known, _)| *known == pid)?;
        let reading = sampler.sample().ok().flatten()?;
        Some(Reading {
            cpu_percent: reading.cpu_percent,
            rss_bytes: reading.rss_bytes,
            threads: reading.threads,
        })
    }
}
