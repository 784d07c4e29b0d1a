//! One process being watched, from the moment it was attached to until its end.

use std::sync::Arc;

use anyhow::Result;
use argus_model::Monotonic;
use argus_observe::process::Target;
use argus_observe::sample::{Reading, Sampler};

use super::AppName;
use super::console::Label;
use super::observers::Interval;
use super::plan::Plan;
use super::recorder::{Parent, Subject};

/// A process, and what we know how to learn of it.
pub(super) struct Watched {
    pub(super) target: Target,
    pub(super) subject: Arc<Subject>,
    pub(super) label: Label,
    pub(super) app_name: AppName,
    /// The plan by which it is watched.
    pub(super) plan: usize,
    sampler: Sampler,
    interval: Interval,
    /// When it is measured next; never again once it could not be.
    due: Option<Monotonic>,
}

impl Watched {
    /// Attaches to `target`, which is measured from `now` on.
    ///
    /// # Errors
    /// When it has ended meanwhile or may not be observed.
    pub(super) fn attach(
        target: Target,
        (index, plan): (usize, &Plan),
        parent: Option<Parent>,
        now: Monotonic,
    ) -> Result<Self> {
        let sampler = Sampler::attach(&target)?;
        let app_name = AppName::of(plan.app_name.as_deref(), &target.process_name);
        Ok(Self {
            subject: Arc::new(Subject::new(&target, &app_name.text, parent)),
            label: Label::NONE,
            app_name,
            plan: index,
            sampler,
            interval: plan.interval,
            due: Some(plan.interval.next(now, now)),
            target,
        })
    }

    /// Is one of several from now on.
    pub(super) fn among_others(mut self) -> Self {
        self.label = Label::of(&self.app_name.text, self.target.pid);
        self
    }

    /// Whose its log lines are.
    pub(super) fn voice(&self) -> (Arc<Subject>, Label) {
        (Arc::clone(&self.subject), self.label.clone())
    }

    /// When it is to be measured next.
    pub(super) fn due(&self) -> Option<Monotonic> {
        self.due
    }

    /// Measures it, if it is time and the process lives. Measurements lie whole intervals from
    /// `grid`.
    pub(super) fn measure(&mut self, grid: Monotonic, now: Monotonic) -> Option<Reading> {
        if self.due.is_none_or(|due| due > now) {
            return None;
        }
        // Whoever waits for its end hears of it by itself.
        let reading = self.sampler.sample().ok().flatten();
        self.due = reading.map(|_| self.interval.after(grid, now));
        reading
    }
}
