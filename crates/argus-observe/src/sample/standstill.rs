//! Whether a process has run since something was read of it.
//!
//! Its CPU clock counts every nanosecond of every thread, of ended ones too. A clock that stands where
//! it stood *before* something was read shows that no thread has run since: none was made, none has
//! allocated, opened or written anything, and the process has not ended, for all of that is done by the
//! process itself. Nor has another process its id now: its clock would have to agree to the nanosecond.
//!
//! A few things happen to a process that sleeps: the kernel reclaims its memory or collects children
//! whose end it ignores, somebody moves it to other CPUs or writes into its memory. Hence
//! [`READ_ANYWAY`].

use std::time::Duration;

use super::CpuUse;

/// How long what was read of a process that has not run since is told again.
pub const READ_ANYWAY: Duration = Duration::from_secs(10);

/// The clock of a process before something was read of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Standstill(CpuUse);

impl Standstill {
    /// Whatever is read from here on.
    pub(super) fn since(clock: CpuUse) -> Self {
        Self(clock)
    }

    /// Whether what was read still holds, by the clock as it is `now`. A clock at zero shows nothing:
    /// threads of the kernel have one that never moves.
    pub(super) fn lasts(&self, now: CpuUse) -> bool {
        let stands = now.used == self.0.used && !now.used.is_zero();
        stands && now.at.since(self.0.at) < READ_ANYWAY
    }
}

#[cfg(test)]
mod tests {
    use argus_model::Monotonic;

    use super::*;

    fn at(milliseconds: u64, used_nanos: u64) -> CpuUse {
        CpuUse {
            at: Monotonic::from_nanos(milliseconds * 1_000_000),
            used: Duration::from_nanos(used_nanos),
        }
    }

    #[test]
    fn a_nanosecond_of_cpu_ends_it_and_so_do_ten_seconds() {
        let standstill = Standstill::since(at(1_000, 77));
        assert!(standstill.lasts(at(1_000, 77)));
        assert!(standstill.lasts(at(10_999, 77)));
        assert!(!standstill.lasts(at(1_001, 78)));
        assert!(!standstill.lasts(at(1_001, 76)), "another process's clock");
        assert!(!standstill.lasts(at(11_000, 77)));
    }

    #[test]
    fn a_clock_that_never_moved_shows_nothing() {
        assert!(!Standstill::since(at(1_000, 0)).lasts(at(1_001, 0)));
    }
}
