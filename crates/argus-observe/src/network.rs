//! What processes send and receive over TCP, seen from outside and without privileges.
//!
//! The kernel counts for every TCP socket what it has moved, and tells anybody who asks in the same
//! network namespace (`sock_diag(7)`). Which sockets are a process's own says `/proc/PID/fd`, to its
//! user and the superuser. One [`Network`] serves all processes that are watched:
//!
//! - Descriptors are listed when their number has changed or one of the process's connections has
//!   ended, and now and then besides; with many descriptors less often.
//! - A few known connections are asked for one by one; many, or new ones, by one walk over all of the
//!   machine's, whose cost is that of the kernel's table (0.2 to 0.5 ms on big machines), not of the
//!   number of processes.
//! - Connections that have ended are told by the kernel with their last counts, so that what moved
//!   after the last look is not lost. It tells them when it finds time to: at once on an idle machine,
//!   seconds later on one that is short of CPUs.
//!
//! Payload is counted, as it was handed over: what had to be sent again counts once, what the kernel
//! has received counts before the process reads it, and what is still queued for sending does not.
//!
//! What cannot be known, and is therefore not in the numbers:
//!
//! - UDP, and everything else that is not TCP: the kernel does not count it per socket.
//! - Sockets of another network namespace, and processes of other users: [`Unseen`].
//! - A connection that a process *made*, and that came and went between two looks: the kernel does not
//!   say whose it was. All such bytes of this network namespace are in [`Network::nobodys`]. One that
//!   was *accepted* is known by the port on which its process listens.
//! - The other side's end mark counts as a byte to the kernel, and is taken off where the connection
//!   was seen closing; of one that ended between two looks that is not told, so what was received may
//!   be one too high for each of these.
//!
//! What several processes share is counted once: for the one that was watched first, as long as it
//! holds it. Of several that listen on one port, what came and went between two looks is counted for
//! the one that was seen last with a connection of that port, else for the one watched last.

mod diag;
mod ends;
mod holders;
mod ledger;
mod link;

use std::collections::HashMap;
use std::io::{self, ErrorKind};
use std::path::PathBuf;
use std::time::Duration;

use argus_model::Monotonic;
use argus_model::measure::{Measure, Measures};

use crate::platform;
use crate::process::{self, Target};
use diag::{Seen, SocketId};
use holders::Descriptors;
use ledger::{Ledger, Since, Subject};
use link::Link;

/// Bytes over TCP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Traffic {
    /// Received by the kernel for the process.
    pub received: u64,
    /// Sent, each byte once.
    pub sent: u64,
}

/// The account of a process that has ended, as long as the ends of its connections may still be told.
/// It is closed by [`Network::close`].
#[derive(Debug)]
pub struct Departed(Subject);

/// Why nothing is known of what a process sends and receives.
#[derive(Debug, thiserror::Error)]
pub enum Unseen {
    /// Its descriptors may not be listed by this user.
    #[error("the sockets of process {0} may not be seen by this user")]
    NotPermitted(u32),
    /// Its sockets are told only within its own network namespace, a container's for instance.
    #[error("process {0} is in another network namespace")]
    OtherNamespace(u32),
    /// It has ended, or another process has its id.
    #[error("there is no process with id {0}")]
    NoSuchProcess(u32),
    /// The kernel did not answer, or no descriptor is left.
    #[error("the sockets of process {0} cannot be asked for")]
    Failed(u32, #[source] io::Error),
}

/// Whether the ends of connections are told, without which their last bytes are lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ends {
    /// All of them.
    Told,
    /// The kernel had no room for some, so often.
    Overrun(u64),
    /// Refused, for this reason.
    Refused(ErrorKind),
}

/// Whether it was time to look: not before the shortest time is over, and where looking is dear (with
/// ten thousand connections, it takes some ten milliseconds) not before it is one part in five hundred.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Looked {
    /// The numbers are those of this moment.
    Now,
    /// The numbers are those of the look before.
    NotYet,
}

/// The TCP traffic of watched processes of this network namespace.
#[derive(Debug)]
pub struct Network {
    link: Link,
    ends: io::Result<ends::Ends>,
    namespace: PathBuf,
    ledger: Ledger,
    watched: HashMap<u32, Watched>,
    every: Duration,
    looked: Option<Monotonic>,
    looks: u64,
    walked: Pace,
    overruns: u64,
    /// Some ends are not told, so what has ended must be found by its absence.
    misses_ends: bool,
}

#[derive(Debug)]
struct Watched {
    subject: Subject,
    descriptors: Descriptors,
    count: Option<u64>,
    listed: Pace,
    /// Its descriptors cannot be listed any more.
    is_blind: bool,
    before: Option<(Monotonic, Traffic)>,
    rates: Option<(f64, f64)>,
}

/// Without a visible reason, descriptors are listed with every so manieth look.
const LOOKS_WITHOUT_LISTING: u64 = 10;

/// What is dear may take one part in so many of all time.
const SHARE_OF_TIME: u32 = 500;

/// Room in the kernel for the ends of connections, about a kilobyte each.
const ROOM_FOR_ENDS: usize = 4 << 20;

/// What asking for one connection costs.
const ONE_CONNECTION: Duration = Duration::from_micros(3);

impl Network {
    /// Begins to be told of the ends of connections, by a thread that sleeps while none end. Three
    /// descriptors, and one a process. `every` is the shortest time between two looks.
    ///
    /// # Errors
    /// When the kernel (or a sandbox) has no socket diagnosis.
    pub fn open(every: Duration) -> io::Result<Self> {
        let mut link = Link::open()?;
        link.all()?;
        let ends = ends::Ends::hear(ROOM_FOR_ENDS);
        Ok(Self {
            misses_ends: ends.is_err(),
            link,
            ends,
            namespace: namespace_of("self")?,
            ledger: Ledger::default(),
            watched: HashMap::new(),
            every,
            looked: None,
            looks: 0,
            walked: Pace::default(),
            overruns: 0,
        })
    }

    /// Counts what `target` sends and receives from here on. Costs a listing of its descriptors, and
    /// a walk over all sockets if it has any that are not known from others.
    ///
    /// # Errors
    /// When nothing can be known of it; see [`Unseen`].
    pub fn watch(&mut self, target: &Target) -> Result<(), Unseen> {
        self.count(target, Since::Now)
    }

    /// Counts what `target` sends and receives from its birth on, which was seen: a connection that
    /// nobody watched has held before is its own from the first byte. Costs as much as
    /// [`Network::watch`].
    ///
    /// # Errors
    /// As [`Network::watch`].
    pub fn watch_newborn(&mut self, target: &Target) -> Result<(), Unseen> {
        self.count(target, Since::ItsBeginning)
    }

    fn count(&mut self, target: &Target, since: Since) -> Result<(), Unseen> {
        let pid = target.pid;
        let mut descriptors = Descriptors::open(pid).map_err(|error| unseen(pid, error))?;
        self.check_namespace(pid)?;
        let sockets = descriptors.tcp_sockets();
        let sockets = sockets.map_err(|error| unseen(pid, error))?;
        // The kept folder is of whoever had the id when it was opened; is that who is meant?
        let stat = process::look(pid)
            .map(|seen| seen.stat)
            .map_err(|error| unseen(pid, error))?;
        if stat.start_ticks != target.start_ticks || stat.has_ended() {
            return Err(Unseen::NoSuchProcess(pid));
        }
        self.leave(pid);
        let subject = self.ledger.watch();
        self.ledger.holds(subject, &sockets);
        // What a child has inherited is known already, if its parent is watched.
        if sockets.iter().any(|inode| !self.ledger.knows(*inode)) {
            let all = self
                .link
                .all()
                .map_err(|error| Unseen::Failed(pid, error))?;
            let own = all.iter().filter(|seen| sockets.contains(&seen.inode));
            own.for_each(|seen| self.ledger.seen(seen, since));
        }
        let watched = Watched {
            subject,
            count: descriptors.count(),
            descriptors,
            listed: Pace::default(),
            is_blind: false,
            before: None,
            rates: None,
        };
        self.watched.insert(pid, watched);
        Ok(())
    }

    /// Stops counting for the process with this id.
    pub fn leave(&mut self, pid: u32) {
        if let Some(watched) = self.watched.remove(&pid) {
            self.ledger.leave(watched.subject);
        }
    }

    /// The process with this id has ended. The kernel may tell the ends of its connections later, and
    /// with them what it moved last: until [`Network::is_settled`], its account goes on. `None` where
    /// nothing was known of it.
    pub fn ended(&mut self, pid: u32) -> Option<Departed> {
        let watched = self.watched.remove(&pid)?;
        if watched.is_blind {
            self.ledger.leave(watched.subject);
            return None;
        }
        self.ledger.departs(watched.subject);
        Some(Departed(watched.subject))
    }

    /// What a process that has ended moved, as far as it is known by now.
    pub fn last_traffic(&self, of: &Departed) -> Traffic {
        self.ledger.traffic(of.0)
    }

    /// Whether the ends of all its connections have been told, or none are told here.
    pub fn is_settled(&self, departed: &Departed) -> bool {
        self.ends.is_err() || !self.ledger.awaits_ends(departed.0)
    }

    /// Closes its account, settled or not.
    pub fn close(&mut self, Departed(subject): Departed) {
        self.ledger.leave(subject);
    }

    /// Looks at all watched processes, if it is time; counts in any case the connections that have
    /// ended, of which no more than twenty thousand are kept.
    ///
    /// # Errors
    /// When the kernel does not answer. The numbers stay as they are, and the next look may succeed.
    pub fn look(&mut self, now: Monotonic) -> io::Result<Looked> {
        self.hear_of_ends();
        let nearly = self.every / 10 * 9;
        if self.looked.is_some_and(|looked| now.since(looked) < nearly) {
            return Ok(Looked::NotYet);
        }
        self.refresh(now, Haste::Paced)
    }

    /// Looks whether it is time or not, and whatever it costs: when a process has ended, for its last
    /// numbers.
    ///
    /// # Errors
    /// As [`Network::look`].
    pub fn look_at_once(&mut self, now: Monotonic) -> io::Result<()> {
        self.hear_of_ends();
        self.refresh(now, Haste::AtOnce)?;
        Ok(())
    }

    fn refresh(&mut self, now: Monotonic, haste: Haste) -> io::Result<Looked> {
        self.looked = Some(now);
        self.looks += 1;
        self.list_descriptors(now, haste);
        let looked = self.ask(now, haste)?;
        if looked == Looked::Now {
            for watched in self.watched.values_mut() {
                watched.count_rates(now, self.ledger.traffic(watched.subject));
            }
        }
        Ok(looked)
    }

    /// What the process with this id has moved since it is watched; `None` if that is not known.
    pub fn traffic(&self, pid: u32) -> Option<Traffic> {
        let watched = self.watched.get(&pid).filter(|watched| !watched.is_blind)?;
        Some(self.ledger.traffic(watched.subject))
    }

    /// Puts totals and rates of the last look into `measures`, as far as they are known.
    pub fn tell(&self, pid: u32, measures: &mut Measures) {
        let Some(traffic) = self.traffic(pid) else {
            return;
        };
        measures.set_count(Measure::NetworkReceived, traffic.received);
        measures.set_count(Measure::NetworkSent, traffic.sent);
        if let Some((received, sent)) = self.watched.get(&pid).and_then(|watched| watched.rates) {
            measures.set(Measure::NetworkReceiveRate, received);
            measures.set(Measure::NetworkSendRate, sent);
        }
    }

    /// What ended connections of this network namespace moved that nobody was seen to hold.
    pub fn nobodys(&self) -> Traffic {
        self.ledger.nobodys()
    }

    /// Whether the ends of connections were told so far.
    pub fn ends(&self) -> Ends {
        match &self.ends {
            Err(error) => Ends::Refused(error.kind()),
            Ok(_) if self.overruns > 0 => Ends::Overrun(self.overruns),
            Ok(_) => Ends::Told,
        }
    }

    fn check_namespace(&self, pid: u32) -> Result<(), Unseen> {
        match namespace_of(&pid.to_string()) {
            Ok(its) if its == self.namespace => Ok(()),
            Ok(_) => Err(Unseen::OtherNamespace(pid)),
            Err(error) => Err(unseen(pid, error)),
        }
    }

    /// Counts the connections that have ended: a system call if there are none.
    pub fn hear_of_ends(&mut self) {
        let Ok(ends) = &self.ends else {
            return;
        };
        self.ledger.forget_listeners(platform::monotonic_now());
        let heard = ends.take();
        self.overruns += heard.overruns;
        self.misses_ends |= heard.overruns > 0;
        for seen in &heard.sockets {
            self.ledger.ended(seen);
        }
    }

    fn list_descriptors(&mut self, now: Monotonic, haste: Haste) {
        for (pid, watched) in &mut self.watched {
            let count = watched.descriptors.count();
            let its_turn = (self.looks + u64::from(*pid)).is_multiple_of(LOOKS_WITHOUT_LISTING);
            let has_changed = count.is_none() || count != watched.count;
            let has_lost = self.ledger.has_lost(watched.subject);
            if watched.is_blind
                || !(its_turn || has_changed || has_lost)
                || !watched.listed.is_due(now, haste)
            {
                continue;
            }
            let listed = watched
                .listed
                .time(now, || watched.descriptors.tcp_sockets());
            match listed {
                // It has ended. What it held is its own until whoever hears of its end says so.
                Ok(sockets) if sockets.is_empty() && has_ended(*pid) => {}
                Ok(sockets) => {
                    watched.count = count;
                    self.ledger.holds(watched.subject, &sockets);
                }
                Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                    watched.is_blind = true;
                }
                Err(_) => {}
            }
        }
    }

    fn ask(&mut self, now: Monotonic, haste: Haste) -> io::Result<Looked> {
        let known: Vec<SocketId> = self.ledger.connections().copied().collect();
        let one_by_one = ONE_CONNECTION * u32::try_from(known.len()).unwrap_or(u32::MAX);
        let is_cheaper = one_by_one <= self.walked.took;
        let has_walked = self.ledger.has_unknown() || !is_cheaper;
        let seen: Vec<Seen> = if has_walked {
            if !self.walked.is_due(now, haste) {
                return Ok(Looked::NotYet);
            }
            self.walked.time(now, || self.link.all())?
        } else if known.is_empty() {
            return Ok(Looked::Now);
        } else {
            self.link.some(&known)?
        };
        for seen in &seen {
            self.ledger.seen(seen, Since::ItsBeginning);
            // Looks at once may follow each other closely, and then see the same twice.
            if haste == Haste::Paced {
                self.ledger.sighted(seen);
            }
        }
        if has_walked && self.misses_ends {
            self.misses_ends = self.ends.is_err();
            let cookies = seen.iter().map(|seen| seen.id.cookie()).collect();
            self.ledger.forget_all_but(&cookies);
        }
        Ok(Looked::Now)
    }
}

impl Watched {
    fn count_rates(&mut self, now: Monotonic, traffic: Traffic) {
        if let Some((at, before)) = self.before.replace((now, traffic)) {
            let seconds = now.since(at).as_secs_f64();
            let moved = traffic.since(before);
            self.rates = (seconds > 0.0)
                .then(|| (moved.received as f64 / seconds, moved.sent as f64 / seconds));
        }
    }
}

impl Traffic {
    fn add(&mut self, other: Self) {
        self.received += other.received;
        self.sent += other.sent;
    }

    fn since(self, before: Self) -> Self {
        Self {
            received: self.received.saturating_sub(before.received),
            sent: self.sent.saturating_sub(before.sent),
        }
    }

    fn max(self, other: Self) -> Self {
        Self {
            received: self.received.max(other.received),
            sent: self.sent.max(other.sent),
        }
    }
}

impl Seen {
    /// What it moved, without the other side's end mark.
    fn payload(&self, end_received: bool) -> Traffic {
        let mark = u64::from(self.end_received || end_received);
        Traffic {
            received: self.traffic.received.saturating_sub(mark),
            sent: self.traffic.sent,
        }
    }
}

/// Whether what was dear the last time may wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Haste {
    Paced,
    AtOnce,
}

/// Keeps something dear from being done too often.
#[derive(Debug, Default)]
struct Pace {
    at: Option<Monotonic>,
    took: Duration,
}

impl Pace {
    fn is_due(&self, now: Monotonic, haste: Haste) -> bool {
        let rest = self.took * SHARE_OF_TIME;
        haste == Haste::AtOnce || self.at.is_none_or(|at| now.since(at) >= rest)
    }

    fn time<T>(&mut self, now: Monotonic, act: impl FnOnce() -> T) -> T {
        let begun = platform::monotonic_now();
        let done = act();
        self.took = platform::monotonic_now().since(begun);
        self.at = Some(now);
        done
    }
}

fn unseen(pid: u32, error: io::Error) -> Unseen {
    match error.kind() {
        ErrorKind::PermissionDenied => Unseen::NotPermitted(pid),
        ErrorKind::NotFound => Unseen::NoSuchProcess(pid),
        _ if error.raw_os_error() == Some(libc::ESRCH) => Unseen::NoSuchProcess(pid),
        _ => Unseen::Failed(pid, error),
    }
}

fn has_ended(pid: u32) -> bool {
    process::look(pid).map_or(true, |seen| seen.stat.has_ended())
}

/// Names a network namespace.
fn namespace_of(process: &str) -> io::Result<PathBuf> {
    std::fs::read_link(format!("/proc/{process}/ns/net"))
}
