//! Moments as the tables of processes and sessions write them: `2026-01-27T14:23:45.123Z`.
//!
//! Written by hand because a log line costs little more than its timestamp, and because the range
//! of [`Timestamp`] (1677 to 2262) needs no calendar library.

use argus_model::Timestamp;

const SECONDS_OF_DAY: i64 = 86_400;

/// ISO 8601 in UTC with milliseconds, rounded towards the past. Sorts like time.
pub(super) fn iso(at: Timestamp) -> String {
    let millis = at.millis();
    let (seconds, millis) = (millis.div_euclid(1_000), millis.rem_euclid(1_000));
    let (year, month, day) = civil(seconds.div_euclid(SECONDS_OF_DAY));
    let second_of_day = seconds.rem_euclid(SECONDS_OF_DAY);
    let (hour, minute, second) = (
        second_of_day / 3_600,
        second_of_day / 60 % 60,
        second_of_day % 60,
    );
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
}

/// Year, month and day of a day counted from 1970-01-01, in the proleptic Gregorian calendar:
/// years begin in March, so that the leap day is a year's last; eras of 400 years are all alike.
fn civil(day: i64) -> (i64, i64, i64) {
    let day = day + 719_468;
    let era = day.div_euclid(146_097);
    let day_of_era = day.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day_of_month = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day_of_month)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rusqlite::Connection;

    use super::*;

    proptest! {
        #[test]
        fn moments_read_as_sqlite_would_write_them(millis in i64::MIN / 1_000_000..i64::MAX / 1_000_000) {
            let seconds = millis.div_euclid(1_000);
            let expected: String = Connection::open_in_memory()
                .unwrap()
                .query_row(
                    "SELECT strftime('%Y-%m-%dT%H:%M:%S', ?1, 'unixepoch') || printf('.%03dZ', ?2)",
                    (seconds, millis.rem_euclid(1_000)),
                    |row| row.get(0),
                )
                .unwrap();
            prop_assert_eq!(iso(Timestamp::from_nanos(millis * 1_000_000)), expected);
        }
    }

    #[test]
    fn the_format_is_the_documents() {
        let at = Timestamp::from_nanos(1_769_523_825_123_999_999);
        assert_eq!(iso(at), "2026-01-27T14:23:45.123Z");
    }
}
