//! Laws about pages: nothing lost, nothing doubled, every filter exact.

use super::Bench;
use super::fixture::{at, described, end, key, name, open, span};
use crate::Batch;
use crate::batch::{SpanRow, Status};
use crate::query::{Order, Page, SpanFilter, TimeRange};

/// Commits so many spans in batches of seven.
fn fill(bench: &mut Bench, count: u64) {
    let numbers: Vec<u64> = (1..=count).collect();
    for numbers in numbers.chunks(7) {
        bench.commit(&Batch {
            ended: numbers.iter().map(|&number| span(number, 0)).collect(),
            ..Batch::default()
        });
    }
}

/// The numbers of all spans that pass, read in pages of so many.
fn read(bench: &Bench, filter: &SpanFilter, order: Order, limit: usize) -> Vec<u64> {
    let mut numbers = Vec::new();
    let mut after = None;
    loop {
        let page = Page {
            order,
            after,
            limit,
        };
        let spans = bench.store.spans(filter, page).unwrap();
        assert!(spans.len() <= limit);
        let Some(last) = spans.last() else {
            return numbers;
        };
        after = Some(last.id);
        numbers.extend(spans.iter().map(|span| span.key.number.0));
    }
}

pub(super) fn paging_newest_first_loses_and_doubles_nothing(bench: &mut Bench) {
    fill(bench, 50);
    let numbers = read(bench, &SpanFilter::default(), Order::Newest, 8);
    assert_eq!(numbers, (1..=50).rev().collect::<Vec<u64>>());
}

pub(super) fn paging_oldest_first_loses_and_doubles_nothing(bench: &mut Bench) {
    fill(bench, 50);
    let numbers = read(bench, &SpanFilter::default(), Order::Oldest, 8);
    assert_eq!(numbers, (1..=50).collect::<Vec<u64>>());
}

pub(super) fn following_sees_what_is_committed_later(bench: &mut Bench) {
    let follow = |bench: &Bench, after| {
        bench
            .store
            .spans(&SpanFilter::default(), Page::following(after, 100))
            .unwrap()
    };
    assert_eq!(follow(bench, 0), []);
    fill(bench, 3);
    let last = follow(bench, 0).last().unwrap().id;
    assert_eq!(follow(bench, last), []);
    bench.commit(&Batch {
        // Ended long before the others, and still seen: ids follow commits, not clocks.
        ended: vec![span(99, -3_600)],
        ..Batch::default()
    });
    let later = follow(bench, last);
    assert_eq!(later.len(), 1);
    assert_eq!(later[0].key, key(1, 99));
}

/// Four spans that differ in everything a filter can ask for, and an interrupted one.
fn differing(bench: &mut Bench) {
    let failed = SpanRow {
        status: Status::Err,
        exception: Some("Traceback\nKeyError: 'gold'".into()),
        ..span(2, 70)
    };
    let captured = SpanRow {
        captured: Some(r#"{"i":{"book":"'say \"gold\"'"}}"#.into()),
        name: name("prices.load_book"),
        ..span(3, 140)
    };
    let other = SpanRow {
        key: key(2, 4),
        name: name("orders.Größe"),
        ..span(4, 210)
    };
    bench.commit(&Batch {
        producers: vec![described(1), described(2)],
        ended: vec![span(1, 0), failed, captured, other],
        opened: vec![open(5, 0)],
        ends: vec![end(1, 280, None)],
        ..Batch::default()
    });
}

pub(super) fn spans_are_filtered_by_each_criterion(bench: &mut Bench) {
    differing(bench);
    let check = |filter: &SpanFilter, expected: &[u64]| {
        assert_eq!(
            read(bench, filter, Order::Oldest, 2),
            expected,
            "{filter:?}"
        );
        let backwards: Vec<u64> = expected.iter().rev().copied().collect();
        assert_eq!(
            read(bench, filter, Order::Newest, 2),
            backwards,
            "{filter:?}"
        );
    };
    let none = SpanFilter::default;
    let time = |from, to| SpanFilter {
        time: TimeRange { from, to },
        ..none()
    };
    check(&time(Some(at(70)), None), &[2, 3, 4, 5]);
    check(&time(None, Some(at(70))), &[1]);
    check(&time(Some(at(70)), Some(at(210))), &[2, 3]);
    check(&time(Some(at(5_000)), None), &[]);
    let status = |status| SpanFilter {
        status: Some(status),
        ..none()
    };
    check(&status(Status::Err), &[2, 5]);
    check(&status(Status::Ok), &[1, 3, 4]);
    let named = |text: &str| SpanFilter {
        name: Some(text.into()),
        ..none()
    };
    check(&named("prices."), &[1, 2, 3, 5]);
    check(&named("Größe"), &[4]);
    check(&named("größe"), &[]);
    check(
        &SpanFilter {
            pid: Some(2),
            ..none()
        },
        &[4],
    );
    check(
        &SpanFilter {
            app_name: Some("app1".into()),
            ..none()
        },
        &[1, 2, 3, 5],
    );
    let text = |text: &str| SpanFilter {
        text: Some(text.into()),
        ..none()
    };
    check(&text("gold"), &[2, 3]);
    check(&text("say \"gold\""), &[3]);
    check(&text("load_"), &[3]);
    check(&text("interrupted:"), &[5]);
    // A key of the captured values is not a value of theirs.
    check(&text("token"), &[]);
}

pub(super) fn filters_restrict_together(bench: &mut Bench) {
    differing(bench);
    let filter = SpanFilter {
        run: Some(1),
        status: Some(Status::Err),
        name: Some("price".into()),
        pid: Some(1),
        app_name: Some("app1".into()),
        text: Some("gold".into()),
        time: TimeRange {
            from: Some(at(0)),
            to: Some(at(100)),
        },
    };
    assert_eq!(read(bench, &filter, Order::Newest, 9), [2]);
    let elsewhere = SpanFilter {
        pid: Some(2),
        ..filter
    };
    assert_eq!(read(bench, &elsewhere, Order::Newest, 9), [0; 0]);
}

pub(super) fn a_filtered_page_goes_on_after_its_cursor(bench: &mut Bench) {
    for hundred in 0..3 {
        bench.commit(&Batch {
            ended: (0..100)
                .map(|number| SpanRow {
                    name: name(if number % 10 == 0 { "rare" } else { "usual" }),
                    ..span(hundred * 100 + number, hundred.cast_signed() * 600)
                })
                .collect(),
            ..Batch::default()
        });
    }
    let rare = SpanFilter {
        name: Some("rare".into()),
        ..SpanFilter::default()
    };
    let tens: Vec<u64> = (0..30).map(|ten| ten * 10).collect();
    assert_eq!(read(bench, &rare, Order::Oldest, 4), tens);
    let backwards: Vec<u64> = tens.into_iter().rev().collect();
    assert_eq!(read(bench, &rare, Order::Newest, 4), backwards);
}

pub(super) fn spans_are_found_by_time_whatever_their_order(bench: &mut Bench) {
    for (number, seconds) in [(1, 500), (2, 0), (3, 9_000), (4, 61), (5, 499)] {
        bench.commit(&Batch {
            ended: vec![span(number, seconds)],
            ..Batch::default()
        });
    }
    let filter = SpanFilter {
        time: TimeRange {
            from: Some(at(61)),
            to: Some(at(500)),
        },
        ..SpanFilter::default()
    };
    assert_eq!(read(bench, &filter, Order::Oldest, 1), [4, 5]);
}

pub(super) fn a_search_that_is_ended_again_and_again_finds_everything(bench: &mut Bench) {
    // More ids than are looked through in one transaction, and what is sought at their ends.
    for batch in 0..5 {
        bench.commit(&Batch {
            ended: (1..=10_000_u64)
                .map(|row| SpanRow {
                    name: name(if row % 5_000 == 1 { "needle" } else { "hay" }),
                    ..span(batch * 10_000 + row, 0)
                })
                .collect(),
            ..Batch::default()
        });
    }
    let filter = SpanFilter {
        text: Some("needle".into()),
        ..SpanFilter::default()
    };
    for order in [Order::Newest, Order::Oldest] {
        let (mut numbers, mut after, mut last) = (Vec::new(), None, 0);
        loop {
            let page = Page {
                order,
                after,
                limit: 100,
            };
            let found = bench.store.search(&filter, page, &mut |searched| {
                assert!(searched.rows <= searched.of, "{searched:?}");
                last = searched.found;
                std::ops::ControlFlow::Break(())
            });
            let found = found.unwrap();
            assert_eq!(last, found.spans.len());
            numbers.extend(found.spans.iter().map(|span| span.key.number.0));
            after = found.rest;
            if after.is_none() {
                break;
            }
        }
        let mut expected: Vec<u64> = (0..10).map(|n| n * 5_000 + 1).collect();
        if order == Order::Newest {
            expected.reverse();
        }
        assert_eq!(numbers, expected);
        assert_eq!(read(bench, &filter, order, 3), expected);
    }
}

pub(super) fn a_program_that_fell_silent_or_speaks_rarely_is_found(bench: &mut Bench) {
    let pid = |number| match number {
        0..700 => 3,
        number if number % 7_000 == 0 => 2,
        _ => 1,
    };
    for batch in 0..4_u64 {
        bench.commit(&Batch {
            producers: vec![described(1), described(2), described(3)],
            ended: (batch * 10_000..(batch + 1) * 10_000)
                .map(|number| SpanRow {
                    key: key(pid(number), number),
                    status: if number % 300 == 0 {
                        Status::Err
                    } else {
                        Status::Ok
                    },
                    ..span(number, number.cast_signed() / 10)
                })
                .collect(),
            ..Batch::default()
        });
    }
    let check = |filter: &SpanFilter, passes: &dyn Fn(u64) -> bool| {
        let mut expected: Vec<u64> = (0..40_000).filter(|&number| passes(number)).collect();
        assert!(!expected.is_empty());
        assert_eq!(read(bench, filter, Order::Oldest, 50), expected);
        expected.reverse();
        assert_eq!(read(bench, filter, Order::Newest, 50), expected);
    };
    for rare in [2, 3] {
        let of_pid = SpanFilter {
            pid: Some(rare),
            ..SpanFilter::default()
        };
        check(&of_pid, &|number| pid(number) == rare);
        let of_app = SpanFilter {
            app_name: Some(format!("app{rare}")),
            ..SpanFilter::default()
        };
        check(&of_app, &|number| pid(number) == rare);
    }
    let failed = SpanFilter {
        pid: Some(3),
        status: Some(Status::Err),
        ..SpanFilter::default()
    };
    check(&failed, &|number| number < 700 && number % 300 == 0);
    let in_time = SpanFilter {
        pid: Some(2),
        time: TimeRange {
            from: Some(at(1_000)),
            to: Some(at(3_000)),
        },
        ..SpanFilter::default()
    };
    check(&in_time, &|number| {
        pid(number) == 2 && (10_000..30_000).contains(&number)
    });
}
