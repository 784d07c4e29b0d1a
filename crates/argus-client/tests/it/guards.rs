//! Spans of guards, metrics, and session events.

use std::collections::HashMap;

use argus_client::{Session, metric, span};

use super::programs::run;

pub(crate) fn nested() {
    let plan = [1, 2];
    let _outer = span!("outer", rows = 10, source = "book.csv", plan = ?plan);
    {
        let _inner = span!("inner");
    }
    let _second = span!("second",);
}

pub(crate) fn panicking() {
    let caught = std::panic::catch_unwind(|| {
        let _failing = span!("failing");
        panic!("on purpose");
    });
    assert!(caught.is_err());
    let _after = span!("after");
}

pub(crate) fn threads() {
    let _main = span!("main");
    std::thread::scope(|scope| {
        for index in 0..4 {
            scope.spawn(move || {
                for _ in 0..1_000 {
                    let _outer = span!("outer", thread = index);
                    let _inner = span!("inner", thread = index);
                }
            });
        }
    });
}

pub(crate) fn others() {
    metric("queue_depth", 5.0, "1");
    let session = Session::start("say \"hi\"");
    session.emit("scan_started", "{}");
}

#[test]
fn spans_nest_and_keep_their_fields() {
    let spans = run("nested").spans;
    let [outer, inner, second] = &spans[..] else {
        panic!("{spans:?}")
    };
    assert_eq!((outer.name.as_str(), outer.parent), ("outer", 0));
    let fields: Vec<_> = outer
        .fields
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    assert_eq!(fields, ["rows=10", "source='book.csv'", "plan=[1, 2]"]);
    assert_eq!((inner.name.as_str(), inner.parent), ("inner", outer.number));
    assert_eq!(
        (second.name.as_str(), second.parent),
        ("second", outer.number)
    );
    assert!(
        spans
            .iter()
            .all(|span| span.ended && span.exception.is_none())
    );
}

#[test]
fn a_panic_is_an_error_of_the_span_it_leaves_and_of_no_other() {
    let spans = run("panicking").spans;
    let [failing, after] = &spans[..] else {
        panic!("{spans:?}")
    };
    assert_eq!(failing.exception.as_deref(), Some("panicked"));
    assert_eq!((after.exception.as_deref(), after.parent), (None, 0));
}

#[test]
fn every_thread_has_parents_of_its_own() {
    let spans = run("threads").spans;
    assert_eq!(spans.len(), 8_001);
    let by_number: HashMap<_, _> = spans.iter().map(|span| (span.number, span)).collect();
    for span in spans.iter().filter(|span| span.name == "inner") {
        let parent = by_number[&span.parent];
        assert_eq!(
            (parent.name.as_str(), &parent.fields),
            ("outer", &span.fields)
        );
    }
    assert!(
        spans
            .iter()
            .filter(|span| span.name == "outer")
            .all(|span| span.parent == 0)
    );
}

#[test]
fn metrics_and_session_events_are_written() {
    let others = run("others").others;
    assert_eq!(
        others,
        [
            "queue_depth 5 1",
            "session_started {\"name\":\"say \\\"hi\\\"\"}",
            "scan_started {}",
            "session_ended {\"status\":\"completed\"}",
        ]
    );
}
