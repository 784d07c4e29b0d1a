//! The programs that are watched for themselves: found, lost, found again.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use argus_model::Monotonic;
use argus_observe::births::Births;
use argus_observe::platform;
use argus_observe::process::{self, Instance, Target};
use argus_observe::restart::{Program, Restarts};

use super::Engine;
use crate::gaze::console::{self, Introduction, Label};
use crate::gaze::logs::{Reader, Voice};
use crate::gaze::plan::{Plan, Whom};
use crate::gaze::recorder::Subject;
use crate::gaze::source::Found;
use crate::gaze::watched::{Role, Watched};

/// A plan being carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::gaze) struct RootId(pub(in crate::gaze) u32);

/// What has become of a plan.
pub(super) struct Root<'scope> {
    pub(super) plan: Arc<Plan>,
    pub(super) state: State,
    /// Recognises its program when that comes back.
    pub(super) restarts: Option<Restarts>,
    reader: Option<Reader<'scope>>,
    /// The last run; log lines may still come for it.
    run: Option<(Instance, Arc<Subject>)>,
}

/// Whether its program is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Lives,
    /// It was there.
    Gone,
    /// It never was.
    NotYet,
}

impl Root<'_> {
    /// Its process runs under another name from now on.
    pub(super) fn becomes(&mut self, process: &Watched) {
        let instance = process.target.instance();
        if let Some((run, subject)) = &mut self.run
            && *run == instance
        {
            *subject = Arc::clone(&process.subject);
            if let Some(reader) = &self.reader {
                reader.voice().speak_for(&process.subject, &process.label);
            }
        }
    }

    /// Whether it waits for its program.
    pub(super) fn awaits(&self) -> bool {
        self.plan.follow_restarts && self.state != State::Lives
    }
}

impl Engine<'_, '_> {
    /// Begins to carry out the first plans.
    ///
    /// # Errors
    /// When a process has ended meanwhile or may not be observed.
    pub(in crate::gaze) fn begin_all(&mut self, found: Vec<Found>) -> Result<()> {
        let mut ids = Vec::new();
        for Found { id, plan, target } in found {
            ids.push(id);
            self.add(id, &plan, target)?;
        }
        self.introduce(&ids);
        self.find_children()
    }

    /// Begins to carry out further plans. What cannot be is said.
    pub(in crate::gaze) fn begin(&mut self, found: Vec<Found>) {
        let mut ids = Vec::new();
        for Found { id, plan, target } in found {
            match self.add(id, &plan, target) {
                Ok(()) => ids.push(id),
                Err(error) => console::warn(&format!("{error:#}")),
            }
        }
        self.introduce(&ids);
        if let Err(error) = self.find_children() {
            console::warn(&format!("{error:#}"));
        }
    }

    fn add(&mut self, id: RootId, plan: &Arc<Plan>, target: Option<Target>) -> Result<()> {
        if plan.wants_births() && self.births.is_none() {
            self.births = Some(Births::open(platform::monotonic_now())?);
        }
        let root = Root {
            plan: Arc::clone(plan),
            state: State::NotYet,
            restarts: None,
            reader: None,
            run: None,
        };
        self.roots.insert(id, root);
        match target {
            Some(target) => {
                self.attach(id, plan, target, None)?;
                self.settle_in(id)
            }
            None => Ok(()),
        }
    }

    /// Says who is watched by these plans.
    fn introduce(&self, ids: &[RootId]) {
        let watched = self.watched.iter();
        let watched: Vec<_> = watched.filter(|it| ids.contains(&it.role.root)).collect();
        let names: Vec<_> = watched.iter().map(|process| &process.app_name).collect();
        self.desk.console.names(&names);
        let introductions: Vec<_> = watched
            .iter()
            .map(|process| Introduction {
                app_name: &process.app_name.text,
                process_name: &process.target.process_name,
                pid: process.target.pid,
                logfiles: &process.plan.logfiles,
                interval: process.plan.interval,
            })
            .collect();
        self.desk.console.header(&introductions);
    }

    /// Whether a plan waits for its program.
    pub(super) fn awaits_returns(&self) -> bool {
        self.roots.values().any(Root::awaits)
    }

    /// Attaches to a root.
    fn attach(
        &mut self,
        id: RootId,
        plan: &Arc<Plan>,
        target: Target,
        down: Option<Duration>,
    ) -> Result<()> {
        let now = platform::monotonic_now();
        let instance = target.instance();
        let role = Role {
            root: id,
            parent: None,
        };
        let mut process = Watched::attach(target, plan, role, now)?;
        process.label = self.label(&process);
        self.exits.add(instance.pid, instance.start_ticks)?;
        self.count_traffic(&process.target, Monotonic::default());
        let ancestors = process::ancestors(instance.pid);
        self.family.add_root(instance, &ancestors);
        match down {
            None => process.begin(self.desk),
            Some(down) => process.restart(down, self.desk),
        }
        self.watched.push(process);
        Ok(())
    }

    /// Counts what a process moves: all of it when it was born while gaze looked, at `born`.
    pub(super) fn count_traffic(&mut self, target: &Target, born: Monotonic) {
        if let Some(network) = &mut self.network {
            // What cannot be seen is absent from the samples, which says enough.
            let _ = match born >= self.grid {
                true => network.watch_newborn(target),
                false => network.watch(target),
            };
        }
    }

    /// How the lines of a process begin.
    pub(super) fn label(&self, process: &Watched) -> Label {
        if self.desk.console.is_for_one() {
            Label::NONE
        } else {
            Label::of(&process.app_name.text, process.target.pid)
        }
    }

    /// Reads the logs of a root that has just been attached to, and adopts its children.
    fn settle_in(&mut self, id: RootId) -> Result<()> {
        let is_root =
            |process: &&mut Watched| process.role.root == id && process.role.parent.is_none();
        let Some(process) = self.watched.iter_mut().find(is_root) else {
            return Ok(());
        };
        let Some(root) = self.roots.get_mut(&id) else {
            return Ok(());
        };
        if let Some((_, before)) = root
            .run
            .replace((process.target.instance(), Arc::clone(&process.subject)))
        {
            self.tally.add(&before);
        }
        root.state = State::Lives;
        if root.plan.follow_restarts && root.restarts.is_none() {
            let program = match &root.plan.whom {
                Whom::Name(name) => Program::Named(name.clone()),
                Whom::Pid(_) | Whom::CommandLine(_) => Program::of(&process.target),
            };
            let now = platform::monotonic_now();
            root.restarts = Some(Restarts::of(program, &process.target, now));
        }
        match &root.reader {
            Some(reader) => reader.voice().speak_for(&process.subject, &process.label),
            None if root.plan.has_no_logs() => {}
            None => {
                let wanted = &root.plan.reading.alert;
                let voice = Voice::of(&process.subject, &process.label, wanted)?;
                let reader = Reader::start(self.scope, &root.plan, voice, self.desk)?;
                root.reader = Some(reader);
            }
        }
        process.voice = root
            .reader
            .as_ref()
            .map(|reader| Arc::clone(reader.voice()));
        Ok(())
    }

    /// A root has ended: its plan may wait for the next one, which may be there already.
    pub(super) fn root_has_ended(&mut self, process: &Watched, now: Monotonic) {
        let id = process.role.root;
        let Some(root) = self.roots.get_mut(&id) else {
            return;
        };
        root.state = State::Gone;
        if !root.plan.follow_restarts {
            return;
        }
        let instance = process.target.instance();
        let back = root
            .restarts
            .as_mut()
            .and_then(|it| it.ended(instance, now));
        match back {
            Some(back) => self.has_come(id, back.target, Some(back.down)),
            None => self.desk.console.waits_for(&process.label),
        }
    }

    /// A plan's program is back, or there for the first time.
    pub(super) fn has_come(&mut self, id: RootId, target: Target, down: Option<Duration>) {
        let Some(root) = self.roots.get(&id) else {
            return;
        };
        let plan = Arc::clone(&root.plan);
        let is_it = |process: &Watched| process.target.instance() == target.instance();
        // Watched as a child of the one before, which has put itself into the background.
        let attached = match self.watched.iter().position(is_it) {
            Some(place) => {
                self.watched[place].role.parent = None;
                self.watched[place].restart(down.unwrap_or_default(), self.desk);
                Ok(())
            }
            None => self.attach(id, &plan, target, down),
        };
        let settled = attached
            .and_then(|()| self.settle_in(id))
            .and_then(|()| self.find_children());
        if let Err(error) = settled {
            console::warn(&format!("{error:#}; still waiting for {}", plan.whom));
        }
    }

    /// The plan of which this was the last run.
    pub(super) fn id_of_run(&self, instance: Instance) -> Option<RootId> {
        let is_it = |root: &Root<'_>| root.run.as_ref().is_some_and(|(run, _)| *run == instance);
        let found = self.roots.iter().find(|(_, root)| is_it(root));
        found.map(|(id, _)| *id)
    }

    /// Ends a plan.
    pub(in crate::gaze) fn remove(&mut self, id: RootId) {
        let now = platform::monotonic_now();
        let (gone, kept) = std::mem::take(&mut self.watched)
            .into_iter()
            .partition(|process| process.role.root == id);
        self.watched = kept;
        let gone: Vec<Watched> = gone;
        for mut process in gone {
            process.leave(now, self.desk);
            self.exits.remove(process.target.pid);
            self.family.ended(process.target.instance());
            if let Some(network) = &mut self.network {
                network.leave(process.target.pid);
            }
            self.tally.processes += 1;
            if process.role.parent.is_some() {
                self.tally.add(&process.subject);
            }
            self.commands.extend(process.into_commands());
        }
        let Some(root) = self.roots.remove(&id) else {
            return;
        };
        if let Some(reader) = root.reader {
            reader.finish();
        }
        if let Some((_, run)) = &root.run {
            self.tally.add(run);
        }
    }
}
