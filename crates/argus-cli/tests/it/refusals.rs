//! Bad input: one clear sentence, a hint where there is one, and the documented exit code.

use std::fs;
use std::os::unix::fs::chown;
use std::path::Path;

use crate::recording::{Answer, Recording, argus};

const READERS: &[&[&str]] = &[
    &["status"],
    &["traces"],
    &["logs"],
    &["metrics"],
    &["autopsy"],
    &["analyze"],
    &["query", "SELECT 1"],
];

/// Every command that reads must leave with `code` and say one sentence that contains `sentence`.
fn check(recording: &Recording, code: i32, sentence: &str) {
    for arguments in READERS {
        let answer = recording.argus(arguments);
        assert_eq!(answer.code, code, "{arguments:?}: {answer:?}");
        assert_eq!(answer.stdout, "", "{arguments:?}");
        let lines: Vec<&str> = answer.stderr.lines().collect();
        assert_eq!(lines.len(), 2, "{answer:?}");
        assert!(
            lines[0].starts_with("argus: ") && lines[0].contains(sentence),
            "{answer:?}"
        );
        assert!(lines[1].starts_with("hint: "), "{answer:?}");
    }
}

#[test]
fn a_missing_database_is_not_found_and_not_made() {
    let recording = Recording::missing();
    check(&recording, 1, "nothing recorded yet at ");
    assert!(!recording.database().exists());
}

#[test]
fn a_newer_database_is_refused_unchanged() {
    let recording = Recording::sample();
    // The schema's version stands in the file's head, big-endian, at byte 60.
    let mut bytes = fs::read(recording.database()).unwrap();
    bytes[60..64].copy_from_slice(&9_999_u32.to_be_bytes());
    fs::write(recording.database(), &bytes).unwrap();

    check(&recording, 3, "was written by a newer Argus (schema 9999");
    assert_eq!(fs::read(recording.database()).unwrap(), bytes);
}

#[test]
fn another_users_database_is_refused() {
    let recording = Recording::sample();
    let nobody = 65_534;
    if chown(recording.database(), Some(nobody), None).is_err() {
        // Only root may give a file away; everybody else finds another user's folder at the root.
        let answer = argus(Path::new("/etc/passwd"), &["status"]);
        assert_eq!(answer.code, 3, "{answer:?}");
        return;
    }
    check(&recording, 3, "belongs to another user");
}

#[test]
fn a_damaged_database_is_refused_and_kept() {
    let recording = Recording::missing();
    let text = "this is a shopping list, not a database\n".repeat(1_000);
    fs::write(recording.database(), &text).unwrap();
    check(&recording, 3, "is damaged or not an Argus store");
    assert_eq!(fs::read_to_string(recording.database()).unwrap(), text);
}

#[test]
fn damaged_pages_are_refused_not_shown_as_nothing() {
    let recording = Recording::sample();
    let mut bytes = fs::read(recording.database()).unwrap();
    bytes[8192..].fill(0xff);
    fs::write(recording.database(), &bytes).unwrap();
    for arguments in [["status"], ["traces"], ["logs"], ["metrics"], ["analyze"]] {
        let answer = recording.argus(&arguments);
        assert_eq!(answer.code, 3, "{arguments:?}: {answer:?}");
        assert_eq!(answer.stdout, "", "{arguments:?}");
    }
    assert_eq!(fs::read(recording.database()).unwrap(), bytes);
}

fn usage(arguments: &[&str]) -> Answer {
    let answer = Recording::sample().argus(arguments);
    assert_eq!(answer.code, 2, "{arguments:?}: {answer:?}");
    assert_eq!(answer.stdout, "", "{arguments:?}");
    answer
}

#[test]
fn arguments_that_make_no_sense_are_usage() {
    usage(&[]);
    usage(&["frobnicate"]);
    usage(&["traces", "--status", "maybe"]);
    usage(&["traces", "--limit", "-1"]);
    usage(&["query", "SELECT 1", "--limit", "0"]);
    usage(&["traces", "--since", "yesterday"]);
    usage(&["logs", "--pid", "x"]);
    usage(&["query"]);
}

#[test]
fn a_stretch_that_ends_before_it_begins_is_usage() {
    let answer = usage(&[
        "logs",
        "--since",
        "2026-01-02T00:00:00Z",
        "--until",
        "2026-01-01T00:00:00Z",
    ]);
    insta::assert_snapshot!(answer.stderr, @"argus: --since 2026-01-02T00:00:00.000000000Z is not before --until 2026-01-01T00:00:00.000000000Z");
}

#[test]
fn without_home_the_database_must_be_named() {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_argus"))
        .arg("status")
        .env_clear()
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    insta::assert_snapshot!(String::from_utf8(output.stderr).unwrap(), @r"
    argus: neither ARGUS_DB, ARGUS_HOME nor HOME is set
    hint: argus status --db FILE
    ");
}

#[test]
fn db_on_the_command_line_wins() {
    let recording = Recording::sample();
    let elsewhere = Recording::missing();
    let database = recording.database();
    let answer = elsewhere.argus(&["traces", "--db", database.to_str().unwrap()]);
    assert_eq!(answer.code, 0, "{answer:?}");
}
