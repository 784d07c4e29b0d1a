//! Moments and stretches of time: read from the command line, printed for people and programs.
//!
//! Programs get UTC in ISO 8601 with nine digits; people get their local time to the millisecond.

use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use argus_model::Timestamp;
use argus_store::query::TimeRange;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{Span, SpanRelativeTo};

use crate::exit::Exit;
use crate::failure::Refusal;

/// A moment as people write it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum When {
    /// This long before now: `5m`, `1h 30m`, `2d`.
    Ago(Duration),
    /// Exactly then: `2026-01-27T14:00:00Z`; local time when no zone is given.
    At(Timestamp),
}

/// A text that names no moment.
#[derive(Debug, thiserror::Error)]
#[error("expected a span of time such as 5m or 2d, or a moment such as 2026-01-27T14:00:00Z")]
pub(crate) struct NotAMoment;

impl FromStr for When {
    type Err = NotAMoment;

    fn from_str(text: &str) -> Result<Self, NotAMoment> {
        let text = text.trim();
        span(text)
            .map(Self::Ago)
            .or_else(|| absolute(text).map(Self::At))
            .ok_or(NotAMoment)
    }
}

impl When {
    /// The moment meant, if it is `now` now.
    fn resolve(self, now: Timestamp) -> Timestamp {
        match self {
            Self::Ago(duration) => now.minus(duration),
            Self::At(at) => at,
        }
    }
}

/// The stretch from `since` to `until`; refused when it could hold nothing.
pub(crate) fn range(
    since: Option<When>,
    until: Option<When>,
    now: Timestamp,
) -> Result<TimeRange, Refusal> {
    let range = TimeRange {
        from: since.map(|when| when.resolve(now)),
        to: until.map(|when| when.resolve(now)),
    };
    match (range.from, range.to) {
        (Some(from), Some(to)) if from >= to => Err(Refusal::new(
            Exit::Usage,
            format!("--since {} is not before --until {}", iso(from), iso(to)),
        )),
        _ => Ok(range),
    }
}

/// This moment.
pub(crate) fn now() -> Timestamp {
    // A clock before 1970 or after 2262 is no clock; every comparison with it is false anyway.
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp::default().plus(since)
}

/// `2026-01-27T14:23:45.123456789Z`
pub(crate) fn iso(at: Timestamp) -> String {
    format!("{:.9}", instant(at))
}

/// `2026-01-27 14:23:45.123` in the zone of this machine (or of `TZ`).
pub(crate) fn local(at: Timestamp) -> String {
    let zoned = instant(at).to_zoned(TimeZone::system());
    zoned.strftime("%Y-%m-%d %H:%M:%S%.3f").to_string()
}

/// `2026-01-27 14:23:45` in the zone of this machine (or of `TZ`).
pub(crate) fn local_to_second(at: Timestamp) -> String {
    let zoned = instant(at).to_zoned(TimeZone::system());
    zoned.strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// A duration as people read it: three digits and a unit.
pub(crate) fn duration(nanos: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
    let nanos = nanos as f64;
    for (limit, divisor, unit) in [
        (1e3, 1.0, "ns"),
        (1e6, 1e3, "µs"),
        (1e9, 1e6, "ms"),
        (60e9, 1e9, "s"),
    ] {
        if nanos < limit * 0.9995 {
            return format!("{} {unit}", three_digits(nanos / divisor));
        }
    }
    long_duration((nanos / 1e9).round())
}

/// From a minute on: the two largest units.
fn long_duration(seconds: f64) -> String {
    let parts = |unit: f64, part: f64| {
        let whole = (seconds / part).round();
        (
            (whole * part / unit).floor(),
            (whole * part % unit / part).floor(),
        )
    };
    match seconds {
        ..3600.0 => {
            let (minutes, seconds) = parts(60.0, 1.0);
            format!("{minutes} m {seconds:02} s")
        }
        3600.0..172_800.0 => {
            let (hours, minutes) = parts(3600.0, 60.0);
            format!("{hours} h {minutes:02} m")
        }
        _ => {
            let (days, hours) = parts(86_400.0, 3600.0);
            format!("{days} d {hours:02} h")
        }
    }
}

/// A number as people read it: three digits, none of them behind a whole number.
pub(crate) fn three_digits(value: f64) -> String {
    let decimals = match value {
        _ if value.fract() == 0.0 => 0,
        ..10.0 => 2,
        10.0..100.0 => 1,
        _ => 0,
    };
    format!("{value:.decimals$}")
}

fn instant(at: Timestamp) -> jiff::Timestamp {
    jiff::Timestamp::from_nanosecond(at.nanos().into())
        .expect("64 bits of nanoseconds end in 2262, long before jiff's range does")
}

pub(crate) fn span(text: &str) -> Option<Duration> {
    let span: Span = text.parse().ok()?;
    let duration = span.to_duration(SpanRelativeTo::days_are_24_hours()).ok()?;
    Duration::try_from(duration).ok()
}

fn absolute(text: &str) -> Option<Timestamp> {
    let instant = match text.parse::<jiff::Timestamp>() {
        Ok(instant) => instant,
        Err(_) => {
            let local: DateTime = text.parse().ok()?;
            local.to_zoned(TimeZone::system()).ok()?.timestamp()
        }
    };
    i64::try_from(instant.as_nanosecond())
        .ok()
        .map(Timestamp::from_nanos)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_nanos(1_769_523_825_123_456_789);

    fn check(text: &str, expected: &str) {
        let when: When = text.parse().unwrap();
        assert_eq!(iso(when.resolve(NOW)), expected, "{text}");
    }

    #[test]
    fn spans_count_back_from_now() {
        check("5m", "2026-01-27T14:18:45.123456789Z");
        check("1h30m", "2026-01-27T12:53:45.123456789Z");
        check("2d", "2026-01-25T14:23:45.123456789Z");
        check("1w", "2026-01-20T14:23:45.123456789Z");
    }

    #[test]
    fn moments_are_taken_as_they_are() {
        check("2026-01-27T14:00:00Z", "2026-01-27T14:00:00.000000000Z");
        check(
            "2026-01-27T14:00:00+01:00",
            "2026-01-27T13:00:00.000000000Z",
        );
    }

    #[test]
    fn other_texts_are_no_moments() {
        for text in ["", "yesterday", "5", "-5m", "2026-13-01", "5 parsecs"] {
            assert!(text.parse::<When>().is_err(), "{text:?}");
        }
        assert!("2026-01-27".parse::<When>().is_ok());
    }

    #[test]
    fn a_stretch_that_ends_before_it_begins_is_refused() {
        let hour = Some(When::Ago(Duration::from_secs(3600)));
        assert!(range(None, hour, NOW).is_ok());
        assert!(range(Some(When::At(NOW)), hour, NOW).is_err());
    }

    #[test]
    fn durations_keep_three_digits() {
        for (nanos, text) in [
            (0, "0 ns"),
            (999, "999 ns"),
            (1_500, "1.50 µs"),
            (45_600_000, "45.6 ms"),
            (999_999_999, "1.00 s"),
            (2_345_000_000, "2.35 s"),
            (83_000_000_000, "1 m 23 s"),
            (59_999_999_999, "1 m 00 s"),
            (3_599_700_000_000, "1 h 00 m"),
            (7_500_000_000_000, "2 h 05 m"),
            (25_806_400_000_000_000, "298 d 16 h"),
        ] {
            assert_eq!(duration(nanos), text, "{nanos}");
        }
    }
}
