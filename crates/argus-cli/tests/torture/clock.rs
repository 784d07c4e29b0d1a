//! Producers whose wall clock cannot be true, or jumps. A row of theirs is never later than now, what
//! was put right is counted, durations are what they were, and nobody else's rows move.

use std::time::Duration;

use argus_client::span;
use argus_spool::Weight;

use super::bed::{Bed, Guarded, until};
use super::host::{OWN_CODE, SAID};
use super::ledger::{Ledger, Said};

const HOUR: i64 = 3_600;
/// Records of one stretch; its second half is emitted when the clock has surely been looked at anew.
const EACH: u32 = 600;

/// A machine that is suspended for as long as its wall clock was behind: the wall clock goes on, the
/// monotonic one stands still. First what comes before, then what comes after.
pub(crate) fn suspended(seconds: &str) {
    let seconds: i64 = seconds.parse().unwrap();
    let mut said = Said::default();
    let mut emit = |lane| {
        for number in 0..EACH {
            said.emit(lane, number, Weight::Normal);
            std::thread::sleep(Duration::from_micros(500));
        }
    };
    shift_wall_clock(-seconds * 1_000_000_000);
    let through = span!("through");
    emit(0);
    shift_wall_clock(0);
    emit(1);
    drop(through);
    said.say(&super::host::said());
}

/// Emits one lane under each of these clocks, in seconds ahead of the true one.
pub(crate) fn host(shifts: &str) {
    let mut said = Said::default();
    for (lane, shift) in (0..).zip(shifts.split(',')) {
        let seconds: i64 = shift.parse().unwrap();
        shift_wall_clock(seconds * 1_000_000_000);
        for number in 0..EACH {
            said.emit(lane, number, Weight::Normal);
            // A stretch of the clock is a tenth of a second.
            std::thread::sleep(Duration::from_micros(500));
        }
        let through = span!("stretch");
        std::thread::sleep(Duration::from_millis(20));
        drop(through);
    }
    said.say(&super::host::said());
}

#[cfg(debug_assertions)]
use argus_spool::shift_wall_clock;

/// Built for release, the clock is what it is.
#[cfg(not(debug_assertions))]
fn shift_wall_clock(_nanos: i64) {}

fn now() -> i64 {
    argus_spool::boot_anchor().wall.nanos()
}

#[test]
fn a_clock_that_cannot_be_true_moves_no_row_but_its_own_and_none_into_the_future() {
    if !cfg!(debug_assertions) {
        println!("clock: not run, a release build has no clock to shift");
        return;
    }
    let bed = Bed::new();
    let _collector = Guarded(
        bed.argus(&["collector", "--idle-exit", "never"])
            .spawn()
            .unwrap(),
    );
    let (begin, said) = (now(), bed.path("said"));
    let ahead = HOUR.to_string();
    let behind = (-3 * HOUR).to_string();
    let stepping = format!("0,{ahead},0,{behind},0");
    let clocks = [
        ("true", "0"),
        ("ahead", &ahead),
        ("behind", &behind),
        ("stepping", &stepping),
    ];
    let hosts = clocks.map(|(name, shifts)| {
        let mut host = bed.host(&format!("clock:{shifts}"));
        host.env(SAID, &said).env("ARGUS_APP_NAME", name);
        host.spawn().unwrap()
    });
    for mut host in hosts {
        assert_eq!(host.wait().unwrap().code(), Some(OWN_CODE));
    }
    until("all deaths are stored", || {
        bed.number("SELECT count(*) FROM producers WHERE ended_at_ns IS NOT NULL") == 4
    });
    let end = now();
    Ledger::of_lanes(&bed, Said::read(&said)).settle("clock");

    // Names, and the lanes' numbers in them, in which the rows must lie within this time.
    let check = |app: &str, lane: u32, from: i64, to: i64| {
        let outside = bed.number(&format!(
            "SELECT count(*) FROM metrics WHERE name = 'lane' AND app_name = '{app}'
             AND CAST(value AS INTEGER) >> 32 = {lane}
             AND CAST(value AS INTEGER) & 4294967295 >= {EACH} / 2
             AND at_ns NOT BETWEEN {from} AND {to}"
        ));
        assert_eq!(outside, 0, "{app}, lane {lane}");
    };
    let earlier = |time: i64| time - 3 * HOUR * 1_000_000_000;
    check("true", 0, begin, end);
    check("ahead", 0, begin, end);
    check("behind", 0, earlier(begin), earlier(end));
    for lane in [0, 1, 2, 4] {
        check("stepping", lane, begin, end);
    }
    check("stepping", 3, earlier(begin), earlier(end));

    let clamped = |app: &str| {
        let records = format!("SELECT clamped FROM producers WHERE app_name = '{app}'");
        bed.number(&records)
    };
    let each = i64::from(EACH);
    assert_eq!((clamped("true"), clamped("behind")), (0, 0));
    // Every lane record, and start and end of the span.
    assert_eq!(clamped("ahead"), each + 2);
    let stepping = clamped("stepping");
    assert!(
        (each / 2..=each + each / 2).contains(&stepping),
        "{stepping}"
    );
    println!(
        "clock: clamped {} ahead, {stepping} stepping",
        clamped("ahead")
    );

    let durations = "SELECT count(*) FROM process_trace WHERE process = 'stretch'
                     AND duration_ms NOT BETWEEN 20 AND 2000";
    assert_eq!(bed.number(durations), 0, "durations are monotonic time");
}

/// The machine is suspended for two hours in the middle of a span. What came before keeps its time, what
/// comes after has the new one, within a tenth of a second; the span took the time that it ran, and ended
/// when it ended. Nothing is clamped: no clock was wrong.
#[test]
fn a_suspended_machine_moves_no_row_and_makes_no_span_longer() {
    if !cfg!(debug_assertions) {
        println!("clock: not run, a release build has no clock to shift");
        return;
    }
    let asleep = 2 * HOUR * 1_000_000_000;
    let bed = Bed::new();
    let (begin, said) = (now(), bed.path("said"));
    let mut host = bed.host(&format!("suspended:{}", 2 * HOUR));
    assert_eq!(
        host.env(SAID, &said).status().unwrap().code(),
        Some(OWN_CODE)
    );
    let end = now();
    bed.drain();
    Ledger::of_lanes(&bed, Said::read(&said)).settle("clock, suspended");
    let outside = |lane: u32, from: i64, to: i64| {
        bed.number(&format!(
            "SELECT count(*) FROM metrics WHERE name = 'lane'
             AND CAST(value AS INTEGER) >> 32 = {lane}
             AND (CAST(value AS INTEGER) & 4294967295 >= {EACH} / 2 OR {lane} = 0)
             AND at_ns NOT BETWEEN {from} AND {to}"
        ))
    };
    assert_eq!(outside(0, begin - asleep, end - asleep), 0, "before");
    assert_eq!(outside(1, begin, end), 0, "after");
    let through = bed.number(&format!(
        "SELECT count(*) FROM spans WHERE end_ns BETWEEN {begin} AND {end}
         AND duration_ns BETWEEN 600000000 AND {end} - {begin}"
    ));
    assert_eq!(through, 1, "it took as long as it ran");
    assert_eq!(bed.number("SELECT sum(clamped) FROM producers"), 0);
}
