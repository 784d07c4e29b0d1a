//! The tables and views that documents 1 and 4 name, and what SQL makes of them.

use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use argus_model::Timestamp;

use super::Place;
use crate::Batch;
use crate::batch::{SpanRow, Status};
use crate::conformance::fixture::{at, described, end, log, open, process_event, sample, span};
use crate::query::Cell;

/// The alert rule of document 4.
const ALERT: &str =
    "SELECT COUNT(*) FROM process_trace WHERE status='ERR' AND ts > datetime('now', '-30 seconds')";

fn columns(place: &Place, table: &str) -> Vec<String> {
    place.lines(&format!(
        "SELECT name || ' ' || type || iif(\"notnull\", ' NOT NULL', '') || iif(pk, ' PK', '')
             || coalesce(' DEFAULT ' || dflt_value, '')
         FROM pragma_table_info('{table}')"
    ))
}

#[test]
fn the_first_columns_are_document_1s() {
    let place = Place::new(&Batch::default());
    let check = |table: &str, own: &[&str]| {
        let common = [
            "id INTEGER PK",
            "timestamp TEXT NOT NULL",
            "app_name TEXT NOT NULL",
            "process_name TEXT NOT NULL",
            "process_id INTEGER NOT NULL",
        ];
        let last = ["hostname TEXT", "created_at TEXT DEFAULT CURRENT_TIMESTAMP"];
        let expected = [&common[..], own, &last].concat();
        let found = columns(&place, table);
        assert_eq!(found[..expected.len()], expected, "{table}");
        let further = &found[expected.len()..];
        assert!(!further.is_empty());
        assert!(further.iter().all(|column| !column.contains("NOT NULL")));
        let declared = format!("SELECT sql FROM sqlite_schema WHERE name = '{table}'");
        assert!(place.lines(&declared)[0].contains("id INTEGER PRIMARY KEY AUTOINCREMENT"));
    };
    check(
        "performance_metrics",
        &[
            "cpu_percent REAL NOT NULL",
            "memory_mb REAL NOT NULL",
            "thread_count INTEGER NOT NULL",
        ],
    );
    check(
        "log_entries",
        &["log_line TEXT NOT NULL", "logfile_path TEXT"],
    );
    check(
        "process_events",
        &["event_type TEXT NOT NULL", "exit_code INTEGER"],
    );
    let indexes = place.lines(
        "SELECT name FROM sqlite_schema WHERE type = 'index' AND name LIKE 'idx_%' ORDER BY name",
    );
    let expected = [
        "idx_events_app",
        "idx_events_timestamp",
        "idx_events_type",
        "idx_logs_timestamp",
        "idx_metrics_app",
        "idx_metrics_process_id",
        "idx_metrics_timestamp",
    ];
    assert_eq!(indexes, expected);
}

#[test]
fn the_first_columns_of_the_views_are_document_4s() {
    let place = Place::new(&Batch::default());
    let columns = |view: &str| place.query(&format!("SELECT * FROM {view}")).columns;
    assert_eq!(
        columns("process_trace")[..5],
        ["ts", "process", "status", "duration_ms", "exception"]
    );
    assert_eq!(
        columns("data_trace")[..7],
        [
            "ts",
            "process",
            "data",
            "data_type",
            "data_value",
            "status",
            "exception"
        ]
    );
}

#[test]
fn timestamps_have_the_documents_formats() {
    let moment = Timestamp::from_nanos(1_769_523_825_023_000_009);
    let place = Place::new(&Batch {
        ended: vec![SpanRow {
            ended_at: moment,
            ..span(1, 0)
        }],
        samples: vec![crate::batch::SampleRow {
            at: moment,
            ..sample(1, 0)
        }],
        logs: vec![log(1, 45, "line")],
        process_events: vec![process_event(1, 45, "started")],
        ..Batch::default()
    });
    assert_eq!(
        place.lines("SELECT ts FROM process_trace"),
        ["2026-01-27 14:23:45.023000009"]
    );
    assert_eq!(
        place.lines("SELECT timestamp FROM performance_metrics"),
        ["2026-01-27T14:23:45.023Z"]
    );
    for table in ["log_entries", "process_events"] {
        let timestamp = place.lines(&format!("SELECT timestamp FROM {table}"));
        assert_eq!(timestamp, ["2026-01-27T14:23:45.000Z"]);
    }
    assert_eq!(
        place.lines("SELECT created_at <> '' FROM log_entries"),
        ["1"]
    );
}

#[test]
fn process_trace_shows_calls_and_those_cut_off() {
    let place = Place::new(&Batch {
        producers: vec![described(1)],
        ended: vec![span(1, 0)],
        opened: vec![open(2, 0)],
        ends: vec![end(1, 2, Some(3))],
        ..Batch::default()
    });
    let shown = place.lines(
        "SELECT process, status, duration_ms, exception, process_group, pid, thread
         FROM process_trace ORDER BY id",
    );
    assert_eq!(
        shown,
        [
            "prices.price|OK|1.0|NULL|trading|1|MainThread",
            "prices.wait|ERR|2000.0|interrupted: process 1 ended (exit code 3)|trading|1|MainThread",
        ]
    );
}

#[test]
fn data_trace_has_a_row_for_each_captured_value() {
    let captured = |captured: &str| SpanRow {
        captured: Some(captured.into()),
        ..span(1, 0)
    };
    let place = Place::new(&Batch {
        ended: vec![
            captured(r#"{"i":{"book":"'x'","token":"'***'"},"o":{"result":"42"},"l":{"n":"7"}}"#),
            captured(r#"{"i":5,"x":{"y":"z"}}"#),
            captured("not json"),
            span(2, 0),
        ],
        ..Batch::default()
    });
    let shown = place.lines("SELECT data, data_type, data_value, process, status FROM data_trace");
    assert_eq!(
        shown,
        [
            "book|INPUT|'x'|prices.price|OK",
            "token|INPUT|'***'|prices.price|OK",
            "result|OUTPUT|42|prices.price|OK",
            "n|LOCAL|7|prices.price|OK",
        ]
    );
}

/// Failures of now, of a minute ago, and successes of now.
fn alarming() -> (Place, Vec<String>) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let now = Timestamp::from_nanos(i64::try_from(now.as_nanos()).unwrap());
    let ended = |number, status, seconds_ago| SpanRow {
        status,
        ended_at: now.minus(std::time::Duration::from_secs(seconds_ago)),
        ..span(number, 0)
    };
    let place = Place::new(&Batch {
        producers: vec![described(1)],
        ended: vec![
            ended(1, Status::Err, 0),
            ended(2, Status::Err, 1),
            ended(3, Status::Err, 60),
            ended(4, Status::Ok, 0),
        ],
        ..Batch::default()
    });
    let plan = place.query(&format!("EXPLAIN QUERY PLAN {ALERT}"));
    let steps = plan
        .rows
        .into_iter()
        .map(|row| match row.into_iter().next_back() {
            Some(Cell::Text(step)) => step,
            other => panic!("no plan: {other:?}"),
        })
        .collect();
    (place, steps)
}

#[test]
fn the_alert_rule_is_right_and_uses_the_partial_index() {
    let (place, plan) = alarming();
    assert_eq!(place.lines(ALERT), ["2"]);
    assert!(
        plan.iter()
            .any(|step| step.contains("spans_failed_at (<expr>>?)")),
        "{plan:?}"
    );
}

#[test]
fn the_systems_sqlite_reads_the_store_while_it_is_written() {
    if Command::new("sqlite3").arg("--version").output().is_err() {
        return;
    }
    let (place, _) = alarming();
    let ask = |text: &str| {
        let output = Command::new("sqlite3")
            .arg(place.database())
            .arg(text)
            .output()
            .unwrap();
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{told}");
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(ask(ALERT), "2\n");
    assert!(ask(&format!("EXPLAIN QUERY PLAN {ALERT}")).contains("spans_failed_at (<expr>>?)"));
    assert_eq!(ask("SELECT count(*) FROM data_trace"), "0\n");
    assert_eq!(ask("PRAGMA integrity_check"), "ok\n");
}

#[test]
fn a_span_without_its_name_is_still_shown() {
    let place = Place::new(&Batch {
        ended: vec![span(1, 0)],
        ..Batch::default()
    });
    let foreign = place.foreign();
    foreign.execute("DELETE FROM names", []).unwrap();
    assert_eq!(place.lines("SELECT process FROM process_trace"), ["?1"]);
    let spans = place
        .reader()
        .spans(&Default::default(), crate::query::Page::newest(1));
    assert_eq!(spans.unwrap()[0].process, "?1");
}

#[test]
fn a_row_that_another_program_wrote_is_listed() {
    let place = Place::new(&Batch::default());
    let foreign = place.foreign();
    foreign
        .execute(
            "INSERT INTO log_entries (timestamp, app_name, process_name, process_id, log_line)
             VALUES ('2026-01-27T14:23:45.000Z', 'a', 'b', 1, 'line')",
            [],
        )
        .unwrap();
    let logs = place
        .reader()
        .logs(&Default::default(), crate::query::Page::newest(9))
        .unwrap();
    assert_eq!((logs.len(), logs[0].at), (1, at(45)));
}
