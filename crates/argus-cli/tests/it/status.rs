//! `argus status`: the counts, every producer's account, the collector.

use argus_model::paths::DataDir;
use argus_spool::control::ControlPage;
use argus_store::Batch;
use argus_store::batch::{CollectorState, Hold};
use serde_json::json;

use crate::recording::{NOON, Recording};

#[test]
fn status_as_json_holds_counts_ledger_and_collector() {
    let recording = Recording::sample();
    let mut status = recording.json(&["status"]);
    let age = status["collector"]["heartbeat_age_ms"].take();
    assert!(age.is_u64(), "{age}");
    assert_eq!(
        status,
        json!({
            "database": recording.database().to_str().unwrap(),
            "counts": {
                "spans": 3, "errors": 1, "open_spans": 1, "samples": 1, "logs": 2,
                "process_events": 1, "metrics": 1, "stacks": 0, "sessions": 0,
                "seen_open": 1,
            },
            "ledger": [{
                "app_name": "prices", "pid": 4711,
                "seen_at": "2026-01-27T14:23:43.123456789Z", "ended_at": null,
                "emitted": 12, "stored": 9, "lost_normal": 2, "lost_errors": 1,
                "damaged": 0, "unknown": 0,
            }],
            "gaps": [{
                "app_name": "prices", "pid": 4711, "reason": "budget", "normal": 2, "errors": 1,
                "from": "2026-01-27T14:23:44.223456789Z", "to": "2026-01-27T14:23:44.323456789Z",
            }],
            "collector": {
                "pid": 1, "heartbeat": "2026-01-27T14:23:45.123456789Z",
                "heartbeat_age_ms": null, "backlog_bytes": 4096, "write_lag_ms": 3.0,
                "alive": false, "held": null,
            },
        })
    );
}

#[test]
fn a_store_without_a_collector_says_null() {
    let recording = Recording::of(&crate::recording::introduction());
    assert_eq!(recording.json(&["status"])["collector"], json!(null));
}

#[test]
fn a_reader_that_holds_the_collector_back_is_named() {
    let held = Batch {
        collector: Some(CollectorState {
            pid: 812,
            held: Some(Hold {
                since: NOON,
                reader: Some(4_711),
            }),
            ..CollectorState::default()
        }),
        ..crate::recording::introduction()
    };
    let recording = Recording::of(&held);
    let data = DataDir::of(recording.database());
    argus_spool::place::prepare(&data).unwrap();
    ControlPage::open(&data.control()).unwrap().beat(812);
    assert_eq!(
        recording.json(&["status"])["collector"]["held"],
        json!({"since": "2026-01-27T14:23:45.123456789Z", "reader": 4711})
    );
    let shown = recording.argus(&["status"]).stdout;
    assert!(
        shown.contains("pid 812, held back by reader 4711 for "),
        "{shown}"
    );
}

#[test]
fn a_collector_lives_while_its_heart_beats() {
    let recording = Recording::sample();
    let data = DataDir::of(recording.database());
    argus_spool::place::prepare(&data).unwrap();
    let control = ControlPage::open(&data.control()).unwrap();
    control.beat(std::process::id());
    assert_eq!(
        recording.json(&["status"])["collector"]["alive"],
        json!(true)
    );
    control.leave();
    assert_eq!(
        recording.json(&["status"])["collector"]["alive"],
        json!(false)
    );
}

#[test]
fn status_makes_nothing_beside_the_database() {
    let recording = Recording::sample();
    recording.json(&["status"]);
    assert!(!DataDir::of(recording.database()).folder().exists());
}

#[test]
fn status_shows_people_what_was_lost_when_and_why() {
    let recording = Recording::sample();
    let answer = recording.argus(&["status"]);
    assert_eq!(answer.code, 0);
    let (summary, ledger) = answer.stdout.split_once("\n\n").unwrap();
    let database = recording.database().display().to_string();
    let (collector, counts): (Vec<&str>, Vec<&str>) = summary
        .lines()
        .partition(|line| line.starts_with("collector "));
    assert!(
        collector[0].contains("  not running; last wrote "),
        "{collector:?}"
    );
    insta::assert_snapshot!(counts.join("\n").replace(&database, "FILE"), @r"
    DATABASE        FILE
    records         12 emitted = 9 stored + 3 lost
    spans           3
    errors          1
    open spans      1
    seen open       1
    samples         1
    log lines       2
    process events  1
    metrics         1
    stacks          0
    sessions        0
    ");
    insta::assert_snapshot!(ledger, @r"
     PID  BEGAN                RAN      EMITTED  STORED  LOST  APP
    4711  2026-01-27 14:23:43  running       12       9     3  prices

     PID  LOST  ERRORS  WHY     FROM                 TO                   APP
    4711     3       1  budget  2026-01-27 14:23:44  2026-01-27 14:23:44  prices
    ");
}
