//! Monotonic time in a few nanoseconds.
//!
//! `clock_gettime` costs 20–56 ns, the time-stamp counter under ten. Each thread keeps an anchor,
//! one reading of both, and extrapolates from it. The rate comes from the distance between the
//! anchor and the process's first reading, so that it sharpens with time; the anchor is renewed
//! after as long as that distance was, at most 100 ms. Until a millisecond of distance exists, and
//! wherever the kernel does not itself trust the counter, the clock is read directly.
//!
//! A thread's time never goes backwards: at a new anchor it may stand still for some nanoseconds.

use argus_model::time::ClockAnchor;
use argus_model::{Monotonic, Timestamp};

/// The furthest a thread extrapolates.
const LONGEST_STRETCH_NS: u64 = 100_000_000;
/// The shortest distance from which a rate is believed.
const SHORTEST_BASE_NS: u64 = 1_000_000;
/// A prediction further off than this means that the counter is not a clock.
const TOLERATED_ERROR_NS: u64 = 50_000;

/// The clock source whose counter is read directly, where it is the kernel's own.
const TRUSTED: &str = "tsc";

/// The kernel's clock source. With `tsc` a span's times cost a few nanoseconds, else a call of the
/// kernel's clock each.
pub fn source() -> Option<String> {
    let path = "/sys/devices/system/clocksource/clocksource0/current_clocksource";
    let name = std::fs::read_to_string(path).ok()?;
    Some(name.trim().to_owned())
}

/// The monotonic clock, read from the kernel.
pub fn monotonic_now() -> Monotonic {
    Monotonic::from_nanos(read(libc::CLOCK_MONOTONIC).cast_unsigned())
}

/// Both clocks, read from the kernel within some tens of nanoseconds of each other.
pub fn boot_anchor() -> ClockAnchor {
    ClockAnchor {
        monotonic: monotonic_now(),
        wall: Timestamp::from_nanos(read(libc::CLOCK_REALTIME) + shift::nanos()),
    }
}

#[cfg(debug_assertions)]
pub use shift::shift_wall_clock;

/// For tests: a wall clock that is wrong, or jumps. A release build has nothing of it.
#[cfg(debug_assertions)]
mod shift {
    use std::sync::atomic::{AtomicI64, Ordering};

    static NANOS: AtomicI64 = AtomicI64::new(0);

    /// Sets this process's wall clock this far ahead of the machine's, for tests.
    pub fn shift_wall_clock(nanos: i64) {
        NANOS.store(nanos, Ordering::Relaxed);
    }

    pub(super) fn nanos() -> i64 {
        NANOS.load(Ordering::Relaxed)
    }
}

#[cfg(not(debug_assertions))]
mod shift {
    #[inline]
    pub(super) fn nanos() -> i64 {
        0
    }
}

fn read(clock: libc::clockid_t) -> i64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `time` is a valid place to write to.
    unsafe { libc::clock_gettime(clock, &raw mut time) };
    time.tv_sec * 1_000_000_000 + time.tv_nsec
}

#[cfg(target_arch = "x86_64")]
#[inline]
fn counter() -> u64 {
    // SAFETY: reads a register; every x86-64 processor has it, and where the kernel forbids it
    // (`PR_SET_TSC`) it does not name the counter as its clock source either.
    unsafe { std::arch::x86_64::_rdtsc() }
}

#[cfg(not(target_arch = "x86_64"))]
fn counter() -> u64 {
    0
}

/// The process's first reading of both clocks; the base of every rate.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ClockBase {
    counter: u64,
    monotonic: u64,
    trusted: bool,
}

impl ClockBase {
    pub(crate) fn read() -> Self {
        let trusted = cfg!(target_arch = "x86_64") && source().as_deref() == Some(TRUSTED);
        let counter = if trusted { counter() } else { 0 };
        Self {
            counter,
            monotonic: monotonic_now().nanos(),
            trusted,
        }
    }
}

/// What a reading of [`ThreadClock`] brought with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tick {
    /// Nothing but the time.
    Within,
    /// A stretch is over: time for what should happen now and then.
    StretchOver,
}

/// One thread's clock.
#[derive(Debug)]
pub(crate) struct ThreadClock {
    base: ClockBase,
    /// Counter at the anchor.
    from: u64,
    /// Counter ticks for which the anchor holds; 0 while the counter is not used.
    stretch: u64,
    /// Nanoseconds per tick, times 2³².
    rate: u64,
    /// Monotonic time at the anchor.
    anchor: u64,
    last: u64,
}

impl ThreadClock {
    pub(crate) fn new(base: ClockBase) -> Self {
        Self {
            base,
            from: 0,
            stretch: 0,
            rate: 0,
            anchor: 0,
            last: 0,
        }
    }

    /// The time now.
    #[inline]
    pub(crate) fn now(&mut self) -> (Monotonic, Tick) {
        let passed = if self.stretch == 0 {
            u64::MAX
        } else {
            counter().wrapping_sub(self.from)
        };
        if passed >= self.stretch {
            return self.renew();
        }
        let now = self.anchor + ((passed * self.rate) >> 32);
        self.last = self.last.max(now);
        (Monotonic::from_nanos(self.last), Tick::Within)
    }

    #[cold]
    fn renew(&mut self) -> (Monotonic, Tick) {
        let ticks = if self.base.trusted { counter() } else { 0 };
        let now = monotonic_now().nanos();
        if self.base.trusted {
            self.check_prediction(ticks, now);
            self.extrapolate_from(ticks, now);
        }
        let over = now.saturating_sub(self.anchor) >= LONGEST_STRETCH_NS;
        let tick = if self.stretch != 0 || over {
            Tick::StretchOver
        } else {
            Tick::Within
        };
        if self.stretch != 0 || over {
            self.anchor = now;
        }
        self.last = self.last.max(now);
        (Monotonic::from_nanos(self.last), tick)
    }

    /// After a suspension or a change of the clock source the counter leads astray: give it up.
    fn check_prediction(&mut self, ticks: u64, now: u64) {
        if self.stretch == 0 {
            return;
        }
        let passed = ticks.wrapping_sub(self.from);
        let predicted =
            u128::from(self.anchor) + ((u128::from(passed) * u128::from(self.rate)) >> 32);
        let error = predicted.abs_diff(u128::from(now));
        let allowed = u128::from(TOLERATED_ERROR_NS) + u128::from(now - self.anchor) / 1_000;
        if error > allowed {
            self.base.trusted = false;
            self.stretch = 0;
        }
    }

    fn extrapolate_from(&mut self, ticks: u64, now: u64) {
        let distance = now.saturating_sub(self.base.monotonic);
        let counted = ticks.wrapping_sub(self.base.counter);
        if !self.base.trusted || distance < SHORTEST_BASE_NS || counted == 0 {
            return;
        }
        let rate = (u128::from(distance) << 32) / u128::from(counted);
        let stretch_ns = distance.min(LONGEST_STRETCH_NS);
        let stretch = u128::from(stretch_ns) * u128::from(counted) / u128::from(distance);
        self.rate = u64::try_from(rate).unwrap_or(0);
        self.stretch = u64::try_from(stretch).unwrap_or(0);
        self.from = ticks;
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn extrapolated_time_stays_close_to_the_kernels() {
        let mut clock = ThreadClock::new(ClockBase::read());
        let end = Instant::now() + Duration::from_millis(300);
        let mut last = Monotonic::from_nanos(0);
        let mut ticks = 0;
        while Instant::now() < end {
            let before = monotonic_now().nanos();
            let (now, tick) = clock.now();
            let after = monotonic_now().nanos();
            assert!(now >= last, "a thread's time never goes backwards");
            assert!(now.nanos() + 200_000 > before && now.nanos() < after + 200_000);
            last = now;
            ticks += u32::from(tick == Tick::StretchOver);
        }
        assert!(ticks >= 2, "stretches end: {ticks}");
    }

    #[test]
    fn without_a_counter_the_clock_is_read_directly_and_still_ticks() {
        let base = ClockBase {
            counter: 0,
            monotonic: monotonic_now().nanos(),
            trusted: false,
        };
        let mut clock = ThreadClock::new(base);
        let (first, tick) = clock.now();
        assert_eq!(tick, Tick::StretchOver);
        let (second, tick) = clock.now();
        assert!(second >= first);
        assert_eq!(tick, Tick::Within);
    }
}
