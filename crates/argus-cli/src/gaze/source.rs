//! Where plans come from: the command line, or a file that may change while we watch.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use argus_observe::process::Target;

use super::config::Config;
use super::console;
use super::engine::{Engine, RootId};
use super::plan::Plan;
use crate::exit::Exit;
use crate::failure::Refusal;

/// Where plans come from.
pub(super) enum Source {
    Arguments(Vec<Plan>),
    File(Box<ConfigFile>),
}

/// A plan to begin with, and the process that it means, if that is there.
pub(super) struct Found {
    pub(super) id: RootId,
    pub(super) plan: Arc<Plan>,
    pub(super) target: Option<Target>,
}

/// A configuration file, and what is being done of it.
pub(super) struct ConfigFile {
    path: PathBuf,
    config: Config,
    /// By the plans' names.
    ids: BTreeMap<String, RootId>,
    next: u32,
}

impl Source {
    /// Reads a configuration file.
    ///
    /// # Errors
    /// When it cannot be read or understood.
    pub(super) fn file(path: &Path) -> Result<Self> {
        let path = super::absolute(path);
        let config = read(&path).map_err(|error| {
            Refusal::new(Exit::Usage, format!("{error:#}"))
                .hint("argus gaze --help   (an example: examples/gaze.toml)")
        })?;
        Ok(Self::File(Box::new(ConfigFile {
            path,
            config,
            ids: BTreeMap::new(),
            next: 0,
        })))
    }

    /// Whether it goes on when nothing is left to watch.
    pub(super) fn is_service(&self) -> bool {
        matches!(self, Self::File(_))
    }

    /// Whether there are log files.
    pub(super) fn has_logs(&self) -> bool {
        let plans = match self {
            Self::Arguments(plans) => plans,
            Self::File(file) => &file.config.targets,
        };
        plans.iter().any(|plan| !plan.has_no_logs())
    }

    /// Looks for the processes that are meant.
    ///
    /// # Errors
    /// When one that the command line names is not there or may not be observed. What a file names
    /// may come later.
    pub(super) fn find(&mut self) -> Result<Vec<Found>> {
        match self {
            Self::Arguments(plans) => {
                let (plans, targets) = find_all(std::mem::take(plans))?;
                let numbered = (0..).map(RootId).zip(plans).zip(targets);
                let found = numbered.map(|((id, plan), target)| Found {
                    id,
                    plan: Arc::new(plan),
                    target: Some(target),
                });
                Ok(found.collect())
            }
            Self::File(file) => {
                let plans = file.config.targets.clone();
                Ok(plans.iter().map(|plan| file.find(plan)).collect())
            }
        }
    }

    /// Reads the file again and does what has changed. When it cannot be understood everything stays
    /// as it is, with a warning.
    pub(super) fn reload(&mut self, engine: &mut Engine<'_, '_>) {
        let Self::File(file) = self else { return };
        match read(&file.path) {
            Ok(config) => file.apply(config, engine),
            Err(error) => console::warn(&format!("{error:#}; everything stays as it is")),
        }
    }
}

impl ConfigFile {
    fn find(&mut self, plan: &Plan) -> Found {
        let id = RootId(self.next);
        self.next += 1;
        let name = plan.app_name.clone().unwrap_or_default();
        self.ids.insert(name, id);
        let target = plan.find().inspect_err(|error| {
            let name = plan.app_name.as_deref().unwrap_or_default();
            let then = match plan.follow_restarts {
                true => "waiting for it",
                false => "not watched (follow_restarts waits for it)",
            };
            console::warn(&format!("target {name:?}: {error:#}; {then}"));
        });
        Found {
            id,
            plan: Arc::new(plan.clone()),
            target: target.ok(),
        }
    }

    fn apply(&mut self, config: Config, engine: &mut Engine<'_, '_>) {
        let before = std::mem::replace(&mut self.config, config);
        let after = self.config.clone();
        let changes = after.changes_from(&before);
        for plan in &changes.removed {
            self.drop_plan(plan, engine);
        }
        let mut begun = Vec::new();
        for plan in changes.changed.iter().map(|(_, plan)| plan) {
            self.drop_plan(plan, engine);
            begun.push(self.find(plan));
        }
        begun.extend(changes.added.iter().map(|plan| self.find(plan)));
        engine.begin(begun);
    }

    fn drop_plan(&mut self, plan: &Plan, engine: &mut Engine<'_, '_>) {
        let name = plan.app_name.as_deref().unwrap_or_default();
        if let Some(id) = self.ids.remove(name) {
            engine.remove(id);
        }
    }
}

fn read(path: &Path) -> Result<Config> {
    let shown = path.display();
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("the configuration file {shown} cannot be read"))?;
    let folder = path.parent().unwrap_or(Path::new("/"));
    Config::parse(&text, folder).with_context(|| shown.to_string())
}

/// The processes that the plans mean, in their order. A plan for a process that another one means,
/// too, is left out, with a warning.
fn find_all(plans: Vec<Plan>) -> Result<(Vec<Plan>, Vec<Target>)> {
    let mut kept: Vec<Plan> = Vec::new();
    let mut targets: Vec<Target> = Vec::new();
    for plan in plans {
        let target = plan.find()?;
        if let Some(place) = targets.iter().position(|known| known.pid == target.pid) {
            console::warn(&format!("process {} is named twice", target.pid));
            kept[place].logfiles.extend(plan.logfiles);
            kept[place].units.extend(plan.units);
        } else {
            kept.push(plan);
            targets.push(target);
        }
    }
    Ok((kept, targets))
}
