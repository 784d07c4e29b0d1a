//! The plugins that tell more of a process.

use std::os::fd::{AsFd, BorrowedFd};

use argus_model::Monotonic;
use argus_observe::argv::Argv;
use argus_observe::plugin::{self, Plugin, Told};
use argus_observe::process::Target;

use super::console;
use super::desk::{About, Desk};
use super::plan::Plan;
use super::recorder::Named;

/// The plugins of one process.
#[derive(Default)]
pub(super) struct Plugins(Vec<Plugin>);

impl Plugins {
    /// The plugins of a plan, for `target`. One that may not be run is said so, and left out.
    pub(super) fn new(plan: &Plan, target: &Target, app_name: &str) -> Self {
        let plugin = |argv: &Argv| {
            let plan = plugin::Plan {
                argv: argv.clone(),
                pid: target.pid,
                app_name: app_name.to_owned(),
                interval: plan.interval.duration(),
                timeout: plugin::TIMEOUT,
            };
            let refused = |refused| console::warn(&format!("plugin {argv} is not run: {refused}"));
            Plugin::new(plan).map_err(refused).ok()
        };
        Self(plan.plugins.iter().filter_map(plugin).collect())
    }

    /// When one has something to do although it has not called.
    pub(super) fn due(&self) -> Option<Monotonic> {
        self.0.iter().map(Plugin::next_due).min()
    }

    /// Readable when one has something to do.
    pub(super) fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.0.iter().map(Plugin::as_fd)
    }

    /// Takes in what they print.
    pub(super) fn advance(&mut self, now: Monotonic, about: About<'_>, desk: Desk<'_>) {
        for plugin in &mut self.0 {
            let mut trouble = Vec::new();
            plugin.advance(now, |told| match told {
                Told::Value(metric) => {
                    let named = Named {
                        name: &metric.name,
                        value: metric.value,
                        unit: metric.unit.unwrap_or_default(),
                    };
                    let labels: Vec<_> = metric
                        .labels
                        .iter()
                        .map(|(key, value)| (key.as_str(), value.as_str()))
                        .collect();
                    desk.metric(about, now, &named, &labels);
                }
                Told::Trouble(what) => trouble.push(what),
            });
            for what in trouble {
                console::warn(&format!("plugin {} {what}", plugin.argv()));
            }
        }
    }
}
