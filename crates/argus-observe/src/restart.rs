//! Programs that come back: the same name, or the same command line, after the process had ended.
//!
//! A [`Program`] is what a process is meant to be recognised by; [`Restarts`] remembers the one that
//! is watched and for how long it has been down, judges the newborns that [`crate::births`] finds,
//! and says which of them is the program's return.
//!
//! A supervisor forks and then executes, so a newborn is compared when it is told (after it had time
//! to execute) and again whenever it becomes another program. A copy of a process that goes by the
//! program's name itself (a supervisor written in the same language) is not the program before it
//! has executed anything. A process that was there before, such as another instance, is no return.
//!
//! A program may be back before it has ended (a graceful restart): the successor then takes over at
//! the end, and the time down is zero. A child of the watched process, a worker with the same name,
//! is no successor, unless the watched one ended within [`LAUNCH`] of its beginning: then it has put
//! itself into the background, as daemons do.

use std::collections::VecDeque;
use std::time::Duration;

use argus_model::Monotonic;

use crate::births::{Birth, Interest, Newborn, Occasion, Parent};
use crate::process::{Instance, Target};

/// A process that ends this soon may have left the work to its child.
pub const LAUNCH: Duration = Duration::from_secs(1);

/// How many possible successors are remembered, the latest ones.
const MOST_RIVALS: usize = 64;

/// What a program is recognised by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Program {
    /// A name, as [`crate::process::find_by_name`] takes it.
    Named(String),
    /// Its whole command line.
    CommandLine(String),
}

impl Program {
    /// What this process is recognised by when it comes back and nobody gave a name: its command
    /// line, or its name when that is hidden.
    pub fn of(target: &Target) -> Self {
        if target.command_line.is_empty() {
            Self::Named(target.process_name.clone())
        } else {
            Self::CommandLine(target.command_line.clone())
        }
    }

    /// Whether this process runs it.
    pub fn is_run_by(&self, target: &Target) -> bool {
        match self {
            Self::Named(name) => target.is_named(name),
            Self::CommandLine(line) => target.command_line == *line,
        }
    }
}

/// A program is back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Return {
    /// The process that runs it now.
    pub target: Target,
    /// How long it was down.
    pub down: Duration,
}

/// Waits for one program to come back, again and again.
#[derive(Debug)]
pub struct Restarts {
    program: Program,
    /// The process that runs it, or ran it last.
    watched: Instance,
    began: Monotonic,
    down_since: Option<Monotonic>,
    rivals: VecDeque<Rival>,
}

/// A process with the program's name, or command line, besides the one that is watched.
#[derive(Debug, Clone)]
struct Rival {
    target: Target,
    at: Monotonic,
    kind: RivalKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RivalKind {
    /// It was started like the watched one.
    Successor,
    /// It descends from the watched one.
    Heir,
    /// It has not executed anything yet.
    Copy,
}

impl Restarts {
    /// Begins with the process that runs the program and when it was born or found.
    pub fn of(program: Program, target: &Target, began: Monotonic) -> Self {
        Self {
            program,
            watched: target.instance(),
            began,
            down_since: None,
            rivals: VecDeque::new(),
        }
    }

    /// Wants every newborn described: only then it is known whether it is the program.
    pub fn judge(&self, newborn: &Newborn) -> Interest {
        match newborn.occasion {
            Occasion::Birth | Occasion::Exec => Interest::Wanted,
            Occasion::Passed => Interest::None,
        }
    }

    /// Since when the program has been down; `None` while it runs.
    pub fn down_since(&self) -> Option<Monotonic> {
        self.down_since
    }

    /// Learns of a birth; whether it is the program's return. Telling of it again does no harm.
    pub fn born(&mut self, birth: &Birth) -> Option<Return> {
        let is_heir = self.is_ours(birth.parent);
        let kind = match (is_heir, birth.is_copy) {
            (true, _) => RivalKind::Heir,
            (false, true) => RivalKind::Copy,
            (false, false) => RivalKind::Successor,
        };
        self.meet(&birth.target, birth.at, kind)
    }

    /// Learns that a process became another program; whether this is the program's return.
    pub fn became(&mut self, target: &Target, now: Monotonic) -> Option<Return> {
        let kind = match self.take_rival(target.instance()) {
            Some(rival) if rival.kind == RivalKind::Heir => RivalKind::Heir,
            Some(_) | None => RivalKind::Successor,
        };
        self.meet(target, now, kind)
    }

    /// Learns that a process has ended; whether another one has taken its place already. Of the
    /// return itself, should it have ended before anybody could attach to it, this is told as well.
    pub fn ended(&mut self, instance: Instance, now: Monotonic) -> Option<Return> {
        if instance != self.watched {
            self.take_rival(instance);
            return None;
        }
        if self.down_since.is_some() {
            return None;
        }
        self.down_since = Some(now);
        let of_kind = |kind| self.rivals.iter().position(|rival| rival.kind == kind);
        let place = of_kind(RivalKind::Successor).or_else(|| {
            // Of a launcher's descendants the last one is the daemon.
            let heir = self.rivals.iter().rposition(|r| r.kind == RivalKind::Heir);
            heir.filter(|_| now.since(self.began) <= LAUNCH)
        })?;
        let rival = self.rivals.remove(place)?;
        Some(self.take_over(rival.target, rival.at))
    }

    fn meet(&mut self, target: &Target, at: Monotonic, kind: RivalKind) -> Option<Return> {
        if target.instance() == self.watched || !self.program.is_run_by(target) {
            return None;
        }
        let is_return = self.down_since.is_some_and(|since| match kind {
            RivalKind::Successor => true,
            RivalKind::Heir => since.since(self.began) <= LAUNCH,
            RivalKind::Copy => false,
        });
        if is_return {
            return Some(self.take_over(target.clone(), at));
        }
        self.take_rival(target.instance());
        if self.rivals.len() >= MOST_RIVALS {
            self.rivals.pop_front();
        }
        let target = target.clone();
        self.rivals.push_back(Rival { target, at, kind });
        None
    }

    fn take_over(&mut self, target: Target, at: Monotonic) -> Return {
        let down_since = self.down_since.take();
        self.watched = target.instance();
        self.began = at;
        self.rivals.retain(|rival| rival.kind != RivalKind::Heir);
        let down = down_since.map_or(Duration::ZERO, |since| at.since(since));
        Return { target, down }
    }

    /// Whether this is the watched process or one of its descendants that go by its name.
    fn is_ours(&self, parent: Parent) -> bool {
        let is_it = |instance: Instance| {
            let same_start = |start_ticks| start_ticks == instance.start_ticks;
            instance.pid == parent.pid && parent.start_ticks.is_none_or(same_start)
        };
        let mut heirs = self.rivals.iter().filter(|r| r.kind == RivalKind::Heir);
        is_it(self.watched) || heirs.any(|heir| is_it(heir.target.instance()))
    }

    fn take_rival(&mut self, instance: Instance) -> Option<Rival> {
        let is_it = |rival: &Rival| rival.target.instance() == instance;
        let place = self.rivals.iter().position(is_it)?;
        self.rivals.remove(place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::births::Origin;

    const SUPERVISOR: u32 = 10;

    fn at(millis: u64) -> Monotonic {
        Monotonic::from_nanos(millis * 1_000_000)
    }

    fn target(pid: u32, name: &str) -> Target {
        Target {
            pid,
            start_ticks: 1000 + u64::from(pid),
            process_name: name.split(' ').next().unwrap().into(),
            command_line: name.into(),
            exe: None,
        }
    }

    fn birth(pid: u32, name: &str, parent: u32, millis: u64) -> Birth {
        Birth {
            target: target(pid, name),
            parent: Parent {
                pid: parent,
                start_ticks: Some(1000 + u64::from(parent)),
                origin: Origin::Report,
            },
            is_copy: false,
            at: at(millis),
            pidfd: None,
        }
    }

    fn copy(pid: u32, name: &str, parent: u32, millis: u64) -> Birth {
        Birth {
            is_copy: true,
            ..birth(pid, name, parent, millis)
        }
    }

    /// The program `app`, watched as process 100 since 5 s.
    fn app() -> Restarts {
        Restarts::of(Program::Named("app".into()), &target(100, "app"), at(5000))
    }

    fn returned(back: Option<Return>) -> Option<(u32, u64)> {
        let back = back?;
        Some((
            back.target.pid,
            u64::try_from(back.down.as_millis()).unwrap(),
        ))
    }

    #[test]
    fn a_program_returns_and_the_time_it_was_down_is_told() {
        let mut app = app();
        assert_eq!(app.ended(target(100, "app").instance(), at(9000)), None);
        assert_eq!(app.down_since(), Some(at(9000)));
        assert_eq!(app.born(&birth(101, "other", SUPERVISOR, 9100)), None);
        let back = app.born(&birth(102, "app", SUPERVISOR, 9250));
        assert_eq!(returned(back), Some((102, 250)));
        assert_eq!(app.down_since(), None);
        let again = app.born(&birth(102, "app", SUPERVISOR, 9250));
        assert_eq!(again, None, "told twice");
        assert_eq!(app.ended(target(102, "app").instance(), at(19_000)), None);
        let back = app.born(&birth(103, "app", SUPERVISOR, 19_001));
        assert_eq!(returned(back), Some((103, 1)));
    }

    #[test]
    fn a_supervisors_copy_is_the_program_once_it_has_executed_it() {
        let mut app = app();
        app.ended(target(100, "app").instance(), at(9000));
        let forked = copy(101, "app --supervise", SUPERVISOR, 9010);
        assert_eq!(app.born(&forked), None);
        assert_eq!(app.became(&target(101, "sh"), at(9020)), None);
        let back = app.became(&target(101, "app"), at(9030));
        assert_eq!(returned(back), Some((101, 30)));
    }

    #[test]
    fn a_successor_that_is_there_before_the_end_takes_over_at_once() {
        let mut app = app();
        assert_eq!(app.born(&birth(101, "app", SUPERVISOR, 8000)), None);
        let back = app.ended(target(100, "app").instance(), at(9000));
        assert_eq!(returned(back), Some((101, 0)));
        let back = app.ended(target(101, "app").instance(), at(9001));
        assert_eq!(back, None, "it was gone when it was to be attached to");
        assert!(app.down_since().is_some());
    }

    #[test]
    fn a_worker_is_no_successor_and_a_daemon_of_a_launcher_is() {
        let mut app = app();
        assert_eq!(app.born(&copy(101, "app", 100, 5100)), None);
        assert_eq!(app.ended(target(100, "app").instance(), at(9000)), None);
        let launched = app.born(&birth(200, "app", SUPERVISOR, 9500));
        assert_eq!(returned(launched), Some((200, 500)));
        // It forks twice, and ends with the first child.
        assert_eq!(app.born(&copy(201, "app", 200, 9501)), None);
        assert_eq!(app.born(&copy(202, "app", 201, 9502)), None);
        assert_eq!(app.ended(target(201, "app").instance(), at(9503)), None);
        let back = app.ended(target(200, "app").instance(), at(9504));
        assert_eq!(returned(back), Some((202, 0)));
    }

    #[test]
    fn a_daemon_told_after_its_launchers_end_is_the_program_too() {
        let mut app = app();
        app.ended(target(100, "app").instance(), at(5200));
        let back = app.born(&copy(101, "app", 100, 5190));
        assert_eq!(returned(back), Some((101, 0)));
    }

    #[test]
    fn without_a_name_the_command_line_is_what_counts() {
        let program = Program::of(&target(100, "python3 a.py"));
        let mut app = Restarts::of(program, &target(100, "python3 a.py"), at(5000));
        app.ended(target(100, "python3 a.py").instance(), at(9000));
        assert_eq!(
            app.born(&birth(101, "python3 b.py", SUPERVISOR, 9100)),
            None
        );
        let back = app.born(&birth(102, "python3 a.py", SUPERVISOR, 9200));
        assert_eq!(returned(back), Some((102, 200)));
        let nameless = Target {
            command_line: String::new(),
            ..target(1, "app")
        };
        assert_eq!(Program::of(&nameless), Program::Named("app".into()));
    }

    #[test]
    fn the_possible_successors_are_bounded() {
        let mut app = app();
        for pid in 0..1000 {
            app.born(&birth(1000 + pid, "app", SUPERVISOR, 6000));
        }
        assert_eq!(app.rivals.len(), MOST_RIVALS);
    }
}
