//! Numbers as people read them: three digits and a unit.

use std::time::Duration;

use argus_model::{Measure, Timestamp};
use jiff::tz::TimeZone;

use crate::pace::FINE_UNTIL;

/// What stands where a number would, if it were known.
pub const UNKNOWN: &str = "–";

/// A time that is still growing: tenths of a second, then seconds, then two units.
pub fn elapsed(duration: Duration) -> String {
    if duration < FINE_UNTIL {
        let tenths = duration.as_millis() / 100;
        return format!("{}.{} s", tenths / 10, tenths % 10);
    }
    let seconds = duration.as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{minutes}m {:02}s", seconds % 60),
        3_600..86_400 => format!("{hours}h {:02}m", minutes % 60),
        _ => format!("{days}d {:02}h", hours % 24),
    }
}

/// A time that is known: three digits, from nanoseconds up.
pub fn duration(duration: Duration) -> String {
    let nanos = duration.as_nanos();
    match nanos {
        0..1_000 => format!("{nanos} ns"),
        1_000..1_000_000 => three_digits(duration.as_secs_f64() * 1e6, "µs"),
        1_000_000..1_000_000_000 => three_digits(duration.as_secs_f64() * 1e3, "ms"),
        1_000_000_000..10_000_000_000 => three_digits(duration.as_secs_f64(), "s"),
        _ => elapsed(duration),
    }
}

/// Bytes in binary units.
pub fn bytes(bytes: u64) -> String {
    let mut value = bytes as f64;
    for unit in ["B", "KiB", "MiB", "GiB"] {
        if value < 1_024.0 {
            return match unit {
                "B" => format!("{bytes} B"),
                _ => three_digits(value, unit),
            };
        }
        value /= 1_024.0;
    }
    three_digits(value, "TiB")
}

/// Mebibytes in the same units.
pub fn mebibytes(value: f64) -> String {
    // Negative or absurd readings saturate; a screen has no better answer.
    bytes((value * 1_048_576.0) as u64)
}

fn three_digits(value: f64, unit: &str) -> String {
    let digits = match value {
        ..10.0 => 2,
        10.0..100.0 => 1,
        _ => 0,
    };
    format!("{value:.digits$} {unit}")
}

/// A measure's value with its unit; what is not known is never shown as a number.
pub fn measure(measure: Measure, value: Option<f64>) -> String {
    let Some(value) = value else {
        return UNKNOWN.to_owned();
    };
    // Counts are whole, and negative or absurd rates saturate.
    let whole = value as u64;
    match measure {
        Measure::Interval => format!("{value} s"),
        Measure::CpuNormalized => format!("{value:.1}%"),
        Measure::DiskRead
        | Measure::DiskWritten
        | Measure::NetworkReceived
        | Measure::NetworkSent => bytes(whole),
        Measure::DiskReadRate
        | Measure::DiskWriteRate
        | Measure::NetworkReceiveRate
        | Measure::NetworkSendRate => format!("{}/s", bytes(whole)),
        Measure::RunQueueWait => duration(Duration::from_secs_f64(value.clamp(0.0, 1e12) / 1e3)),
        Measure::Pss => mebibytes(value),
        Measure::Descriptors
        | Measure::Children
        | Measure::MinorFaults
        | Measure::MajorFaults
        | Measure::VoluntarySwitches
        | Measure::InvoluntarySwitches => whole.to_string(),
    }
}

/// A number with its thing, in the singular where it is one.
pub fn count(number: usize, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

/// The time of day, to the millisecond.
pub fn time_of_day(at: Timestamp, zone: &TimeZone) -> String {
    match jiff::Timestamp::from_nanosecond(i128::from(at.nanos())) {
        Ok(at) => at
            .to_zoned(zone.clone())
            .strftime("%H:%M:%S.%3f")
            .to_string(),
        Err(_) => "?".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growing_times_change_no_faster_than_they_are_read() {
        let check = |millis, expected: &str| {
            assert_eq!(elapsed(Duration::from_millis(millis)), expected);
        };
        check(0, "0.0 s");
        check(1_290, "1.2 s");
        check(9_999, "9.9 s");
        check(10_000, "10 s");
        check(187_000, "3m 07s");
        check(7_500_000, "2h 05m");
        check(273_600_000, "3d 04h");
    }

    #[test]
    fn known_times_have_three_digits() {
        let check = |nanos, expected: &str| {
            assert_eq!(duration(Duration::from_nanos(nanos)), expected);
        };
        check(999, "999 ns");
        check(1_234, "1.23 µs");
        check(45_600_000, "45.6 ms");
        check(456_000_000, "456 ms");
        check(4_560_000_000, "4.56 s");
        check(61_000_000_000, "1m 01s");
    }

    #[test]
    fn bytes_have_binary_units() {
        assert_eq!(bytes(1_023), "1023 B");
        assert_eq!(bytes(1_536), "1.50 KiB");
        assert_eq!(mebibytes(34.1), "34.1 MiB");
        assert_eq!(mebibytes(-1.0), "0 B");
    }

    #[test]
    fn what_is_not_known_is_not_shown_as_zero() {
        assert_eq!(measure(Measure::DiskReadRate, None), "–");
        assert_eq!(measure(Measure::DiskReadRate, Some(0.0)), "0 B/s");
        assert_eq!(measure(Measure::NetworkSent, Some(1_536.0)), "1.50 KiB");
        assert_eq!(measure(Measure::Children, Some(3.0)), "3");
        assert_eq!(measure(Measure::RunQueueWait, Some(1.5)), "1.50 ms");
    }

    #[test]
    fn the_time_of_day_is_told_in_the_given_zone() {
        let at = Timestamp::from_nanos(3_723_004_000_000);
        assert_eq!(time_of_day(at, &TimeZone::UTC), "01:02:03.004");
        let east = TimeZone::fixed(jiff::tz::offset(2));
        assert_eq!(time_of_day(at, &east), "03:02:03.004");
    }
}
