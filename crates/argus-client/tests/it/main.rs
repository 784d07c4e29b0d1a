//! Spans, metrics, and sessions of a Rust program, read back from its spool.
//!
//! The environment decides where a process records, so each test starts this very program again, with
//! a database of its own, and runs one of the `programs` below in it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::HashMap;
use std::path::Path;
use std::process::Command;

use argus_client::{Session, metric, span};
use argus_model::record::{FieldKey, Record};
use argus_model::{Kind, NameText};
use argus_spool::read::{ChunkReader, Producer, Progress, chunks, producers};

const PROGRAM: &str = "ARGUS_CLIENT_TEST_PROGRAM";

#[derive(Debug, Default, Clone, PartialEq)]
struct Span {
    number: u64,
    parent: u64,
    name: String,
    fields: Vec<(String, String)>,
    ended: bool,
    exception: Option<String>,
}

/// Runs one program in a process of its own; answers its spans and its other records.
fn run(program: &str) -> (Vec<Span>, Vec<String>) {
    let folder =
        std::env::temp_dir().join(format!("argus-client-{}-{program}", std::process::id()));
    let database = folder.join("test.db");
    let status = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "programs", "--nocapture"])
        .env(PROGRAM, program)
        .env("ARGUS_DB", &database)
        .env("ARGUS_COLLECTOR", "off")
        .env_remove("ARGUS_DISABLE")
        .status()
        .unwrap();
    assert!(status.success());
    let read = read(&folder.join("test.db.d/spool"));
    std::fs::remove_dir_all(&folder).unwrap();
    read
}

fn read(spool: &Path) -> (Vec<Span>, Vec<String>) {
    let (mut spans, mut others) = (Vec::new(), Vec::new());
    for (producer, directory) in producers(spool).unwrap() {
        for (_, path) in chunks(&directory).unwrap() {
            let Some(mut reader) = ChunkReader::open(&path, producer).unwrap() else {
                continue;
            };
            let mut names = HashMap::new();
            let mut take = |kind: u8, payload: &[u8]| {
                let kind = Kind::from_byte(kind).unwrap();
                let record = Record::decode(kind, payload).unwrap();
                note(record, &mut names, &mut spans, &mut others);
            };
            while reader
                .read(Producer::Dead, 1 << 20, |raw| take(raw.kind, raw.payload))
                .unwrap()
                != Progress::Ended
            {}
        }
    }
    spans.sort_by_key(|span: &Span| span.number);
    (spans, others)
}

fn note(
    record: Record<'_>,
    names: &mut HashMap<u32, NameText>,
    spans: &mut Vec<Span>,
    others: &mut Vec<String>,
) {
    match record {
        Record::Name(number, text) => {
            names.insert(number.0, text);
        }
        Record::SpanStart {
            number,
            parent,
            name,
            fields,
            ..
        } => {
            let name = &names[&name.0];
            let key = |key| match key {
                FieldKey::Parameter(index) => name.parameters[index as usize].clone(),
                FieldKey::Text(text) => text.to_owned(),
            };
            spans.push(Span {
                number: number.0,
                parent: parent.0,
                name: name.text.clone(),
                fields: fields
                    .iter()
                    .map(|(k, value)| (key(k), value.render()))
                    .collect(),
                ..Span::default()
            });
        }
        Record::SpanEnd {
            number, outcome, ..
        } => {
            let span = spans
                .iter_mut()
                .find(|span| span.number == number.0)
                .unwrap();
            span.ended = true;
            span.exception = outcome.exception.map(str::to_owned);
        }
        Record::Metric {
            name, value, unit, ..
        } => {
            others.push(format!("{} {value} {unit}", names[&name.0].text));
        }
        Record::SessionEvent {
            event_type, data, ..
        } => others.push(format!("{event_type} {data}")),
        _ => {}
    }
}

#[test]
fn programs() {
    match std::env::var(PROGRAM).as_deref() {
        Ok("nested") => nested(),
        Ok("panicking") => panicking(),
        Ok("threads") => threads(),
        Ok("others") => others(),
        _ => {}
    }
}

fn nested() {
    let plan = [1, 2];
    let _outer = span!("outer", rows = 10, source = "book.csv", plan = ?plan);
    {
        let _inner = span!("inner");
    }
    let _second = span!("second",);
}

fn panicking() {
    let caught = std::panic::catch_unwind(|| {
        let _failing = span!("failing");
        panic!("on purpose");
    });
    assert!(caught.is_err());
    let _after = span!("after");
}

fn threads() {
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

fn others() {
    metric("queue_depth", 5.0, "1");
    let session = Session::start("say \"hi\"");
    session.emit("scan_started", "{}");
}

#[test]
fn spans_nest_and_keep_their_fields() {
    let (spans, _) = run("nested");
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
    let (spans, _) = run("panicking");
    let [failing, after] = &spans[..] else {
        panic!("{spans:?}")
    };
    assert_eq!(failing.exception.as_deref(), Some("panicked"));
    assert_eq!((after.exception.as_deref(), after.parent), (None, 0));
}

#[test]
fn every_thread_has_parents_of_its_own() {
    let (spans, _) = run("threads");
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
    let (_, others) = run("others");
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
