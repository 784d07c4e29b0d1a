//! Two clocks and the bridge between them.
//!
//! Producers stamp every record with [`Monotonic`] time, so that a duration can never be negative
//! whatever happens to the wall clock. Each stretch of records carries a [`ClockAnchor`], one
//! reading of both clocks at the same moment, from which the reader derives the [`Timestamp`].

use std::time::Duration;

/// Nanoseconds since the Unix epoch, UTC. Good from 1677 to 2262.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The moment `nanos` nanoseconds after the Unix epoch.
    pub const fn from_nanos(nanos: i64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since the Unix epoch.
    pub const fn nanos(self) -> i64 {
        self.0
    }

    /// Whole milliseconds since the Unix epoch, rounded towards the past.
    pub const fn millis(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }

    /// How long after `earlier` this is; zero when it is not after it.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0).max(0).unsigned_abs())
    }

    /// This moment, `duration` later, saturating at the end of time.
    pub fn plus(self, duration: Duration) -> Self {
        let nanos = i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX);
        Self(self.0.saturating_add(nanos))
    }

    /// This moment, `duration` earlier, saturating at the beginning of time.
    pub fn minus(self, duration: Duration) -> Self {
        let nanos = i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX);
        Self(self.0.saturating_sub(nanos))
    }
}

/// Nanoseconds of the machine's monotonic clock (`CLOCK_MONOTONIC`): since boot, never backwards,
/// standing still while the machine is suspended. Comparable between the processes of one boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Monotonic(u64);

impl Monotonic {
    /// The moment `nanos` nanoseconds after the clock's zero.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since the clock's zero.
    pub const fn nanos(self) -> u64 {
        self.0
    }

    /// How long after `earlier` this is; zero when it is not after it.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// This moment, `duration` later, saturating at the end of time.
    pub fn plus(self, duration: Duration) -> Self {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(nanos))
    }
}

/// One reading of both clocks at the same moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ClockAnchor {
    /// The monotonic clock's reading.
    pub monotonic: Monotonic,
    /// The wall clock's reading.
    pub wall: Timestamp,
}

impl ClockAnchor {
    /// The wall time at which the monotonic clock showed `at`.
    pub fn wall_at(self, at: Monotonic) -> Timestamp {
        let difference = i128::from(at.nanos()) - i128::from(self.monotonic.nanos());
        let wall = i128::from(self.wall.nanos()) + difference;
        let clamped = wall.clamp(i128::from(i64::MIN), i128::from(i64::MAX));
        Timestamp(i64::try_from(clamped).unwrap_or(i64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_anchor_maps_before_and_after_itself() {
        let anchor = ClockAnchor {
            monotonic: Monotonic::from_nanos(1_000),
            wall: Timestamp::from_nanos(50_000),
        };
        assert_eq!(anchor.wall_at(Monotonic::from_nanos(1_500)).nanos(), 50_500);
        assert_eq!(anchor.wall_at(Monotonic::from_nanos(400)).nanos(), 49_400);
        assert_eq!(
            anchor.wall_at(Monotonic::from_nanos(u64::MAX)).nanos(),
            i64::MAX
        );
    }

    #[test]
    fn a_duration_is_never_negative() {
        let (early, late) = (Timestamp::from_nanos(5), Timestamp::from_nanos(9));
        assert_eq!(late.since(early), Duration::from_nanos(4));
        assert_eq!(early.since(late), Duration::ZERO);
    }
}
