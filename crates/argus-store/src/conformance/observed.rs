//! Laws about what is seen from outside: rows about processes, and their runs.

use std::sync::Arc;

use argus_model::{Measure, Measures, Timestamp};

use super::Bench;
use super::fixture::{
    at, described, end, key, log, metric, process_event, producer, sample, subject,
};
use crate::Batch;
use crate::batch::{Ending, LogRow, Parent, ProcessEventRow, ProducerEnd, SampleRow, Subject};
use crate::query::{
    Page, ProcessFilter, StoredLog, StoredMetric, StoredProcessEvent, StoredSample, TimeRange,
};

const EVERYTHING: Page = Page {
    order: crate::query::Order::Oldest,
    after: None,
    limit: 100,
};

pub(super) fn samples_logs_events_and_metrics_read_back(bench: &mut Bench) {
    let mut measures = Measures::NONE;
    measures.set_count(Measure::DiskRead, 1 << 40);
    measures.set(Measure::Interval, 0.5);
    let exact = Timestamp::from_nanos(1_769_523_825_123_456_789);
    bench.commit(&Batch {
        samples: vec![SampleRow {
            at: exact,
            measures,
            ..sample(1, 0)
        }],
        logs: vec![LogRow {
            at: exact,
            ..log(1, 0, "  gold\t\u{1b}[1m")
        }],
        process_events: vec![ProcessEventRow {
            exit_code: Some(-9),
            detail: Some(r#"{"cause":"signal"}"#.into()),
            ..process_event(1, 2, "terminated")
        }],
        metrics: vec![metric(1, 3, "queue_depth", 5.5)],
        ..Batch::default()
    });
    let filter = ProcessFilter::default();
    let sample = StoredSample {
        id: 1,
        at: exact,
        app_name: "app1".into(),
        process_name: "process1".into(),
        pid: 1,
        cpu_percent: 45.2,
        memory_mb: 256.0,
        threads: 4,
        measures,
    };
    assert_eq!(bench.store.samples(&filter, EVERYTHING).unwrap(), [sample]);
    let log = StoredLog {
        id: 1,
        at: exact,
        app_name: "app1".into(),
        process_name: "process1".into(),
        pid: 1,
        line: "  gold\t\u{1b}[1m".into(),
        path: Some("app.log".into()),
        source: "file".into(),
        level: Some("INFO".into()),
        span: Some(key(1, 1)),
        ..StoredLog::default()
    };
    assert_eq!(
        bench
            .store
            .logs(&filter.clone().into(), EVERYTHING)
            .unwrap(),
        [log]
    );
    let event = StoredProcessEvent {
        id: 1,
        at: at(2),
        app_name: "app1".into(),
        process_name: "process1".into(),
        pid: 1,
        event_type: "terminated".into(),
        exit_code: Some(-9),
        detail: Some(r#"{"cause":"signal"}"#.into()),
    };
    assert_eq!(
        bench.store.process_events(&filter, EVERYTHING).unwrap(),
        [event]
    );
    let metric = StoredMetric {
        id: 1,
        at: at(3),
        app_name: "app1".into(),
        pid: 1,
        name: "queue_depth".into(),
        value: 5.5,
        unit: "By".into(),
        attributes: Some(r#"{"queue":"orders"}"#.into()),
    };
    assert_eq!(bench.store.metrics(&filter, EVERYTHING).unwrap(), [metric]);
}

pub(super) fn rows_about_processes_are_filtered(bench: &mut Bench) {
    for pid in [1, 2, 3] {
        let seconds = i64::from(pid) * 10;
        bench.commit(&Batch {
            samples: vec![sample(pid, seconds)],
            logs: vec![log(pid, seconds, &format!("line {pid}"))],
            process_events: vec![process_event(pid, seconds, &format!("event {pid}"))],
            metrics: vec![metric(pid, seconds, &format!("metric {pid}"), 1.0)],
            ..Batch::default()
        });
    }
    let check = |filter: &ProcessFilter, expected: &[i64]| {
        let store = &bench.store;
        let samples = store.samples(filter, EVERYTHING).unwrap();
        let logs = store.logs(&filter.clone().into(), EVERYTHING).unwrap();
        let events = store.process_events(filter, EVERYTHING).unwrap();
        let metrics = store.metrics(filter, EVERYTHING).unwrap();
        let runs = store.runs(filter, EVERYTHING).unwrap();
        let ids = [
            samples.iter().map(|row| row.id).collect::<Vec<_>>(),
            logs.iter().map(|row| row.id).collect(),
            events.iter().map(|row| row.id).collect(),
            metrics.iter().map(|row| row.id).collect(),
            runs.iter().map(|row| row.id).collect(),
        ];
        assert_eq!(ids, [expected; 5], "{filter:?}");
    };
    let none = ProcessFilter::default;
    check(&none(), &[1, 2, 3]);
    check(
        &ProcessFilter {
            pid: Some(2),
            ..none()
        },
        &[2],
    );
    check(
        &ProcessFilter {
            app_name: Some("app3".into()),
            ..none()
        },
        &[3],
    );
    check(
        &ProcessFilter {
            app_name: Some("app".into()),
            ..none()
        },
        &[],
    );
    let time = TimeRange {
        from: Some(at(20)),
        to: Some(at(30)),
    };
    check(&ProcessFilter { time, ..none() }, &[2]);
    let lines = ProcessFilter {
        text: Some("ne 3".into()),
        ..none()
    };
    assert_eq!(
        bench.store.logs(&lines.into(), EVERYTHING).unwrap()[0].id,
        3
    );
    let newest = bench.store.logs(&none().into(), Page::newest(2)).unwrap();
    assert_eq!(newest.iter().map(|row| row.id).collect::<Vec<_>>(), [3, 2]);
    let following = bench.store.samples(&none(), Page::following(2, 9)).unwrap();
    assert_eq!(following.iter().map(|row| row.id).collect::<Vec<_>>(), [3]);
}

pub(super) fn a_run_seen_from_inside_and_outside_is_one(bench: &mut Bench) {
    let nameless = Subject {
        app_name: String::new(),
        process_name: "renamed".into(),
        ..(*subject(1)).clone()
    };
    bench.commit(&Batch {
        samples: vec![sample(1, -5)],
        ..Batch::default()
    });
    let runs = |bench: &Bench| {
        bench
            .store
            .runs(&ProcessFilter::default(), EVERYTHING)
            .unwrap()
    };
    assert!(!runs(bench)[0].instrumented);
    bench.commit(&Batch {
        producers: vec![described(1)],
        samples: vec![SampleRow {
            subject: Arc::new(nameless),
            ..sample(1, 3)
        }],
        ..Batch::default()
    });
    let seen = runs(bench);
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].run, producer(1).into());
    assert!(seen[0].instrumented);
    assert_eq!(seen[0].started_at, at(-5));
    assert_eq!(seen[0].app_name, "app1", "saying nothing erases nothing");
    assert_eq!(seen[0].process_name, "renamed");
    assert_eq!(seen[0].ended_at, None);
}

pub(super) fn a_run_keeps_the_first_parent_that_was_told(bench: &mut Bench) {
    let mut seconds = 0;
    let mut told = |bench: &mut Bench, parent: Option<Parent>| {
        seconds += 1;
        let subject = Arc::new(Subject {
            parent,
            ..(*subject(1)).clone()
        });
        bench.commit(&Batch {
            samples: vec![SampleRow {
                subject,
                ..sample(1, seconds)
            }],
            ..Batch::default()
        });
        let runs = bench.store.runs(&ProcessFilter::default(), EVERYTHING);
        runs.unwrap()[0].parent
    };
    assert_eq!(told(bench, None), None);
    let first = Parent::known(70, 0);
    assert_eq!(told(bench, first), first);
    assert_eq!(told(bench, Parent::known(1, 5)), first, "adopted since");
    let whole = Parent::known(70, 900);
    assert_eq!(told(bench, whole), whole, "its start time became known");
    assert_eq!(told(bench, None), whole, "saying nothing erases nothing");
}

pub(super) fn a_terminated_event_ends_its_run(bench: &mut Bench) {
    bench.commit(&Batch {
        producers: vec![described(1)],
        process_events: vec![process_event(1, 9, "terminated")],
        ..Batch::default()
    });
    let run = |bench: &Bench| {
        let runs = bench
            .store
            .runs(&ProcessFilter::default(), EVERYTHING)
            .unwrap();
        (runs[0].ended_at, runs[0].exit_code)
    };
    assert_eq!(run(bench), (Some(at(9)), None));
    bench.commit(&Batch {
        ends: vec![end(1, 10, Some(0))],
        ..Batch::default()
    });
    assert_eq!(
        run(bench),
        (Some(at(9)), Some(0)),
        "the code became known later"
    );
}

pub(super) fn a_run_goes_on_when_its_program_executes_another(bench: &mut Bench) {
    let mut later = described(1);
    later.id.nonce += 1;
    let second = ProducerEnd {
        producer: later.id,
        ..end(1, 30, Some(3))
    };
    let exec = |seconds| ProducerEnd {
        ending: Ending::Exec,
        ..end(1, seconds, None)
    };
    let ended = |bench: &Bench| {
        let runs = bench.store.runs(&ProcessFilter::default(), EVERYTHING);
        let runs = runs.unwrap();
        assert_eq!(runs.len(), 1, "one process, one run");
        (runs[0].ended_at, runs[0].exit_code)
    };
    bench.commit(&Batch {
        producers: vec![described(1)],
        ends: vec![exec(10)],
        ..Batch::default()
    });
    assert_eq!(
        ended(bench),
        (Some(at(10)), None),
        "nobody knows of another"
    );
    bench.commit(&Batch {
        producers: vec![later.clone()],
        ..Batch::default()
    });
    assert_eq!(ended(bench), (None, None), "it goes on");
    bench.commit(&Batch {
        ends: vec![exec(20)],
        ..Batch::default()
    });
    assert_eq!(ended(bench), (None, None), "as the other");
    bench.commit(&Batch {
        ends: vec![second],
        ..Batch::default()
    });
    assert_eq!(ended(bench), (Some(at(30)), Some(3)));
    bench.commit(&Batch {
        producers: vec![later],
        ..Batch::default()
    });
    assert_eq!(ended(bench), (Some(at(30)), Some(3)), "what is known stays");
}

pub(super) fn what_is_not_a_number_does_not_stop_a_batch(bench: &mut Bench) {
    bench.commit(&Batch {
        samples: vec![SampleRow {
            cpu_percent: f64::NAN,
            ..sample(1, 0)
        }],
        metrics: vec![metric(1, 0, "ratio", f64::NAN)],
        ..Batch::default()
    });
    let filter = ProcessFilter::default();
    let samples = bench.store.samples(&filter, EVERYTHING).unwrap();
    assert_eq!(samples[0].cpu_percent.to_bits(), 0.0_f64.to_bits());
    assert!(
        bench.store.metrics(&filter, EVERYTHING).unwrap()[0]
            .value
            .is_nan()
    );
}
