//! The page that producers, collector and flushing programs share: `<database>.d/control`.
//!
//! ```text
//! offset  size  what
//!      0     8  magic `ARGSCTL1`
//!     64     4  sleeping: 1 while the collector sleeps and wants to be woken (a futex)
//!     72     8  heartbeat: monotonic time at which the collector last said that it lives
//!     80     4  collector's pid, 0 when it has left
//!     88     8  start claim: monotonic time at which somebody last started a collector
//!     96     4  unanswered: starts since a collector last said that it lives
//!    128     4  commits: raised after every commit (a futex)
//!    132     4  waiters: how many programs sleep on `commits`
//!    192     8  allocated: bytes of spool files, reserved before they are allocated
//!    200     8  budget: bytes that `allocated` may reach
//! ```
//!
//! Everything is an atomic word; what one process writes, another may read at any moment. Words
//! that different sides write stand in cache lines of their own. The page outlives the boot, the
//! monotonic clock does not: a time that lies ahead is of an earlier boot, and means nothing.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use argus_model::Monotonic;

use crate::futex::{self, Reach};
use crate::map::{Create, Mapping};
use crate::monotonic_now;

/// How long a heartbeat is good for.
pub const HEARTBEAT_GOOD_FOR: Duration = Duration::from_millis(1_000);
/// The disk budget of a data folder where none is set: 1 GiB.
pub const DEFAULT_BUDGET: u64 = 1 << 30;

const PAGE: usize = 4096;
const MAGIC: u64 = u64::from_le_bytes(*b"ARGSCTL1");
/// How long a started collector is given before somebody else starts one.
const START_GRACE: Duration = Duration::from_millis(1_000);
/// For guests the grace doubles with every start that came to nothing, this many times: a collector
/// that cannot work must not cost its hosts a process a second.
const MOST_DOUBLINGS: u32 = 6;

/// Who would start a collector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Starter {
    /// A program that records. Nobody waits for the collector.
    Guest,
    /// A command, whose user may just have put right what was wrong.
    Command,
}

/// What a reservation is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reserve {
    /// Records that can wait, since they stand in a file: as ordinary ones, while no more than an eighth of
    /// the budget of this process's is waiting for the collector. Whoever reads a large file must not take
    /// the room of those who cannot wait.
    Patient,
    /// Ordinary records: up to nine tenths of the budget.
    Normal,
    /// Errors: all of it.
    Errors,
}

/// The shared page, mapped.
#[derive(Debug, Clone, Copy)]
pub struct ControlPage(Mapping);

impl ControlPage {
    /// Maps the page, creating it where it is missing.
    pub fn open(path: &Path) -> io::Result<Self> {
        let page = Self(Mapping::create(path, PAGE, Create::IfMissing)?);
        let magic = page.0.word(0);
        match magic.compare_exchange(0, MAGIC, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) | Err(MAGIC) => {}
            Err(_) => {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    "not a control page",
                ));
            }
        }
        // Not only by the maker, who may have been killed before.
        let _ =
            page.budget()
                .compare_exchange(0, DEFAULT_BUDGET, Ordering::AcqRel, Ordering::Relaxed);
        Ok(page)
    }

    fn half(self, offset: u32) -> &'static AtomicU32 {
        // SAFETY: aligned, inside the page, and only ever accessed as this atomic; the page stays
        // mapped for the process's life.
        unsafe { AtomicU32::from_ptr(self.0.at(offset).cast()) }
    }

    /// 1 while the collector sleeps and wants to be woken.
    pub(crate) fn sleeping(self) -> &'static AtomicU32 {
        self.half(64)
    }

    fn commits(self) -> &'static AtomicU32 {
        self.half(128)
    }

    fn waiters(self) -> &'static AtomicU32 {
        self.half(132)
    }

    fn allocated(self) -> &'static AtomicU64 {
        self.0.word(192)
    }

    fn budget(self) -> &'static AtomicU64 {
        self.0.word(200)
    }

    /// Wakes the collector if it sleeps. One load when it does not.
    pub(crate) fn nudge(self) {
        if self.sleeping().load(Ordering::Relaxed) != 0 {
            self.wake_collector();
        }
    }

    /// Wakes the collector. Called after a record was published, by whoever saw the flag first.
    #[cold]
    pub fn wake_collector(self) {
        if self.sleeping().swap(0, Ordering::AcqRel) != 0 {
            futex::wake(self.sleeping(), 1, Reach::Machine);
        }
    }

    /// Collector: says that it wants to be woken, and makes every producer that published before
    /// now either seen by a look after this, or see the flag.
    ///
    /// A producer stores its record, then loads the flag, without a fence between: the fence is
    /// put into all of them from here (`membarrier(2)`). Where that does not exist, the longest
    /// sleep is the safety.
    pub fn announce_sleep(self) {
        self.sleeping().store(1, Ordering::SeqCst);
        // SAFETY: a system call without pointers.
        unsafe { libc::syscall(libc::SYS_membarrier, libc::MEMBARRIER_CMD_GLOBAL, 0, 0) };
    }

    /// Collector: sleeps until a producer wakes it or the time is over.
    pub fn sleep(self, longest: Duration) {
        futex::wait(self.sleeping(), 1, Some(longest), Reach::Machine);
        self.sleeping().store(0, Ordering::Release);
    }

    /// Collector: says that it lives.
    pub fn beat(self, pid: u32) {
        self.half(80).store(pid, Ordering::Relaxed);
        self.half(96).store(0, Ordering::Relaxed);
        self.0
            .word(72)
            .store(monotonic_now().nanos(), Ordering::Release);
    }

    /// Collector: says that it leaves.
    pub fn leave(self) {
        self.sleeping().store(0, Ordering::Release);
        self.half(80).store(0, Ordering::Relaxed);
        self.0.word(72).store(0, Ordering::Release);
        self.0.word(88).store(0, Ordering::Release);
    }

    /// The collector's pid while its heartbeat is good.
    pub fn living_collector(self) -> Option<u32> {
        let heartbeat = self.0.word(72).load(Ordering::Acquire);
        is_within(HEARTBEAT_GOOD_FOR, heartbeat).then(|| self.half(80).load(Ordering::Relaxed))
    }

    /// How long ago a collector last said that it lives; nothing when it has left, or in this boot
    /// none came.
    pub fn heartbeat_age(self) -> Option<Duration> {
        let heartbeat = self.0.word(72).load(Ordering::Acquire);
        let now = monotonic_now();
        let is_of_this_boot = heartbeat != 0 && heartbeat <= now.nanos();
        is_of_this_boot.then(|| now.since(Monotonic::from_nanos(heartbeat)))
    }

    /// How many collectors were started since one last said that it lives.
    pub fn unanswered_starts(self) -> u32 {
        self.half(96).load(Ordering::Relaxed)
    }

    /// Whether the caller is the one who should start a collector now.
    pub(crate) fn claim_start(self, starter: Starter) -> bool {
        let (claim, unanswered) = (self.0.word(88), self.half(96));
        let last = claim.load(Ordering::Acquire);
        let doublings = match starter {
            Starter::Command => 0,
            Starter::Guest => unanswered.load(Ordering::Relaxed).saturating_sub(1),
        };
        let grace = START_GRACE * (1 << doublings.min(MOST_DOUBLINGS));
        let now = monotonic_now().nanos();
        let claimed = !is_within(grace, last)
            && claim
                .compare_exchange(last, now, Ordering::AcqRel, Ordering::Relaxed)
                .is_ok();
        if claimed {
            unanswered.fetch_add(1, Ordering::Relaxed);
        }
        claimed
    }

    /// Collector: tells everybody who waits for a commit.
    pub fn announce_commit(self) {
        self.commits().fetch_add(1, Ordering::Release);
        if self.waiters().load(Ordering::SeqCst) != 0 {
            futex::wake(self.commits(), i32::MAX, Reach::Machine);
        }
    }

    /// The number of commits so far, modulo 2³².
    pub(crate) fn commit_count(self) -> u32 {
        self.commits().load(Ordering::Acquire)
    }

    /// Sleeps until there were other than `seen` commits, or the time is over.
    pub(crate) fn await_commit(self, seen: u32, longest: Duration) {
        self.waiters().fetch_add(1, Ordering::SeqCst);
        futex::wait(self.commits(), seen, Some(longest), Reach::Machine);
        self.waiters().fetch_sub(1, Ordering::SeqCst);
    }

    /// Takes `bytes` from the disk budget, if they are there.
    pub(crate) fn reserve(self, bytes: u64, reserve: Reserve) -> bool {
        let budget = self.budget().load(Ordering::Relaxed);
        let limit = match reserve {
            Reserve::Patient | Reserve::Normal => budget / 10 * 9,
            Reserve::Errors => budget,
        };
        self.allocated()
            .fetch_update(Ordering::AcqRel, Ordering::Relaxed, |allocated| {
                allocated.checked_add(bytes).filter(|sum| *sum <= limit)
            })
            .is_ok()
    }

    /// Gives `bytes` back to the disk budget.
    pub fn give_back(self, bytes: u64) {
        let subtract = |allocated: u64| Some(allocated.saturating_sub(bytes));
        let _ = self
            .allocated()
            .fetch_update(Ordering::AcqRel, Ordering::Relaxed, subtract);
    }

    /// Collector: sets what the spool files really take, which heals what crashes left behind.
    pub fn set_allocated(self, bytes: u64) {
        self.allocated().store(bytes, Ordering::Release);
    }

    /// Bytes of spool files reserved, and the budget.
    pub fn usage(self) -> (u64, u64) {
        (
            self.allocated().load(Ordering::Relaxed),
            self.budget().load(Ordering::Relaxed),
        )
    }

    /// Sets the budget of the data folder.
    pub fn set_budget(self, bytes: u64) {
        self.budget().store(bytes, Ordering::Release);
    }
}

/// Whether a time noted in the page lies less than `span` ago; zero stands for no time.
fn is_within(span: Duration, noted: u64) -> bool {
    let now = monotonic_now();
    noted != 0 && noted <= now.nanos() && now.since(Monotonic::from_nanos(noted)) < span
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn starts_that_come_to_nothing_become_rare_for_guests() {
        let path = std::env::temp_dir().join(format!("argus-claims-{}", std::process::id()));
        let control = ControlPage::open(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        let claimed_ago = |ago: Duration| {
            let at = monotonic_now().nanos() - u64::try_from(ago.as_nanos()).unwrap();
            control.0.word(88).store(at, Ordering::Release);
        };
        assert!(control.claim_start(Starter::Guest));
        assert!(!control.claim_start(Starter::Guest));
        claimed_ago(START_GRACE);
        assert!(control.claim_start(Starter::Guest));
        claimed_ago(START_GRACE);
        assert!(!control.claim_start(Starter::Guest), "twice the grace now");
        assert!(control.claim_start(Starter::Command));
        control.beat(7);
        claimed_ago(START_GRACE);
        assert!(control.claim_start(Starter::Guest), "one has answered");
    }
}
