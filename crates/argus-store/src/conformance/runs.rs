//! Laws about runs: which one is meant, and which rows are about it.

use std::sync::Arc;

use argus_model::ProducerId;

use super::Bench;
use super::fixture::{
    at, described, end, log, metric, process_event, producer, sample, span, stack, subject,
};
use crate::Batch;
use crate::batch::{
    LogRow, MetricRow, Parent, ProcessEventRow, ProducerRow, RunKey, SampleRow, Subject,
};
use crate::query::{Page, ProcessFilter, SpanFilter, WhichRun};

/// Runs 1 to 5: an observer, one that lives, two that ended, of which the one that began later ended
/// first, and one that lives with the pid of the first of these.
fn some_runs(bench: &mut Bench) {
    let event = process_event;
    bench.commit(&Batch {
        producers: vec![ProducerRow {
            runtime: argus_model::record::OBSERVER_RUNTIME.into(),
            ..described(9)
        }],
        process_events: vec![
            event(2, 1, "started"),
            event(3, 2, "started"),
            event(4, 3, "started"),
            event(4, 10, "terminated"),
            event(3, 20, "terminated"),
            ProcessEventRow {
                subject: Arc::new(Subject {
                    app_name: "app2".into(),
                    ..later(3)
                }),
                ..event(3, 30, "started")
            },
        ],
        ends: vec![end(9, 40, Some(0))],
        ..Batch::default()
    });
}

/// The next process with this pid.
fn later(pid: u32) -> Subject {
    let mut later = (*subject(pid)).clone();
    later.run.start_ticks += 1;
    later
}

pub(super) fn a_run_is_chosen_by_what_people_call_it(bench: &mut Bench) {
    let choose = |bench: &Bench, which: &WhichRun| {
        let chosen = bench.store.choose_run(which).unwrap();
        chosen.map(|chosen| (chosen.run.id, chosen.others))
    };
    assert_eq!(choose(bench, &WhichRun::Last), None);
    bench.commit(&Batch {
        process_events: vec![process_event(7, 0, "started")],
        ..Batch::default()
    });
    assert_eq!(choose(bench, &WhichRun::Last), Some((1, 0)), "it lives");
    some_runs(bench);
    let runs = bench.store.runs(&ProcessFilter::default(), Page::newest(9));
    let ids: Vec<_> = runs.unwrap().iter().map(|r| (r.id, r.run.pid)).collect();
    assert_eq!(ids, [(6, 3), (5, 4), (4, 3), (3, 2), (2, 9), (1, 7)]);
    let check = |which: WhichRun, expected| {
        assert_eq!(choose(bench, &which), expected, "{which:?}");
    };
    let named = |name: &str| WhichRun::Named(name.into());
    check(WhichRun::Last, Some((4, 4)));
    check(WhichRun::Id(2), Some((2, 0)));
    check(WhichRun::Id(77), None);
    check(WhichRun::Pid(3), Some((6, 1)));
    check(WhichRun::Pid(9), None);
    check(named("app4"), Some((5, 0)));
    check(named("app2"), Some((6, 1)));
    check(named("process3"), Some((4, 1)));
    check(named("app9"), None);
    check(named("app"), None);
}

pub(super) fn living_children_are_those_of_this_very_run(bench: &mut Bench) {
    let child = |pid, seconds, parent_pid, parent_ticks| ProcessEventRow {
        subject: Arc::new(Subject {
            parent: Parent::known(parent_pid, parent_ticks),
            ..(*subject(pid)).clone()
        }),
        ..process_event(pid, seconds, "started")
    };
    let ticks = producer(1).start_ticks;
    let elsewhere = Subject {
        run: RunKey {
            pid_namespace: 5,
            ..producer(17).into()
        },
        parent: Parent::known(1, ticks),
        ..(*subject(17)).clone()
    };
    bench.commit(&Batch {
        process_events: vec![
            process_event(1, 10, "started"),
            process_event(1, 20, "terminated"),
            child(10, 11, 1, ticks),
            child(11, 11, 1, ticks + 1),
            child(12, 12, 1, 0),
            child(13, 9, 1, 0),
            child(14, 21, 1, 0),
            child(15, 12, 2, ticks),
            child(16, 12, 1, ticks),
            process_event(16, 13, "terminated"),
            ProcessEventRow {
                subject: Arc::new(elsewhere),
                ..process_event(17, 12, "started")
            },
            child(18, 30, 1, ticks),
        ],
        ..Batch::default()
    });
    let parent = bench.store.choose_run(&WhichRun::Pid(1)).unwrap().unwrap();
    let children = |limit| {
        let runs = bench.store.living_children(&parent.run, limit).unwrap();
        runs.iter().map(|run| run.run.pid).collect::<Vec<_>>()
    };
    assert_eq!(children(9), [10, 12, 18]);
    assert_eq!(children(1), [10]);
}

pub(super) fn rows_are_told_apart_by_their_run(bench: &mut Bench) {
    let second = Arc::new(later(1));
    let of_second = ProducerId {
        start_ticks: second.run.start_ticks,
        ..producer(1)
    };
    for (number, subject, id) in [(1_u32, subject(1), producer(1)), (2, second, of_second)] {
        let seconds = i64::from(number);
        let mut call = span(u64::from(number), seconds);
        call.key.producer = id;
        bench.commit(&Batch {
            producers: vec![ProducerRow {
                id,
                subject: Arc::clone(&subject),
                ..described(1)
            }],
            ended: vec![call],
            samples: vec![SampleRow {
                subject: Arc::clone(&subject),
                ..sample(1, seconds)
            }],
            logs: vec![LogRow {
                subject: Arc::clone(&subject),
                ..log(1, seconds, "line")
            }],
            process_events: vec![ProcessEventRow {
                subject: Arc::clone(&subject),
                ..process_event(1, seconds, "event")
            }],
            metrics: vec![MetricRow {
                subject: Arc::clone(&subject),
                ..metric(1, seconds, "metric", 1.0)
            }],
            ..Batch::default()
        });
    }
    for (run, expected) in [(1, &[1][..]), (2, &[2]), (3, &[])] {
        let page = Page::newest(9);
        let filter = ProcessFilter {
            run: Some(run),
            pid: Some(1),
            ..ProcessFilter::default()
        };
        let spans = SpanFilter {
            run: Some(run),
            pid: Some(1),
            ..SpanFilter::default()
        };
        let store = &bench.store;
        fn ids<T>(rows: &[T], id: impl Fn(&T) -> i64) -> Vec<i64> {
            rows.iter().map(id).collect()
        }
        let found = [
            ids(&store.spans(&spans, page).unwrap(), |row| row.id),
            ids(&store.samples(&filter, page).unwrap(), |row| row.id),
            ids(&store.logs(&filter.clone().into(), page).unwrap(), |row| {
                row.id
            }),
            ids(&store.process_events(&filter, page).unwrap(), |row| row.id),
            ids(&store.metrics(&filter, page).unwrap(), |row| row.id),
            ids(&store.runs(&filter, page).unwrap(), |row| row.id),
        ];
        assert_eq!(found, [(); 6].map(|()| expected), "{run}");
    }
}

pub(super) fn a_run_begins_with_its_earliest_row(bench: &mut Bench) {
    bench.commit(&Batch {
        samples: vec![sample(1, 5), sample(1, 7), sample(2, 1)],
        logs: vec![log(1, 4, "line"), log(2, 3, "line")],
        process_events: vec![process_event(1, 2, "started"), process_event(2, 3, "event")],
        metrics: vec![metric(1, 9, "metric", 1.0)],
        stacks: vec![stack(2, 2, 0, "f (a.py:1)")],
        ..Batch::default()
    });
    let runs = bench.store.runs(&ProcessFilter::default(), Page::newest(9));
    let mut begun: Vec<_> = runs
        .unwrap()
        .iter()
        .map(|r| (r.run.pid, r.started_at))
        .collect();
    begun.sort_unstable();
    assert_eq!(begun, [(1, at(2)), (2, at(0))]);
}
