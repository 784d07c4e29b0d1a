//! Waiting on a word of memory: within the process for the lock, between processes for wake-ups.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// Who waits on a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// Threads of this process.
    Process,
    /// Every process that maps the word.
    Machine,
}

/// Sleeps until `word` is no longer `expected`, somebody wakes it, or the time is over.
pub(crate) fn wait(word: &AtomicU32, expected: u32, timeout: Option<Duration>, reach: Reach) {
    let time = timeout.map(|duration| libc::timespec {
        tv_sec: libc::time_t::try_from(duration.as_secs()).unwrap_or(libc::time_t::MAX),
        tv_nsec: duration.subsec_nanos().into(),
    });
    let time = time.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
    let operation = libc::FUTEX_WAIT | private(reach);
    // SAFETY: `word` and `time` are valid for the duration of the call.
    unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), operation, expected, time) };
}

/// Wakes up to `count` sleepers.
pub(crate) fn wake(word: &AtomicU32, count: i32, reach: Reach) {
    let operation = libc::FUTEX_WAKE | private(reach);
    // SAFETY: `word` is valid for the duration of the call.
    unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), operation, count) };
}

/// Whether sleepers on `word` could be woken here.
pub(crate) fn try_wake(word: &AtomicU32, reach: Reach) -> std::io::Result<()> {
    let operation = libc::FUTEX_WAKE | private(reach);
    // SAFETY: `word` is valid for the duration of the call.
    let answer = unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), operation, 0) };
    if answer < 0 {
        Err(std::io::Error::last_os_error())
    } else {
        Ok(())
    }
}

fn private(reach: Reach) -> i32 {
    if reach == Reach::Process {
        libc::FUTEX_PRIVATE_FLAG
    } else {
        0
    }
}

/// A lock whose unlocked state is zero, so that wiping its memory unlocks it.
#[derive(Debug, Default)]
pub(crate) struct WordLock(AtomicU32);

const FREE: u32 = 0;
const HELD: u32 = 1;
const CONTENDED: u32 = 2;

impl WordLock {
    /// Runs `critical` alone in the process. It must be short: a host's thread may wait for it.
    pub(crate) fn with<R>(&self, critical: impl FnOnce() -> R) -> R {
        self.acquire();
        let _release = Release(self);
        critical()
    }

    fn acquire(&self) {
        let taken = self
            .0
            .compare_exchange(FREE, HELD, Ordering::Acquire, Ordering::Relaxed);
        if taken.is_err() {
            while self.0.swap(CONTENDED, Ordering::Acquire) != FREE {
                wait(&self.0, CONTENDED, None, Reach::Process);
            }
        }
    }
}

struct Release<'a>(&'a WordLock);

impl Drop for Release<'_> {
    fn drop(&mut self) {
        if self.0.0.swap(FREE, Ordering::Release) == CONTENDED {
            wake(&self.0.0, 1, Reach::Process);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::UnsafeCell;

    use super::*;

    struct Counter(UnsafeCell<u64>);
    // SAFETY: only touched under the lock, which is what the test shows.
    unsafe impl Sync for Counter {}

    #[test]
    fn the_lock_excludes() {
        let lock = WordLock::default();
        let counter = Counter(UnsafeCell::new(0));
        let counter = &counter;
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..10_000 {
                        // SAFETY: the lock is held.
                        lock.with(|| unsafe { *counter.0.get() += 1 });
                    }
                });
            }
        });
        // SAFETY: all threads are joined.
        assert_eq!(unsafe { *counter.0.get() }, 40_000);
    }
}
