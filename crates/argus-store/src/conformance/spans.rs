//! Laws about spans: committed whole, open until they end, interrupted when their process dies.

use argus_model::{SpanNumber, Timestamp};

use super::Bench;
use super::fixture::{at, described, end, key, open, producer, span};
use crate::Batch;
use crate::batch::{LedgerDelta, SpanRow, Status};
use crate::query::{Page, SpanFilter, StoredSpan};

fn all(bench: &Bench) -> Vec<StoredSpan> {
    bench
        .store
        .spans(&SpanFilter::default(), Page::following(0, 1_000))
        .unwrap()
}

pub(super) fn a_commit_is_visible_to_open_and_new_readers(bench: &mut Bench) {
    bench.commit(&Batch {
        producers: vec![described(1)],
        ended: vec![span(1, 0), span(2, 1)],
        ..Batch::default()
    });
    assert_eq!(all(bench).len(), 2);
    let new = (bench.reopen)();
    assert_eq!(new.counts().unwrap().spans, 2);
    bench.sink.sync().unwrap();
    assert_eq!(all(bench).len(), 2);
}

pub(super) fn an_empty_batch_changes_nothing(bench: &mut Bench) {
    let before = bench.store.version().unwrap();
    bench.commit(&Batch::default());
    assert_eq!(bench.store.version().unwrap(), before);
}

pub(super) fn a_span_reads_back_as_it_was_written(bench: &mut Bench) {
    let captured = r#"{"i":{"book":"7"},"o":{"result":"42"}}"#;
    bench.commit(&Batch {
        producers: vec![described(1)],
        ended: vec![SpanRow {
            key: key(1, u64::MAX),
            parent: SpanNumber(u64::MAX - 1),
            ended_at: Timestamp::from_nanos(1_769_523_825_123_456_789),
            status: Status::Err,
            captured: Some(captured.into()),
            exception: Some("ValueError: no\0price".into()),
            ..span(1, 0)
        }],
        ..Batch::default()
    });
    let expected = StoredSpan {
        id: 1,
        key: key(1, u64::MAX),
        parent: SpanNumber(u64::MAX - 1),
        process: "prices.price".into(),
        group: Some("trading".into()),
        app_name: "app1".into(),
        pid: 1,
        tid: 4712,
        thread: "MainThread".into(),
        ended_at: Timestamp::from_nanos(1_769_523_825_123_456_789),
        duration_ns: 1_000_000,
        status: Status::Err,
        captured: Some(captured.into()),
        exception: Some("ValueError: no\0price".into()),
        interrupted: false,
    };
    assert_eq!(all(bench), [expected]);
}

pub(super) fn ids_increase_in_commit_order(bench: &mut Bench) {
    for number in 1..=5 {
        bench.commit(&Batch {
            // Later ends come first, so that ids cannot be taken for an order of time.
            ended: vec![
                span(number, -100 * number.cast_signed()),
                span(number + 100, 0),
            ],
            ..Batch::default()
        });
    }
    let spans = all(bench);
    assert!(spans.is_sorted_by(|a, b| a.id < b.id));
    let numbers: Vec<u64> = spans.iter().map(|span| span.key.number.0).collect();
    assert_eq!(numbers, [1, 101, 2, 102, 3, 103, 4, 104, 5, 105]);
}

pub(super) fn an_open_span_leaves_when_it_ends(bench: &mut Bench) {
    bench.commit(&Batch {
        producers: vec![described(1)],
        opened: vec![open(8, 2), open(7, 1)],
        ..Batch::default()
    });
    let shown = bench.store.open_spans(10).unwrap();
    let numbers: Vec<u64> = shown.iter().map(|span| span.key.number.0).collect();
    assert_eq!(numbers, [7, 8], "oldest first");
    assert_eq!(shown[0].process, "prices.wait");
    assert_eq!((shown[0].pid, shown[0].tid), (1, 4712));
    assert_eq!(shown[0].app_name, "app1");
    assert_eq!(shown[0].started_at, at(1));
    assert_eq!(bench.store.open_spans(1).unwrap().len(), 1);
    bench.commit(&Batch {
        ended: vec![span(7, 3)],
        ..Batch::default()
    });
    let shown = bench.store.open_spans(10).unwrap();
    assert_eq!(shown.len(), 1);
    assert_eq!(shown[0].key, key(1, 8));
}

pub(super) fn an_open_span_keeps_what_the_drain_needs(bench: &mut Bench) {
    let opened = vec![open(1, 0), open(2, 0)];
    bench.commit(&Batch {
        opened: opened.clone(),
        ..Batch::default()
    });
    assert_eq!(bench.sink.open_spans(producer(1)).unwrap(), opened);
    assert_eq!(bench.sink.open_spans(producer(2)).unwrap(), []);
}

pub(super) fn a_span_that_ended_in_the_batch_that_started_it_was_never_open(bench: &mut Bench) {
    bench.commit(&Batch {
        opened: vec![open(1, 0)],
        ended: vec![span(1, 1)],
        ..Batch::default()
    });
    let counts = bench.store.counts().unwrap();
    assert_eq!(
        (counts.open_spans, counts.seen_open, counts.spans),
        (0, 0, 1)
    );
}

pub(super) fn a_span_open_over_several_commits_is_counted_once(bench: &mut Bench) {
    for _ in 0..3 {
        bench.commit(&Batch {
            opened: vec![open(1, 0)],
            ..Batch::default()
        });
    }
    bench.commit(&Batch {
        ended: vec![span(1, 1)],
        ..Batch::default()
    });
    let counts = bench.store.counts().unwrap();
    assert_eq!(
        (counts.open_spans, counts.seen_open, counts.spans),
        (0, 1, 1)
    );
}

pub(super) fn a_producers_end_interrupts_its_open_spans(bench: &mut Bench) {
    bench.commit(&Batch {
        producers: vec![described(1), described(2)],
        opened: vec![open(1, 0), open(2, 4)],
        ..Batch::default()
    });
    bench.commit(&Batch {
        // What comes with the end counts as before it.
        ended: vec![span(1, 5)],
        opened: vec![open(3, 5)],
        ends: vec![end(1, 10, Some(-9)), end(2, 10, None)],
        ..Batch::default()
    });
    assert_eq!(bench.store.open_spans(10).unwrap(), []);
    assert_eq!(bench.sink.open_spans(producer(1)).unwrap(), []);
    let spans = all(bench);
    let told: Vec<_> = spans
        .iter()
        .map(|span| {
            (
                span.key.number.0,
                span.duration_ns / 1_000_000_000,
                span.interrupted,
            )
        })
        .collect();
    assert_eq!(
        told,
        [(1, 0, false), (3, 5, true), (2, 6, true)],
        "inner spans first"
    );
    assert_eq!(spans[1].status, Status::Err);
    assert_eq!(spans[1].ended_at, at(10));
    assert_eq!(spans[1].captured.as_deref(), Some(r#"{"i":{"book":"7"}}"#));
    assert_eq!(
        spans[1].exception.as_deref(),
        Some("interrupted: process 1 ended (signal 9)")
    );
    assert_eq!(bench.store.counts().unwrap().errors, 2);
}

pub(super) fn an_end_before_the_start_gives_no_negative_duration(bench: &mut Bench) {
    bench.commit(&Batch {
        opened: vec![open(1, 100)],
        ends: vec![end(1, 10, None)],
        ..Batch::default()
    });
    let spans = all(bench);
    assert_eq!(spans.len(), 1);
    assert_eq!((spans[0].duration_ns, spans[0].ended_at), (0, at(100)));
}

pub(super) fn a_second_end_changes_nothing(bench: &mut Bench) {
    bench.commit(&Batch {
        producers: vec![described(1)],
        opened: vec![open(1, 0)],
        ends: vec![end(1, 10, Some(3))],
        ..Batch::default()
    });
    bench.commit(&Batch {
        ends: vec![end(1, 99, Some(4))],
        ..Batch::default()
    });
    assert_eq!(all(bench).len(), 1);
    let runs = bench
        .store
        .runs(&Default::default(), Page::newest(9))
        .unwrap();
    assert_eq!(
        (runs[0].ended_at, runs[0].exit_code),
        (Some(at(10)), Some(3))
    );
}

pub(super) fn rows_of_an_undescribed_producer_are_not_hidden(bench: &mut Bench) {
    bench.commit(&Batch {
        ended: vec![span(1, 0)],
        opened: vec![open(2, 0)],
        ..Batch::default()
    });
    let spans = all(bench);
    assert_eq!((spans[0].key, spans[0].pid), (key(1, 1), 1));
    assert_eq!(bench.store.open_spans(9).unwrap()[0].key, key(1, 2));
    bench.commit(&Batch {
        producers: vec![described(1)],
        ..Batch::default()
    });
    assert_eq!(all(bench)[0].app_name, "app1", "its description came late");
    assert_eq!(bench.store.ledger().unwrap().len(), 1);
}

pub(super) fn captured_text_that_is_not_json_is_left_out(bench: &mut Bench) {
    bench.commit(&Batch {
        ended: vec![SpanRow {
            captured: Some("{not json".into()),
            ..span(1, 0)
        }],
        ..Batch::default()
    });
    assert_eq!(all(bench)[0].captured, None);
}

pub(super) fn a_producer_is_remembered_with_what_was_drained(bench: &mut Bench) {
    let id = producer(1);
    assert_eq!(bench.sink.known(id).unwrap(), None);
    let ledger = LedgerDelta {
        producer: id,
        stored: 5,
        damaged: 2,
        unknown: 1,
        clamped: 0,
    };
    bench.commit(&Batch {
        producers: vec![described(1)],
        ledger: vec![ledger, ledger],
        ..Batch::default()
    });
    let known = bench.sink.known(id).unwrap().unwrap();
    assert_eq!(known.subject, *described(1).subject);
    assert_eq!(known.drained, 16);
}
