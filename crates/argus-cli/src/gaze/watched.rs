//! One process being watched, from the moment it was found until its end.

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use argus_model::death::Death;
use argus_model::{Measure, Monotonic};
use argus_observe::alarm::{
    Alarms, Commands, Finished, Hears, Measured, Outcome, Over, TIMEOUT, Transition,
};
use argus_observe::exit::Exit;
use argus_observe::network::Network;
use argus_observe::oom::OomWatch;
use argus_observe::pace::{Bounds, Pace, Prober};
use argus_observe::platform;
use argus_observe::pressure::Cgroup;
use argus_observe::process::Target;
use argus_observe::sample::{Details, Pss, Reading, Sampler};
use argus_observe::threads::Threads;

use super::AppName;
use super::console::{self, Label};
use super::desk::{About, Desk};
use super::engine::RootId;
use super::logs::Voice;
use super::plan::Plan;
use super::plugins::Plugins;
use super::recorder::{Event, Named, Parent, Subject};
use super::stacks::StackRecorder;

/// How often the limits and the pressure around a process are read: ten files, which change slowly.
const SURROUNDINGS_EVERY: Duration = Duration::from_secs(60);

/// How often the details of a sample are measured at most: they cost three times what the rest does.
pub(super) const DETAILS_EVERY: Duration = Duration::from_secs(2);

/// What a process is to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Role {
    /// The plan by which it is watched.
    pub(super) root: RootId,
    /// Its parent, if it is watched as somebody's child.
    pub(super) parent: Option<Parent>,
}

/// One passage through the loop.
#[derive(Clone, Copy)]
pub(super) struct Round<'a> {
    /// Measurements lie whole intervals from here.
    pub(super) grid: Monotonic,
    pub(super) now: Monotonic,
    pub(super) network: Option<&'a Network>,
    pub(super) desk: Desk<'a>,
}

/// A process, and what we know how to learn of it.
pub(super) struct Watched {
    pub(super) target: Target,
    pub(super) subject: Arc<Subject>,
    pub(super) label: Label,
    pub(super) app_name: AppName,
    pub(super) role: Role,
    pub(super) plan: Arc<Plan>,
    /// Tells when a line came, where it has log files.
    pub(super) voice: Option<Arc<Voice>>,
    /// When it is measured next; never again once it could not be.
    due: Option<Monotonic>,
    /// Elsewhere, like whatever is not looked at with every passage: of fifty processes little must be
    /// brought into a cold cache.
    instruments: Option<Box<Instruments>>,
    alarms: Alarms,
    commands: Option<Commands>,
    plugins: Plugins,
    stacks: Option<Box<StackRecorder>>,
}

/// What is kept open to measure a process.
struct Instruments {
    sampler: Sampler,
    threads: Option<Threads>,
    surroundings: Option<(Cgroup, Monotonic)>,
    tempo: Tempo,
    kills: OomWatch,
}

/// What sets the pace of its samples.
enum Tempo {
    /// The plan's interval.
    Steady,
    /// What the process does, by quick looks in between; they begin with the first sample.
    Adaptive(Prober, Option<Box<Pace>>),
}

impl Tempo {
    fn of(target: &Target, plan: &Plan) -> Self {
        if !plan.adaptive {
            return Self::Steady;
        }
        // Where nothing can be looked at quickly, the plan's interval will do.
        let prober = Prober::attach(target.instance());
        prober.map_or(Self::Steady, |prober| Self::Adaptive(prober, None))
    }
}

impl Instruments {
    fn attach(target: &Target, plan: &Plan, now: Monotonic) -> Result<Self> {
        let details = Details {
            every: DETAILS_EVERY,
            pss: if plan.pss { Pss::Measured } else { Pss::Left },
        };
        let threads = plan.threads.then(|| Threads::attach(target));
        Ok(Self {
            sampler: Sampler::attach(target)?.with_details(details)?,
            threads: threads.transpose()?,
            surroundings: Cgroup::of(target.pid).ok().map(|cgroup| (cgroup, now)),
            tempo: Tempo::of(target, plan),
            kills: OomWatch::attach(target.pid),
        })
    }
}

impl Watched {
    /// Attaches to `target`, which is measured from `now` on.
    ///
    /// # Errors
    /// When it has ended meanwhile or may not be observed.
    pub(super) fn attach(
        target: Target,
        plan: &Arc<Plan>,
        role: Role,
        now: Monotonic,
    ) -> Result<Self> {
        let instruments = Instruments::attach(&target, plan, now)?;
        let mut process = Self::expect(target, plan, role, now)?;
        process.instruments = Some(Box::new(instruments));
        Ok(process)
    }

    /// Watches `target`, and attaches when it is first due: most children do not live so long.
    ///
    /// # Errors
    /// When the process is out of descriptors.
    pub(super) fn expect(
        target: Target,
        plan: &Arc<Plan>,
        role: Role,
        now: Monotonic,
    ) -> Result<Self> {
        let app_name = AppName::of(plan.app_name.as_deref(), &target.process_name);
        let has_logs = role.parent.is_none() && !plan.has_no_logs();
        let hears = if has_logs { Hears::Logs } else { Hears::Cpu };
        let command = plan.alert_command.clone();
        let commands = command.map(|argv| Commands::new(argv, TIMEOUT));
        Ok(Self {
            subject: Arc::new(Subject::new(&target, &app_name.text, role.parent)),
            label: Label::NONE,
            voice: None,
            due: Some(plan.interval.next(now, now)),
            instruments: None,
            alarms: Alarms::new(&plan.alerts, hears, now),
            commands: commands.transpose()?,
            plugins: match role.parent {
                None => Plugins::new(plan, &target, &app_name.text),
                Some(_) => Plugins::default(),
            },
            stacks: StackRecorder::of(plan, &target, now).map(Box::new),
            plan: Arc::clone(plan),
            role,
            app_name,
            target,
        })
    }

    /// Whether it is time to measure it.
    pub(super) fn is_due(&self, now: Monotonic) -> bool {
        self.due.is_some_and(|due| due <= now)
    }

    /// When there is something to do although nobody has called.
    pub(super) fn due(&self) -> Option<Monotonic> {
        let commands = self.commands.as_ref().and_then(Commands::next_due);
        let stacks = self.stacks.as_deref().and_then(StackRecorder::due);
        let others = [self.alarms.next_due(), commands, self.plugins.due(), stacks];
        others.into_iter().chain([self.due]).flatten().min()
    }

    /// Readable when there is something to do.
    pub(super) fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let commands = self.commands.as_ref().map(Commands::as_fd);
        let voice = self.voice.as_ref().map(|voice| voice.chime());
        let own = commands.into_iter().chain(voice);
        own.chain(self.plugins.descriptors())
    }

    /// Does what is due.
    pub(super) fn work(&mut self, round: &Round<'_>) {
        if self.is_due(round.now) {
            self.measure(round);
        }
        let now = round.now;
        if let Some(stacks) = &mut self.stacks {
            stacks.work(now, round.desk.recorder, &self.subject);
        }
        let mut transitions = Vec::new();
        if let Some(heard) = self.voice.as_ref().and_then(|voice| voice.heard()) {
            self.alarms.line(heard, |turned| transitions.push(turned));
        }
        let matches = self.voice.as_ref().map(|voice| voice.take_matches());
        for (rule, at) in matches.into_iter().flatten() {
            self.alarms
                .matched(rule, at, |turned| transitions.push(turned));
        }
        self.alarms.tick(now, |turned| transitions.push(turned));
        self.alert(&transitions, now, round.desk);
        if let Some(commands) = &mut self.commands {
            collect(commands, now);
        }
        let about = about(&self.subject, &self.label);
        self.plugins.advance(now, about, round.desk);
    }

    fn measure(&mut self, round: &Round<'_>) {
        // Not again, unless it turns out to live: whoever waits for its end hears of it by itself.
        self.due = None;
        let Some(interval) = self.worth_a_sample(round) else {
            return;
        };
        let Some(mut reading) = self.read(round.now) else {
            self.due = None;
            return;
        };
        reading
            .measures
            .set(Measure::Interval, interval.as_secs_f64());
        // With the details: in between, its numbers would only be repeated.
        let is_detailed = reading.measures.get(Measure::MinorFaults).is_some();
        if let Some(network) = round.network.filter(|_| is_detailed) {
            network.tell(self.target.pid, &mut reading.measures);
        }
        round.desk.sample(self.about(), &reading);
        self.judge(&reading, interval, round);
        self.look_at_threads(round);
        self.look_around(round);
    }

    /// The interval in force, if a sample is worth its while now. Says when to look next.
    fn worth_a_sample(&mut self, round: &Round<'_>) -> Option<Duration> {
        if self.instruments.is_none() {
            let attached = Instruments::attach(&self.target, &self.plan, round.now);
            self.instruments = attached.ok().map(Box::new);
        }
        let steady = self.plan.interval;
        let errors = self.voice.as_ref().map_or(0, |voice| voice.errors());
        let Tempo::Adaptive(prober, pace) = &mut self.instruments.as_mut()?.tempo else {
            self.due = Some(steady.after(round.grid, round.now));
            return Some(steady.duration());
        };
        let probe = prober.take(errors).ok().flatten()?;
        match pace {
            None => {
                let begun = Pace::begin(Bounds::around(steady.duration()), probe);
                let begun = pace.insert(Box::new(begun));
                self.due = Some(begun.due());
                Some(begun.interval())
            }
            Some(pace) => {
                let verdict = pace.probe(probe);
                self.due = Some(verdict.due);
                verdict.sample
            }
        }
    }

    fn read(&mut self, now: Monotonic) -> Option<Reading> {
        let instruments = self.instruments.as_mut()?;
        instruments.kills.renew(now);
        instruments.sampler.sample().ok().flatten()
    }

    /// Compares a reading with what the user wants to hear of.
    fn judge(&mut self, reading: &Reading, interval: Duration, round: &Round<'_>) {
        let measured = Measured {
            at: reading.at,
            interval,
            cpu_percent: Some(reading.cpu_percent),
            memory_mb: Some(console::megabytes(reading.rss_bytes)),
        };
        let mut transitions = Vec::new();
        self.alarms
            .reading(&measured, |turned| transitions.push(turned));
        self.alert(&transitions, round.now, round.desk);
    }

    /// Tells of each thread's share of CPU.
    fn look_at_threads(&mut self, round: &Round<'_>) {
        let threads = self.instruments.as_mut().and_then(|it| it.threads.as_mut());
        let Some(Ok(Some(look))) = threads.map(Threads::look) else {
            return;
        };
        let about = about(&self.subject, &self.label);
        for thread in &look.threads {
            let Some(cpu_percent) = thread.cpu_percent else {
                continue;
            };
            let named = Named {
                name: "process.thread.cpu.utilization",
                value: cpu_percent,
                unit: "%",
            };
            let tid = thread.tid.to_string();
            let attributes = [("thread.id", &*tid), ("thread.name", &*thread.name)];
            round.desk.metric(about, look.at, &named, &attributes);
        }
    }

    /// Tells of the limits and the pressure around it, now and then.
    fn look_around(&mut self, round: &Round<'_>) {
        let about = about(&self.subject, &self.label);
        let surroundings = self
            .instruments
            .as_mut()
            .and_then(|it| it.surroundings.as_mut());
        let Some((cgroup, due)) = surroundings.filter(|(_, due)| *due <= round.now) else {
            return;
        };
        *due = round.now.plus(SURROUNDINGS_EVERY);
        for value in cgroup.read() {
            let named = Named {
                name: value.name,
                value: value.value,
                unit: value.unit,
            };
            round.desk.metric(about, round.now, &named, &[]);
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

    fn about(&self) -> About<'_> {
        about(&self.subject, &self.label)
    }

    /// It executes another program now: the run goes on under another name. The subject before.
    pub(super) fn become_other(&mut self, target: Target) -> Arc<Subject> {
        self.app_name = AppName::of(self.plan.app_name.as_deref(), &target.process_name);
        let subject = Subject::new(&target, &self.app_name.text, self.role.parent);
        self.tell_missed_stacks();
        // What is known of its threads belongs to the program before.
        let now = platform::monotonic_now();
        self.stacks = StackRecorder::of(&self.plan, &target, now).map(Box::new);
        self.target = target;
        std::mem::replace(&mut self.subject, Arc::new(subject))
    }

    /// Notes that watching begins.
    pub(super) fn begin(&self, desk: Desk<'_>) {
        let started = Event::plain("monitoring_started");
        desk.recorder.event(&self.subject, &started);
    }

    /// Notes that its program has come back after so long.
    pub(super) fn restart(&self, down: Duration, desk: Desk<'_>) {
        let restarted = Event {
            detail: &format!("{{\"down_ms\":{}}}", down.as_millis()),
            ..Event::plain("restarted")
        };
        desk.recorder.event(&self.subject, &restarted);
        desk.console.restarted(&self.label, self.target.pid, down);
    }

    /// Notes that it was born below a watched process.
    pub(super) fn is_born(&self, at: Monotonic, desk: Desk<'_>) {
        let started = Event::plain("started");
        desk.recorder.event_at(&self.subject, at, &started);
        if let Some(parent) = self.role.parent {
            desk.console.child_started(&self.label, parent.pid);
        }
    }

    /// Closes its account: it has ended.
    pub(super) fn bury(&mut self, exit: Exit, now: Monotonic, desk: Desk<'_>) {
        self.silence(Over::Ended, now, desk);
        let death = match &self.instruments {
            Some(instruments) => instruments.kills.explain(exit.code, exit.core_dumped),
            // It was gone before anything could be compared.
            None => Death {
                core_dumped: exit.core_dumped,
                ..Death::of_code(exit.code)
            },
        };
        self.tell_missed_stacks();
        let terminated = Event {
            exit_code: exit.code,
            detail: &death.detail(),
            ..Event::plain("terminated")
        };
        desk.recorder.event(&self.subject, &terminated);
        if self.label != Label::NONE {
            desk.console.terminated(&self.label, exit.code);
        }
    }

    /// Closes its account: nobody looks any more.
    pub(super) fn leave(&mut self, now: Monotonic, desk: Desk<'_>) {
        self.silence(Over::Unwatched, now, desk);
        self.tell_missed_stacks();
        let stopped = Event::plain("monitoring_stopped");
        desk.recorder.event(&self.subject, &stopped);
    }

    fn tell_missed_stacks(&self) {
        if let Some(stacks) = &self.stacks {
            stacks.tell_missed();
        }
    }

    fn silence(&mut self, because: Over, now: Monotonic, desk: Desk<'_>) {
        let mut transitions = Vec::new();
        self.alarms
            .end(now, because, |turned| transitions.push(turned));
        self.alert(&transitions, now, desk);
    }

    /// The commands that it has started and that have not ended.
    pub(super) fn into_commands(self) -> Option<Commands> {
        self.commands
            .filter(|commands| commands.next_due().is_some())
    }
}

/// A part of a process can be changed while this is held.
fn about<'a>(subject: &'a Subject, label: &'a Label) -> About<'a> {
    About { subject, label }
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
