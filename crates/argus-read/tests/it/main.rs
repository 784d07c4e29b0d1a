//! Following a store: the memory engine written on one side and read on the other.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod autopsy;

use std::sync::Arc;
use std::time::Duration;

use argus_model::name::NameKind;
use argus_model::{Measures, NameText, ProducerId, SpanKey, SpanNumber, Timestamp};
use argus_read::live::Refreshed;
use argus_read::{Follower, LiveOptions, LiveState, Wake};
use argus_store::batch::{
    Ending, OpenSpan, ProducerEnd, ProducerRow, SampleRow, SpanRow, Status, Subject, Thread,
};
use argus_store::{Batch, Memory, Sink};

fn second(seconds: u64) -> Timestamp {
    Timestamp::from_nanos(1_000_000_000_000).plus(Duration::from_secs(seconds))
}

fn producer(pid: u32) -> ProducerId {
    ProducerId {
        pid,
        ..ProducerId::default()
    }
}

fn key(number: u64) -> SpanKey {
    SpanKey {
        producer: producer(7),
        number: SpanNumber(number),
    }
}

fn subject(pid: u32) -> Arc<Subject> {
    Arc::new(Subject {
        run: producer(pid).into(),
        app_name: "shop".into(),
        process_name: "python3".into(),
        ..Subject::default()
    })
}

fn introduction(pid: u32, at: Timestamp) -> ProducerRow {
    ProducerRow {
        id: producer(pid),
        subject: subject(pid),
        runtime: String::new(),
        argus_version: String::new(),
        seen_at: at,
    }
}

fn name() -> Arc<NameText> {
    Arc::new(NameText::plain(NameKind::Function, "shop.price"))
}

fn open(number: u64) -> OpenSpan {
    OpenSpan {
        key: key(number),
        parent: SpanNumber::NONE,
        name: name(),
        thread: Arc::new(Thread::default()),
        started_at: second(number),
        started_monotonic: number,
        captured: None,
    }
}

fn ended(number: u64, status: Status) -> SpanRow {
    SpanRow {
        key: key(number),
        parent: SpanNumber::NONE,
        name: name(),
        thread: Arc::new(Thread::default()),
        ended_at: second(number),
        duration_ns: 5,
        status,
        captured: None,
        exception: None,
    }
}

fn sample(pid: u32, at: Timestamp) -> SampleRow {
    SampleRow {
        at,
        subject: subject(pid),
        cpu_percent: 50.0,
        rss_bytes: 1 << 20,
        threads: 3,
        measures: Measures::NONE,
    }
}

fn recent(state: &LiveState) -> Vec<u64> {
    let spans = state.recent().iter();
    spans.map(|span| span.key.number.0).collect()
}

#[test]
fn a_span_that_began_and_ended_between_two_looks_stands_in_recent_activity() {
    let mut store = Memory::new();
    let mut state = LiveState::default();
    let batch = Batch {
        producers: vec![introduction(7, second(0))],
        opened: vec![open(1)],
        ..Batch::default()
    };
    store.commit(&batch).unwrap();
    let refreshed = state.refresh(&store, second(2)).unwrap();
    assert_eq!(refreshed, Refreshed::Whole);
    assert_eq!((state.open_spans(), recent(&state)), (1, vec![]));
    for (opened, over) in [(vec![open(2)], vec![]), (vec![], vec![2, 1])] {
        let ended = over.into_iter().map(|number| ended(number, Status::Ok));
        let batch = Batch {
            opened,
            ended: ended.collect(),
            ..Batch::default()
        };
        store.commit(&batch).unwrap();
    }
    state.refresh(&store, second(3)).unwrap();
    assert_eq!((state.open_spans(), recent(&state)), (0, vec![1, 2]));
    state.refresh(&store, second(4)).unwrap();
    assert_eq!(recent(&state), [1, 2]);
}

#[test]
fn under_a_flood_the_newest_are_shown_and_no_failure_is_hidden() {
    let mut store = Memory::new();
    let mut state = LiveState::new(LiveOptions {
        recent: 10,
        ..LiveOptions::default()
    });
    let mut commit = |numbers: std::ops::RangeInclusive<u64>, failed: u64| {
        let ended = numbers.map(|number| match number == failed {
            true => ended(number, Status::Err),
            false => ended(number, Status::Ok),
        });
        let batch = Batch {
            ended: ended.collect(),
            ..Batch::default()
        };
        store.commit(&batch).unwrap();
        store.clone()
    };
    state.refresh(&commit(1..=5, 0), second(1)).unwrap();
    state.refresh(&commit(6..=500, 77), second(2)).unwrap();
    assert_eq!(recent(&state), (491..=500).rev().collect::<Vec<_>>());
    let failed: Vec<_> = state
        .errors()
        .iter()
        .map(|span| span.key.number.0)
        .collect();
    assert_eq!(failed, [77]);
}

#[test]
fn one_process_is_followed_past_what_others_do() {
    let mut store = Memory::new();
    let mut state = LiveState::new(LiveOptions {
        pid: Some(7),
        recent: 3,
        ..LiveOptions::default()
    });
    let mut others = (1_000..).map(|number| SpanRow {
        key: SpanKey {
            producer: producer(8),
            number: SpanNumber(number),
        },
        ..ended(number, Status::Err)
    });
    for round in 1..=4 {
        let mut batch = Batch::default();
        batch.ended.extend(others.by_ref().take(10));
        batch.ended.push(ended(round, Status::Err));
        batch.ended.extend(others.by_ref().take(10));
        store.commit(&batch).unwrap();
        state.refresh(&store, second(round)).unwrap();
        assert_eq!(state.recent()[0].key, key(round));
    }
    assert_eq!(recent(&state), [4, 3, 2]);
    assert_eq!(state.errors().len(), 4);
}

#[test]
fn a_killed_process_shows_its_end_and_its_spans_as_interrupted() {
    let mut store = Memory::new();
    let mut state = LiveState::default();
    let batch = Batch {
        producers: vec![introduction(7, second(0))],
        opened: vec![open(1)],
        samples: vec![sample(7, second(1))],
        ..Batch::default()
    };
    store.commit(&batch).unwrap();
    state.refresh(&store, second(2)).unwrap();
    let point = *state.processes()[0].history.latest().unwrap();
    assert_eq!(
        (point.cpu_percent, point.memory_mb, point.threads),
        (50.0, 1.0, 3)
    );
    let end = ProducerEnd {
        producer: producer(7),
        at: second(5),
        ending: Ending::Exit(Some(-9)),
    };
    let batch = Batch {
        ends: vec![end],
        ..Batch::default()
    };
    store.commit(&batch).unwrap();
    state.refresh(&store, second(6)).unwrap();
    let process = &state.processes()[0];
    assert_eq!(process.ended.unwrap().exit_code, Some(-9));
    assert_eq!((process.open_spans(), state.open_spans()), (0, 0));
    assert!(state.recent()[0].interrupted && state.errors()[0].interrupted);
    state.refresh(&store, second(60)).unwrap();
    assert!(state.processes().is_empty());
}

#[test]
fn an_old_process_is_found_behind_a_thousand_newer_ones_and_so_is_its_end() {
    let mut store = Memory::new();
    let mut state = LiveState::default();
    let mut introductions = vec![introduction(7, second(0))];
    introductions.extend((1_000..2_000).map(|pid| introduction(pid, second(1))));
    let ends = (1_000..2_000).map(|pid| ProducerEnd {
        producer: producer(pid),
        at: second(2),
        ending: Ending::Exit(Some(0)),
    });
    let batch = Batch {
        producers: introductions,
        samples: vec![sample(7, second(100))],
        ends: ends.collect(),
        ..Batch::default()
    };
    store.commit(&batch).unwrap();
    state.refresh(&store, second(100)).unwrap();
    let pids: Vec<_> = state
        .processes()
        .iter()
        .map(|process| process.pid())
        .collect();
    assert_eq!(pids, [7]);
    assert!(state.processes()[0].history.latest().is_some());
    let end = ProducerEnd {
        producer: producer(7),
        at: second(101),
        ending: Ending::Exit(None),
    };
    let batch = Batch {
        ends: vec![end],
        ..Batch::default()
    };
    store.commit(&batch).unwrap();
    state.refresh(&store, second(102)).unwrap();
    assert!(state.processes()[0].ended.is_some());
}

#[test]
fn what_was_read_too_recently_is_said_to_be_missing() {
    let store = Memory::new();
    let mut state = LiveState::default();
    let at = |millis| second(0).plus(Duration::from_millis(millis));
    let mut check = |millis, refreshed| {
        assert_eq!(state.refresh(&store, at(millis)).unwrap(), refreshed);
    };
    check(0, Refreshed::Whole);
    check(10, Refreshed::Inside);
    check(260, Refreshed::Inside);
    check(1_000, Refreshed::Whole);
}

#[test]
fn a_commit_nobody_tells_of_is_noticed_by_polling() {
    let mut store = Memory::new();
    let mut follower = Follower::polling().unwrap();
    let reader = store.clone();
    let (brief, long) = (Duration::from_millis(1), Duration::from_secs(20));
    assert_eq!(follower.wait(Some(&reader), long).unwrap(), Wake::Committed);
    assert_eq!(follower.wait(Some(&reader), brief).unwrap(), Wake::TimedOut);
    let writer = std::thread::spawn(move || {
        let batch = Batch {
            opened: vec![open(1)],
            ..Batch::default()
        };
        store.commit(&batch).unwrap();
    });
    assert_eq!(follower.wait(Some(&reader), long).unwrap(), Wake::Committed);
    writer.join().unwrap();
}
