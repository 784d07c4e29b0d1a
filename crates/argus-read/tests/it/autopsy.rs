//! What an autopsy says when those who tell of a death do not agree, or have not all told yet.

use std::time::Duration;

use argus_model::death::{Cause, Evidence};
use argus_read::Autopsy;
use argus_read::autopsy::{Limits, perform};
use argus_store::batch::{OpenSpan, ProcessEventRow};
use argus_store::query::WhichRun;
use argus_store::{Memory, Sink};

use super::*;

/// The run of pid 7, at second 100.
fn told(store: &Memory) -> Autopsy {
    let which = WhichRun::Pid(7);
    let told = perform(store, &which, Limits::default(), second(100));
    told.unwrap().unwrap()
}

fn commit(store: &mut Memory, batch: &Batch) {
    store.commit(batch).unwrap();
}

fn terminated(seconds: u64, exit_code: Option<i32>, detail: Option<&str>) -> ProcessEventRow {
    ProcessEventRow {
        at: second(seconds),
        subject: subject(7),
        event_type: "terminated".into(),
        exit_code,
        detail: detail.map(str::to_owned),
    }
}

fn end(seconds: u64, ending: Ending) -> ProducerEnd {
    ProducerEnd {
        producer: producer(7),
        at: second(seconds),
        ending,
    }
}

/// Spans 1 to 3, opened in seconds 1 to 3.
fn working() -> Memory {
    let mut store = Memory::new();
    let batch = Batch {
        producers: vec![introduction(7, second(0))],
        opened: [1, 2, 3].map(open).into(),
        ..Batch::default()
    };
    commit(&mut store, &batch);
    store
}

fn open_numbers(autopsy: &Autopsy) -> Vec<u64> {
    let threads = autopsy.threads.iter();
    let spans = threads.flat_map(|thread| &thread.spans);
    spans.map(|span| span.span.key.number.0).collect()
}

#[test]
fn nobody_is_nobody() {
    let store = Memory::new();
    let found = perform(&store, &WhichRun::Last, Limits::default(), second(1));
    assert_eq!(found.unwrap(), None);
}

#[test]
fn spans_that_the_collector_has_not_interrupted_yet_were_open() {
    let mut store = working();
    let batch = Batch {
        process_events: vec![terminated(10, Some(-9), None)],
        ..Batch::default()
    };
    commit(&mut store, &batch);
    let before = told(&store);
    assert_eq!(open_numbers(&before), [1, 2, 3]);
    let batch = Batch {
        ends: vec![end(60, Ending::Exit(Some(-9)))],
        ..Batch::default()
    };
    commit(&mut store, &batch);
    let after = told(&store);
    assert_eq!(open_numbers(&after), [1, 2, 3]);
    assert!(after.failed.rows.is_empty());
    for autopsy in [before, after] {
        // Until the end that was noticed first, not until the collector came to it.
        let span = &autopsy.threads[0].spans[0];
        assert_eq!(autopsy.elapsed(span), Duration::from_secs(9));
        assert_eq!(autopsy.lived(), Duration::from_secs(10));
        assert!(autopsy.is_crash());
    }
}

#[test]
fn what_an_exec_left_behind_had_failed_and_was_not_open() {
    let mut store = working();
    let batch = Batch {
        ends: vec![end(10, Ending::Exec)],
        process_events: vec![terminated(11, Some(1), None)],
        ..Batch::default()
    };
    commit(&mut store, &batch);
    let autopsy = told(&store);
    assert_eq!(
        (open_numbers(&autopsy), autopsy.failed.rows.len()),
        (vec![], 3)
    );
}

#[test]
fn of_several_words_on_a_death_the_one_that_says_most_holds() {
    let mut store = working();
    let batch = Batch {
        process_events: vec![
            terminated(
                10,
                Some(-9),
                Some(r#"{"cause":"sigkill","evidence":"none"}"#),
            ),
            terminated(
                10,
                Some(-9),
                Some(r#"{"cause":"oom_kill","evidence":"kernel_log"}"#),
            ),
            terminated(11, None, Some(r#"{"cause":"unknown"}"#)),
        ],
        ..Batch::default()
    };
    commit(&mut store, &batch);
    let ended = told(&store).ended.unwrap();
    assert_eq!((ended.at, ended.exit_code), (second(10), Some(-9)));
    let expected = (Cause::OutOfMemory, Evidence::KernelLog);
    assert_eq!((ended.death.cause, ended.death.evidence), expected);
}

#[test]
fn an_answer_is_no_crash() {
    let crash = |code, opened: Vec<OpenSpan>| {
        let mut store = Memory::new();
        let batch = Batch {
            producers: vec![introduction(7, second(0))],
            opened,
            process_events: vec![terminated(10, code, None)],
            ..Batch::default()
        };
        commit(&mut store, &batch);
        told(&store).is_crash()
    };
    for (code, idle, at_work) in [
        (Some(0), false, false),
        (Some(1), false, true),
        (Some(-11), true, true),
        (Some(-15), true, true),
        (Some(-2), false, false),
        (Some(-13), false, false),
        (None, false, false),
    ] {
        let told = (crash(code, vec![]), crash(code, vec![open(1)]));
        assert_eq!(told, (idle, at_work), "{code:?}");
    }
}

#[test]
fn the_last_minute_is_the_last_one_and_the_last_sample_may_be_older() {
    let mut store = working();
    let failed = |number| ended(number, Status::Err);
    let batch = Batch {
        samples: [5, 20, 40].map(|at| sample(7, second(at))).into(),
        ended: [5, 90].map(failed).into(),
        process_events: vec![terminated(95, Some(1), None)],
        ..Batch::default()
    };
    commit(&mut store, &batch);
    let autopsy = told(&store);
    let samples: Vec<_> = autopsy
        .samples
        .rows
        .iter()
        .map(|sample| sample.at)
        .collect();
    assert_eq!(samples, [second(40)]);
    assert_eq!(autopsy.failed.rows.len(), 1);
    let mut store = working();
    let batch = Batch {
        samples: [5, 20].map(|at| sample(7, second(at))).into(),
        process_events: vec![terminated(95, Some(1), None)],
        ..Batch::default()
    };
    commit(&mut store, &batch);
    let autopsy = told(&store);
    assert_eq!(autopsy.samples.rows.len(), 1, "rather an old one than none");
    assert_eq!(autopsy.samples.rows[0].at, second(20));
    let cpu = &autopsy.series()[0];
    assert_eq!((cpu.last, cpu.values.len()), (50.0, 1));
}
