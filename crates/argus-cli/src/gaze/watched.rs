//! One process being watched, from the moment it was attached to until its end.

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use argus_model::Monotonic;
use argus_observe::alarm::{
    Alarms, Commands, Finished, Hears, Measured, Outcome, Over, TIMEOUT, Transition,
};
use argus_observe::exit::Exit;
use argus_observe::pressure::Cgroup;
use argus_observe::process::Target;
use argus_observe::sample::{Details, Reading, Sampler};

use super::AppName;
use super::console::{self, Label};
use super::desk::{About, Desk};
use super::logs::Voice;
use super::observers::Interval;
use super::plan::Plan;
use super::plugins::Plugins;
use super::recorder::{Event, Named, Parent, Subject};

/// How often the limits and the pressure around a process are read: ten files, which change slowly.
const SURROUNDINGS_EVERY: Duration = Duration::from_secs(30);

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
    voice: Arc<Voice>,
    alarms: Alarms,
    commands: Option<Commands>,
    plugins: Plugins,
    surroundings: Option<Surroundings>,
}

/// The control group of a process.
struct Surroundings {
    cgroup: Cgroup,
    due: Monotonic,
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
        let details = Details {
            pss: plan.pss,
            ..Details::default()
        };
        let sampler = Sampler::attach(&target)?.with_details(details)?;
        let app_name = AppName::of(plan.app_name.as_deref(), &target.process_name);
        let subject = Arc::new(Subject::new(&target, &app_name.text, parent));
        let hears = match plan.logfiles.is_empty() {
            true => Hears::Cpu,
            false => Hears::Logs,
        };
        let command = plan.alert_command.clone();
        let commands = command.map(|argv| Commands::new(argv, TIMEOUT));
        let surroundings = Cgroup::of(target.pid).ok();
        Ok(Self {
            voice: Arc::new(Voice::of(&subject)),
            subject,
            label: Label::NONE,
            plan: index,
            sampler,
            interval: plan.interval,
            due: Some(plan.interval.next(now, now)),
            alarms: Alarms::new(&plan.rules, hears, now),
            commands: commands.transpose()?,
            plugins: Plugins::new(plan, &target, &app_name.text),
            surroundings: surroundings.map(|cgroup| Surroundings { cgroup, due: now }),
            app_name,
            target,
        })
    }

    /// Is one of several from now on.
    pub(super) fn among_others(mut self) -> Self {
        self.label = Label::of(&self.app_name.text, self.target.pid);
        self.voice.is_called(&self.label);
        self
    }

    /// Whose its log lines are.
    pub(super) fn voice(&self) -> Arc<Voice> {
        Arc::clone(&self.voice)
    }

    /// Notes that watching begins.
    pub(super) fn begin(&self, desk: Desk<'_>) {
        let started = Event::plain("monitoring_started");
        desk.recorder.event(&self.subject, &started);
    }

    /// When there is something to do although nobody has called.
    pub(super) fn due(&self) -> Option<Monotonic> {
        let commands = self.commands.as_ref().and_then(Commands::next_due);
        let others = [self.alarms.next_due(), commands, self.plugins.due()];
        others.into_iter().chain([self.due]).flatten().min()
    }

    /// Readable when there is something to do.
    pub(super) fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let commands = self.commands.as_ref().map(Commands::as_fd);
        commands.into_iter().chain(self.plugins.descriptors())
    }

    /// Does what is due. Measurements lie whole intervals from `grid`.
    pub(super) fn work(&mut self, grid: Monotonic, now: Monotonic, desk: Desk<'_>) {
        self.measure(grid, now, desk);
        let mut transitions = Vec::new();
        if let Some(heard) = self.voice.heard() {
            self.alarms.line(heard, |turned| transitions.push(turned));
        }
        self.alarms.tick(now, |turned| transitions.push(turned));
        self.alert(&transitions, now, desk);
        self.collect_commands(now);
        let about = About {
            subject: &self.subject,
            label: &self.label,
        };
        self.plugins.advance(now, about, desk);
    }

    fn measure(&mut self, grid: Monotonic, now: Monotonic, desk: Desk<'_>) {
        if self.due.is_none_or(|due| due > now) {
            return;
        }
        // Whoever waits for its end hears of it by itself.
        let reading = self.sampler.sample().ok().flatten();
        self.due = reading.map(|_| self.interval.after(grid, now));
        let Some(reading) = reading else { return };
        desk.sample(self.about(), &reading);
        let mut transitions = Vec::new();
        let measured = self.measured(&reading);
        self.alarms
            .reading(&measured, |turned| transitions.push(turned));
        self.alert(&transitions, now, desk);
        self.look_around(now, desk);
    }

    fn measured(&self, reading: &Reading) -> Measured {
        Measured {
            at: reading.at,
            interval: self.interval.duration(),
            cpu_percent: Some(reading.cpu_percent),
            memory_mb: Some(console::megabytes(reading.rss_bytes)),
        }
    }

    /// Tells of the limits and the pressure around it, now and then.
    fn look_around(&mut self, now: Monotonic, desk: Desk<'_>) {
        let about = About {
            subject: &self.subject,
            label: &self.label,
        };
        let due = self.surroundings.as_mut().filter(|it| it.due <= now);
        if let Some(surroundings) = due {
            surroundings.due = now.plus(SURROUNDINGS_EVERY);
            for value in surroundings.cgroup.read() {
                let named = Named {
                    name: value.name,
                    value: value.value,
                    unit: value.unit,
                };
                desk.metric(about, now, &named, &[]);
            }
        }
    }

    fn alert(&mut self, transitions: &[Transition], now: Monotonic, desk: Desk<'_>) {
        for transition in transitions {
            desk.alert(self.about(), transition);
            if let Some(commands) = &mut self.commands {
                let pid = self.target.pid;
                if let Err(refused) = commands.start(transition, pid, &self.app_name.text, now) {
                    console::warn(&refused.to_string());
                }
            }
        }
    }

    fn collect_commands(&mut self, now: Monotonic) {
        if let Some(commands) = &mut self.commands {
            collect(commands, now);
        }
    }

    fn about(&self) -> About<'_> {
        About {
            subject: &self.subject,
            label: &self.label,
        }
    }

    /// Closes its account: it has ended.
    pub(super) fn bury(&mut self, exit: Exit, now: Monotonic, desk: Desk<'_>) {
        self.silence(Over::Ended, now, desk);
        let terminated = Event {
            exit_code: exit.code,
            ..Event::plain("terminated")
        };
        desk.recorder.event(&self.subject, &terminated);
        if self.label != Label::NONE {
            desk.console.terminated(&self.label, exit.code);
        }
    }

    /// The commands that it has started and that have not ended.
    pub(super) fn into_commands(self) -> Option<Commands> {
        self.commands
            .filter(|commands| commands.next_due().is_some())
    }

    /// Closes its account: nobody looks any more.
    pub(super) fn leave(&mut self, now: Monotonic, desk: Desk<'_>) {
        self.silence(Over::Unwatched, now, desk);
        let stopped = Event::plain("monitoring_stopped");
        desk.recorder.event(&self.subject, &stopped);
    }

    fn silence(&mut self, because: Over, now: Monotonic, desk: Desk<'_>) {
        let mut transitions = Vec::new();
        self.alarms
            .end(now, because, |turned| transitions.push(turned));
        self.alert(&transitions, now, desk);
    }
}

/// Collects the commands that have ended, and says what went wrong.
pub(super) fn collect(commands: &mut Commands, now: Monotonic) {
    commands.collect(now, |finished| {
        if let Some(complaint) = complaint(&finished) {
            console::warn(&complaint);
        }
    });
}

/// What is wrong with a command that has ended.
fn complaint(finished: &Finished) -> Option<String> {
    let rule = finished.rule.name();
    let how = match finished.outcome {
        Outcome::Ended(Some(0)) => return None,
        Outcome::Ended(Some(code)) if code < 0 => format!("was killed by signal {}", -code),
        Outcome::Ended(Some(code)) => format!("failed with exit code {code}"),
        Outcome::Ended(None) => "has ended, nobody knows how".to_owned(),
        Outcome::TimedOut => format!("took longer than {} s and was killed", TIMEOUT.as_secs()),
    };
    let said = finished.said.as_deref();
    let said = said.map_or_else(String::new, |said| format!(" (\"{said}\")"));
    Some(format!("the command for the {rule} alert {how}{said}"))
}
