//! The loop of gaze: measures every process when it is due, hears of every birth and end, and waits.
//!
//! One thread does it for all processes. Those of the same interval are measured together, so that
//! fifty processes cost one awakening and not fifty. Log files have threads of their own
//! ([`logs`](super::logs)).

mod children;
mod late;
mod roots;

use std::collections::BTreeMap;
use std::os::fd::{AsFd, BorrowedFd};
use std::thread::Scope;
use std::time::Duration;

use anyhow::Result;
use argus_model::Monotonic;
use argus_observe::alarm::Commands;
use argus_observe::births::Births;
use argus_observe::exit::{Exit, Watcher};
use argus_observe::family::Family;
use argus_observe::network::Network;
use argus_observe::platform;
use argus_observe::process::Instance;
use argus_observe::wake::{wait_any, wait_for};

use super::console::{self, Ending};
use super::desk::Desk;
use super::recorder::Subject;
use super::watched::{self, DETAILS_EVERY, Round, Watched};
use late::Late;
use roots::Root;
pub(super) use roots::RootId;

/// How long commands that alerts have started may still run when everything else is over.
const LAST_COMMANDS: Duration = Duration::from_secs(5);
/// Living descendants that are watched at most.
const MOST_MEMBERS: usize = 16_384;

/// How much was recorded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) processes: u64,
    pub(super) samples: u64,
    pub(super) lines: u64,
}

impl Tally {
    pub(super) fn add(&mut self, subject: &Subject) {
        self.samples += subject.samples();
        self.lines += subject.lines();
    }
}

/// What somebody outside wants of the loop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Call {
    /// To end.
    Stop,
    /// To read its configuration again.
    Reload,
}

/// Why the loop has returned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pause {
    /// There is nothing more to watch, or it was told to end.
    Ended(Ending),
    /// It was told to read its configuration again, and goes on when [`Engine::run`] is called.
    Reload,
}

/// The processes that are watched, and what watches them.
pub(super) struct Engine<'scope, 'env> {
    scope: &'scope Scope<'scope, 'env>,
    desk: Desk<'scope>,
    exits: Watcher,
    births: Option<Births>,
    family: Family,
    network: Option<Network>,
    roots: BTreeMap<RootId, Root<'scope>>,
    watched: Vec<Watched>,
    /// Those that have ended, while some of their bytes are still to be told.
    late: Vec<Late>,
    /// Measurements lie whole intervals from here.
    grid: Monotonic,
    tally: Tally,
    /// What alerts of processes that have ended have started.
    commands: Vec<Commands>,
    /// The last program that ended, of those watched for themselves, and how.
    last: Option<(u32, Exit)>,
    /// Goes on when there is nothing to watch: the configuration may change.
    is_service: bool,
}

impl<'scope, 'env> Engine<'scope, 'env> {
    /// Watches nothing yet. Measurements will lie whole intervals from `grid`.
    ///
    /// # Errors
    /// When the process is out of descriptors.
    pub(super) fn new(
        scope: &'scope Scope<'scope, 'env>,
        desk: Desk<'scope>,
        grid: Monotonic,
        is_service: bool,
    ) -> Result<Self> {
        let network = Network::open(DETAILS_EVERY);
        if let Err(error) = &network {
            console::warn(&format!("network traffic is not known here: {error}"));
        }
        Ok(Self {
            scope,
            desk,
            exits: Watcher::new()?,
            births: None,
            family: Family::new(MOST_MEMBERS),
            network: network.ok(),
            roots: BTreeMap::new(),
            watched: Vec::new(),
            late: Vec::new(),
            grid,
            tally: Tally::default(),
            commands: Vec::new(),
            last: None,
            is_service,
        })
    }

    /// Watches until there is nothing more to watch, `calls` has a call (its descriptor is
    /// `called`), or nobody reads our output.
    pub(super) fn run(
        &mut self,
        called: BorrowedFd<'_>,
        mut calls: impl FnMut() -> Option<Call>,
    ) -> Result<Pause> {
        loop {
            self.hear_of_ends()?;
            self.hear_the_last();
            if !self.is_service && !self.awaits_returns() && self.is_over()? {
                let ending = match self.tally.processes {
                    1 => Ending::Terminated(self.last.and_then(|(_, exit)| exit.code)),
                    count => Ending::AllTerminated(count),
                };
                return Ok(Pause::Ended(ending));
            }
            let [is_closed] = wait_any([self.desk.console.closed()], Some(Duration::ZERO))?;
            match calls() {
                Some(Call::Reload) => return Ok(Pause::Reload),
                Some(Call::Stop) => return Ok(Pause::Ended(Ending::Stopped)),
                None if is_closed => return Ok(Pause::Ended(Ending::Stopped)),
                None => {}
            }
            self.hear_of_births()?;
            self.work();
            self.desk.console.release();
            self.wait(called)?;
        }
    }

    /// Does what is due for every process.
    fn work(&mut self) {
        let now = platform::monotonic_now();
        if let Some(network) = &mut self.network
            && self.watched.iter().any(|process| process.is_due(now))
        {
            // It may succeed the next time; until then the numbers are those of before.
            let _ = network.look(now);
        }
        let round = Round {
            grid: self.grid,
            now,
            network: self.network.as_ref(),
            desk: self.desk,
        };
        for process in &mut self.watched {
            process.work(&round);
        }
        for commands in &mut self.commands {
            watched::collect(commands, now);
        }
        self.commands
            .retain(|commands| commands.next_due().is_some());
    }

    /// Waits until there is something to do.
    fn wait(&self, called: BorrowedFd<'_>) -> Result<()> {
        let mut waited = vec![called, self.desk.console.closed()];
        waited.extend(self.watched.iter().flat_map(Watched::descriptors));
        waited.extend(self.commands.iter().map(AsFd::as_fd));
        let born = self.births.as_ref().map(Births::wait);
        let now = platform::monotonic_now();
        let due = self.watched.iter().filter_map(Watched::due);
        let due = due.chain(self.commands.iter().filter_map(Commands::next_due));
        let due = due.chain(self.late.iter().map(Late::due));
        let due = due.chain(born.as_ref().and_then(|born| born.until)).min();
        let mut timeout = due.map(|due| due.since(now));
        waited.extend(born.and_then(|born| born.descriptor));
        match self.exits.look_again() {
            // Its descriptor stays readable while an exit code is being learnt.
            Some(look_again) => {
                timeout = Some(timeout.map_or(look_again, |timeout| timeout.min(look_again)));
            }
            None => waited.push(self.exits.as_fd()),
        }
        Ok(wait_for(&waited, timeout)?)
    }

    /// How many processes are watched now.
    pub(super) fn living(&self) -> usize {
        self.watched.len()
    }

    /// Closes the accounts of those that have ended.
    fn hear_of_ends(&mut self) -> Result<()> {
        let exits = self.exits.poll(Duration::ZERO)?;
        if exits.iter().any(|(_, exit)| exit.code.is_none()) {
            // The reports that know the code have been made, and may not have been read.
            self.look_for_births(platform::monotonic_now())?;
        }
        for (instance, exit) in exits {
            self.bury(instance, exit);
        }
        Ok(())
    }

    /// Whether nobody is left to watch: neither one that is watched, nor one born to it before it
    /// ended.
    fn is_over(&mut self) -> Result<bool> {
        if !self.watched.is_empty() {
            return Ok(false);
        }
        self.look_for_births(platform::monotonic_now())?;
        let owes_news = self.births.as_ref().is_some_and(Births::owes_news);
        Ok(self.watched.is_empty() && self.late.is_empty() && !owes_news)
    }

    /// Closes the account of a process that has ended.
    fn bury(&mut self, instance: Instance, exit: Exit) {
        let now = platform::monotonic_now();
        self.family.ended(instance);
        let exit = self.with_report(exit, instance);
        let is_it = |process: &Watched| process.target.instance() == instance;
        let Some(place) = self.watched.iter().position(is_it) else {
            return;
        };
        let mut process = self.watched.swap_remove(place);
        self.tell_traffic(&process, now);
        process.bury(exit, now, self.desk);
        self.tally.processes += 1;
        if process.role.parent.is_none() {
            self.last = Some((instance.pid, exit));
            self.root_has_ended(&process, now);
        } else {
            self.tally.add(&process.subject);
        }
        self.commands.extend(process.into_commands());
    }

    /// An end with the code that was reported to whoever may hear of births, where nobody else was
    /// told one.
    fn with_report(&self, exit: Exit, instance: Instance) -> Exit {
        let births = self.births.as_ref();
        let reported = || births.and_then(|births| births.reported_code(instance));
        Exit {
            code: exit.code.or_else(reported),
            ..exit
        }
    }

    /// The process that ended last, if it ended badly.
    pub(super) fn last_victim(&self) -> Option<u32> {
        let (pid, exit) = self.last?;
        (exit.code != Some(0)).then_some(pid)
    }

    /// Closes all accounts: what was recorded.
    pub(super) fn finish(mut self) -> Tally {
        self.hear_no_more();
        let ids: Vec<_> = self.roots.keys().copied().collect();
        for id in ids {
            self.remove(id);
        }
        self.finish_commands();
        self.tally
    }

    /// Gives the commands of the last alerts the time to end by themselves.
    fn finish_commands(&mut self) {
        let deadline = platform::monotonic_now().plus(LAST_COMMANDS);
        for mut commands in std::mem::take(&mut self.commands) {
            while let Some(due) = commands.next_due() {
                let now = platform::monotonic_now();
                let timeout = due.min(deadline).since(now);
                if now >= deadline || wait_any([commands.as_fd()], Some(timeout)).is_err() {
                    break;
                }
                watched::collect(&mut commands, platform::monotonic_now());
            }
        }
    }
}
