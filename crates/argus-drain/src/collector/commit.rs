//! What the collector does with a batch: commit, tell, sync, release, remove. And what it removes
//! because its time is over.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use argus_model::{ProducerId, Timestamp};
use argus_spool::boot_anchor;
use argus_store::batch::{CollectorState, Hold};
use argus_store::retention::Rest;
use argus_store::{Batch, CommitError};

use super::{Collector, CollectorError};
use crate::failpoint;
use crate::intake::Intake;

/// What was committed is durable after at most this.
const SYNC_EVERY: Duration = Duration::from_secs(1);
/// A chunk that a producer could use again is synced after at most this.
const RELEASE_EVERY: Duration = Duration::from_millis(50);
/// What was recorded is held against its limits this often,
const PRUNE_EVERY: Duration = Duration::from_secs(60);
/// and whenever this many rows have come, so that a flood does not outrun the limit of size.
const PRUNE_ROWS: usize = 10_000;
/// Rows removed in one transaction.
const PRUNE_SLICE: usize = 1_000;
/// What goes beyond its limits is removed for so long between two batches.
const PRUNE_FOR: Duration = Duration::from_millis(25);
/// The pause after the store could not be written.
const RETRY_EVERY: Duration = Duration::from_millis(500);
/// The pause while a reader holds the store back.
const HELD_RETRY_EVERY: Duration = Duration::from_millis(50);
/// Who is through by then was reading a page, and nobody needs to know.
const HELD_TELL_AFTER: Duration = Duration::from_millis(500);

/// Who was not seen reading for so many looks has left. One look may miss him: the kernel's list of
/// locks changes while it is read.
const LOOKS_MISSED: u32 = 5;

/// Somebody who reads, and may be in the way.
struct Suspect {
    pid: u32,
    /// Looks at which it was not seen reading: in a row, and in all. Who is in the way always reads.
    absent: u32,
    missed: u32,
}

/// A commit that waits for a reader to move.
struct Waiting {
    since: Timestamp,
    began: Instant,
    suspects: Vec<Suspect>,
    /// Whom the store names, once it says that it is held back.
    told: Option<Option<u32>>,
}

impl Waiting {
    fn begin() -> Self {
        Self {
            since: boot_anchor().wall,
            began: Instant::now(),
            suspects: Vec::new(),
            told: None,
        }
    }

    /// Takes in who reads now. Who comes later than the first can only be in the way of others.
    fn look(&mut self, readers: &[u32]) {
        for suspect in &mut self.suspects {
            if readers.contains(&suspect.pid) {
                suspect.absent = 0;
            } else {
                suspect.absent += 1;
                suspect.missed += 1;
            }
        }
        self.suspects
            .retain(|suspect| suspect.absent < LOOKS_MISSED);
        if self.suspects.is_empty() {
            let suspect = |&pid| Suspect {
                pid,
                absent: 0,
                missed: 0,
            };
            self.suspects.extend(readers.iter().map(suspect));
        }
    }

    /// What the store should say and does not say yet. Seldom another name, because every word of
    /// this makes the WAL longer, too.
    fn news(&mut self) -> Option<Hold> {
        let first = self.suspects.iter().min_by_key(|suspect| suspect.missed);
        let reader = first.map(|suspect| suspect.pid);
        let missed = first.map_or(0, |suspect| suspect.missed);
        let still_likely = |told: u32| {
            let near = |suspect: &Suspect| suspect.missed < missed + LOOKS_MISSED;
            self.suspects
                .iter()
                .any(|suspect| suspect.pid == told && near(suspect))
        };
        let named = match self.told {
            None => false,
            Some(None) => reader.is_none(),
            Some(Some(told)) => still_likely(told),
        };
        if named || self.began.elapsed() < HELD_TELL_AFTER {
            return None;
        }
        self.told = Some(reader);
        Some(Hold {
            since: self.since,
            reader,
        })
    }
}

impl Collector {
    /// Commits a batch, however long the store cannot be written: the spools keep the records.
    pub(super) fn commit(&mut self, batch: &Batch) -> Result<(), CollectorError> {
        failpoint::pass("before-commit");
        let mut waiting = None;
        loop {
            match self.sink.commit(batch) {
                Ok(()) => break,
                Err(CommitError::Superseded) => return Err(CollectorError::Superseded),
                Err(CommitError::HeldBack { readers }) => {
                    let waiting = waiting.get_or_insert_with(Waiting::begin);
                    waiting.look(&readers);
                    self.wait_for_reader(waiting)?;
                }
                Err(CommitError::Unwritable(cause)) => {
                    if !self.warned {
                        eprintln!(
                            "argus: the store cannot be written ({cause}); nothing is lost, the \
                             records wait in {}",
                            self.options.place.spool().display()
                        );
                        self.warned = true;
                    }
                    self.control.beat(std::process::id());
                    thread::sleep(RETRY_EVERY);
                }
            }
        }
        self.warned = false;
        self.unpruned_rows += batch.rows();
        // Its own account alone need not survive a loss of power.
        self.dirty |= batch.rows() > 0 || !batch.positions.is_empty() || !batch.ends.is_empty();
        failpoint::pass("after-commit");
        let mut stored: BTreeMap<ProducerId, u64> = BTreeMap::new();
        for entry in &batch.ledger {
            *stored.entry(entry.producer).or_default() +=
                entry.stored + entry.damaged + entry.unknown;
        }
        for (producer, intake) in &mut self.intakes {
            intake.committed(stored.get(producer).copied().unwrap_or(0));
        }
        self.removable
            .extend(batch.ends.iter().map(|end| end.producer));
        self.control.announce_commit();
        self.followers.notify();
        failpoint::pass("after-notify");
        Ok(())
    }

    /// Leaves everything in the spools for a moment, whose budget bounds it, because more would only
    /// pile up beside what a reader holds open.
    fn wait_for_reader(&mut self, waiting: &mut Waiting) -> Result<(), CollectorError> {
        if let Some(hold) = waiting.news() {
            self.tell_hold(hold)?;
        }
        // What was committed before must not wait with the rest.
        self.sync_if_due()?;
        self.control.beat(std::process::id());
        thread::sleep(HELD_RETRY_EVERY);
        Ok(())
    }

    /// Says on standard error and in the store, for every screen, that a reader is in the way.
    fn tell_hold(&mut self, hold: Hold) -> Result<(), CollectorError> {
        let who = match hold.reader {
            Some(pid) => format!("process {pid} holds an old state of it open"),
            None => "a reader holds an old state of it open".to_owned(),
        };
        eprintln!(
            "argus: the store takes nothing more, because {who}; nothing is lost, the records wait \
             in {}",
            self.options.place.spool().display()
        );
        let account = CollectorState {
            pid: std::process::id(),
            heartbeat: boot_anchor().wall,
            backlog_bytes: self.intakes.values().map(Intake::backlog).sum(),
            write_lag_ns: 0,
            held: Some(hold),
        };
        let account = Batch {
            collector: Some(account),
            ..Batch::default()
        };
        match self.sink.commit(&account) {
            Err(CommitError::Superseded) => return Err(CollectorError::Superseded),
            // Told on standard error at least.
            Err(_) => return Ok(()),
            Ok(()) => {}
        }
        self.followers.notify();
        Ok(())
    }

    /// Removes what is beyond its limits, slice by slice, for a short time.
    pub(super) fn prune_if_due(&mut self, now: Timestamp) -> Result<(), CollectorError> {
        let due = self.pruning == Rest::More
            || self.unpruned_rows >= PRUNE_ROWS
            || self.pruned_at.is_none_or(|at| at.elapsed() >= PRUNE_EVERY);
        if !due {
            return Ok(());
        }
        let began = Instant::now();
        self.pruned_at = Some(began);
        // No fewer go than came, or a flood would outrun the limit of size.
        let mut owed = std::mem::take(&mut self.unpruned_rows) as u64;
        loop {
            let retention = &self.options.retention;
            match self.sink.prune(retention, now, PRUNE_SLICE) {
                Ok(pruned) => {
                    self.pruning = pruned.rest;
                    owed = owed.saturating_sub(pruned.rows);
                }
                Err(CommitError::Superseded) => return Err(CollectorError::Superseded),
                // The next batch says that the store cannot be written; pruning waits its turn.
                Err(CommitError::HeldBack { .. } | CommitError::Unwritable(_)) => {
                    self.pruning = Rest::Nothing;
                }
            }
            let enough = owed == 0 && began.elapsed() >= PRUNE_FOR;
            if self.pruning == Rest::Nothing || enough {
                return Ok(());
            }
        }
    }

    pub(super) fn sync_if_due(&mut self) -> Result<(), CollectorError> {
        if !self.dirty {
            return Ok(());
        }
        if !self.until_sync().is_zero() {
            return Ok(());
        }
        self.synced_at = Instant::now();
        match self.sink.sync() {
            Ok(()) => {}
            Err(CommitError::Superseded) => return Err(CollectorError::Superseded),
            // Nothing is released meanwhile; the next round tries again.
            Err(CommitError::HeldBack { .. } | CommitError::Unwritable(_)) => return Ok(()),
        }
        self.dirty = false;
        failpoint::pass("after-sync");
        for intake in self.intakes.values_mut() {
            intake.synced();
        }
        failpoint::pass("after-release");
        self.remove_spools();
        Ok(())
    }

    /// How long what was committed may wait for its sync.
    pub(super) fn until_sync(&self) -> Duration {
        let awaited = !self.removable.is_empty() || self.intakes.values().any(Intake::awaits_sync);
        let patience = if awaited { RELEASE_EVERY } else { SYNC_EVERY };
        patience.saturating_sub(self.synced_at.elapsed())
    }

    fn remove_spools(&mut self) {
        for producer in std::mem::take(&mut self.removable) {
            failpoint::pass("before-remove");
            let Some(intake) = self.intakes.get_mut(&producer) else {
                continue;
            };
            if intake.remove(self.control).is_err() {
                // Tried again after the next sync.
                self.removable.insert(producer);
                self.dirty = true;
                continue;
            }
            failpoint::pass("after-remove");
            self.intakes.remove(&producer);
            self.ends.remove(&producer);
            if !self.living.iter().any(|living| living.pid == producer.pid) {
                self.observer.detach(producer.pid, producer.start_ticks);
            }
            self.removed.push(producer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_reads_always_is_named_before_who_reads_often() {
        let mut waiting = Waiting::begin();
        for _ in 0..LOOKS_MISSED {
            waiting.look(&[7, 9]);
            waiting.look(&[9]);
        }
        waiting.began -= HELD_TELL_AFTER;
        let named = |hold: Option<Hold>| hold.map(|hold| hold.reader);
        assert_eq!(named(waiting.news()), Some(Some(9)));
    }

    #[test]
    fn the_reader_named_is_the_one_that_stays() {
        let mut waiting = Waiting::begin();
        waiting.look(&[7, 9]);
        assert_eq!(waiting.news(), None, "it may be through in a moment");
        waiting.began -= HELD_TELL_AFTER;
        for _ in 0..LOOKS_MISSED {
            waiting.look(&[9, 11]);
        }
        let named = |hold: Option<Hold>| hold.map(|hold| hold.reader);
        assert_eq!(named(waiting.news()), Some(Some(9)));
        waiting.look(&[]);
        assert_eq!(
            waiting.news(),
            None,
            "a look that missed it changes nothing"
        );
        for _ in 0..LOOKS_MISSED {
            waiting.look(&[12]);
        }
        assert_eq!(named(waiting.news()), Some(Some(12)));
        for _ in 0..LOOKS_MISSED {
            waiting.look(&[]);
        }
        assert_eq!(
            named(waiting.news()),
            Some(None),
            "hidden in another namespace"
        );
        assert_eq!(waiting.news(), None);
        waiting.look(&[13]);
        assert_eq!(named(waiting.news()), Some(Some(13)));
    }
}
