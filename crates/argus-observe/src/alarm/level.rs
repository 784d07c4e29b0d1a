//! A value that may be too high: thresholds, how long, and when it is over again.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use argus_model::Monotonic;

/// The share of the threshold below which an alert is over. Netdata's stock alerts fire at 85 and
/// are over at 75, the critical ones at 95 and 85: 0.88 and 0.89. Without such a band a value that
/// hovers at the threshold would fire again and again.
pub const CLEAR_SHARE: f64 = 0.9;

/// So many intervals without a reading are a gap.
const GAP_INTERVALS: u32 = 3;

/// What is no gap even at the shortest interval: a busy machine may keep an observer waiting.
const SHORTEST_GAP: Duration = Duration::from_secs(1);

/// What a value is compared with: a number above zero.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Threshold(f64);

/// A text or number that is no threshold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected a number above 0, such as 80 or 1.5")]
pub struct NotAThreshold;

impl Threshold {
    /// The number, in the unit of its rule.
    pub const fn value(self) -> f64 {
        self.0
    }

    /// As a time, where the unit is seconds.
    pub fn as_seconds(self) -> Duration {
        Duration::try_from_secs_f64(self.0).unwrap_or(Duration::MAX)
    }
}

impl TryFrom<f64> for Threshold {
    type Error = NotAThreshold;

    fn try_from(value: f64) -> Result<Self, NotAThreshold> {
        if value.is_finite() && value > 0.0 {
            Ok(Self(value))
        } else {
            Err(NotAThreshold)
        }
    }
}

impl FromStr for Threshold {
    type Err = NotAThreshold;

    fn from_str(text: &str) -> Result<Self, NotAThreshold> {
        text.parse::<f64>().map_err(|_| NotAThreshold)?.try_into()
    }
}

impl fmt::Display for Threshold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// How long a level must last before it counts; no time at all is allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hold(Duration);

/// A text or number that is no time to hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected a number of seconds from 0 to 86400 (a day), such as 30 or 0.5")]
pub struct NotAHold;

impl Hold {
    /// The time.
    pub const fn duration(self) -> Duration {
        self.0
    }
}

impl TryFrom<f64> for Hold {
    type Error = NotAHold;

    fn try_from(seconds: f64) -> Result<Self, NotAHold> {
        if (0.0..=86_400.0).contains(&seconds) {
            Ok(Self(Duration::from_secs_f64(seconds)))
        } else {
            Err(NotAHold)
        }
    }
}

impl FromStr for Hold {
    type Err = NotAHold;

    fn from_str(text: &str) -> Result<Self, NotAHold> {
        text.parse::<f64>().map_err(|_| NotAHold)?.try_into()
    }
}

/// A level begins or ceases to fire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It fires.
    Fired {
        /// When the first of the readings above the threshold was taken.
        since: Monotonic,
    },
    /// It does not fire any more.
    Cleared {
        /// When it fired.
        fired: Monotonic,
    },
}

/// One value compared with one threshold, over time.
#[derive(Debug, Clone, Copy)]
pub struct Level {
    threshold: Threshold,
    hold: Duration,
    fired: Option<Monotonic>,
    /// When the first of the readings was taken that all speak for a change.
    streak: Option<Monotonic>,
    last: Option<Last>,
}

#[derive(Debug, Clone, Copy)]
struct Last {
    at: Monotonic,
    interval: Duration,
}

impl Level {
    /// A level that does not fire.
    pub const fn new(threshold: Threshold, hold: Duration) -> Self {
        Self {
            threshold,
            hold,
            fired: None,
            streak: None,
            last: None,
        }
    }

    /// Takes the next reading. `interval` is the time between readings that is in force: a pause
    /// of more than three intervals (the longer one, where it changed meanwhile) and more than a
    /// second is a gap, in which nothing is known, so the minimum time begins anew after it. A value
    /// that is no number is no reading.
    pub fn reading(&mut self, at: Monotonic, value: f64, interval: Duration) -> Option<Change> {
        if !value.is_finite() {
            return None;
        }
        let last = self.last.replace(Last { at, interval });
        if last.is_some_and(|last| at.since(last.at) > gap(last.interval.max(interval))) {
            self.streak = None;
        }
        if !self.speaks_for_change(value) {
            self.streak = None;
            return None;
        }
        let since = *self.streak.get_or_insert(at);
        if at.since(since) < self.hold {
            return None;
        }
        self.streak = None;
        if let Some(fired) = self.fired.take() {
            return Some(Change::Cleared { fired });
        }
        self.fired = Some(at);
        Some(Change::Fired { since })
    }

    /// When it fired, if it does.
    pub const fn fired(&self) -> Option<Monotonic> {
        self.fired
    }

    /// What it compares with.
    pub const fn threshold(&self) -> Threshold {
        self.threshold
    }

    fn speaks_for_change(&self, value: f64) -> bool {
        match self.fired {
            None => value > self.threshold.value(),
            Some(_) => value < self.threshold.value() * CLEAR_SHARE,
        }
    }
}

fn gap(interval: Duration) -> Duration {
    interval.saturating_mul(GAP_INTERVALS).max(SHORTEST_GAP)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const INTERVAL: Duration = Duration::from_secs(1);

    fn at(millis: u64) -> Monotonic {
        Monotonic::from_nanos(millis * 1_000_000)
    }

    fn level(hold_ms: u64) -> Level {
        Level::new(Threshold(100.0), Duration::from_millis(hold_ms))
    }

    /// `F` and `C` where a reading fired and cleared, `.` where nothing happened.
    fn run(hold_ms: u64, readings: &[(u64, f64)]) -> String {
        let mut level = level(hold_ms);
        let turn = |(millis, value): &(u64, f64)| match level.reading(at(*millis), *value, INTERVAL)
        {
            Some(Change::Fired { .. }) => 'F',
            Some(Change::Cleared { .. }) => 'C',
            None => '.',
        };
        readings.iter().map(turn).collect()
    }

    #[test]
    fn at_the_threshold_nothing_fires_above_it_does() {
        assert_eq!(run(0, &[(0, 100.0)]), ".");
        assert_eq!(run(0, &[(0, 100.0_f64.next_up())]), "F");
    }

    #[test]
    fn at_the_lower_bound_nothing_is_over_below_it_is() {
        assert_eq!(run(0, &[(0, 101.0), (1, 90.0)]), "F.");
        assert_eq!(run(0, &[(0, 101.0), (1, 90.0_f64.next_down())]), "FC");
    }

    #[test]
    fn a_level_fires_at_the_reading_that_completes_the_time() {
        let high = |times: &[u64]| -> Vec<_> { times.iter().map(|at| (*at, 101.0)).collect() };
        assert_eq!(run(2_000, &high(&[0, 1_000, 1_999])), "...");
        assert_eq!(run(2_000, &high(&[0, 1_000, 2_000, 3_000])), "..F.");
    }

    #[test]
    fn one_reading_in_between_begins_the_time_anew() {
        let readings = [(0, 101.0), (1_000, 100.0), (2_000, 101.0), (3_000, 101.0)];
        assert_eq!(run(2_000, &readings), "....");
        let readings = [(0, 101.0), (1, 80.0), (2, 95.0), (3, 80.0)];
        assert_eq!(run(0, &readings), "FC..");
    }

    #[test]
    fn a_value_that_hovers_at_the_threshold_fires_once() {
        let hovering: Vec<_> = (0..100)
            .map(|i| (i * 1000, if i % 2 == 0 { 101.0 } else { 99.0 }))
            .collect();
        assert_eq!(run(0, &hovering).matches('F').count(), 1);
        assert_eq!(run(0, &hovering).matches('C').count(), 0);
    }

    #[test]
    fn what_is_no_number_is_no_reading() {
        let readings = [
            (0, 101.0),
            (1_000, f64::NAN),
            (2_000, f64::INFINITY),
            (3_000, f64::NEG_INFINITY),
        ];
        assert_eq!(run(0, &readings), "F...");
        let readings = [(0, 101.0), (1_000, f64::NAN), (2_000, 101.0)];
        assert_eq!(run(2_000, &readings), "..F");
    }

    #[test]
    fn a_gap_neither_fires_nor_clears() {
        let readings = [
            (0, 101.0),
            (60_000, 101.0),
            (61_000, 101.0),
            (62_000, 101.0),
        ];
        assert_eq!(run(2_000, &readings), "...F");
        let readings = [
            (0, 101.0),
            (2_000, 101.0),
            (3_000, 10.0),
            (60_000, 10.0),
            (62_000, 10.0),
        ];
        assert_eq!(run(2_000, &readings), ".F..C");
    }

    #[test]
    fn a_pause_is_a_gap_by_the_longer_interval() {
        let check = |intervals: [u64; 2], pause: u64, fires: bool| {
            let mut level = level(pause);
            let [before, after] = intervals.map(Duration::from_millis);
            assert_eq!(level.reading(at(0), 101.0, before), None);
            let change = level.reading(at(pause), 101.0, after);
            assert_eq!(change.is_some(), fires, "{intervals:?} {pause}");
        };
        check([10_000, 10_000], 30_000, true);
        check([10_000, 10_000], 30_001, false);
        check([60_000, 1_000], 60_000, true);
        check([1_000, 60_000], 60_000, true);
        check([100, 100], 1_000, true);
        check([100, 100], 1_001, false);
    }

    #[test]
    fn a_threshold_is_above_zero_and_a_hold_may_be_none() {
        for text in ["0", "-1", "nan", "inf", "", "80%", "x"] {
            assert!(text.parse::<Threshold>().is_err(), "{text:?}");
        }
        assert_eq!("0.5".parse(), Ok(Threshold(0.5)));
        for text in ["-1", "nan", "inf", "", "1e9", "5s"] {
            assert!(text.parse::<Hold>().is_err(), "{text:?}");
        }
        assert_eq!("0".parse(), Ok(Hold(Duration::ZERO)));
        let endless = Threshold::try_from(1e300).unwrap();
        assert_eq!(endless.as_seconds(), Duration::MAX);
    }

    /// What the promise says, computed from the whole past at every reading.
    fn expected(hold: Duration, readings: &[(Monotonic, f64)]) -> String {
        let mut firing = false;
        // Readings before this one have done their work.
        let mut from = 0;
        let known: Vec<_> = readings.iter().filter(|(_, v)| v.is_finite()).collect();
        let mut turns = known.iter().enumerate().map(|(index, (now, _))| {
            let speaks = |value: f64| {
                if firing {
                    value < 100.0 * CLEAR_SHARE
                } else {
                    value > 100.0
                }
            };
            let lasts = (from..=index).any(|first| {
                let stretch = &known[first..=index];
                stretch.iter().all(|(_, value)| speaks(*value))
                    && stretch
                        .windows(2)
                        .all(|two| two[1].0.since(two[0].0) <= gap(INTERVAL))
                    && now.since(stretch[0].0) >= hold
            });
            if !lasts {
                return '.';
            }
            from = index + 1;
            firing = !firing;
            if firing { 'F' } else { 'C' }
        });
        let mut turn = |(_, value): &(Monotonic, f64)| match value.is_finite() {
            true => turns.next().unwrap_or('?'),
            false => '.',
        };
        readings.iter().map(&mut turn).collect()
    }

    proptest! {
        #[test]
        fn every_change_is_the_one_that_the_whole_past_gives(
            hold in 0_u64..5_000,
            steps in proptest::collection::vec(
                (
                    prop_oneof![8 => 1_u64..1_500, 1 => 2_900_u64..3_100, 1 => 3_000_u64..90_000],
                    prop_oneof![
                        4 => Just(101.0),
                        4 => Just(50.0),
                        1 => Just(95.0),
                        1 => Just(100.0),
                        1 => Just(90.0),
                        1 => Just(f64::NAN),
                        2 => 80.0..110.0,
                    ],
                ),
                0..60,
            ),
        ) {
            let mut now = 0;
            let readings: Vec<_> = steps
                .iter()
                .map(|(step, value)| { now += step; (now, *value) })
                .collect();
            let timed: Vec<_> = readings.iter().map(|(t, v)| (at(*t), *v)).collect();
            prop_assert_eq!(
                run(hold, &readings),
                expected(Duration::from_millis(hold), &timed)
            );
        }
    }
}
