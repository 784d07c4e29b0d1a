//! What a command does that follows children, as far as it is about births.

use std::collections::HashMap;
use std::fs;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use argus_model::Monotonic;
use argus_observe::births::{Births, Brief, Means, News};
use argus_observe::exit::{Exit, Watcher};
use argus_observe::family::Family;
use argus_observe::platform;
use argus_observe::process::{Instance, Target, ancestors};
use argus_observe::wake::wait_any;
use rustix::process::Signal;

use crate::stranger::{Stranger, eventually};

/// Reports, where they are permitted, and looks.
pub(super) fn both_means() -> Vec<Means> {
    let best = Births::open(platform::monotonic_now()).unwrap().means();
    println!("the best there is: {best:?}");
    if best == Means::Looks {
        vec![Means::Looks]
    } else {
        vec![best, Means::Looks]
    }
}

pub(super) fn open(means: Means) -> Births {
    let now = platform::monotonic_now();
    match means {
        Means::Reports => Births::open(now).unwrap(),
        Means::Looks => Births::open_looks(now).unwrap(),
    }
}

/// Follows the children of one process.
pub(super) struct Observer {
    root: Instance,
    births: Births,
    pub(super) family: Family,
    watcher: Watcher,
    /// Everyone told, by the name told.
    pub(super) names: HashMap<Instance, String>,
    pub(super) commands: Vec<(Instance, String)>,
    pub(super) became: Vec<Target>,
    pub(super) passed: Vec<Brief>,
    pub(super) exits: HashMap<Instance, Exit>,
    /// How many ends were reported as well.
    pub(super) reported: usize,
    /// How often reports were lost.
    pub(super) losses: u32,
    /// Looks that left nothing to be looked at: when they began and ended.
    pub(super) looks: Vec<(Monotonic, Monotonic)>,
    /// The most descriptors that were open.
    pub(super) descriptors: usize,
}

impl Observer {
    pub(super) fn of(stranger: &Stranger, means: Means) -> Self {
        let births = open(means);
        let root = stranger.target().instance();
        let mut family = Family::new(1000);
        family.add_root(root, &ancestors(stranger.pid));
        Self {
            root,
            births,
            family,
            watcher: Watcher::new().unwrap(),
            names: HashMap::new(),
            commands: Vec::new(),
            became: Vec::new(),
            passed: Vec::new(),
            exits: HashMap::new(),
            reported: 0,
            losses: 0,
            looks: Vec::new(),
            descriptors: 0,
        }
    }

    pub(super) fn root(&self) -> Instance {
        self.root
    }

    /// One turn of the loop.
    pub(super) fn turn(&mut self) {
        let wait = self.births.wait();
        let now = platform::monotonic_now();
        let patience = wait.until.map(|until| until.since(now));
        let patience = patience
            .unwrap_or(Duration::MAX)
            .min(Duration::from_millis(50));
        let watcher = self.watcher.as_fd();
        match wait.descriptor {
            Some(reports) => drop(wait_any([reports, watcher], Some(patience)).unwrap()),
            None if patience.is_zero() => {}
            None => drop(wait_any([watcher], Some(patience)).unwrap()),
        }
        let began = platform::monotonic_now();
        let family = &mut self.family;
        let news = self.births.look(began, |newborn| family.judge(newborn));
        let over = platform::monotonic_now();
        if self.births.wait().until.is_none_or(|until| until > began) {
            self.looks.push((began, over));
        }
        self.take(news.unwrap());
        for (instance, exit) in self.watcher.poll(Duration::ZERO).unwrap() {
            let reported = self.births.reported_code(instance);
            assert!(reported.is_none() || reported == exit.code || exit.code.is_none());
            self.reported += usize::from(reported.is_some());
            self.family.ended(instance);
            assert_eq!(self.exits.insert(instance, exit), None, "{instance:?}");
        }
    }

    pub(super) fn scan(&mut self) {
        let family = &mut self.family;
        let now = platform::monotonic_now();
        let news = self.births.scan(now, |newborn| family.judge(newborn));
        self.take(news.unwrap());
    }

    fn take(&mut self, news: Vec<News>) {
        if !news.is_empty() {
            let open = fs::read_dir("/proc/self/fd").unwrap().count();
            self.descriptors = self.descriptors.max(open);
        }
        for news in news {
            match news {
                News::Born(birth) => {
                    let instance = birth.target.instance();
                    let name = birth.target.process_name;
                    assert_eq!(self.names.insert(instance, name), None, "{instance:?}");
                    self.commands.push((instance, birth.target.command_line));
                    if self.watcher.adopt(instance, birth.pidfd).is_err() {
                        self.family.ended(instance);
                    }
                }
                News::Became(target) => self.became.push(target),
                News::Passed(brief) => self.passed.push(brief),
                News::Lost => self.losses += 1,
            }
        }
    }

    pub(super) fn until<T>(
        &mut self,
        what: &str,
        mut condition: impl FnMut(&mut Self) -> Option<T>,
    ) -> T {
        eventually(what, || {
            self.turn();
            condition(self)
        })
    }

    /// As [`Observer::until`], for what takes longer on a busy machine.
    pub(super) fn patiently<T>(
        &mut self,
        what: &str,
        mut condition: impl FnMut(&mut Self) -> Option<T>,
    ) -> T {
        let deadline = Instant::now() + Duration::from_secs(120);
        loop {
            self.turn();
            if let Some(value) = condition(self) {
                return value;
            }
            assert!(Instant::now() < deadline, "not within two minutes: {what}");
        }
    }

    /// The one that was told with this command line, at its birth or later.
    pub(super) fn born_with_command(&self, command: &str) -> Option<Instance> {
        let born = self.commands.iter().find(|(_, line)| line == command);
        let became = || {
            self.became
                .iter()
                .find(|target| target.command_line == command)
        };
        born.map(|(instance, _)| *instance)
            .or_else(|| became().map(Target::instance))
    }

    /// Ends the members that live; a shell's children would outlive it.
    pub(super) fn kill_family(&self) {
        for member in self
            .family
            .living()
            .filter(|member| member.parent.is_some())
        {
            if let Some(pid) = platform::raw_pid(member.instance.pid) {
                let _ = rustix::process::kill_process(pid, Signal::KILL);
            }
        }
    }
}
