//! Laws about what goes, and what never does.

use std::time::Duration;

use argus_model::session::SessionStatus;

use super::Bench;
use super::fixture::{
    at, described, end, event, log, metric, name, open, process_event, sample, span, stack, subject,
};
use crate::batch::{SampleRow, SessionEventRow, SpanRow, Status};
use crate::query::{LogFilter, Page, ProcessFilter, SpanFilter, TimeRange};
use crate::retention::{Rest, Retention};
use crate::{Batch, Store};

const HOUR: i64 = 3_600;

fn age(hours: u64) -> Retention {
    Retention {
        age: Some(Duration::from_secs(hours * 3_600)),
        ..Retention::unlimited()
    }
}

/// Prunes in slices, `seconds` after noon, until nothing is left to do; how many slices it took.
fn prune(bench: &mut Bench, retention: &Retention, seconds: i64, slice: usize) -> usize {
    for slices in 1..1_000 {
        let pruned = bench.sink.prune(retention, at(seconds), slice).unwrap();
        if pruned.rest == Rest::Nothing {
            return slices;
        }
    }
    panic!("pruning comes to no end");
}

fn numbers(store: &dyn Store) -> Vec<u64> {
    let page = Page::following(0, 10_000);
    let spans = store.spans(&SpanFilter::default(), page).unwrap();
    spans.iter().map(|span| span.key.number.0).collect()
}

/// Two hundred spans of an old hour and of a young one, committed among each other.
fn old_and_young(bench: &mut Bench) {
    for round in 0..10 {
        let number = |row: i64| (round * 40 + row).cast_unsigned();
        let failed = |row: i64| {
            if row % 10 == 0 {
                Status::Err
            } else {
                Status::Ok
            }
        };
        bench.commit(&Batch {
            producers: vec![described(1)],
            ended: (0..40)
                .map(|row| SpanRow {
                    status: failed(row),
                    ..span(number(row), if row < 20 { row } else { 10 * HOUR + row })
                })
                .collect(),
            ..Batch::default()
        });
    }
}

pub(super) fn what_is_older_than_its_age_goes(bench: &mut Bench) {
    old_and_young(bench);
    bench.commit(&Batch {
        samples: vec![sample(1, 0), sample(1, 10 * HOUR)],
        logs: vec![log(1, 0, "old"), log(1, 10 * HOUR, "young")],
        process_events: vec![process_event(1, 0, "a"), process_event(1, 10 * HOUR, "b")],
        metrics: vec![metric(1, 0, "a", 1.0), metric(1, 10 * HOUR, "b", 1.0)],
        stacks: vec![stack(1, 1, 0, "old"), stack(1, 1, 10 * HOUR, "young")],
        ..Batch::default()
    });
    let slices = prune(bench, &age(1), 10 * HOUR + 60, 30);
    assert!(slices > 6, "{slices}");
    assert_eq!(
        numbers(&*bench.store),
        (0..400)
            .filter(|number| number % 40 >= 20)
            .collect::<Vec<_>>()
    );
    let counts = bench.store.counts().unwrap();
    assert_eq!((counts.spans, counts.errors), (200, 20));
    assert_eq!((counts.samples, counts.logs), (1, 1));
    let (events, metrics) = (counts.process_events, counts.metrics);
    assert_eq!((events, metrics, counts.stacks), (1, 1, 1));
    let logs = bench.store.logs(&LogFilter::default(), Page::newest(9));
    assert_eq!(logs.unwrap()[0].line, "young");
    assert_eq!(prune(bench, &age(1), 10 * HOUR + 60, 30), 1, "nothing left");
}

pub(super) fn statistics_forget_what_went(bench: &mut Bench) {
    old_and_young(bench);
    let of = |bench: &Bench| bench.store.functions(TimeRange::default()).unwrap();
    assert_eq!((of(bench)[0].count, of(bench)[0].errors), (400, 40));
    // After one slice of many the statistics are those of the rows that are left.
    let first = bench.sink.prune(&age(1), at(10 * HOUR), 30).unwrap();
    assert_eq!((first.rows, first.rest), (30, Rest::More));
    let left = bench.store.counts().unwrap();
    assert_eq!((left.spans, of(bench)[0].count), (370, 370));
    assert_eq!(of(bench)[0].errors, left.errors);
    prune(bench, &age(1), 10 * HOUR, 30);
    let functions = of(bench);
    assert_eq!(
        (functions[0].count, functions[0].total_ns),
        (200, 200_000_000)
    );
    assert!(functions[0].p50_ns.abs_diff(1_000_000) < 20_000);
    prune(bench, &age(1), 100 * HOUR, 1_000);
    assert_eq!(of(bench), []);
}

pub(super) fn a_group_has_an_age_of_its_own(bench: &mut Bench) {
    let grouped = |number, group: &str, seconds| {
        let mut named = (*name(&format!("{group}.call"))).clone();
        named.group = Some(group.to_owned());
        SpanRow {
            name: named.into(),
            ..span(number, seconds)
        }
    };
    bench.commit(&Batch {
        ended: vec![
            grouped(1, "short", 0),
            grouped(2, "long", 0),
            grouped(3, "other", 0),
            grouped(4, "short", 3 * HOUR),
            grouped(5, "other", 3 * HOUR),
        ],
        ..Batch::default()
    });
    let retention = Retention {
        groups: [("short", 1), ("long", 100)]
            .map(|(group, hours)| (group.to_owned(), Duration::from_secs(hours * 3_600)))
            .into(),
        ..age(4)
    };
    prune(bench, &retention, 2 * HOUR, 2);
    assert_eq!(numbers(&*bench.store), [2, 3, 4, 5]);
    prune(bench, &retention, 5 * HOUR, 2);
    assert_eq!(numbers(&*bench.store), [2, 5]);
    prune(bench, &retention, 200 * HOUR, 2);
    assert_eq!(numbers(&*bench.store), [0; 0]);
}

pub(super) fn only_ended_sessions_go_the_oldest_first(bench: &mut Bench) {
    let mut told = Vec::new();
    for number in 0..6 {
        let session = format!("s{number}");
        told.push(event(&session, "session_started", "{}"));
        told.extend((0..10).map(|_| event(&session, "step", "{}")));
        match number {
            // Interrupted below.
            0 => {}
            // Active.
            1 => told.push(SessionEventRow {
                producer: super::fixture::producer(2),
                ..event("active", "session_started", "{}")
            }),
            _ => told.push(event(&session, "session_ended", "{}")),
        }
    }
    bench.commit(&Batch {
        session_events: told,
        ends: vec![end(1, 5, Some(1))],
        ..Batch::default()
    });
    let kept = |bench: &Bench| -> Vec<String> {
        let sessions = bench.store.sessions(99).unwrap();
        sessions.into_iter().map(|known| known.session).collect()
    };
    let limit = Retention {
        sessions: Some(2),
        ..Retention::unlimited()
    };
    prune(bench, &limit, 0, 5);
    assert_eq!(kept(bench), ["s5", "s4", "active", "s1", "s0"]);
    for (session, events) in [("s2", 0), ("s3", 0), ("s4", 12), ("s0", 11)] {
        let told = bench.store.session_events(session, 0, 99).unwrap();
        assert_eq!(told.len(), events, "{session}");
    }
    prune(bench, &age(1), 100 * HOUR, 5);
    assert_eq!(kept(bench), ["active", "s1", "s0"]);
    let statuses: Vec<_> = bench.store.sessions(99).unwrap();
    assert_eq!(statuses[0].status, SessionStatus::Active);
    assert_eq!(statuses[2].status, SessionStatus::Interrupted);
}

pub(super) fn what_is_open_or_alive_stays(bench: &mut Bench) {
    bench.commit(&Batch {
        producers: vec![described(1), described(2)],
        opened: vec![open(1, 0)],
        ends: vec![end(2, 1, Some(0))],
        ..Batch::default()
    });
    prune(bench, &age(1), 100 * HOUR, 100);
    assert_eq!(bench.store.open_spans(9).unwrap().len(), 1);
    let ledger = bench.store.ledger().unwrap();
    let pids: Vec<u32> = ledger.iter().map(|account| account.pid).collect();
    assert_eq!(pids, [1], "the dead one is gone");
    let runs = bench.store.runs(&ProcessFilter::default(), Page::newest(9));
    assert_eq!(runs.unwrap().len(), 1);
    // The one that went is met again, and the one that stayed goes on.
    bench.commit(&Batch {
        producers: vec![described(2)],
        ended: vec![span(1, 101 * HOUR)],
        samples: vec![SampleRow {
            subject: subject(2),
            ..sample(2, 101 * HOUR)
        }],
        ..Batch::default()
    });
    assert_eq!(bench.store.ledger().unwrap().len(), 2);
    assert_eq!(bench.store.open_spans(9).unwrap(), []);
}

pub(super) fn ids_are_not_given_again(bench: &mut Bench) {
    let commit = |bench: &mut Bench, seconds| {
        bench.commit(&Batch {
            ended: (0..9).map(|number| span(number, seconds)).collect(),
            logs: vec![log(1, seconds, "line")],
            ..Batch::default()
        });
    };
    commit(bench, 0);
    prune(bench, &age(1), 10 * HOUR, 100);
    assert_eq!(numbers(&*bench.store), [0; 0]);
    commit(bench, 10 * HOUR);
    let spans = bench.store.spans(&SpanFilter::default(), Page::newest(99));
    assert_eq!(spans.unwrap().last().unwrap().id, 10);
    let logs = bench.store.logs(&LogFilter::default(), Page::newest(9));
    assert_eq!(logs.unwrap()[0].id, 2);
}

pub(super) fn without_limits_everything_stays(bench: &mut Bench) {
    old_and_young(bench);
    let before = bench.store.counts().unwrap();
    let now = i64::from(u32::MAX);
    let pruned = bench.sink.prune(&Retention::unlimited(), at(now), 1);
    assert_eq!(pruned.unwrap().rows, 0);
    prune(bench, &Retention::unlimited(), now, 1);
    assert_eq!(bench.store.counts().unwrap(), before);
}
