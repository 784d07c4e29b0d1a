//! The page that a fork wipes, on which all process-wide state hangs.
//!
//! `pthread_atfork` and Python's `register_at_fork` miss children made by a bare system call. A page
//! marked `MADV_WIPEONFORK` (Linux 4.14) is zero in every child, so zero must mean "nothing opened
//! yet", for the lock too.

use std::cell::{Cell, UnsafeCell};
use std::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, Ordering, compiler_fence};

use argus_model::Monotonic;
use argus_model::record::{Gap, LossReason};

use crate::emit::Weight;
use crate::futex::WordLock;
use crate::monotonic_now;
use crate::process::Process;
use crate::writer::Writer;

const PAGE: usize = 4096;

/// Process-wide state. All zero in a child that has not emitted.
#[repr(C)]
pub(crate) struct ForkPage {
    /// The opened spool; a thread's writer that belongs to another was inherited from a parent.
    pub(crate) process: AtomicPtr<Process>,
    /// Guards opening, the pool of chunks, and the tally.
    lock: WordLock,
    /// Losses before there is a chunk to count them in.
    early: Tally,
    /// The tally of chunk 1; null until there is one.
    tally: AtomicPtr<Tally>,
    /// What signal handlers lost that interrupted the lock's holder, until that puts it into the
    /// tally.
    interrupting_normal: AtomicU64,
    interrupting_errors: AtomicU64,
    /// Ordinary records lost since the process began.
    pub(crate) lost_normal: AtomicU64,
    /// Errors lost since the process began.
    pub(crate) lost_errors: AtomicU64,
    /// Monotonic time before which opening is not tried again.
    pub(crate) retry_opening_at: AtomicU64,
    /// Guards the shared pen. Taken before `lock`, never inside it.
    shared_lock: WordLock,
    shared_pen: UnsafeCell<*mut Writer>,
}

impl ForkPage {
    /// Runs `critical` alone in the process. It must be short: a host's thread may wait for it.
    ///
    /// Nothing when the calling thread is inside already: this is a signal handler, and would wait
    /// for the very code that it interrupts.
    pub(crate) fn locked<R>(&self, critical: impl FnOnce() -> R) -> Option<R> {
        let inside = Inside::enter()?;
        let result = self.lock.with(|| {
            let result = critical();
            self.count_interrupting();
            result
        });
        drop(inside);
        // A handler may have come between the two.
        self.settle();
        Some(result)
    }

    /// Runs `work` alone with the place of the pen that all threads of the process share.
    pub(crate) fn with_shared_pen<R>(&self, work: impl FnOnce(&mut *mut Writer) -> R) -> R {
        // SAFETY: the lock is held, so nobody else has a reference to the place.
        self.shared_lock
            .with(|| work(unsafe { &mut *self.shared_pen.get() }))
    }

    /// The tally of the running gap.
    pub(crate) fn tally(&self) -> &Tally {
        // SAFETY: null, or set by `keep_tally_in` to one that lives as long as the process.
        let kept = unsafe { self.tally.load(Ordering::Acquire).as_ref() };
        kept.unwrap_or(&self.early)
    }

    /// From now on losses are counted in `tally`, those so far included. The caller holds the lock.
    pub(crate) fn keep_tally_in(&self, tally: &'static Tally) {
        tally.adopt(&self.early);
        let tally = std::ptr::from_ref(tally).cast_mut();
        self.tally.store(tally, Ordering::Release);
    }

    /// Counts a record that found no room.
    pub(crate) fn lose(&self, weight: Weight, reason: LossReason, now: Monotonic) {
        let counted = self.locked(|| self.count(weight, 1, reason, now));
        if counted.is_none() {
            let counter = match weight {
                Weight::Normal => &self.interrupting_normal,
                Weight::Error => &self.interrupting_errors,
            };
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn settle(&self) {
        let counters = [&self.interrupting_normal, &self.interrupting_errors];
        if counters.iter().any(|it| it.load(Ordering::Relaxed) != 0) {
            self.locked(|| ());
        }
    }

    fn count_interrupting(&self) {
        for (weight, counter) in [
            (Weight::Normal, &self.interrupting_normal),
            (Weight::Error, &self.interrupting_errors),
        ] {
            if counter.load(Ordering::Relaxed) != 0 {
                let records = counter.swap(0, Ordering::Relaxed);
                self.count(weight, records, LossReason::Reentrant, monotonic_now());
            }
        }
    }

    fn count(&self, weight: Weight, records: u64, reason: LossReason, now: Monotonic) {
        self.tally().count(weight, records, reason, now);
        let total = match weight {
            Weight::Normal => &self.lost_normal,
            Weight::Error => &self.lost_errors,
        };
        total.fetch_add(records, Ordering::Relaxed);
    }
}

thread_local! {
    static INSIDE: Cell<bool> = const { Cell::new(false) };
}

/// The calling thread holds the page's lock, or waits for it.
struct Inside;

impl Inside {
    fn enter() -> Option<Self> {
        // Not `then_some`: dropping a refused one would let the next in.
        let entered = (!INSIDE.replace(true)).then(|| Self);
        // A signal handler on this thread must see the flag before the lock is touched.
        compiler_fence(Ordering::SeqCst);
        entered
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        compiler_fence(Ordering::SeqCst);
        INSIDE.set(false);
    }
}

static THE_PAGE: AtomicPtr<ForkPage> = AtomicPtr::new(std::ptr::null_mut());

/// The page; nothing where the kernel cannot wipe it, and then nothing can be recorded.
pub(crate) fn page() -> Option<&'static ForkPage> {
    let existing = THE_PAGE.load(Ordering::Acquire);
    // SAFETY: once set, the pointer names a page that is never unmapped; all its fields are atomic.
    let existing = unsafe { existing.as_ref() };
    existing.or_else(make)
}

#[cold]
fn make() -> Option<&'static ForkPage> {
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    // SAFETY: a new anonymous mapping; advice and unmapping concern that mapping only.
    let fresh = unsafe {
        let start = libc::mmap(std::ptr::null_mut(), PAGE, protection, flags, -1, 0);
        if start == libc::MAP_FAILED {
            return None;
        }
        if libc::madvise(start, PAGE, libc::MADV_WIPEONFORK) != 0 {
            libc::munmap(start, PAGE);
            return None;
        }
        start.cast::<ForkPage>()
    };
    let null = std::ptr::null_mut();
    match THE_PAGE.compare_exchange(null, fresh, Ordering::AcqRel, Ordering::Acquire) {
        // SAFETY: zeroed memory is a valid `ForkPage`, never unmapped from here on.
        Ok(_) => unsafe { fresh.as_ref() },
        Err(winner) => {
            // SAFETY: nobody has seen `fresh`; the winner's page is never unmapped.
            unsafe {
                libc::munmap(fresh.cast(), PAGE);
                winner.as_ref()
            }
        }
    }
}

/// The running gap's counts, laid out as in the crate's documentation.
#[repr(C)]
#[derive(Debug, Default)]
pub(crate) struct Tally {
    number: AtomicU32,
    reason: AtomicU32,
    normal: AtomicU64,
    errors: AtomicU64,
    from: AtomicU64,
    to: AtomicU64,
}

const _: () = assert!(size_of::<Tally>() == crate::format::TALLY_LEN);

impl Tally {
    /// Counts records. The caller holds the page's lock.
    fn count(&self, weight: Weight, records: u64, reason: LossReason, now: Monotonic) {
        let (normal, errors) = (&self.normal, &self.errors);
        if normal.load(Ordering::Relaxed) == 0 && errors.load(Ordering::Relaxed) == 0 {
            self.reason.store(reason as u32, Ordering::Relaxed);
            self.from.store(now.nanos(), Ordering::Relaxed);
        }
        self.to.store(now.nanos(), Ordering::Relaxed);
        let counter = if weight == Weight::Error {
            errors
        } else {
            normal
        };
        counter.fetch_add(records, Ordering::Release);
    }

    /// The running gap, when it holds anything.
    pub(crate) fn gap(&self) -> Option<Gap> {
        let gap = Gap {
            number: self.number.load(Ordering::Relaxed),
            reason: LossReason::from_byte(self.reason.load(Ordering::Relaxed).to_le_bytes()[0]),
            normal: self.normal.load(Ordering::Acquire),
            errors: self.errors.load(Ordering::Acquire),
            from: Monotonic::from_nanos(self.from.load(Ordering::Relaxed)),
            to: Monotonic::from_nanos(self.to.load(Ordering::Relaxed)),
        };
        (gap.normal + gap.errors > 0).then_some(gap)
    }

    /// Begins the next gap, after the record of this one was published. The caller has held the
    /// page's lock since it read the counts.
    pub(crate) fn close(&self) {
        self.normal.store(0, Ordering::Relaxed);
        self.errors.store(0, Ordering::Release);
        self.number.fetch_add(1, Ordering::Release);
    }

    /// Takes over another tally's gap.
    fn adopt(&self, other: &Self) {
        for (mine, theirs) in [(&self.number, &other.number), (&self.reason, &other.reason)] {
            mine.store(theirs.load(Ordering::Relaxed), Ordering::Relaxed);
        }
        for (mine, theirs) in [
            (&self.from, &other.from),
            (&self.to, &other.to),
            (&self.normal, &other.normal),
            (&self.errors, &other.errors),
        ] {
            mine.store(theirs.load(Ordering::Relaxed), Ordering::Release);
        }
    }
}
