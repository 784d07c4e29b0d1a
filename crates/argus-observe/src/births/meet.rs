//! From an id or a report to news: who it is, whether it is wanted, what it is called.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use argus_model::Monotonic;

use super::face::{Face, Inspected, inspect};
use super::lives::Life;
use super::{
    Birth, Births, Brief, Interest, LOOK_OFTEN, Means, Newborn, News, Occasion, Origin, Parent,
    SETTLE, later,
};
use crate::platform;
use crate::process::{self, Instance, Seen, Target};
use crate::stat::Stat;

/// An id is given away before its process is shown, by a maker that may be made to wait in between.
const SHOWN_WITHIN: Duration = Duration::from_millis(50);

/// How long after a process was found gone the report of its end may come.
const REPORTED_WITHIN: Duration = Duration::from_millis(100);

/// How many newborns are looked at in one look, and how many wanted ones, each with a descriptor,
/// may be held and told.
const MOST_LOOKED_AT: usize = 512;
const MOST_HELD: usize = 128;

/// How many of those told last are looked at again for an exec that nobody reports.
const MOST_YOUNG: usize = 1024;

/// The longest time between two of these looks, each twice as long as the one before.
const LAST_STEP: Duration = Duration::from_millis(640);

/// One look under way.
pub(super) struct Look<'a> {
    now: Monotonic,
    judge: &'a mut dyn FnMut(&Newborn) -> Interest,
    pub(super) news: Vec<News>,
}

/// A wanted newborn that may be about to become another program.
#[derive(Debug)]
pub(super) struct Held {
    birth: Birth,
    stat: Stat,
    face: Face,
    since: Monotonic,
}

/// A wanted one that was gone before anybody could look. That it is kin was decided when it was found
/// gone, lest its own children, who come next, be judged before it is.
#[derive(Debug)]
pub(super) struct Passing {
    brief: Brief,
    since: Monotonic,
}

impl Passing {
    /// Takes in the report of its end.
    fn ends(&mut self, end: Option<(Monotonic, i32)>) {
        self.brief.lifetime = end.map(|(at, _)| at.since(self.brief.at));
        self.brief.code = end.and_then(|(_, status)| platform::code_of(status));
    }
}

/// One that was told and may still become another program.
#[derive(Debug)]
pub(super) struct Young {
    instance: Instance,
    face: Face,
    due: Monotonic,
    step: Duration,
}

impl<'a> Look<'a> {
    pub(super) fn begin(now: Monotonic, judge: &'a mut dyn FnMut(&Newborn) -> Interest) -> Self {
        let news = Vec::new();
        Self { now, judge, news }
    }

    fn wants(&mut self, newborn: &Newborn) -> bool {
        (self.judge)(newborn) == Interest::Wanted
    }
}

impl Held {
    /// Takes in what it looks like now.
    fn see(&mut self, seen: Seen) {
        let face = Face::of(&seen);
        self.birth.is_copy &= face == self.face;
        self.face = face;
        self.stat = seen.stat;
    }
}

impl Births {
    pub(super) fn look_at_waiting(&mut self, look: &mut Look<'_>) {
        for _ in 0..MOST_LOOKED_AT {
            if self.held.len() + look.news.len() >= MOST_HELD {
                return;
            }
            let Some(life) = self.lives.take() else {
                return;
            };
            self.look_at(life, look.now, look);
        }
    }

    pub(super) fn look_again_at_absent(&mut self, look: &mut Look<'_>) {
        for (life, since) in std::mem::take(&mut self.absent) {
            self.look_at(life, since, look);
        }
    }

    /// Tells those whose end has been reported by now, and those for which nobody will.
    pub(super) fn look_again_at_passing(&mut self, look: &mut Look<'_>) {
        let ends = self.lives.take_ended();
        for mut passing in std::mem::take(&mut self.passing) {
            let Brief { instance, at, .. } = passing.brief;
            let is_its =
                |(pid, end, _): &&(u32, Monotonic, i32)| *pid == instance.pid && *end >= at;
            let end = ends
                .iter()
                .find(is_its)
                .map(|(_, end, status)| (*end, *status));
            if end.is_none() && look.now.since(passing.since) < REPORTED_WITHIN {
                self.passing.push(passing);
                continue;
            }
            passing.ends(end);
            look.news.push(News::Passed(passing.brief));
        }
    }

    /// Looks at what a report or an id told of, looked at first at `since`.
    fn look_at(&mut self, life: Life, since: Monotonic, look: &mut Look<'_>) {
        let inspected = if self.lives.is_taken_over(life.pid) {
            Inspected::Absent
        } else {
            inspect(life.pid)
        };
        match inspected {
            Inspected::Process { pidfd, seen } if seen.stat.start_ticks >= life.not_before => {
                self.meet(life, pidfd, seen, look);
            }
            Inspected::Process { .. } | Inspected::NotShown => {}
            Inspected::Absent => match life.at {
                None if look.now.since(since) < SHOWN_WITHIN => self.absent.push((life, since)),
                None => {}
                Some(at) => self.pass(life, at, look),
            },
        }
    }

    /// Has a process judged that nobody could look at, and tells it when its end was reported.
    fn pass(&mut self, life: Life, at: Monotonic, look: &mut Look<'_>) {
        let instance = Instance {
            pid: life.pid,
            start_ticks: ticks_at(at),
        };
        let parent = Parent {
            pid: life.maker.unwrap_or(0),
            start_ticks: None,
            origin: Origin::Report,
        };
        let newborn = Newborn {
            instance,
            name: String::new(),
            parent,
            group: 0,
            session: 0,
            occasion: Occasion::Passed,
        };
        if !look.wants(&newborn) {
            return;
        }
        let mut passing = Passing {
            brief: Brief {
                instance,
                parent,
                at,
                lifetime: None,
                code: None,
            },
            since: look.now,
        };
        passing.ends(life.end);
        match life.end {
            Some(_) => look.news.push(News::Passed(passing.brief)),
            None => self.passing.push(passing),
        }
    }

    /// Holds or tells a newborn that is wanted.
    fn meet(&mut self, life: Life, pidfd: Option<OwnedFd>, seen: Seen, look: &mut Look<'_>) {
        let parent = self.parent(life.maker, &seen);
        let newborn = newborn(life.pid, &seen, parent, Occasion::Birth);
        if !look.wants(&newborn) {
            return;
        }
        let face = Face::of(&seen);
        let model = self.face_of(parent);
        let may_be_copy = model.as_ref().is_none_or(|model| *model == face);
        let may_become = may_be_copy && !life.executed && !seen.stat.has_ended();
        let at = life.at.unwrap_or_else(|| born_at(seen.stat.start_ticks));
        let held = Held {
            birth: Birth {
                target: unnamed(newborn.instance, &seen.stat),
                parent,
                is_copy: !life.executed && model.is_some_and(|model| model == face),
                at,
                pidfd,
            },
            stat: seen.stat,
            face,
            since: look.now,
        };
        if may_become {
            self.held.push(held);
        } else {
            self.tell(held, look);
        }
    }

    /// Tells those that became another program, have ended, or had their time to.
    pub(super) fn look_again_at_held(&mut self, look: &mut Look<'_>) {
        for mut held in std::mem::take(&mut self.held) {
            let instance = held.birth.target.instance();
            let seen = look_at_same(instance);
            let has_time = look.now.since(held.since) < SETTLE;
            let is_same = |seen: &Seen| Face::of(seen) == held.face && !seen.stat.has_ended();
            if seen.as_ref().is_some_and(is_same) && has_time {
                self.held.push(held);
                continue;
            }
            if let Some(seen) = seen {
                held.see(seen);
            }
            self.tell(held, look);
        }
    }

    fn tell(&mut self, held: Held, look: &mut Look<'_>) {
        let mut birth = held.birth;
        birth.target = describe(birth.target.instance(), &held.stat);
        if self.means() == Means::Looks {
            if self.young.len() >= MOST_YOUNG {
                self.young.pop_front();
            }
            self.young.push_back(Young {
                instance: birth.target.instance(),
                face: held.face,
                due: later(look.now, LOOK_OFTEN),
                step: LOOK_OFTEN,
            });
        }
        look.news.push(News::Born(birth));
    }

    /// Looks at those of which an exec was reported.
    pub(super) fn look_at_executed(&mut self, look: &mut Look<'_>) {
        for pid in self.lives.take_executed() {
            let Ok(seen) = process::look(pid) else {
                continue;
            };
            let parent = self.parent(None, &seen);
            let newborn = newborn(pid, &seen, parent, Occasion::Exec);
            let is_held = |held: &Held| held.birth.target.instance() == newborn.instance;
            if let Some(place) = self.held.iter().position(is_held) {
                let mut held = self.held.swap_remove(place);
                held.see(seen);
                held.birth.is_copy = false;
                self.tell(held, look);
            } else if look.wants(&newborn) {
                let target = describe(newborn.instance, &seen.stat);
                look.news.push(News::Became(target));
            }
        }
    }

    /// Looks for execs that nobody reports.
    pub(super) fn look_again_at_young(&mut self, look: &mut Look<'_>) {
        let news = &mut look.news;
        let now = look.now;
        self.young.retain_mut(|young| {
            if now < young.due {
                return true;
            }
            let Some(seen) = look_at_same(young.instance) else {
                return false;
            };
            let face = Face::of(&seen);
            if face != young.face && !seen.stat.has_ended() {
                news.push(News::Became(describe(young.instance, &seen.stat)));
                young.face = face;
            }
            young.step = 2 * young.step;
            young.due = later(now, young.step);
            young.step <= LAST_STEP
        });
    }

    /// Looks at every process that was born at that time or later, in ticks since boot.
    pub(super) fn look_at_all(&mut self, since: u64, look: &mut Look<'_>) -> io::Result<()> {
        let mut found = Vec::new();
        for pid in process::processes()? {
            let Ok(seen) = process::look(pid) else {
                continue;
            };
            let start_ticks = seen.stat.start_ticks;
            let face = Face::of(&seen);
            self.parents.insert(pid, Some((start_ticks, face)));
            if start_ticks >= since {
                found.push((Instance { pid, start_ticks }, seen));
            }
        }
        found.sort_by_key(|(instance, _)| (instance.start_ticks, instance.pid));
        // A child born in the same tick as its parent may have a lower id.
        loop {
            let before = found.len();
            found.retain(|(instance, seen)| !self.meet_found(*instance, seen, look));
            if found.len() == before {
                return Ok(());
            }
        }
    }

    /// Tells a process found by chance, if it is wanted; whether it is.
    fn meet_found(&mut self, instance: Instance, seen: &Seen, look: &mut Look<'_>) -> bool {
        let parent = self.parent(None, seen);
        let is_held = |held: &Held| held.birth.target.instance() == instance;
        if self.held.iter().any(is_held)
            || !look.wants(&newborn(instance.pid, seen, parent, Occasion::Birth))
        {
            return false;
        }
        let Inspected::Process { pidfd, seen } = inspect(instance.pid) else {
            return true;
        };
        if seen.stat.start_ticks == instance.start_ticks {
            let held = Held {
                birth: Birth {
                    target: unnamed(instance, &seen.stat),
                    parent,
                    is_copy: self
                        .face_of(parent)
                        .is_some_and(|model| model == Face::of(&seen)),
                    at: born_at(instance.start_ticks),
                    pidfd,
                },
                face: Face::of(&seen),
                stat: seen.stat,
                since: look.now,
            };
            self.tell(held, look);
        }
        true
    }

    /// What a parent looked like when it was met in this look.
    fn face_of(&self, parent: Parent) -> Option<Face> {
        let (_, face) = self.parents.get(&parent.pid)?.as_ref()?;
        Some(face.clone())
    }

    /// The parent: the one that made it, else the one that it has.
    fn parent(&mut self, maker: Option<u32>, child: &Seen) -> Parent {
        let pid = maker.unwrap_or(child.kin.parent);
        let look = || {
            let seen = process::look(pid).ok()?;
            Some((seen.stat.start_ticks, Face::of(&seen)))
        };
        let known = self.parents.entry(pid).or_insert_with(look);
        let start_ticks = known.as_ref().map(|(start_ticks, _)| *start_ticks);
        Parent {
            pid,
            // One that began after its child is another process with its id.
            start_ticks: start_ticks.filter(|start| *start <= child.stat.start_ticks),
            origin: match maker {
                Some(_) => Origin::Report,
                None => Origin::Look,
            },
        }
    }
}

fn newborn(pid: u32, seen: &Seen, parent: Parent, occasion: Occasion) -> Newborn {
    Newborn {
        instance: Instance {
            pid,
            start_ticks: seen.stat.start_ticks,
        },
        name: seen.stat.name.clone(),
        parent,
        group: seen.kin.group,
        session: seen.kin.session,
        occasion,
    }
}

/// `None` once it is gone, whoever has its id then.
fn look_at_same(instance: Instance) -> Option<Seen> {
    let seen = process::look(instance.pid).ok()?;
    (seen.stat.start_ticks == instance.start_ticks).then_some(seen)
}

/// Describes it as it is called now, or, when it is gone, by what was seen of it.
fn describe(instance: Instance, stat: &Stat) -> Target {
    let target = process::describe(instance.pid, stat);
    // What was read belongs to it if it was still there afterwards.
    match look_at_same(instance) {
        Some(_) => target,
        None => unnamed(instance, stat),
    }
}

fn unnamed(instance: Instance, stat: &Stat) -> Target {
    Target {
        pid: instance.pid,
        start_ticks: instance.start_ticks,
        process_name: stat.name.clone(),
        command_line: String::new(),
        exe: None,
    }
}

/// When a process began, at most a tick too early or too late. Both clocks are read here, side by
/// side: a look may have begun a long time ago.
pub(super) fn born_at(start_ticks: u64) -> Monotonic {
    let age = platform::ticks_now().saturating_sub(start_ticks);
    let age = age.saturating_mul(1_000_000_000 / platform::ticks_per_second());
    Monotonic::from_nanos(platform::monotonic_now().nanos().saturating_sub(age))
}

/// The start time of a process whose birth was reported, as exactly as [`born_at`].
fn ticks_at(at: Monotonic) -> u64 {
    let age = platform::monotonic_now().since(at).as_millis();
    let age = age * u128::from(platform::ticks_per_second()) / 1000;
    platform::ticks_now().saturating_sub(u64::try_from(age).unwrap_or(0))
}
