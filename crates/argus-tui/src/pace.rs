//! When to read and when to draw.
//!
//! News after a quiet moment is read at once; under a stream of commits, reading takes at most one
//! part in ten of the time, however large the store has grown. A frame is drawn when something
//! changed, and otherwise only as often as a shown elapsed time changes.

use std::time::{Duration, Instant};

use argus_read::live::Refreshed;

/// Two reads lie at least this far apart: a person does not see more.
const SHORTEST_GAP: Duration = Duration::from_millis(33);

/// News waits no longer than this, even if reading is slow.
const LONGEST_GAP: Duration = Duration::from_secs(1);

/// One part of reading to so many of waiting.
const REST: u32 = 10;

/// When to complete a picture that was only partly read.
const COMPLETE: Duration = Duration::from_millis(300);

/// How often there may be a store where there was none.
const OPEN: Duration = Duration::from_millis(250);

/// Elapsed times below ten seconds show tenths.
const FINE_TICK: Duration = Duration::from_millis(100);

/// Everything else that grows shows seconds.
const COARSE_TICK: Duration = Duration::from_secs(1);

/// Up to this age an elapsed time shows tenths of a second.
pub(crate) const FINE_UNTIL: Duration = Duration::from_secs(10);

/// The schedule of a screen. Pure: the moment is a parameter.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    news: bool,
    incomplete: bool,
    read_at: Option<Instant>,
    gap: Duration,
    opened_at: Option<Instant>,
    drawn_at: Option<Instant>,
    tick: Option<Duration>,
}

impl Pace {
    /// Something was committed.
    pub(crate) fn committed(&mut self) {
        self.news = true;
    }

    /// The store was read from `began` to `now`.
    pub(crate) fn read(&mut self, began: Instant, now: Instant, refreshed: Refreshed) {
        let cost = now.saturating_duration_since(began);
        self.news = false;
        self.incomplete = refreshed == Refreshed::Inside;
        self.read_at = Some(now);
        self.gap = (cost * REST).clamp(SHORTEST_GAP, LONGEST_GAP);
    }

    /// A store was looked for.
    pub(crate) fn sought(&mut self, now: Instant) {
        self.opened_at = Some(now);
    }

    /// A frame was drawn; `youngest` is the least elapsed time on it that grows.
    pub(crate) fn drawn(&mut self, now: Instant, youngest: Option<Duration>, growth: Growth) {
        self.drawn_at = Some(now);
        self.tick = match (growth, youngest) {
            (Growth::Frozen, _) => None,
            (Growth::Growing, Some(age)) if age < FINE_UNTIL => Some(FINE_TICK),
            (Growth::Growing, _) => Some(COARSE_TICK),
        };
    }

    /// How long until a store is looked for; zero when it is time.
    pub(crate) fn until_seek(&self, now: Instant) -> Duration {
        remaining(self.opened_at, OPEN, now)
    }

    /// How long until the store is read; zero when it is time, `None` when there is no reason.
    pub(crate) fn until_read(&self, now: Instant) -> Option<Duration> {
        match (self.news, self.incomplete) {
            (true, _) => Some(remaining(self.read_at, self.gap, now)),
            (false, true) => Some(remaining(self.read_at, COMPLETE, now)),
            (false, false) => None,
        }
    }

    /// How long until a frame is drawn for the sake of time alone; `None` when nothing grows.
    pub(crate) fn until_draw(&self, now: Instant) -> Option<Duration> {
        self.tick.map(|tick| remaining(self.drawn_at, tick, now))
    }
}

/// Whether the times on a screen go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Growth {
    /// They do.
    Growing,
    /// It is paused.
    Frozen,
}

fn remaining(since: Option<Instant>, period: Duration, now: Instant) -> Duration {
    since.map_or(Duration::ZERO, |since| {
        period.saturating_sub(now.saturating_duration_since(since))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn news_after_a_quiet_moment_is_read_at_once() {
        let start = Instant::now();
        let mut pace = Pace::default();
        assert_eq!(pace.until_read(start), None);
        pace.committed();
        assert_eq!(pace.until_read(start), Some(Duration::ZERO));
        pace.read(start, start + ms(1), Refreshed::Whole);
        assert_eq!(pace.until_read(start + ms(1)), None);
        pace.committed();
        assert_eq!(pace.until_read(start + ms(500)), Some(Duration::ZERO));
    }

    #[test]
    fn under_a_stream_of_commits_reading_takes_its_share_only() {
        let start = Instant::now();
        let mut pace = Pace::default();
        let check = |pace: &mut Pace, cost, gap| {
            pace.read(start, start + cost, Refreshed::Whole);
            pace.committed();
            assert_eq!(pace.until_read(start + cost), Some(gap));
        };
        check(&mut pace, ms(0), SHORTEST_GAP);
        check(&mut pace, ms(20), ms(200));
        check(&mut pace, ms(400), LONGEST_GAP);
    }

    #[test]
    fn a_partial_picture_is_completed_without_further_news() {
        let start = Instant::now();
        let mut pace = Pace::default();
        pace.read(start, start, Refreshed::Inside);
        assert_eq!(pace.until_read(start), Some(COMPLETE));
        assert_eq!(pace.until_read(start + COMPLETE), Some(Duration::ZERO));
        pace.read(start, start, Refreshed::Whole);
        assert_eq!(pace.until_read(start), None);
    }

    #[test]
    fn frames_follow_what_grows() {
        let start = Instant::now();
        let mut pace = Pace::default();
        let mut check = |youngest, growth, tick| {
            pace.drawn(start, youngest, growth);
            assert_eq!(pace.until_draw(start), tick);
        };
        check(Some(ms(1)), Growth::Growing, Some(FINE_TICK));
        check(Some(ms(10_000)), Growth::Growing, Some(COARSE_TICK));
        check(None, Growth::Growing, Some(COARSE_TICK));
        check(Some(ms(1)), Growth::Frozen, None);
    }
}
