//! Retention in a file: its size under a flood, and how long a slice holds the writer up.

use std::fs;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use super::super::check;
use super::Place;
use crate::Batch;
use crate::batch::{LogRow, SpanRow};
use crate::conformance::fixture::{at, described, event, log, name, sample, span};
use crate::retention::{Rest, Retention};

const MEBIBYTE: u64 = 1 << 20;
/// Rows of a slice, as the collector prunes.
const SLICE: usize = 1_000;

fn flood(round: u64) -> Batch {
    let seconds = i64::try_from(round).unwrap();
    Batch {
        producers: vec![described(1)],
        ended: (0..2_000)
            .map(|row| SpanRow {
                name: name(&format!("module.function_{}", row % 5)),
                captured: Some(format!(r#"{{"i":{{"row":"{row}","round":"{round}"}}}}"#)),
                ..span(round * 2_000 + row, seconds)
            })
            .collect(),
        samples: vec![sample(1, seconds)],
        logs: (0..200)
            .map(|row| LogRow {
                at: at(seconds),
                ..log(1, seconds, &format!("line {row} of round {round}"))
            })
            .collect(),
        session_events: vec![
            event(&format!("session {round}"), "session_started", "{}"),
            event(&format!("session {round}"), "session_ended", "{}"),
        ],
        ..Batch::default()
    }
}

#[test]
fn under_a_flood_the_file_stays_within_its_cap_and_pauses_are_short() {
    let cap = 8 * MEBIBYTE;
    let retention = Retention {
        size_bytes: Some(cap),
        ..Retention::default()
    };
    let mut place = Place::new(&Batch::default());
    let (mut pauses, mut largest) = (Vec::new(), 0);
    for round in 0..80 {
        place.sink.commit(&flood(round)).unwrap();
        loop {
            let began = Instant::now();
            let pruned = place.sink.prune(&retention, at(0), SLICE).unwrap();
            pauses.push(began.elapsed());
            if pruned.rest == Rest::Nothing {
                break;
            }
        }
        largest = largest.max(fs::metadata(place.database()).unwrap().len());
    }
    pauses.sort_unstable();
    let p99 = pauses[pauses.len() * 99 / 100];
    let counts = place.reader().counts().unwrap();
    println!(
        "{} slices, p50 {:?}, p99 {p99:?}; at most {largest} bytes of {cap}; {} spans of 160,000 left",
        pauses.len(),
        pauses[pauses.len() / 2],
        counts.spans
    );
    assert!(largest <= cap + cap / 10, "{largest} bytes");
    assert!(counts.spans > 10_000, "{counts:?}");
    assert!(p99 < Duration::from_secs(1), "{p99:?}");
    let whole = check(&place.database(), &mut |_| ControlFlow::Continue(())).unwrap();
    assert_eq!(whole.damage, []);
    let newest = place.lines("SELECT min(id), max(id) FROM spans");
    assert!(newest[0].ends_with("|160000"), "{newest:?}");
}

#[test]
fn the_books_agree_after_every_slice() {
    let mut place = Place::new(&flood(0));
    place.sink.commit(&flood(90)).unwrap();
    let retention = Retention {
        age: Some(Duration::from_secs(60)),
        sessions: Some(1),
        ..Retention::unlimited()
    };
    for slices in 0.. {
        let pruned = place.sink.prune(&retention, at(120), 300).unwrap();
        let found = check(&place.database(), &mut |_| ControlFlow::Continue(())).unwrap();
        assert_eq!(found.damage, [], "after slice {slices}");
        if pruned.rest == Rest::Nothing {
            break;
        }
        assert!(slices < 100);
    }
    assert_eq!(place.reader().counts().unwrap().spans, 2_000);
    assert_eq!(place.lines("SELECT count(*) FROM span_minutes"), ["1"]);
}

#[test]
fn space_is_given_back_to_the_file_system() {
    let mut place = Place::new(&Batch::default());
    for round in 0..20 {
        place.sink.commit(&flood(round)).unwrap();
    }
    let pages = |place: &Place| -> i64 {
        let pages = place
            .foreign()
            .query_row("PRAGMA page_count", [], |row| row.get(0));
        pages.unwrap()
    };
    let full = pages(&place);
    let retention = Retention {
        age: Some(Duration::from_secs(60)),
        ..Retention::unlimited()
    };
    for slices in 0.. {
        let pruned = place.sink.prune(&retention, at(10_000), SLICE).unwrap();
        if pruned.rest == Rest::Nothing {
            break;
        }
        assert!(slices < 1_000);
    }
    assert!(pages(&place) < full / 2, "{} of {full}", pages(&place));
}
