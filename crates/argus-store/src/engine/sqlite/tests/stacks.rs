//! Stacks in a file: each text once, and gone with its last row.

use std::ops::ControlFlow;
use std::time::Duration;

use super::super::check;
use super::Place;
use crate::Batch;
use crate::conformance::fixture::{at, stack};
use crate::retention::Retention;

fn sampled(stacks: &[(u32, i64, &str)]) -> Batch {
    Batch {
        stacks: stacks
            .iter()
            .map(|&(tid, seconds, frames)| stack(1, tid, seconds, frames))
            .collect(),
        ..Batch::default()
    }
}

fn assert_whole(place: &Place) {
    let report = check(&place.database(), &mut |_| ControlFlow::Continue(())).unwrap();
    assert!(report.damage.is_empty(), "{report:?}");
}

#[test]
fn a_text_stands_once_and_goes_with_the_last_row_that_names_it() {
    let mut place = Place::new(&sampled(&[(1, 0, "old"), (1, 1, "both"), (2, 2, "both")]));
    place
        .sink
        .commit(&sampled(&[
            (1, 3_600, "both"),
            (1, 3_601, "young"),
            (2, 3_601, ""),
        ]))
        .unwrap();
    let texts = "SELECT frames, count(s.id) FROM stacks JOIN stack_samples AS s
                 ON s.stack_id = stacks.id GROUP BY frames ORDER BY frames";
    assert_eq!(place.lines(texts), ["both|3", "old|1", "young|1"]);
    assert_whole(&place);
    let retention = Retention {
        age: Some(Duration::from_secs(1_800)),
        ..Retention::unlimited()
    };
    place.sink.prune(&retention, at(3_700), 1_000).unwrap();
    assert_eq!(
        place.lines("SELECT frames FROM stacks ORDER BY frames"),
        ["both", "young"]
    );
    assert_eq!(place.lines(texts), ["both|1", "young|1"]);
    assert_whole(&place);
}

#[test]
fn the_view_says_in_words_who_was_in_what() {
    let place = Place::new(&sampled(&[(7, 0, "price (shop.py:12)"), (8, 0, "")]));
    assert_eq!(
        place.lines("SELECT ts, app_name, pid, tid, thread, state, gil, frames FROM stack_trace"),
        [
            "2026-01-27 14:23:00.000000000|app1|1|7|thread7|active|0|price (shop.py:12)",
            "2026-01-27 14:23:00.000000000|app1|1|8|thread8|active|0|NULL",
        ]
    );
}
