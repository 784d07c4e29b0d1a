//! New processes, discovered cheaply: children as they are born, programs as they come back.
//!
//! Two sources, the better one that is permitted ([`Births::open`]):
//!
//! - **reports** of the kernel ([`Means::Reports`]; the superuser, since Linux 6.6 everybody, in the
//!   machine's first namespaces): every fork with its maker, every exec, every exit. Nothing is
//!   missed; when the kernel had to drop reports, that is told ([`News::Lost`]) and `/proc` is read
//!   once instead.
//! - **looks** ([`Means::Looks`]; anybody, anywhere): the id given away last is read every
//!   [`LOOK_OFTEN`], every [`LOOK_SELDOM`] when nothing was born for a while. When it moved, exactly
//!   the new ids are looked at. A process that was alive, or ended and not yet collected by its
//!   parent, during a look is found; a briefer life may be missed.
//!
//! The caller judges every newborn before anything dear is done about it ([`Newborn`] to
//! [`Interest`]). One that is wanted is told as soon as it can be described: a fork has its maker's
//! name until it executes its own program, so it is given [`SETTLE`] for that. Its pidfd is opened
//! when it is found, so that its exit code can be had however short its life is
//! ([`crate::exit::Watcher::adopt`]).
//!
//! What is not known here: of looks, who made a process whose maker has ended meanwhile (its parent
//! is then whoever adopts orphans), and an exec later than a second or so after the birth. Of reports,
//! the name of a process that was gone before anybody could look ([`News::Passed`]).

mod connector;
mod face;
mod last_pid;
mod lives;
mod meet;
mod news;

use std::collections::{HashMap, VecDeque};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use argus_model::Monotonic;

use crate::platform;
use crate::process::Instance;
use connector::Connector;
use face::Face;
use last_pid::{Given, LastPid};
use lives::{Life, Lives};
use meet::{Held, Look, Passing, Young};

pub use news::{Birth, Brief, Interest, Newborn, News, Occasion, Origin, Parent};

/// How often a look is taken while processes are born.
pub const LOOK_OFTEN: Duration = Duration::from_millis(10);

/// How often a look is taken when none was born for a second.
pub const LOOK_SELDOM: Duration = Duration::from_millis(20);

/// How long a newborn may take to become another program before it is told as what it is.
pub const SETTLE: Duration = Duration::from_millis(20);

/// How long after reports were read the next are, so that a storm of forks does not wake us for each
/// of them.
const REST: Duration = Duration::from_millis(5);

/// How long none must have been born before looks are taken seldom.
const QUIET: Duration = Duration::from_secs(1);

/// Reports read in one look, and lives that may wait to be looked at.
const MOST_REPORTS: usize = 4096;

/// Start times that were not read from `/proc` are compared with this much doubt, in ticks.
pub(crate) const TICKS_OF_DOUBT: u64 = 2;

/// Where births are learnt from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Means {
    /// The kernel reports them.
    Reports,
    /// They are looked for.
    Looks,
}

/// What to wait for before the next [`Births::look`].
#[derive(Debug)]
pub struct Wait<'a> {
    /// Until this polls readable; `None` while only the time counts.
    pub descriptor: Option<BorrowedFd<'a>>,
    /// At the latest until then; `None` for as long as it takes.
    pub until: Option<Monotonic>,
}

/// Discovers new processes.
#[derive(Debug)]
pub struct Births {
    source: Source,
    /// Whether the last look read reports, so that more may come at once.
    is_busy: bool,
    /// What was born before this, in ticks since boot, was learnt of.
    complete_until: u64,
    looked_at: Monotonic,
    last_birth: Monotonic,
    lives: Lives,
    /// Given away, and not shown by `/proc`: not yet, or no more.
    absent: Vec<(Life, Monotonic)>,
    /// Wanted, gone, and without a report of their end so far.
    passing: Vec<Passing>,
    held: Vec<Held>,
    young: VecDeque<Young>,
    /// Start time and face of the parents met in this look.
    parents: HashMap<u32, Option<(u64, Face)>>,
}

#[derive(Debug)]
enum Source {
    Reports(Connector),
    Looks(LastPid),
}

/// How much of what was born since the last look is known of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Learnt {
    All,
    Partly,
}

impl Births {
    /// Begins with what is born from now on, by reports where they are permitted.
    ///
    /// # Errors
    /// Without a `/proc`, or when the process is out of descriptors.
    pub fn open(now: Monotonic) -> io::Result<Self> {
        match Connector::open() {
            Some(connector) => Ok(Self::with(Source::Reports(connector), now)),
            None => Self::open_looks(now),
        }
    }

    /// Begins with what is born from now on, by looks even where reports are permitted.
    ///
    /// # Errors
    /// As [`Births::open`].
    pub fn open_looks(now: Monotonic) -> io::Result<Self> {
        Ok(Self::with(Source::Looks(LastPid::open(now)?), now))
    }

    fn with(source: Source, now: Monotonic) -> Self {
        Self {
            source,
            is_busy: false,
            complete_until: platform::ticks_now(),
            looked_at: now,
            last_birth: now,
            lives: Lives::default(),
            absent: Vec::new(),
            passing: Vec::new(),
            held: Vec::new(),
            young: VecDeque::new(),
            parents: HashMap::new(),
        }
    }

    /// Where births are learnt from.
    pub fn means(&self) -> Means {
        match self.source {
            Source::Reports(_) => Means::Reports,
            Source::Looks(_) => Means::Looks,
        }
    }

    /// What to wait for before the next look. A look at any other time does no harm.
    pub fn wait(&self) -> Wait<'_> {
        let after = |pause: Duration| Some(later(self.looked_at, pause));
        let is_settled = self.held.is_empty() && self.absent.is_empty() && self.passing.is_empty();
        let (descriptor, until) = match &self.source {
            _ if self.lives.len() > 0 => (None, Some(self.looked_at)),
            Source::Reports(_) if self.is_busy => (None, after(REST)),
            Source::Reports(connector) if is_settled => (Some(connector.as_fd()), None),
            Source::Reports(connector) => (Some(connector.as_fd()), after(LOOK_OFTEN)),
            Source::Looks(_) => {
                let is_quiet = is_settled && self.looked_at.since(self.last_birth) > QUIET;
                let pause = if is_quiet { LOOK_SELDOM } else { LOOK_OFTEN };
                (None, after(pause))
            }
        };
        Wait { descriptor, until }
    }

    /// Whether a process that [`Births::look`] has learnt of may still be told: it waits to be looked
    /// at, to settle, or for the report of its end.
    pub fn owes_news(&self) -> bool {
        self.lives.len() > 0 || !self.held.is_empty() || !self.passing.is_empty()
    }

    /// How a process ended, if that was reported: exit code, or −N when signal N killed it. For ends of
    /// which [`crate::exit`] gives no code, as before Linux 6.15 it often cannot; the report is that of
    /// the first thread, which is wrong for a program whose first thread ended before the others.
    /// The last few thousand ends of the machine are remembered, those read by [`Births::look`].
    pub fn reported_code(&self, instance: Instance) -> Option<i32> {
        let born = instance.start_ticks.saturating_sub(TICKS_OF_DOUBT);
        let born = meet::born_at(born);
        platform::code_of(self.lives.end_after(instance.pid, born)?)
    }

    /// Learns of what was born since the last look, and tells what `judge` wants. Of one process
    /// `judge` may be asked several times.
    ///
    /// Costs less than 2 µs when nothing was born, about 25 µs for each newborn, and as much again to
    /// describe one that is wanted. Holds at most a few hundred descriptors however many there are: what is left
    /// is looked at the next time, which [`Births::wait`] then gives as now.
    ///
    /// # Errors
    /// When neither reports nor `/proc` can be read any more.
    pub fn look(
        &mut self,
        now: Monotonic,
        mut judge: impl FnMut(&Newborn) -> Interest,
    ) -> io::Result<Vec<News>> {
        let mut look = Look::begin(now, &mut judge);
        self.parents.clear();
        self.looked_at = now;
        let complete_until = self.complete_until.saturating_sub(TICKS_OF_DOUBT);
        if self.learn(now)? == Learnt::Partly {
            if self.means() == Means::Reports {
                look.news.push(News::Lost);
            }
            self.look_at_all(complete_until, &mut look)?;
        }
        self.look_again_at_held(&mut look);
        self.look_again_at_passing(&mut look);
        self.look_again_at_absent(&mut look);
        self.look_at_waiting(&mut look);
        self.look_at_executed(&mut look);
        self.look_again_at_young(&mut look);
        Ok(look.news)
    }

    /// Tells of the processes that are there already, parents before their children: about 15 µs
    /// each. To miss none, begin to learn of births first and scan then.
    ///
    /// # Errors
    /// Without a `/proc`.
    pub fn scan(
        &mut self,
        now: Monotonic,
        mut judge: impl FnMut(&Newborn) -> Interest,
    ) -> io::Result<Vec<News>> {
        let mut look = Look::begin(now, &mut judge);
        self.parents.clear();
        self.look_at_all(0, &mut look)?;
        Ok(look.news)
    }

    /// Fills the queue of those to look at.
    fn learn(&mut self, now: Monotonic) -> io::Result<Learnt> {
        if self.lives.len() > MOST_REPORTS {
            return Ok(Learnt::All); // First come, first served; the kernel holds the rest.
        }
        let until = platform::ticks_now();
        let learnt = match &mut self.source {
            Source::Reports(connector) => {
                let lives = &mut self.lives;
                match connector.receive(MOST_REPORTS, |event| lives.hear(event)) {
                    Ok(received) => {
                        self.is_busy = received.count > 0;
                        if received.lost {
                            Learnt::Partly
                        } else {
                            Learnt::All
                        }
                    }
                    Err(_) => {
                        self.source = Source::Looks(LastPid::open(now)?);
                        Learnt::Partly
                    }
                }
            }
            Source::Looks(last_pid) => match last_pid.look(now)? {
                (Given::Many, _) => Learnt::Partly,
                (Given::Ids(ids), not_before) => {
                    let not_before = not_before.saturating_sub(TICKS_OF_DOUBT);
                    for pid in ids {
                        self.lives.push(Life {
                            not_before,
                            ..Life::of(pid)
                        });
                    }
                    Learnt::All
                }
            },
        };
        self.complete_until = until;
        if self.lives.len() > 0 || learnt == Learnt::Partly {
            self.last_birth = now;
        }
        Ok(learnt)
    }
}

fn later(moment: Monotonic, pause: Duration) -> Monotonic {
    let pause = u64::try_from(pause.as_nanos()).unwrap_or(u64::MAX);
    Monotonic::from_nanos(moment.nanos().saturating_add(pause))
}
