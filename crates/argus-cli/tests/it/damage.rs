//! `argus verify` and `argus export`: a whole database, and a damaged one.

use std::fs;

use argus_store::Batch;
use argus_store::batch::{LogTemplate, SessionEventRow, SpanRow};
use serde_json::Value;

use crate::recording::{Answer, Recording, before, introduction, log, producer, span};

fn lines(text: &str) -> Vec<Value> {
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn of_kind<'a>(lines: &'a [Value], kind: &str) -> Vec<&'a Value> {
    lines.iter().filter(|line| line["kind"] == kind).collect()
}

/// More than a page of the database, and of an export.
fn many() -> Recording {
    Recording::of(&Batch {
        ended: (0..3_000)
            .map(|number| SpanRow {
                captured: Some(format!(r#"{{"i":{{"row":"{number}"}}}}"#)),
                ended_at: before(10_000 - number),
                duration_ns: number,
                ..span(1, "prices.load")
            })
            .collect(),
        logs: (0..1_500)
            .map(|line| log(&format!("line {line}")))
            .collect(),
        log_templates: vec![LogTemplate {
            id: 1,
            pattern: "line <*>".into(),
            count: 1_500,
            first: before(60),
            last: before(0),
        }],
        session_events: ["session_started", "step", "session_ended"]
            .map(|event_type| SessionEventRow {
                session: "s".into(),
                producer: producer(),
                at: before(1),
                event_type: event_type.into(),
                data: r#"{"zebra":"1","ant":"2"}"#.into(),
            })
            .into(),
        ..introduction()
    })
}

/// Turns the value of one call's argument into another.
fn damage(recording: &Recording) {
    let mut bytes = fs::read(recording.database()).unwrap();
    let needle = br#"{"i":{"row":"777"}}"#;
    let at = bytes
        .windows(needle.len())
        .position(|window| window == needle)
        .unwrap();
    bytes[at + needle.len() - 4] ^= 1;
    fs::write(recording.database(), bytes).unwrap();
}

fn check(answer: &Answer, code: i32, out: &str) {
    assert_eq!(answer.code, code, "{answer:?}");
    assert!(answer.stdout.contains(out), "{answer:?}");
}

#[test]
fn a_whole_database_is_fine() {
    let recording = many();
    check(
        &recording.argus(&["verify"]),
        0,
        "rows are as they were written",
    );
    let answer = recording.json(&["verify"]);
    assert_eq!(answer["fine"], true);
    assert!(answer["rows"].as_u64().unwrap() > 4_500);
    assert_eq!(answer["damage"], serde_json::json!([]));
}

#[test]
fn a_flipped_bit_is_located_and_exit_code_1() {
    let recording = many();
    damage(&recording);
    let answer = recording.argus(&["verify"]);
    check(
        &answer,
        1,
        "spans 0 to 1023: 1023 rows, not all as they were written\n",
    );
    assert!(
        answer.stderr.contains("argus export --salvage"),
        "{answer:?}"
    );
    let answer = recording.argus(&["verify", "--json"]);
    assert_eq!(answer.code, 1);
    let document: Value = serde_json::from_str(&answer.stdout).unwrap();
    assert_eq!(document["damage"][0]["table"], "spans");
    assert_eq!(document["damage"][0]["first"], 0);
}

#[test]
fn verify_tells_what_cannot_even_be_opened() {
    let recording = Recording::missing();
    check(&recording.argus(&["verify"]), 1, "");
    fs::write(recording.database(), "no database ".repeat(1_000)).unwrap();
    check(
        &recording.argus(&["verify"]),
        1,
        "is damaged or not an Argus store",
    );
}

#[test]
fn an_export_holds_every_row_in_order() {
    let recording = many();
    let answer = recording.argus(&["export"]);
    assert_eq!((answer.code, answer.stderr.as_str()), (0, ""));
    let all = lines(&answer.stdout);
    let spans = of_kind(&all, "span");
    assert_eq!(spans.len(), 3_000);
    for (number, span) in spans.iter().enumerate() {
        assert_eq!(span["id"], number + 1);
        assert_eq!(span["arguments"]["row"], number.to_string());
    }
    assert_eq!(of_kind(&all, "log").len(), 1_500);
    let templates = of_kind(&all, "log_template");
    assert_eq!(templates[0]["template"], "line <*>");
    assert_eq!(
        (templates.len(), &templates[0]["count"]),
        (1, &1_500.into())
    );
    assert_eq!(of_kind(&all, "run").len(), 1);
    assert_eq!(of_kind(&all, "session")[0]["status"], "completed");
    assert_eq!(of_kind(&all, "session_event").len(), 3);
    assert!(answer.stdout.contains(r#""data":{"zebra":"1","ant":"2"}"#));

    let everything = lines(&Recording::sample().argus(&["export"]).stdout);
    for kind in ["run", "span", "sample", "log", "process_event", "metric"] {
        assert!(!of_kind(&everything, kind).is_empty(), "{kind}");
    }
}

#[test]
fn an_export_keeps_to_its_stretch_of_time() {
    let recording = many();
    let answer = recording.argus(&[
        "export",
        "--since",
        "2026-01-27T14:23:45.123Z",
        "--until",
        "2026-01-27T14:30:00Z",
    ]);
    let all = lines(&answer.stdout);
    assert_eq!(
        (of_kind(&all, "span").len(), of_kind(&all, "log").len()),
        (0, 0)
    );
    let answer = recording.argus(&["export", "--until", "2026-01-27T14:23:44Z"]);
    let all = lines(&answer.stdout);
    assert_eq!(
        (of_kind(&all, "span").len(), of_kind(&all, "log").len()),
        (3_000, 0)
    );
    assert_eq!(of_kind(&all, "session").len(), 0);
}

#[test]
fn an_export_overwrites_nothing() {
    let recording = many();
    let file = recording.database().with_extension("ndjson");
    let name = file.to_str().unwrap();
    check(&recording.argus(&["export", name]), 0, "");
    assert_eq!(
        of_kind(&lines(&fs::read_to_string(&file).unwrap()), "span").len(),
        3_000
    );
    let answer = recording.argus(&["export", name]);
    assert_ne!(answer.code, 0);
    assert!(answer.stderr.contains("cannot make"), "{answer:?}");
}

#[test]
fn a_damaged_database_is_exported_with_an_account() {
    let recording = many();
    damage(&recording);
    let answer = recording.argus(&["export", "--salvage"]);
    assert_eq!(answer.code, 1, "{answer:?}");
    assert!(
        answer
            .stderr
            .contains("spans: 3,000 rows saved, 0 lost, 1,023 of those saved may be wrong"),
        "{}",
        answer.stderr
    );
    assert_eq!(of_kind(&lines(&answer.stdout), "span").len(), 3_000);
    let beside = fs::read_dir(recording.database().parent().unwrap()).unwrap();
    let left: Vec<_> = beside
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.contains("salvage"))
        .collect();
    assert_eq!(left, [""; 0]);
}

#[test]
fn a_damaged_database_is_saved_into_a_new_one() {
    let recording = many();
    let database = recording.database();
    let mut bytes = fs::read(&database).unwrap();
    let needle = br#"{"i":{"row":"777"}}"#;
    let at = bytes
        .windows(needle.len())
        .position(|window| window == needle);
    let page = at.unwrap() / 8_192 * 8_192;
    bytes[page..page + 8_192].fill(0);
    fs::write(&database, bytes).unwrap();
    let into = database.with_extension("new");
    let answer = recording.argus(&["export", "--salvage", "--into", into.to_str().unwrap()]);
    assert_eq!(answer.code, 1, "{answer:?}");
    let found = crate::recording::argus(&into, &["verify"]);
    check(&found, 0, "rows are as they were written");
    let counts = crate::recording::argus(&into, &["status", "--json"]);
    let counts: Value = serde_json::from_str(&counts.stdout).unwrap();
    let spans = counts["counts"]["spans"].as_u64().unwrap();
    assert!((2_800..3_000).contains(&spans), "{spans}");
}
