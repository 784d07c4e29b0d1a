//! `argus logs --follow`: lines as they are committed, until the end.

use std::io::{BufRead, BufReader, Read};
use std::process::Stdio;

use argus_store::batch::LogRow;
use argus_store::{Batch, Sink};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::logs::{continuation, line, of_shop};
use crate::observed::{Home, Running, eventually};
use crate::recording::{Recording, command, introduction};

fn recording() -> Recording {
    Recording::of(&Batch {
        logs: vec![
            line(900, "INFO", "INFO first"),
            of_shop(line(800, "WARN", "WARN second")),
        ],
        ..introduction()
    })
}

/// What begins when the program speaks of it for the first time.
fn follow(recording: &Recording, arguments: &[&str]) -> Running {
    let mut command = command(&recording.database());
    command.args(["logs", "--follow"]).args(arguments);
    Running::start(command)
}

fn commit(sink: &mut dyn Sink, logs: Vec<LogRow>) {
    let batch = Batch {
        logs,
        ..Batch::default()
    };
    sink.commit(&batch).unwrap();
}

/// Ctrl-C; what was said.
fn end(mut running: Running) -> String {
    running.signal(Signal::INT);
    let (code, said, errors) = running.finish();
    assert_eq!((code, errors.as_str()), (0, ""), "{said}");
    said
}

#[test]
fn lines_are_shown_as_they_are_committed() {
    let recording = recording();
    let mut running = follow(&recording, &[]);
    running.wait_for("WARN second");
    let mut sink = argus_store::open_writer(&recording.database()).unwrap();
    commit(&mut *sink, vec![line(700, "ERROR", "ERROR third")]);
    running.wait_for("ERROR third");
    commit(&mut *sink, vec![of_shop(line(600, "INFO", "INFO fourth"))]);
    running.wait_for("INFO fourth");
    insta::assert_snapshot!(end(running), @r"
    TIME                     APP      PID  SOURCE  LEVEL  LINE
    2026-01-27 14:23:44.223  prices  4711  stdout  INFO   INFO first
    2026-01-27 14:23:44.323  shop    4712  file    WARN   WARN second
    2026-01-27 14:23:44.423  prices  4711  stdout  ERROR  ERROR third
    2026-01-27 14:23:44.523  shop    4712  file    INFO   INFO fourth
    ");
}

#[test]
fn filters_hold_and_json_is_an_object_a_line() {
    let recording = recording();
    let arguments = [
        "--json",
        "--level",
        "warn",
        "--regex",
        "th?ird|second",
        "-n",
        "1",
    ];
    let mut running = follow(&recording, &arguments);
    running.wait_for("WARN second");
    let mut sink = argus_store::open_writer(&recording.database()).unwrap();
    let logs = vec![
        line(700, "INFO", "INFO third"),
        line(690, "ERROR", "ERROR other"),
        line(680, "ERROR", "ERROR third"),
    ];
    commit(&mut *sink, logs);
    running.wait_for("third");
    let said = end(running);
    let lines: Vec<Value> = said
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 2, "{said}");
    assert_eq!(lines[1]["line"], "ERROR third");
}

#[test]
fn what_belongs_to_a_hit_follows_it_over_commits() {
    let recording = recording();
    let mut running = follow(
        &recording,
        &["--level", "error", "-A", "3", "-n", "1", "--json"],
    );
    let mut sink = argus_store::open_writer(&recording.database()).unwrap();
    commit(&mut *sink, vec![line(700, "ERROR", "ERROR third")]);
    running.wait_for("third");
    commit(
        &mut *sink,
        vec![continuation(line(690, "INFO", "  behind"), 1)],
    );
    running.wait_for("behind");
    let logs = vec![
        of_shop(line(680, "INFO", "INFO not of it")),
        line(670, "INFO", "INFO next"),
    ];
    commit(&mut *sink, logs);
    running.wait_for("next");
    let logs = vec![
        line(660, "INFO", "INFO last"),
        line(650, "INFO", "INFO no more"),
    ];
    commit(&mut *sink, logs);
    running.wait_for("last");
    commit(&mut *sink, vec![line(640, "ERROR", "ERROR again")]);
    running.wait_for("again");
    running.signal(Signal::INT);
    let (code, said, _) = running.finish();
    assert_eq!(code, 0, "{said}");
    let shown: Vec<Value> = said
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let texts: Vec<_> = shown
        .iter()
        .map(|row| row["line"].as_str().unwrap().trim())
        .collect();
    assert_eq!(
        texts,
        [
            "ERROR third",
            "behind",
            "INFO next",
            "INFO last",
            "ERROR again"
        ]
    );
    assert_eq!(shown[1]["context"], true);
    assert_eq!(shown[4]["context"], Value::Null);
}

#[test]
fn context_is_told_apart_as_it_comes() {
    let recording = recording();
    let mut running = follow(&recording, &["--level", "error", "-C", "1"]);
    let mut sink = argus_store::open_writer(&recording.database()).unwrap();
    commit(&mut *sink, vec![line(700, "ERROR", "ERROR third")]);
    running.wait_for("third");
    commit(&mut *sink, vec![line(690, "INFO", "INFO behind")]);
    running.wait_for("behind");
    commit(
        &mut *sink,
        vec![of_shop(line(680, "ERROR", "ERROR sold out"))],
    );
    running.wait_for("sold out");
    running.signal(Signal::INT);
    let (code, said, _) = running.finish();
    assert_eq!(code, 0, "{said}");
    insta::assert_snapshot!(said, @r"
       TIME                     APP      PID  SOURCE  LEVEL  LINE
       2026-01-27 14:23:44.223  prices  4711  stdout  INFO   INFO first
    >  2026-01-27 14:23:44.423  prices  4711  stdout  ERROR  ERROR third
       2026-01-27 14:23:44.433  prices  4711  stdout  INFO   INFO behind
    --
       2026-01-27 14:23:44.323  shop    4712  file    WARN   WARN second
    >  2026-01-27 14:23:44.443  shop    4712  file    ERROR  ERROR sold out
    ");
}

#[test]
fn it_begins_behind_a_line_that_is_named() {
    let recording = recording();
    let mut running = follow(&recording, &["--after", "1"]);
    running.wait_for("WARN second");
    assert!(!end(running).contains("first"));
}

#[test]
fn that_nothing_matches_yet_is_said_and_ctrl_c_is_fine() {
    let recording = recording();
    let mut child = command(&recording.database())
        .args(["logs", "-f", "--grep", "nowhere"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut errors = BufReader::new(child.stderr.take().unwrap());
    let mut said = String::new();
    errors.read_line(&mut said).unwrap();
    assert_eq!(said, "no log lines match yet; waiting for the next ones\n");
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stdout.len()), (Some(0), 0));
    assert_eq!(errors.read_line(&mut said).unwrap(), 0, "{said}");
}

#[test]
fn it_ends_with_its_reader_although_nothing_comes() {
    let recording = recording();
    let mut child = command(&recording.database())
        .args(["logs", "-f"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut out = child.stdout.take().unwrap();
    out.read_exact(&mut [0; 4]).unwrap();
    drop(out);
    let status = eventually("argus ends", || child.try_wait().unwrap());
    let mut errors = String::new();
    child
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut errors)
        .unwrap();
    assert_eq!((status.code(), errors.as_str()), (Some(0), ""));
}

#[test]
fn it_waits_for_a_store_and_hears_of_what_the_collector_commits() {
    let home = Home::new();
    let mut running = Running::start(home.collected(&["logs", "-f"]));
    // Whether it is there before or after the program, it misses nothing.
    let run = home
        .collected(&["run", "--", "sh", "-c", "echo hello from inside"])
        .output()
        .unwrap();
    assert_eq!(run.status.code(), Some(0), "{run:?}");
    running.wait_for("hello from inside");
    running.signal(Signal::TERM);
    let (code, said, _) = running.finish();
    assert_eq!(code, 0, "{said}");
}
