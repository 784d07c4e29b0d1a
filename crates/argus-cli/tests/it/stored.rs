//! End to end (spec/1): a program runs, `gaze` or `run` observes it, the collector collects, and
//! the rows stand in the database, in the specified columns.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::json;

use crate::observed::{Home, Running, Stranger, eventually};

fn count(home: &Home, table: &str) -> usize {
    home.rows(&format!("SELECT id FROM {table}")).len()
}

#[test]
fn when_gaze_returns_its_rows_are_in_the_database() {
    let home = Home::new();
    let log = home.path("terrain_sim.log");
    fs::write(&log, "").unwrap();
    let script =
        "sh -c 'sleep 0.4; for n in 1 2 3; do echo step $n >> terrain_sim.log; done; exit 3'";
    let stranger = Stranger::run(&home.path(""), script);
    let pid = stranger.pid.to_string();
    let log = log.to_str().unwrap();
    let options = [
        "--logfile",
        log,
        "--interval",
        "0.1",
        "--app-name",
        "Terrain",
    ];
    let arguments = [&["gaze", "--pid", &pid][..], &options].concat();
    let (code, said, error) = Running::start(home.collected(&arguments)).finish();
    assert_eq!((code, error.as_str()), (0, ""));
    let saved = "[Gaze] Data saved to: ~/argus_runtime.db";
    let hint = format!("[Gaze] How it ended, and what it was doing: argus autopsy {pid}");
    assert!(said.ends_with(&format!("{saved}\n{hint}")), "{said}");

    let events =
        "SELECT app_name, process_name, process_id, event_type, exit_code FROM process_events
         WHERE event_type <> 'new_log_template'";
    let event = |event_type: &str, exit_code: Option<i32>| {
        json!({"app_name": "Terrain", "process_name": "sh", "process_id": stranger.pid,
            "event_type": event_type, "exit_code": exit_code})
    };
    assert_eq!(
        home.rows(events),
        [
            event("monitoring_started", None),
            event("terminated", Some(3))
        ]
    );
    let lines = home.rows("SELECT log_line, logfile_path, source FROM log_entries ORDER BY at_ns");
    let expected = [1, 2, 3]
        .map(|n| json!({"log_line": format!("step {n}"), "logfile_path": log, "source": "file"}));
    assert_eq!(lines, expected);
    let form = "SELECT 1 FROM performance_metrics WHERE app_name = 'Terrain' \
        AND timestamp GLOB '????-??-??T??:??:??.???Z' AND cpu_percent >= 0 \
        AND memory_mb > 0.1 AND memory_mb < 100 AND thread_count = 1 AND hostname <> ''";
    let samples = home.rows(form).len();
    assert!(
        said.contains(&format!("Metrics collected: {samples}\n")),
        "{samples}: {said}"
    );
    assert!(samples >= 3, "{said}");
}

#[test]
fn ten_appended_lines_are_ten_rows_within_a_second() {
    let home = Home::new();
    let log = home.path("app.log");
    fs::write(&log, "").unwrap();
    let stranger = Stranger::sleeping(&home.path(""));
    let pid = stranger.pid.to_string();
    let arguments = ["gaze", "--pid", &pid, "--logfile", log.to_str().unwrap()];
    let mut gaze = Running::start(home.collected(&arguments));
    gaze.wait_for("Metrics: CPU=");
    eventually("the first row", || {
        (count(&home, "process_events") > 0).then_some(())
    });
    let mut file = OpenOptions::new().append(true).open(&log).unwrap();
    for number in 0..10 {
        writeln!(file, "line {number}").unwrap();
    }
    let written = Instant::now();
    eventually("ten rows", || {
        (count(&home, "log_entries") == 10).then_some(())
    });
    assert!(
        written.elapsed() < Duration::from_secs(1),
        "{:?}",
        written.elapsed()
    );
    gaze.signal(Signal::INT);
    assert_eq!(gaze.finish().0, 0);
}

#[test]
fn what_a_killed_gaze_has_recorded_is_stored() {
    let home = Home::new();
    let stranger = Stranger::sleeping(&home.path(""));
    let pid = stranger.pid.to_string();
    let arguments = ["gaze", "--pid", &pid, "--interval", "0.05"];
    let mut gaze = Running::start(home.collected(&arguments));
    for _ in 0..5 {
        gaze.wait_for("Metrics: CPU=");
    }
    gaze.signal(Signal::KILL);
    let query = format!("SELECT id FROM performance_metrics WHERE process_id = {pid}");
    eventually("all that was said is stored", || {
        (home.rows(&query).len() >= 5).then_some(())
    });
}

#[test]
fn when_run_returns_its_rows_are_in_the_database() {
    let home = Home::new();
    let script = "echo out; echo err >&2; sleep 0.3; exit 5";
    let arguments = ["run", "--app-name", "Short", "--", "sh", "-c", script];
    let (code, said, error) = Running::start(home.collected(&arguments)).finish();
    assert_eq!((code, said.as_str(), error.as_str()), (5, "out", "err\n"));
    let lines = home.rows("SELECT source, log_line FROM log_entries ORDER BY source DESC");
    let expected = [("stdout", "out"), ("stderr", "err")];
    assert_eq!(
        lines,
        expected.map(|(source, line)| json!({"source": source, "log_line": line}))
    );
    let events = home.rows(
        "SELECT event_type, exit_code FROM process_events
         WHERE event_type <> 'new_log_template' ORDER BY at_ns",
    );
    let expected = [("started", None), ("terminated", Some(5))];
    assert_eq!(
        events,
        expected.map(|(event, code)| json!({"event_type": event, "exit_code": code}))
    );
    let samples = "SELECT id FROM performance_metrics WHERE app_name = 'Short'";
    assert!(!home.rows(samples).is_empty());
}
