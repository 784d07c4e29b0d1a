//! Moments as the tables of processes and sessions write them: `2026-01-27T14:23:45.123Z`.
//!
//! Written by hand because a log line costs little more than its timestamp, and because the range
//! of [`Timestamp`] (1677 to 2262) needs no calendar library.

use argus_model::Timestamp;
use rusqlite::ToSql;
use rusqlite::types::ToSqlOutput;

const SECONDS_OF_DAY: i64 = 86_400;

/// A moment's text, at its place: no memory is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Iso([u8; LENGTH]);

/// Bytes of `2026-01-27T14:23:45.123Z`.
const LENGTH: usize = 24;

impl Iso {
    pub(super) fn as_str(&self) -> &str {
        // Digits and signs only: the alternative is never taken.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl ToSql for Iso {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.as_str().into())
    }
}

/// ISO 8601 in UTC with milliseconds, rounded towards the past. Sorts like time.
pub(super) fn iso(at: Timestamp) -> Iso {
    let millis = at.millis();
    let (seconds, millis) = (millis.div_euclid(1_000), millis.rem_euclid(1_000));
    let (year, month, day) = civil(seconds.div_euclid(SECONDS_OF_DAY));
    let second_of_day = seconds.rem_euclid(SECONDS_OF_DAY);
    let mut text = *b"0000-00-00T00:00:00.000Z";
    put(&mut text[0..4], year);
    put(&mut text[5..7], month);
    put(&mut text[8..10], day);
    put(&mut text[11..13], second_of_day / 3_600);
    put(&mut text[14..16], second_of_day / 60 % 60);
    put(&mut text[17..19], second_of_day % 60);
    put(&mut text[20..23], millis);
    Iso(text)
}

/// Writes a number with as many digits as there is room for.
fn put(room: &mut [u8], mut number: i64) {
    for digit in room.iter_mut().rev() {
        // Below ten, so it fits.
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
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
            let text = iso(Timestamp::from_nanos(millis * 1_000_000));
            prop_assert_eq!(text.as_str(), expected);
        }
    }

    #[test]
    fn the_format_is_the_documents() {
        let at = Timestamp::from_nanos(1_769_523_825_123_999_999);
        assert_eq!(iso(at).as_str(), "2026-01-27T14:23:45.123Z");
    }
}
