//! `argus gaze` that speaks up, and asks others: alerts, their commands, plugins.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rustix::process::Signal;
use serde_json::Value;

use crate::observed::{Home, Running, Stranger, eventually};

fn script(home: &Home, name: &str, text: &str, mode: u32) -> PathBuf {
    let path = home.path(name);
    fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    path
}

fn gaze(home: &Home, stranger: &Stranger, options: &[&str]) -> Running {
    let pid = stranger.pid.to_string();
    let arguments = [&["gaze", "--pid", &pid, "--interval", "0.1"], options].concat();
    Running::start(home.collected(&arguments))
}

fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

#[test]
fn an_alert_is_shown_stored_and_told_to_a_command() {
    let home = Home::new();
    let told = home.path("told");
    let says = "$ARGUS_ALERT_RULE $ARGUS_ALERT_STATE $ARGUS_ALERT_PID";
    let line = format!("echo {says} >> {}", told.display());
    let command = script(&home, "tell", &line, 0o755);
    let stranger = Stranger::sleeping(&home.path(""));
    let options = [
        "--alert-memory",
        "0.001",
        "--alert-command",
        command.to_str().unwrap(),
    ];
    let mut gaze = gaze(&home, &stranger, &options);
    gaze.wait_for("[Gaze] Alert: memory ");
    eventually("the command was told", || {
        (!text(&told).is_empty()).then_some(())
    });
    stranger.kill(Signal::TERM);
    gaze.wait_for("[Gaze] Alert: process ended");
    let (code, said, errors) = gaze.finish();
    assert_eq!((code, errors.as_str()), (0, ""), "{said}");
    let pid = stranger.pid;
    let expected = format!("memory fired {pid}\nmemory cleared {pid}\n");
    assert_eq!(text(&told), expected, "gaze waits for the last command");
    let events = home.rows("SELECT event_type, detail FROM process_events ORDER BY id");
    let kinds: Vec<_> = events.iter().map(|event| &event["event_type"]).collect();
    let order = [
        "monitoring_started",
        "alert_fired",
        "alert_cleared",
        "terminated",
    ];
    assert_eq!(kinds, order);
    let detail: Value = serde_json::from_str(events[1]["detail"].as_str().unwrap()).unwrap();
    assert_eq!(detail["rule"], "memory");
    assert!(detail["value"].as_f64() > detail["threshold"].as_f64());
    let detail: Value = serde_json::from_str(events[2]["detail"].as_str().unwrap()).unwrap();
    assert_eq!(detail["because"], "ended");
}

#[test]
fn silence_is_the_absence_of_log_lines() {
    let home = Home::new();
    let log = home.path("app.log");
    fs::write(&log, "").unwrap();
    let stranger = Stranger::sleeping(&home.path(""));
    let options = ["--logfile", log.to_str().unwrap(), "--alert-silence", "0.3"];
    let mut gaze = gaze(&home, &stranger, &options);
    gaze.wait_for("[Gaze] Alert: no log line for ");
    fs::write(&log, "a sign of life\n").unwrap();
    gaze.wait_for("[Gaze] Alert: log line again");
    gaze.wait_for("[Gaze] Alert: no log line for ");
    gaze.signal(Signal::INT);
    assert_eq!(gaze.finish().0, 0);
}

#[test]
fn what_plugins_print_are_metrics_of_the_run() {
    let home = Home::new();
    let good = script(
        &home,
        "good",
        "echo 'queue_depth{queue=\"in\"} 5'; echo 'load 0.5'",
        0o755,
    );
    let bad = script(&home, "bad", "echo 'evil 1'", 0o777);
    let stranger = Stranger::sleeping(&home.path(""));
    let options = [
        "--plugin",
        good.to_str().unwrap(),
        "--plugin",
        bad.to_str().unwrap(),
    ];
    let mut gaze = gaze(&home, &stranger, &options);
    gaze.wait_for("[Gaze] Metrics: CPU=");
    let metrics = "SELECT name, value, attributes, process_id FROM metrics
        WHERE name NOT LIKE 'cgroup.%' AND name NOT LIKE 'system.%' GROUP BY name ORDER BY name";
    let metrics = eventually("both are stored", || {
        let rows = home.rows(metrics);
        (rows.len() == 2).then_some(rows)
    });
    stranger.kill(Signal::TERM);
    let (code, _, errors) = gaze.finish();
    assert_eq!(code, 0);
    assert!(errors.contains("bad is not run: "), "{errors}");
    assert_eq!(metrics[0]["name"], "load");
    assert_eq!(metrics[0]["value"], 0.5);
    assert_eq!(metrics[1]["value"], 5.0);
    assert_eq!(metrics[1]["attributes"], r#"{"queue":"in"}"#);
    assert_eq!(metrics[1]["process_id"], stranger.pid);
}
