//! `argus gaze` that reads logs: from where, with what meaning, without secrets, and what it says of them.

use std::fs::{self, OpenOptions};
use std::io::{Read, Write};
use std::path::Path;
use std::process::Stdio;

use rustix::process::{Pid, Signal};
use serde_json::{Value, json};

use crate::observed::{Home, Running, Stranger, eventually};

pub(crate) fn gaze(home: &Home, stranger: &Stranger, options: &[&str]) -> Running {
    let pid = stranger.pid.to_string();
    let arguments = [&["gaze", "--pid", &pid, "--interval", "1"], options].concat();
    Running::start(home.collected(&arguments))
}

pub(crate) fn append(path: &Path, text: &str) {
    let mut options = OpenOptions::new();
    let mut file = options.append(true).create(true).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

/// The stored lines' texts, in order.
pub(crate) fn lines(home: &Home) -> Vec<String> {
    let rows = home.rows("SELECT log_line FROM log_entries ORDER BY id");
    let text = |row: &Value| row["log_line"].as_str().unwrap().to_owned();
    rows.iter().map(text).collect()
}

#[track_caller]
pub(crate) fn stored(home: &Home, expected: &[&str]) {
    eventually("the lines are stored", || {
        (lines(home).len() >= expected.len()).then_some(())
    });
    assert_eq!(lines(home), expected);
}

#[test]
fn who_was_killed_goes_on_where_it_stopped_whatever_was_rotated() {
    let home = Home::new();
    let log = home.path("app.log");
    fs::write(&log, "from before\n").unwrap();
    let stranger = Stranger::sleeping(&home.path(""));
    let options = ["--logfile", log.to_str().unwrap(), "--from", "resume"];
    let mut first = gaze(&home, &stranger, &options);
    first.wait_for("[Gaze] Metrics");
    append(&log, "line one\nline two\nhalf a");
    first.wait_for("[Gaze] Log: line two");
    first.signal(Signal::KILL);
    drop(first);
    append(&log, " line\n");
    fs::rename(&log, home.path("app.log.2")).unwrap();
    append(&log, "of a file that came and went\n");
    fs::rename(&log, home.path("app.log.1")).unwrap();
    append(&log, "of the file that is there now\n");
    let mut second = gaze(&home, &stranger, &options);
    second.wait_for("[Gaze] Log: of the file that is there now");
    append(&log, "and a new one\n");
    second.wait_for("[Gaze] Log: and a new one");
    second.signal(Signal::INT);
    let (code, _, errors) = second.finish();
    assert_eq!((code, errors.as_str()), (0, ""));
    let expected = [
        "line one",
        "line two",
        "half a line",
        "of a file that came and went",
        "of the file that is there now",
        "and a new one",
    ];
    stored(&home, &expected);
}

#[test]
fn what_continues_an_event_does_so_after_a_kill() {
    let home = Home::new();
    let log = home.path("app.log");
    fs::write(&log, "").unwrap();
    let stranger = Stranger::sleeping(&home.path(""));
    let options = [
        "--logfile",
        log.to_str().unwrap(),
        "--from",
        "resume",
        "--parse-logs",
    ];
    let mut first = gaze(&home, &stranger, &options);
    first.wait_for("[Gaze] Metrics");
    let begun =
        "2026-01-27 14:23:46,123 ERROR shop.cart - no gold\nTraceback (most recent call last):\n";
    append(&log, begun);
    first.wait_for("[Gaze] Log: Traceback");
    first.signal(Signal::KILL);
    drop(first);
    append(
        &log,
        "  File \"shop.py\", line 7, in pay\nValueError: no gold\n",
    );
    let mut second = gaze(&home, &stranger, &options);
    second.wait_for("[Gaze] Log: ValueError");
    second.signal(Signal::INT);
    assert_eq!(second.finish().0, 0);
    let rows = home.rows("SELECT level, continues FROM log_entries ORDER BY id");
    let expected = [None, Some(1), Some(2), Some(3)];
    let expected = expected.map(|continues| json!({"level": "ERROR", "continues": continues}));
    assert_eq!(rows, expected);
}

#[test]
fn what_is_gone_is_a_gap_and_recorded() {
    let home = Home::new();
    let log = home.path("app.log");
    fs::write(&log, "").unwrap();
    let stranger = Stranger::sleeping(&home.path(""));
    let mut gaze = gaze(&home, &stranger, &["--logfile", log.to_str().unwrap()]);
    gaze.wait_for("[Gaze] Metrics");
    append(&log, "a line that is read\n");
    gaze.wait_for("[Gaze] Log: a line");
    fs::write(&log, "written over all that stood there before\n").unwrap();
    gaze.wait_for("[Gaze] Log: written over");
    gaze.signal(Signal::INT);
    let (_, _, errors) = gaze.finish();
    assert!(
        errors.contains("Warning: lines are missing: emptied"),
        "{errors}"
    );
    let events = home.rows("SELECT detail FROM process_events WHERE event_type = 'log_gap'");
    let detail: Value = serde_json::from_str(events[0]["detail"].as_str().unwrap()).unwrap();
    assert_eq!(detail["reason"], "emptied");
    assert_eq!(detail["path"], log.to_str().unwrap());
    assert_eq!(detail["from"], 20);
}

#[test]
fn lines_are_understood_joined_and_masked() {
    let home = Home::new();
    let log = home.path("app.log");
    let text = "\
2026-01-27 14:23:45,123 INFO shop.cart - item 7 request_id=r-1 password=hunter2
2026-01-27 14:23:46,123 ERROR shop.cart - no gold request_id=r-2
Traceback (most recent call last):
  File \"shop.py\", line 7, in pay
ValueError: no gold
2026-01-27 14:23:47,123 INFO shop.cart - item 8 request_id=r-1
";
    fs::write(&log, text).unwrap();
    let stranger = Stranger::sleeping(&home.path(""));
    let options = [
        "--logfile",
        log.to_str().unwrap(),
        "--from",
        "start",
        "--parse-logs",
        "--mask",
        "--correlate",
        "item=item ([0-9]+)",
    ];
    let mut gaze = gaze(&home, &stranger, &options);
    gaze.wait_for("item 8");
    gaze.signal(Signal::INT);
    assert_eq!(gaze.finish().0, 0);
    let rows = home
        .rows("SELECT level, message, logger, continues, log_line FROM log_entries ORDER BY id");
    let column = |name: &str| -> Vec<String> {
        let text = |value: &Value| {
            value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned)
        };
        rows.iter().map(|row| text(&row[name])).collect()
    };
    assert_eq!(
        column("level"),
        ["INFO", "ERROR", "ERROR", "ERROR", "ERROR", "INFO"]
    );
    assert_eq!(column("continues"), ["null", "null", "1", "2", "3", "null"]);
    assert_eq!(column("message")[1], "no gold request_id=r-2");
    assert_eq!(column("logger")[0], "shop.cart");
    assert!(column("log_line")[0].ends_with("request_id=r-1 password=***"));
    let ids = home.rows("SELECT name, value FROM log_ids ORDER BY log_id, name");
    let pairs: Vec<_> = ids
        .iter()
        .map(|row| {
            (
                row["name"].as_str().unwrap(),
                row["value"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        pairs,
        [
            ("item", "7"),
            ("request_id", "r-1"),
            ("request_id", "r-2"),
            ("item", "8"),
            ("request_id", "r-1"),
        ]
    );
    let templates = home.rows("SELECT pattern, count FROM log_templates ORDER BY id");
    assert_eq!(templates.len(), 3, "{templates:?}");
}

#[test]
fn a_pattern_follows_the_files_that_come() {
    let home = Home::new();
    fs::create_dir(home.path("logs")).unwrap();
    fs::write(home.path("logs/one.log"), "").unwrap();
    let stranger = Stranger::sleeping(&home.path(""));
    let pattern = home.path("logs/*.log");
    let mut gaze = gaze(&home, &stranger, &["--logfile", pattern.to_str().unwrap()]);
    gaze.wait_for("[Gaze] Metrics");
    append(&home.path("logs/one.log"), "of one\n");
    gaze.wait_for("[Gaze] Log: of one");
    append(&home.path("logs/two.log"), "of two\n");
    gaze.wait_for("[Gaze] Log: of two");
    append(&home.path("logs/three.txt"), "of three\n");
    gaze.signal(Signal::INT);
    gaze.finish();
    let rows = home.rows("SELECT logfile_path FROM log_entries ORDER BY id");
    assert_eq!(rows.len(), 2);
    let path = rows[1]["logfile_path"].as_str().unwrap();
    assert_eq!(Path::new(path), home.path("logs/two.log"));
}

#[test]
fn lines_that_match_or_are_severe_are_an_alert() {
    let home = Home::new();
    let log = home.path("app.log");
    fs::write(&log, "").unwrap();
    let stranger = Stranger::sleeping(&home.path(""));
    let options = [
        "--logfile",
        log.to_str().unwrap(),
        "--alert-log",
        "out of (gold|silver)",
        "--alert-level",
        "error",
        "--alert-lines",
        "2",
        "--alert-within",
        "1",
    ];
    let mut gaze = gaze(&home, &stranger, &options);
    gaze.wait_for("[Gaze] Metrics");
    append(
        &log,
        "2026-01-27 14:23:45 WARNING shop: we are out of gold\n",
    );
    append(
        &log,
        "2026-01-27 14:23:45 WARNING shop: we are out of silver\n",
    );
    gaze.wait_for("[Gaze] Alert: 2 matching log lines");
    gaze.wait_for("matching log lines of late, log alert over");
    append(
        &log,
        "2026-01-27 14:23:45 ERROR shop: one\n2026-01-27 14:23:45 CRITICAL shop: two\n",
    );
    gaze.wait_for("[Gaze] Alert: 2 severe log lines");
    gaze.signal(Signal::INT);
    gaze.finish();
    let events = home.rows(
        "SELECT event_type, json_extract(detail, '$.rule') AS rule FROM process_events
         WHERE event_type LIKE 'alert%' ORDER BY id",
    );
    let told: Vec<_> = events
        .iter()
        .map(|row| {
            (
                row["event_type"].as_str().unwrap(),
                row["rule"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            ("alert_fired", "log"),
            ("alert_cleared", "log"),
            ("alert_fired", "log_level"),
            ("alert_cleared", "log_level"),
        ]
    );
}

#[test]
fn what_is_no_expression_is_wrong_usage() {
    let home = Home::new();
    let check = |options: &[&str], expected: &str| {
        let arguments = [&["gaze", "--pid", "1"], options].concat();
        let output = home.command(&arguments).output().unwrap();
        let errors = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{errors}");
        assert!(errors.contains(expected), "{errors}");
    };
    check(&["--alert-log", "("], "not a regular expression");
    check(&["--correlate", "order"], "expected NAME=REGEX");
    check(&["--alert-level", "loud"], "expected trace, debug");
    check(&["--from", "middle"], "possible values: end, start, resume");
}

#[test]
fn standard_input_is_a_log_too() {
    let home = Home::new();
    let stranger = Stranger::sleeping(&home.path(""));
    let pid = stranger.pid.to_string();
    let script = format!(
        "printf 'ERROR:shop:one\\ntwo\\nunfinished' | {} gaze --pid {pid} --logfile - --parse-logs \
         --lines-per-second 1",
        env!("CARGO_BIN_EXE_argus")
    );
    let mut command = home.collected(&[]);
    let environment: Vec<_> = command
        .get_envs()
        .filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())))
        .collect();
    command = std::process::Command::new("sh");
    command.args(["-c", &script]).envs(environment);
    let mut gaze = Running::start(command);
    gaze.wait_for("[Gaze] Log: unfinished");
    stranger.kill(Signal::TERM);
    let (code, said, errors) = gaze.finish();
    assert_eq!((code, errors.as_str()), (0, ""), "{said}");
    let rows = home.rows("SELECT process_id, source, level, log_line FROM log_entries ORDER BY id");
    assert_eq!(rows.len(), 3, "{rows:?}");
    assert_eq!(rows[0]["source"], "stdin");
    assert_eq!(rows[0]["level"], "ERROR");
    assert_eq!(rows[0]["process_id"], stranger.pid);
}

/// Its output goes into a pipe that nobody reads before everything is stored.
#[test]
fn who_does_not_look_keeps_nothing_from_being_recorded_and_is_told() {
    const LINES: usize = 60_000;
    let home = Home::new();
    let log = home.path("app.log");
    let text: String = (0..LINES)
        .map(|number| format!("line {number:06} {}\n", "x".repeat(100)))
        .collect();
    fs::write(&log, text).unwrap();
    let stranger = Stranger::sleeping(&home.path(""));
    let pid = stranger.pid.to_string();
    let log = log.to_str().unwrap();
    let mut command = home.collected(&["gaze", "--pid", &pid, "--logfile", log, "--from", "start"]);
    let mut gaze = command.stdout(Stdio::piped()).spawn().unwrap();
    eventually("everything is stored", || {
        let rows = home.rows("SELECT count(*) AS n FROM log_entries");
        (rows.first()?["n"] == LINES).then_some(())
    });
    let id = Pid::from_child(&gaze);
    rustix::process::kill_process(id, Signal::INT).unwrap();
    let mut said = String::new();
    gaze.stdout
        .take()
        .unwrap()
        .read_to_string(&mut said)
        .unwrap();
    assert!(gaze.wait().unwrap().success());
    let shown = said.matches("[Gaze] Log: line ").count();
    let told = said.lines().find_map(|line| {
        let left_out = line.strip_suffix(" lines were not shown, but recorded")?;
        left_out.strip_prefix("[Gaze] ")?.parse::<usize>().ok()
    });
    let left_out = told.unwrap_or_else(|| panic!("{shown} of {LINES} were shown, none left out"));
    // Samples of the process may be among them.
    assert!(
        shown + left_out >= LINES && shown > 10_000,
        "{shown} + {left_out}"
    );
    assert!(said.contains(&format!("[Gaze] Log entries captured: {LINES}")));
}
