//! What the collector does with a batch: commit, tell, sync, release, remove. And what it removes
//! because its time is over.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use argus_model::{ProducerId, Timestamp};
use argus_store::retention::Rest;
use argus_store::{Batch, CommitError};

use super::{Collector, CollectorError};
use crate::failpoint;
use crate::intake::Intake;

/// What was committed is durable after at most this.
const SYNC_EVERY: Duration = Duration::from_secs(1);
/// A chunk that a producer could use again is synced after at most this.
pub(super) const RELEASE_EVERY: Duration = Duration::from_millis(50);
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

impl Collector {
    /// Commits a batch, however long the store cannot be written: the spools keep the records.
    pub(super) fn commit(&mut self, batch: &Batch) -> Result<(), CollectorError> {
        failpoint::pass("before-commit");
        loop {
            match self.sink.commit(batch) {
                Ok(()) => break,
                Err(CommitError::Superseded) => return Err(CollectorError::Superseded),
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
                Err(CommitError::Unwritable(_)) => self.pruning = Rest::Nothing,
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
        let awaited = !self.removable.is_empty() || self.intakes.values().any(Intake::awaits_sync);
        let patience = if awaited { RELEASE_EVERY } else { SYNC_EVERY };
        if self.synced_at.elapsed() < patience {
            return Ok(());
        }
        self.synced_at = Instant::now();
        match self.sink.sync() {
            Ok(()) => {}
            Err(CommitError::Superseded) => return Err(CollectorError::Superseded),
            // Nothing is released meanwhile; the next round tries again.
            Err(CommitError::Unwritable(_)) => return Ok(()),
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
