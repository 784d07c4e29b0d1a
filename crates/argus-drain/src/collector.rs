//! The collector's loop.

mod commit;
mod obituary;
mod templates;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::{Duration, Instant, SystemTime};
use std::{io, thread};

use argus_model::paths::DataDir;
use argus_model::{ProducerId, Timestamp};
use argus_spool::boot_anchor;
use argus_spool::control::ControlPage;
use argus_spool::read::producers;
use argus_store::batch::{CollectorState, Ending, ProducerEnd, RunKey, SampleRow};
use argus_store::retention::Rest;
use argus_store::{Batch, ReadError, Retention, Sink};

use crate::deaths::{Here, Life, Programs, has_let_go, holds};
use crate::elect::{Election, Lock};
use crate::failpoint;
use crate::intake::{Intake, size_on_disk};
use crate::notify::Followers;
use crate::observer::Observer;
use obituary::Obituaries;
use templates::Templates;

/// The pause between two looks while records flow.
const PACE: Duration = Duration::from_millis(5);
/// How long after the last record it goes on looking before it sleeps.
const LINGER: Duration = Duration::from_millis(100);
/// The longest sleep: the heartbeat must stay good, and a lost wake-up be made up for.
const LONGEST_SLEEP: Duration = Duration::from_millis(500);
/// Instrumented processes are sampled this often.
const SAMPLE_EVERY: Duration = Duration::from_secs(1);
/// A process that an observer has sampled within this time is not sampled a second time.
const OBSERVED_FOR: Duration = Duration::from_secs(10);
/// Its own account is written this often when nothing else is.
const ACCOUNT_EVERY: Duration = Duration::from_secs(2);
/// Bytes read for one batch: some ten thousand spans.
const BATCH_BYTES: u32 = 1 << 20;
/// Spools of the dead read at once: each takes descriptors and memory, and leaves soon.
const MOST_DEAD: usize = 64;

/// When a collector leaves that has nothing to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IdleExit {
    /// This long after the last living producer and the last follower.
    After(Duration),
    /// Never: a service manager decides.
    Never,
}

/// How a collector works.
#[derive(Debug, Clone)]
pub struct Options {
    /// Whose collector it is.
    pub place: DataDir,
    /// When it leaves.
    pub idle_exit: IdleExit,
    /// What is kept.
    pub retention: Retention,
}

/// Why a collector stopped before its time.
#[derive(Debug, thiserror::Error)]
pub enum CollectorError {
    /// The spool or the control page cannot be used.
    #[error("cannot use the data folder")]
    Folder(#[from] io::Error),
    /// The store cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A newer Argus has taken the store over.
    #[error("a newer Argus has taken the store over")]
    Superseded,
}

/// The one process that moves records from the spools into the store.
pub struct Collector {
    options: Options,
    control: ControlPage,
    sink: Box<dyn Sink>,
    observer: Box<dyn Observer>,
    followers: Followers,
    here: Here,
    programs: Programs,
    intakes: BTreeMap<ProducerId, Intake>,
    living: BTreeSet<ProducerId>,
    /// Dead, and how.
    ends: BTreeMap<ProducerId, ProducerEnd>,
    /// Dead, and nothing of theirs is left to read.
    spoolless: Vec<ProducerEnd>,
    /// Their end is committed; after the next sync their spool goes.
    removable: BTreeSet<ProducerId>,
    /// Their spool is gone; with the next commit their positions go.
    removed: Vec<ProducerId>,
    listed_at: Option<SystemTime>,
    synced_at: Instant,
    dirty: bool,
    sampled_at: Instant,
    /// Processes that somebody samples from outside, and when that was last seen.
    observed: HashMap<RunKey, Instant>,
    obituaries: Obituaries,
    templates: Templates,
    accounted_at: Option<Instant>,
    pruned_at: Option<Instant>,
    /// Whether the last slice left something to remove.
    pruning: Rest,
    /// Rows committed since the limits were last looked at.
    unpruned_rows: usize,
    warned: bool,
}

impl std::fmt::Debug for Collector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Collector")
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

/// What a look around brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum News {
    Some,
    None,
}

impl Collector {
    /// A collector for a place whose lock the caller holds.
    pub fn new(
        options: Options,
        control: ControlPage,
        sink: Box<dyn Sink>,
        observer: Box<dyn Observer>,
    ) -> Self {
        let followers = Followers::new(options.place.followers());
        Self {
            options,
            control,
            sink,
            observer,
            followers,
            here: Here::read(),
            programs: Programs::default(),
            intakes: BTreeMap::new(),
            living: BTreeSet::new(),
            ends: BTreeMap::new(),
            spoolless: Vec::new(),
            removable: BTreeSet::new(),
            removed: Vec::new(),
            listed_at: None,
            synced_at: Instant::now(),
            dirty: true,
            sampled_at: Instant::now(),
            observed: HashMap::new(),
            obituaries: Obituaries::default(),
            templates: Templates::default(),
            accounted_at: None,
            pruned_at: None,
            pruning: Rest::Nothing,
            unpruned_rows: 0,
            warned: false,
        }
    }

    /// Collects until there is nobody left to collect for.
    pub fn run(mut self, mut lock: Lock) -> Result<(), CollectorError> {
        failpoint::pass("after-election");
        self.take_stock()?;
        loop {
            self.collect_until_idle()?;
            failpoint::pass("before-leave");
            self.control.leave();
            let path = lock.release();
            // A producer that came between the last look and the leaving found no collector; one
            // that comes later finds the lock free. Looking with the lock in hand would leave those
            // out whose collector tried it meanwhile.
            if !self.has_unknown_producer()? {
                return Ok(());
            }
            lock = match Lock::attempt(&path)? {
                Election::Won(lock) => lock,
                Election::Lost => return Ok(()),
            };
        }
    }

    /// What crashes left behind: the true size of the spools, and programs that died while nobody
    /// looked and whose spool somebody removed.
    fn take_stock(&mut self) -> Result<(), CollectorError> {
        self.look_for_producers()?;
        let found = producers(&self.options.place.spool())?;
        let bytes = found.iter().map(|(_, folder)| size_on_disk(folder)).sum();
        self.control.set_allocated(bytes);
        self.templates = Templates::recall(self.sink.log_templates()?);
        for producer in self.sink.unended_producers()? {
            let has_spool = found.iter().any(|(found, _)| *found == producer);
            if !has_spool && self.here.judge(producer) == Life::Dead {
                self.spoolless.push(ProducerEnd {
                    producer,
                    at: boot_anchor().wall,
                    ending: Ending::Exit(None),
                });
            }
        }
        Ok(())
    }

    fn collect_until_idle(&mut self) -> Result<(), CollectorError> {
        let mut last_news = Instant::now();
        let mut busy_at = Instant::now();
        loop {
            self.control.beat(std::process::id());
            let began = Instant::now();
            if self.round()? == News::Some {
                last_news = began;
            }
            // News also come from producers of which nobody can say whether they live.
            let news = last_news == began;
            if news || !self.living.is_empty() || self.followers.any() || !self.ends.is_empty() {
                busy_at = Instant::now();
            }
            if self.may_leave(busy_at) {
                return Ok(());
            }
            if began.duration_since(last_news) < LINGER {
                thread::sleep(PACE.saturating_sub(began.elapsed()));
                continue;
            }
            self.control.announce_sleep();
            match self.round()? {
                News::Some => last_news = Instant::now(),
                News::None => self.control.sleep(self.longest_sleep()),
            }
        }
    }

    fn may_leave(&self, busy_at: Instant) -> bool {
        match self.options.idle_exit {
            IdleExit::After(limit) => {
                let done = !self.dirty && self.pruning == Rest::Nothing;
                busy_at.elapsed() >= limit && done
            }
            IdleExit::Never => false,
        }
    }

    fn longest_sleep(&self) -> Duration {
        if self.pruning == Rest::More {
            return PACE;
        }
        let mut longest = LONGEST_SLEEP;
        if self.dirty {
            // No look before: with a thousand idle programs each one is thousands of system calls.
            longest = longest.min(self.until_sync().max(PACE));
        }
        if !self.living.is_empty() {
            longest = longest.min(SAMPLE_EVERY.saturating_sub(self.sampled_at.elapsed()));
        }
        longest
    }

    /// Reads, commits, tells, syncs, releases, removes.
    fn round(&mut self) -> Result<News, CollectorError> {
        self.look_for_producers()?;
        self.note_deaths();
        let now = boot_anchor().wall;
        let mut batch = Batch::default();
        let bytes = self.read(now, &mut batch);
        failpoint::pass("after-read");
        self.obituaries.listen(&batch.process_events);
        self.end_the_dead(now, &mut batch);
        let news = if bytes > 0 || !batch.is_empty() {
            News::Some
        } else {
            News::None
        };
        for sample in &batch.samples {
            self.observed.insert(sample.subject.run, Instant::now());
        }
        self.sample(now, &mut batch);
        batch.forgotten.append(&mut self.removed);
        self.templates.assign(&mut batch);
        self.account(now, &mut batch);
        if !batch.is_empty() {
            self.commit(&batch)?;
        }
        self.prune_if_due(now)?;
        self.sync_if_due()?;
        Ok(news)
    }

    fn look_for_producers(&mut self) -> Result<(), CollectorError> {
        let spool = self.options.place.spool();
        let modified = std::fs::metadata(&spool)?.modified()?;
        let settled = modified
            .elapsed()
            .is_ok_and(|age| age > Duration::from_millis(50));
        if settled && self.listed_at == Some(modified) {
            return Ok(());
        }
        // Out of descriptors, perhaps: tried again with the next round.
        let Ok(found) = producers(&spool) else {
            return Ok(());
        };
        let mut complete = true;
        for (producer, directory) in found {
            if self.intakes.contains_key(&producer) {
                continue;
            }
            if self.ends.len() >= MOST_DEAD && self.here.judge(producer) == Life::Dead {
                complete = false;
                continue;
            }
            let known = self.sink.known(producer)?;
            let positions = self.sink.positions(producer)?;
            let open = self.sink.open_spans(producer)?;
            let anchor = boot_anchor();
            let intake = Intake::new(producer, directory, known, &positions, open, anchor);
            self.intakes.insert(producer, intake);
            match self.here.judge(producer) {
                Life::Alive => {
                    self.living.insert(producer);
                    self.observer.attach(producer.pid, producer.start_ticks);
                    self.note_other_programs(producer);
                }
                Life::Dead => self.note_death(producer, Ending::Exit(None)),
                Life::Unknown => {}
            }
        }
        // What comes within the same tick as the last change does not show later, either.
        self.listed_at = (complete && settled).then_some(modified);
        Ok(())
    }

    fn has_unknown_producer(&self) -> Result<bool, CollectorError> {
        let found = producers(&self.options.place.spool())?;
        Ok(found
            .iter()
            .any(|(producer, _)| !self.intakes.contains_key(producer)))
    }

    fn note_deaths(&mut self) {
        for death in self.observer.deaths() {
            let is_dead = |producer: &&ProducerId| {
                (producer.pid, producer.start_ticks) == (death.pid, death.start_ticks)
            };
            let dead: Vec<ProducerId> = self.living.iter().filter(is_dead).copied().collect();
            for producer in dead {
                // A process that has the pid since the same hundredth of a second, perhaps.
                let lives = self.here.judge(producer) == Life::Alive && holds(producer);
                if lives {
                    self.observer.attach(producer.pid, producer.start_ticks);
                } else {
                    self.note_death(producer, Ending::Exit(death.exit_code));
                    let run = RunKey::from(producer);
                    self.obituaries.note(run, death.exit_code, death.why);
                }
            }
        }
        for producer in self.programs.changed(&self.living) {
            self.note_other_programs(producer);
        }
    }

    /// Ends those producers of a process that it has left behind by an `exec`.
    fn note_other_programs(&mut self, one: ProducerId) {
        let of_it = |it: &&ProducerId| RunKey::from(**it) == RunKey::from(one);
        let of_it: Vec<ProducerId> = self.living.iter().filter(of_it).copied().collect();
        for producer in of_it {
            let directory = self.options.place.spool().join(producer.to_string());
            if has_let_go(producer, &directory) {
                self.note_death(producer, Ending::Exec);
            }
        }
    }

    fn note_death(&mut self, producer: ProducerId, ending: Ending) {
        self.living.remove(&producer);
        let end = ProducerEnd {
            producer,
            at: boot_anchor().wall,
            ending,
        };
        self.ends.insert(producer, end);
        if let Some(intake) = self.intakes.get_mut(&producer) {
            intake.declare_dead();
        }
    }

    fn read(&mut self, now: Timestamp, batch: &mut Batch) -> u32 {
        let mut total = 0_u32;
        let mut vanished = Vec::new();
        for (producer, intake) in &mut self.intakes {
            let share = BATCH_BYTES.saturating_sub(total).max(BATCH_BYTES / 8);
            match intake.read(share, now, batch) {
                Ok(bytes) => total = total.saturating_add(bytes),
                Err(error) if error.kind() == io::ErrorKind::NotFound => vanished.push(*producer),
                // A chunk that cannot be read now is tried again with the next round.
                Err(_) => {}
            }
        }
        for producer in vanished {
            // Somebody removed the folder; what was in it and not read is gone.
            if let Some(intake) = self.intakes.remove(&producer) {
                self.control.give_back(intake.size());
            }
            if self.living.remove(&producer) {
                let end = ProducerEnd {
                    producer,
                    at: now,
                    ending: Ending::Exit(None),
                };
                batch.ends.push(end);
            }
            self.ends.remove(&producer);
            self.removable.remove(&producer);
        }
        total
    }

    /// Ends the producers of which everything has been read.
    fn end_the_dead(&mut self, now: Timestamp, batch: &mut Batch) {
        batch.ends.append(&mut self.spoolless);
        for (producer, end) in &self.ends {
            let Some(intake) = self.intakes.get(producer) else {
                continue;
            };
            if intake.is_exhausted() && !self.removable.contains(producer) {
                intake.note_running_gap(now, batch);
                batch.ends.push(*end);
                let fold = intake.fold();
                let told = self.obituaries.write(fold.subject(), end.at);
                batch
                    .process_events
                    .extend(told.filter(|_| !fold.is_observer()));
            }
        }
    }

    fn sample(&mut self, now: Timestamp, batch: &mut Batch) {
        if self.sampled_at.elapsed() < SAMPLE_EVERY {
            return;
        }
        self.sampled_at = Instant::now();
        self.observed.retain(|_, at| at.elapsed() < OBSERVED_FOR);
        for producer in &self.living {
            let Some(intake) = self.intakes.get(producer) else {
                continue;
            };
            intake.note_running_gap(now, batch);
            let fold = intake.fold();
            if fold.is_observer() || self.observed.contains_key(&fold.subject().run) {
                continue;
            }
            if let Some(reading) = self.observer.sample(producer.pid) {
                batch.samples.push(SampleRow {
                    at: now,
                    subject: intake.fold().subject().clone(),
                    cpu_percent: reading.cpu_percent,
                    rss_bytes: reading.rss_bytes,
                    threads: reading.threads,
                    measures: reading.measures,
                });
            }
        }
    }

    fn account(&mut self, now: Timestamp, batch: &mut Batch) {
        let due = self
            .accounted_at
            .is_none_or(|at| at.elapsed() >= ACCOUNT_EVERY);
        if batch.is_empty() && !due {
            return;
        }
        self.accounted_at = Some(Instant::now());
        let behind = self.intakes.values().any(Intake::is_behind);
        let backlog = || self.intakes.values().map(Intake::backlog).sum();
        let oldest = batch.ended.iter().map(|span| span.ended_at).min();
        let lag = oldest.map_or(Duration::ZERO, |oldest| now.since(oldest));
        batch.collector = Some(CollectorState {
            pid: std::process::id(),
            heartbeat: now,
            backlog_bytes: if behind { backlog() } else { 0 },
            write_lag_ns: u64::try_from(lag.as_nanos()).unwrap_or(u64::MAX),
            held: None,
        });
    }
}
