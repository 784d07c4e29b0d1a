//! What is born below the watched programs, and what comes back.

use std::os::fd::OwnedFd;

use anyhow::Result;
use argus_model::Monotonic;
use argus_observe::births::{Birth, Births, Brief, Interest, Newborn, News, Occasion, Wait};
use argus_observe::exit::Exit;
use argus_observe::family::Member;
use argus_observe::platform;
use argus_observe::process::{Instance, Target};

use super::Engine;
use super::roots::State;
use crate::gaze::AppName;
use crate::gaze::console;
use crate::gaze::plan::Whom;
use crate::gaze::recorder::{Event, Parent, Subject};
use crate::gaze::watched::{Role, Watched};

/// The end of a process that nobody was told of in time.
const UNTOLD: Exit = Exit {
    code: None,
    core_dumped: None,
};

impl Engine<'_, '_> {
    /// Takes in what was born, and what became another program.
    pub(super) fn hear_of_births(&mut self) -> Result<()> {
        let now = platform::monotonic_now();
        let wait = self.births.as_ref().map(Births::wait);
        let is_due = |wait: Wait<'_>| {
            wait.descriptor.is_some() || wait.until.is_none_or(|until| until <= now)
        };
        match wait.is_some_and(is_due) {
            true => self.look_for_births(now),
            false => Ok(()),
        }
    }

    /// As [`Engine::hear_of_births`], due or not.
    pub(super) fn look_for_births(&mut self, now: Monotonic) -> Result<()> {
        let Some(births) = &mut self.births else {
            return Ok(());
        };
        let (family, roots) = (&mut self.family, &self.roots);
        let follows = roots.values().any(|root| root.plan.follow_restarts);
        let judge = |newborn: &Newborn| match follows && newborn.occasion != Occasion::Passed {
            // Whether it is a program's return is known when it can be described.
            true => family.judge(newborn).or(Interest::Wanted),
            false => family.judge(newborn),
        };
        let news = births.look(now, judge)?;
        self.take_news(news);
        Ok(())
    }

    /// Adopts the children that the watched programs have already.
    pub(super) fn find_children(&mut self) -> Result<()> {
        let follows = self.roots.values().any(|root| root.plan.follow_children);
        let Some(births) = self.births.as_mut().filter(|_| follows) else {
            return Ok(());
        };
        let now = platform::monotonic_now();
        let family = &mut self.family;
        let news = births.scan(now, |newborn| family.judge(newborn))?;
        self.take_news(news);
        Ok(())
    }

    fn take_news(&mut self, news: Vec<News>) {
        for one in news {
            match one {
                News::Born(birth) => self.born(birth),
                News::Became(target) => self.became(target),
                News::Passed(brief) => self.passed(&brief),
                News::Lost => console::warn(
                    "the kernel had more births to tell than it keeps: children that have ended \
                     already may be missing",
                ),
            }
        }
    }

    fn born(&mut self, birth: Birth) {
        let instance = birth.target.instance();
        let mut back = None;
        for (id, root) in &mut self.roots {
            let restarts = root.restarts.as_mut();
            if let Some(it) = restarts.and_then(|restarts| restarts.born(&birth)) {
                back = Some((*id, it.target, Some(it.down)));
            } else if root.state == State::NotYet && root.awaits() {
                let meant = is_meant(&root.plan.whom, &birth.target);
                back = meant.then(|| (*id, birth.target.clone(), None)).or(back);
            }
        }
        if let Some((role, true)) = self.role_of(instance) {
            self.take_in(birth.target, role, birth.at, birth.pidfd);
        }
        if let Some((id, target, down)) = back {
            self.has_come(id, target, down);
        }
    }

    /// Whose child a member of the family is, and whether its plan follows children.
    fn role_of(&self, instance: Instance) -> Option<(Role, bool)> {
        let member: &Member = self.family.member(instance)?;
        let parent = member.parent?;
        let root = |process: &&Watched| process.target.instance() == member.root;
        // Its root may have ended before it.
        let id = match self.watched.iter().find(root) {
            Some(process) => process.role.root,
            None => self.id_of_run(member.root)?,
        };
        let parent = Parent {
            pid: parent.pid,
            start_ticks: parent.start_ticks,
        };
        let role = Role {
            root: id,
            parent: Some(parent),
        };
        Some((role, self.roots.get(&id)?.plan.follow_children))
    }

    fn take_in(&mut self, target: Target, role: Role, at: Monotonic, pidfd: Option<OwnedFd>) {
        let Some(root) = self.roots.get(&role.root) else {
            return;
        };
        let instance = target.instance();
        let now = platform::monotonic_now();
        let mut process = match Watched::expect(target, &root.plan, role, now) {
            Ok(process) => process,
            Err(error) => {
                console::warn(&format!("child {} is not watched: {error:#}", instance.pid));
                return;
            }
        };
        process.label = self.label(&process);
        process.is_born(at, self.desk);
        match self.exits.adopt(instance, pidfd) {
            Ok(()) => {
                self.count_traffic(&process.target, at);
                self.watched.push(process);
            }
            // It has ended, and nobody can say how, unless that was reported.
            Err(_) => {
                let exit = self.with_report(UNTOLD, instance);
                process.bury(exit, now, self.desk);
                self.tally.processes += 1;
                self.family.ended(instance);
            }
        }
    }

    /// A process is another program now: a member, or one that a plan waits for.
    fn became(&mut self, target: Target) {
        let instance = target.instance();
        let now = platform::monotonic_now();
        let mut back = None;
        for (id, root) in &mut self.roots {
            let restarts = root.restarts.as_mut();
            if let Some(it) = restarts.and_then(|restarts| restarts.became(&target, now)) {
                back = Some((*id, it.target, Some(it.down)));
            } else if root.state == State::NotYet && root.awaits() {
                let meant = is_meant(&root.plan.whom, &target);
                back = meant.then(|| (*id, target.clone(), None)).or(back);
            }
        }
        let is_it = |process: &&mut Watched| process.target.instance() == instance;
        if let Some(process) = self.watched.iter_mut().find(is_it) {
            self.tally.add(&process.become_other(target));
            if process.label != console::Label::NONE {
                process.label = console::Label::of(&process.app_name.text, instance.pid);
            }
            if let Some(root) = self.roots.get_mut(&process.role.root) {
                root.becomes(process);
            }
        }
        if let Some((id, target, down)) = back {
            self.has_come(id, target, down);
        }
    }

    /// A member was born and had ended before it could be looked at: its run is told all the same.
    fn passed(&mut self, brief: &Brief) {
        let Some((role, true)) = self.role_of(brief.instance) else {
            return;
        };
        let Some(root) = self.roots.get(&role.root) else {
            return;
        };
        let target = Target {
            pid: brief.instance.pid,
            start_ticks: brief.instance.start_ticks,
            process_name: String::new(),
            command_line: String::new(),
            exe: None,
        };
        let app_name = AppName::of(root.plan.app_name.as_deref(), "");
        let subject = Subject::new(&target, &app_name.text, role.parent);
        let recorder = self.desk.recorder;
        recorder.event_at(&subject, brief.at, &Event::plain("started"));
        let terminated = Event {
            exit_code: brief.code,
            ..Event::plain("terminated")
        };
        let ended = brief.lifetime.map_or(brief.at, |time| brief.at.plus(time));
        recorder.event_at(&subject, ended, &terminated);
        self.tally.processes += 1;
    }
}

/// Whether this is the program that was not there yet when watching began.
fn is_meant(whom: &Whom, target: &Target) -> bool {
    match whom {
        Whom::Name(name) => target.is_named(name),
        Whom::CommandLine(text) => target.command_line.contains(text),
        Whom::Pid(pid) => target.pid == *pid,
    }
}
