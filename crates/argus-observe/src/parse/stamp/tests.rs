//! Zones, leap days, and what is inferred where a year or a day is not told.

use super::*;
use crate::parse::tests::{moment, shown};

fn central_europe() -> TimeZone {
    TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").expect("a zone")
}

fn check(now: &str, text: &str, expected: &str) {
    let mut clock = Clock::new(central_europe());
    clock.set(moment(now));
    let at = clock.leading(text).map(|stamp| stamp.at);
    let at = at.or_else(|| clock.syslog(text).map(|(at, _)| at));
    let at = at.or_else(|| clock.glog(text).map(|(at, _)| at));
    assert_eq!(at.map(shown).unwrap_or_default(), expected, "{text}");
}

const NOW: &str = "2026-01-28T12:00:00Z";

#[test]
fn a_time_without_a_zone_is_local() {
    check(NOW, "2026-01-27 14:23:45", "2026-01-27T13:23:45Z");
    check(NOW, "2026-07-27 14:23:45.5", "2026-07-27T12:23:45.5Z");
    check(NOW, "2026-07-27T14:23:45Z", "2026-07-27T14:23:45Z");
    check(NOW, "2026-07-27T14:23:45-0230", "2026-07-27T16:53:45Z");
    check(NOW, "2026-07-27T14:23:45+02", "2026-07-27T12:23:45Z");
    check(NOW, "2026-07-27 14:23:45 +0900", "2026-07-27T05:23:45Z");
    check(NOW, "2026-07-27 14:23:45 -1", "2026-07-27T12:23:45Z");
}

#[test]
fn clocks_that_are_put_forward_or_back_are_survived() {
    check(NOW, "2026-03-29 01:59:59", "2026-03-29T00:59:59Z");
    check(NOW, "2026-03-29 02:30:00", "2026-03-29T01:30:00Z");
    check(NOW, "2026-03-29 03:00:00", "2026-03-29T01:00:00Z");
    check(NOW, "2026-10-25 02:30:00", "2026-10-25T00:30:00Z");
    check(NOW, "2026-10-25 03:00:00", "2026-10-25T02:00:00Z");
}

#[test]
fn the_calendar_is_kept() {
    check(NOW, "2024-02-29T00:00:00Z", "2024-02-29T00:00:00Z");
    check(NOW, "2000-02-29T00:00:00Z", "2000-02-29T00:00:00Z");
    check(NOW, "2026-12-31T23:59:60Z", "2027-01-01T00:00:00Z");
    check(NOW, "1969-12-31T23:59:59.5Z", "1969-12-31T23:59:59.5Z");
    for wrong in [
        "2026-02-29",
        "1900-02-29",
        "2026-13-01",
        "2026-00-01",
        "2026-04-31",
        "2026-01-00",
    ] {
        check(NOW, &format!("{wrong}T00:00:00Z"), "");
    }
    for wrong in ["24:00:00", "00:60:00", "00:00:61", "0:00:00", "00-00-00"] {
        check(NOW, &format!("2026-01-01T{wrong}Z"), "");
    }
    check(NOW, "9999-01-01T00:00:00Z", "");
}

#[test]
fn a_year_is_inferred_around_new_year() {
    check(
        "2026-01-01T00:10:00Z",
        "Dec 31 23:59:00",
        "2025-12-31T22:59:00Z",
    );
    check(
        "2025-12-31T23:30:00Z",
        "Jan  1 00:45:00",
        "2025-12-31T23:45:00Z",
    );
    check(
        "2025-12-31T12:00:00Z",
        "Jan  1 00:00:01",
        "2025-12-31T23:00:01Z",
    );
    check(
        "2026-06-01T12:00:00Z",
        "Jul 27 14:23:45",
        "2025-07-27T12:23:45Z",
    );
    check(
        "2026-03-01T12:00:00Z",
        "Feb 29 00:00:00",
        "2024-02-28T23:00:00Z",
    );
    check(
        "2024-03-01T12:00:00Z",
        "Feb 29 00:00:00",
        "2024-02-28T23:00:00Z",
    );
    check(
        "2026-01-01T00:10:00Z",
        "1231 23:59:00.5 ",
        "2025-12-31T22:59:00.5Z",
    );
    check(NOW, "Foo 27 14:23:45", "");
    check(NOW, "Jan 32 14:23:45", "");
}

#[test]
fn a_day_is_inferred_around_midnight() {
    check(
        "2026-01-27T23:10:00Z",
        "23:59:00.5 x",
        "2026-01-27T22:59:00.5Z",
    );
    check("2026-01-27T23:10:00Z", "00:05:00 x", "2026-01-27T23:05:00Z");
    check("2026-01-27T22:59:00Z", "00:00:10 x", "2026-01-27T23:00:10Z");
}

#[test]
fn digits_since_1970_have_the_unit_of_their_size() {
    let expected = "2026-01-27T14:23:45.123456Z";
    check(NOW, "1769523825.123456 x", expected);
    check(NOW, "1769523825123.456 x", expected);
    check(NOW, "1769523825123456 x", expected);
    check(NOW, "1769523825123456000 x", expected);
    check(NOW, "1769523825x", "");
    check(NOW, "176952382 x", "");
    assert_eq!(epoch("99999999"), None);
    assert_eq!(epoch("99999999999999999999"), None);
    assert_eq!(epoch(""), None);
}

#[test]
fn days_and_years_agree() {
    for year in 1678..2262 {
        let first = civil::days(year, 1, 1).expect("a day");
        assert_eq!(
            (civil::year_of(first), civil::year_of(first - 1)),
            (year, year - 1)
        );
    }
}
