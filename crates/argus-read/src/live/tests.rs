//! Hand-built rows folded at chosen moments, told as indented text.

use std::fmt::Write as _;

use argus_model::record::ThreadState;
use argus_model::{Measures, ProducerId, SpanKey, SpanNumber};
use argus_store::batch::Status;

use super::*;

const START: i64 = 1_000_000_000_000;

fn second(seconds: i64) -> Timestamp {
    Timestamp::from_nanos(START + seconds * 1_000_000_000)
}

fn producer(pid: u32) -> ProducerId {
    ProducerId {
        pid,
        start_ticks: u64::from(pid),
        ..ProducerId::default()
    }
}

fn key(pid: u32, number: u64) -> SpanKey {
    SpanKey {
        producer: producer(pid),
        number: SpanNumber(number),
    }
}

/// Span `number` of process 7, opened `number` seconds after the start.
fn open(number: u64, parent: u64, tid: u32) -> StoredOpenSpan {
    StoredOpenSpan {
        key: key(7, number),
        parent: SpanNumber(parent),
        process: format!("f{number}"),
        group: None,
        app_name: "shop".into(),
        pid: 7,
        tid,
        thread: format!("thread-{tid}"),
        started_at: second(i64::try_from(number).unwrap()),
        captured: None,
    }
}

fn ended(id: i64, pid: u32, number: u64) -> StoredSpan {
    StoredSpan {
        id,
        key: key(pid, number),
        parent: SpanNumber::NONE,
        process: format!("f{number}"),
        group: None,
        app_name: "shop".into(),
        pid,
        tid: pid,
        thread: "main".into(),
        ended_at: second(id),
        duration_ns: 5,
        status: Status::Ok,
        captured: None,
        exception: None,
        interrupted: false,
    }
}

fn run(id: i64, pid: u32, end: Option<i64>) -> StoredRun {
    StoredRun {
        id,
        run: producer(pid).into(),
        app_name: format!("app{pid}"),
        process_name: "python3".into(),
        command_line: "python3 shop.py".into(),
        hostname: "here".into(),
        instrumented: false,
        observer: false,
        started_at: second(id),
        ended_at: end.map(second),
        exit_code: end.map(|_| -9),
        parent: None,
    }
}

fn sample(id: i64, pid: u32) -> StoredSample {
    StoredSample {
        id,
        at: second(id),
        app_name: "shop".into(),
        process_name: "python3".into(),
        pid,
        cpu_percent: f64::from(u32::try_from(id).unwrap()),
        memory_mb: 1.0,
        threads: 2,
        measures: Measures::NONE,
    }
}

fn outside(runs: Vec<StoredRun>, samples: Vec<StoredSample>) -> Changes {
    Changes {
        outside: Some(OutsideChanges {
            samples,
            runs,
            stacks: Vec::new(),
            ledger: None,
        }),
        ..Changes::default()
    }
}

fn opened(open: Vec<StoredOpenSpan>) -> Changes {
    Changes {
        open,
        ..Changes::default()
    }
}

fn picture(state: &LiveState, now: Timestamp) -> String {
    let mut out = String::new();
    for process in state.processes() {
        writeln!(out, "{} {}", process.app_name, process.pid()).unwrap();
        for thread in &process.threads {
            writeln!(out, "  {}", thread.name).unwrap();
            for live in &thread.spans {
                let indent = "  ".repeat(live.depth + 2);
                let elapsed = live.elapsed(now).as_secs();
                let below = live.descendants;
                writeln!(out, "{indent}{} {elapsed}s +{below}", live.span.process).unwrap();
            }
        }
    }
    out
}

fn check(state: &LiveState, now: Timestamp, expected: &str) {
    let lines = expected.lines().map(|line| line.strip_prefix("|"));
    let expected: String = lines
        .flatten()
        .fold(String::new(), |text, line| text + line + "\n");
    assert_eq!(picture(state, now), expected);
}

#[test]
fn open_spans_stand_in_their_threads_under_their_parents() {
    let mut state = LiveState::default();
    let spans = vec![
        open(1, 0, 7),
        open(2, 1, 7),
        open(3, 2, 7),
        open(4, 1, 7),
        open(5, 0, 3),
    ];
    state.apply(opened(spans), second(10));
    let expected = "
        |shop 7
        |  thread-7
        |    f1 9s +3
        |      f2 8s +1
        |        f3 7s +0
        |      f4 6s +0
        |  thread-3
        |    f5 5s +0"
        .replace("        |", "|");
    check(&state, second(10), &expected);
    assert_eq!(state.open_spans(), 5);
}

#[test]
fn orphans_hang_under_their_own_thread() {
    let mut state = LiveState::default();
    let spans = vec![open(1, 0, 7), open(2, 1, 8), open(3, 99, 7)];
    state.apply(opened(spans), second(3));
    let expected = "
        |shop 7
        |  thread-7
        |    f1 2s +0
        |    f3 0s +0
        |  thread-8
        |    f2 1s +0"
        .replace("        |", "|");
    check(&state, second(3), &expected);
}

#[test]
fn parents_in_a_ring_hide_no_span() {
    let mut state = LiveState::default();
    state.apply(
        opened(vec![open(1, 2, 7), open(2, 1, 7), open(3, 3, 7)]),
        second(3),
    );
    assert_eq!(state.processes()[0].open_spans(), 3);
}

#[test]
fn a_very_deep_stack_is_built_in_linear_time() {
    let mut state = LiveState::default();
    let spans = (1..=20_000).map(|number| open(number, number - 1, 7));
    state.apply(opened(spans.collect()), second(0));
    let spans = &state.processes()[0].threads[0].spans;
    assert_eq!(spans[0].descendants, 19_999);
    assert_eq!(spans[19_999].depth, 19_999);
    assert!(!state.is_cut());
}

#[test]
fn a_span_read_as_open_and_as_ended_has_ended() {
    let mut state = LiveState::default();
    let changes = Changes {
        open: vec![open(1, 0, 7)],
        ended: vec![ended(1, 7, 1)],
        ..Changes::default()
    };
    state.apply(changes, second(2));
    assert_eq!(state.open_spans(), 0);
    assert_eq!(state.recent().len(), 1);
    assert!(state.processes().is_empty());
}

#[test]
fn recent_activity_is_newest_first_and_bounded() {
    let mut state = LiveState::new(LiveOptions {
        recent: 3,
        ..LiveOptions::default()
    });
    for ids in [1..=2, 3..=9] {
        let ended = ids.map(|id| ended(id, 7, 1)).collect();
        let changes = Changes {
            ended,
            ..Changes::default()
        };
        state.apply(changes, second(10));
    }
    let ids: Vec<_> = state.recent().iter().map(|span| span.id).collect();
    assert_eq!(ids, [9, 8, 7]);
}

#[test]
fn more_open_spans_than_the_limit_are_said_to_be_cut() {
    let mut state = LiveState::new(LiveOptions {
        open: 2,
        ..LiveOptions::default()
    });
    state.apply(opened((1..=3).map(|n| open(n, 0, 7)).collect()), second(3));
    assert_eq!((state.open_spans(), state.is_cut()), (2, true));
}

#[test]
fn a_dead_process_lingers_and_then_leaves() {
    let mut state = LiveState::default();
    state.apply(
        outside(vec![run(1, 7, None), run(2, 8, None)], vec![]),
        second(3),
    );
    assert_eq!(state.applications(), 2);
    state.apply(outside(vec![run(1, 7, Some(5))], vec![]), second(6));
    let end = state.processes()[0].ended.unwrap();
    assert_eq!((end.at, end.exit_code), (second(5), Some(-9)));
    state.apply(Changes::default(), second(15));
    assert_eq!(state.processes().len(), 2);
    state.apply(Changes::default(), second(16));
    assert_eq!(state.processes()[0].pid(), 8);
    // It is read again as long as it is among the newest runs, and must not come back.
    state.apply(outside(vec![run(1, 7, Some(5))], vec![]), second(17));
    assert_eq!(state.processes().len(), 1);
}

#[test]
fn samples_go_to_the_latest_process_of_their_pid() {
    let mut earlier = run(1, 7, Some(2));
    earlier.run.start_ticks = 1;
    let mut state = LiveState::new(LiveOptions {
        history: 2,
        ..LiveOptions::default()
    });
    let samples = vec![sample(1, 7), sample(2, 7), sample(3, 7), sample(4, 99)];
    state.apply(outside(vec![run(2, 7, None), earlier], samples), second(3));
    let histories: Vec<Vec<f64>> = state
        .processes()
        .iter()
        .map(|process| {
            process
                .history
                .points()
                .map(|point| point.cpu_percent)
                .collect()
        })
        .collect();
    assert_eq!(histories, [vec![], vec![2.0, 3.0]]);
}

#[test]
fn only_the_process_asked_for_is_shown() {
    let mut state = LiveState::new(LiveOptions {
        pid: Some(8),
        ..LiveOptions::default()
    });
    let account = |pid| ProducerLedger {
        producer: ProducerId::default(),
        app_name: "shop".into(),
        pid,
        seen_at: second(0),
        ended_at: None,
        stored: 10,
        lost_normal: u64::from(pid),
        lost_errors: 1,
        damaged: 0,
        unknown: 0,
    };
    let mut changes = outside(vec![run(1, 7, None), run(2, 8, None)], vec![]);
    changes.open = vec![open(1, 0, 7)];
    let outside = changes.outside.as_mut().unwrap();
    outside.ledger = Some(vec![account(7), account(8)]);
    state.apply(changes, second(3));
    check(&state, second(3), "|app8 8");
    assert_eq!(state.losses().total(), 9);
}

fn stack(pid: u32, tid: u32, seconds: i64, frames: &str) -> StoredStack {
    StoredStack {
        id: 1,
        at: second(seconds),
        run: producer(pid).into(),
        tid,
        thread: format!("thread-{tid}"),
        state: ThreadState::Idle,
        holds_gil: false,
        frames: frames.into(),
    }
}

fn sampled(runs: Vec<StoredRun>, stacks: Vec<StoredStack>) -> Changes {
    let mut changes = outside(runs, Vec::new());
    changes.outside.as_mut().unwrap().stacks = stacks;
    changes
}

#[test]
fn a_program_that_records_nothing_shows_its_sampled_stacks() {
    let mut state = LiveState::default();
    let stacks = vec![
        stack(7, 7, 1, "inner (a.py:2)\nouter (a.py:9)"),
        stack(7, 8, 2, ""),
    ];
    state.apply(sampled(vec![run(0, 7, None)], stacks), second(3));
    let told = &state.processes()[0].sampled;
    assert_eq!(told[0].frames, ["outer (a.py:9)", "inner (a.py:2)"]);
    assert_eq!((told[0].tid, told[0].at), (7, second(1)));
    assert_eq!((told[1].tid, told[1].frames.len()), (8, 0));
    assert!(!state.processes()[0].is_busy());
    // They are replaced by what holds at the next look, and stay between the looks.
    state.apply(Changes::default(), second(4));
    assert_eq!(state.processes()[0].sampled.len(), 2);
    let mut active = stack(7, 8, 4, "f (a.py:1)");
    active.state = ThreadState::Active;
    state.apply(sampled(Vec::new(), vec![active]), second(4));
    assert_eq!(state.processes()[0].sampled.len(), 1);
    assert!(state.processes()[0].is_busy());
    state.apply(sampled(Vec::new(), Vec::new()), second(5));
    assert_eq!(state.processes()[0].sampled, []);
}

#[test]
fn stacks_of_the_dead_and_of_those_that_record_themselves_are_not_shown() {
    let mut state = LiveState::default();
    let runs = vec![
        StoredRun {
            instrumented: true,
            ..run(0, 7, None)
        },
        run(1, 8, Some(2)),
        run(2, 9, None),
    ];
    let stacks = [7, 8, 9, 10].map(|pid| stack(pid, pid, 2, "f (a.py:1)"));
    state.apply(sampled(runs, stacks.into()), second(3));
    let told = state.processes().iter();
    let told: Vec<_> = told
        .map(|process| (process.pid(), process.sampled.len()))
        .collect();
    assert_eq!(told, [(7, 0), (8, 0), (9, 1)]);
}
