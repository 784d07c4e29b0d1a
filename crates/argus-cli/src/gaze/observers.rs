//! The loops of the threads that look: at a process's use of the machine, at its log files.

use std::fmt;
use std::os::fd::AsFd;
use std::str::FromStr;
use std::time::Duration;

use argus_model::Monotonic;
use argus_observe::line::Taken;
use argus_observe::platform;
use argus_observe::sample::{FIRST_READING, Reading, Sampler};
use argus_observe::tail::{Follower, Told};
use argus_observe::wake::{Bell, wait_any};

/// The time between two measurements: more than none, at most a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Interval(Duration);

/// A text that is not an interval.
#[derive(Debug, thiserror::Error)]
#[error("expected a number of seconds above 0, at most 86400 (a day), such as 5 or 0.5")]
pub(crate) struct NotAnInterval;

/// Five seconds.
impl Default for Interval {
    fn default() -> Self {
        Self(Duration::from_secs(5))
    }
}

impl FromStr for Interval {
    type Err = NotAnInterval;

    fn from_str(text: &str) -> Result<Self, NotAnInterval> {
        let seconds: f64 = text.parse().map_err(|_| NotAnInterval)?;
        // A millisecond is as often as anything new can be seen.
        if (0.001..=86_400.0).contains(&seconds) {
            Ok(Self(Duration::from_secs_f64(seconds)))
        } else {
            Err(NotAnInterval)
        }
    }
}

impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = if self.0 == Duration::from_secs(1) {
            "second"
        } else {
            "seconds"
        };
        write!(f, "{} {unit}", self.0.as_secs_f64())
    }
}

impl Interval {
    /// The time.
    pub(crate) fn duration(self) -> Duration {
        self.0
    }

    /// When the measurement after `now` is due: first soon after the beginning, then at whole
    /// intervals from it. One that was missed is left out, not made up for.
    pub(crate) fn next(self, begun: Monotonic, now: Monotonic) -> Monotonic {
        let first = begun.plus(FIRST_READING.min(self.0));
        if now < first {
            first
        } else {
            self.after(begun, now)
        }
    }

    /// The first moment after `now` that lies whole intervals from `grid`: processes that are
    /// measured at the same interval are measured together.
    pub(crate) fn after(self, grid: Monotonic, now: Monotonic) -> Monotonic {
        let into = now.since(grid).as_nanos() % self.0.as_nanos();
        let into = Duration::from_nanos(u64::try_from(into).unwrap_or(0));
        now.plus(self.0 - into)
    }
}

/// Measures at every interval until `stop` rings or the process has ended.
pub(crate) fn measure(
    mut sampler: Sampler,
    begun: Monotonic,
    interval: Interval,
    stop: &Bell,
    mut each: impl FnMut(Reading),
) {
    let mut due = begun;
    loop {
        due = interval.next(begun, due.max(platform::monotonic_now()));
        match wait_until(due, stop) {
            Waited::Due => {}
            Waited::Stopped => return,
        }
        match sampler.sample() {
            Ok(Some(reading)) => each(reading),
            // Whoever waits for the end hears of it by itself.
            Ok(None) | Err(_) => return,
        }
    }
}

/// Follows log files until `stop` rings, and then to their end. Whenever everything that was there is
/// told, `settle` is called.
pub(crate) fn follow(
    mut follower: Follower,
    stop: &Bell,
    mut told: impl FnMut(Told<'_>) -> Taken,
    settle: impl Fn(),
) {
    const LONG: Duration = Duration::from_secs(3600);
    loop {
        let waited = follower.wait(LONG, Some(stop.as_fd()));
        let is_over = wait_any([stop.as_fd()], Some(Duration::ZERO));
        if waited.is_err() || !matches!(is_over, Ok([false])) {
            follower.finish(told);
            settle();
            return;
        }
        follower.read(&mut told);
        settle();
    }
}

enum Waited {
    Due,
    Stopped,
}

fn wait_until(due: Monotonic, stop: &Bell) -> Waited {
    loop {
        let left = due.since(platform::monotonic_now());
        if left.is_zero() {
            return Waited::Due;
        }
        match wait_any([stop.as_fd()], Some(left)) {
            Ok([false]) => {}
            Ok([true]) | Err(_) => return Waited::Stopped,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interval(text: &str) -> Interval {
        text.parse().unwrap()
    }

    #[test]
    fn an_interval_is_a_number_of_seconds_above_zero() {
        assert_eq!(interval("5").0, Duration::from_secs(5));
        assert_eq!(interval("0.25").0, Duration::from_millis(250));
        for text in ["0", "-1", "", "five", "nan", "inf", "0.0", "1e9", "5s"] {
            assert!(text.parse::<Interval>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn an_interval_reads_as_people_write_it() {
        assert_eq!(interval("5").to_string(), "5 seconds");
        assert_eq!(interval("1").to_string(), "1 second");
        assert_eq!(interval("0.5").to_string(), "0.5 seconds");
    }

    #[test]
    fn the_first_measurement_comes_at_once_the_others_at_whole_intervals() {
        let begun = Monotonic::from_nanos(7_000_000_000);
        let check = |text: &str, now_ms: u64, next_ms: u64| {
            let now = Monotonic::from_nanos(begun.nanos() + now_ms * 1_000_000);
            let next = interval(text).next(begun, now);
            let expected = now.plus(Duration::from_millis(next_ms));
            assert_eq!(next, expected, "{text} at {now_ms}");
        };
        check("5", 0, 100);
        check("5", 100, 4_900);
        check("5", 5_001, 4_999);
        check("5", 17_500, 2_500);
        check("0.05", 0, 50);
        check("0.05", 50, 50);
    }

    #[test]
    fn thirty_seconds_at_an_interval_of_five_hold_six_measurements() {
        let begun = Monotonic::from_nanos(0);
        let end = begun.plus(Duration::from_secs(30));
        let mut at = begun;
        let mut count = 0;
        while at <= end {
            at = interval("5").next(begun, at);
            count += u32::from(at <= end);
        }
        assert!(count >= 6, "{count}");
    }
}
