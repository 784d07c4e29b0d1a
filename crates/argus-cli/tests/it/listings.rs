//! `traces`, `logs`, `metrics`, `analyze`: JSON, tables, filters, limits.

use argus_model::Measure;
use serde_json::{Value, json};

use crate::recording::{Recording, introduction, log, span};

fn names(rows: &Value, key: &str) -> Vec<String> {
    let rows = rows.as_array().unwrap();
    rows.iter()
        .map(|row| row[key].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn a_call_as_json_has_everything_that_was_recorded() {
    let calls = Recording::sample().json(&["traces"]);
    assert_eq!(
        calls[0],
        json!({
            "id": 1, "process": "prices.load", "process_group": "trading", "app_name": "prices",
            "pid": 4711, "tid": 4711, "thread": "MainThread",
            "started_at": "2026-01-27T14:23:44.221956789Z",
            "ended_at": "2026-01-27T14:23:44.223456789Z",
            "duration_ms": 1.5, "status": "OK",
            "arguments": {"rows": "10", "book": "'oil'"}, "result": "42", "locals": null,
            "exception": null, "interrupted": false,
            "producer": "0000000000000001-0000000000000002-3-4711-5-0000000000000006",
            "number": 1, "parent": 2,
            "span_id": "12ae30237b17df14",
        })
    );
    assert_eq!(calls[1]["arguments"], json!(null));
    assert_eq!(calls[1]["parent"], json!(null));
}

#[test]
fn calls_are_listed_oldest_first_with_values_and_errors() {
    let answer = Recording::sample().argus(&["traces"]);
    insta::assert_snapshot!(answer.stdout, @r"
    ENDED                    APP      PID  STATUS  DURATION  CALL
    2026-01-27 14:23:44.223  prices  4711  OK       1.50 ms  prices.load(rows=10, book='oil') → 42
    2026-01-27 14:23:44.323  prices  4711  OK          3 ms  prices.all()
    2026-01-27 14:23:44.423  prices  4711  ERR      4.50 ms  prices.load() ✗ ValueError: boom
    ");
}

#[test]
fn a_limit_keeps_the_newest_and_says_so() {
    let recording = Recording::sample();
    let answer = recording.argus(&["traces", "--limit", "1"]);
    assert!(answer.stdout.contains("ValueError: boom"), "{answer:?}");
    assert_eq!(answer.stdout.lines().count(), 2);
    assert_eq!(
        answer.stderr,
        "the newest 1 calls; --limit N shows more, --before 3 the next ones\n"
    );
    assert_eq!(recording.argus(&["traces", "--limit", "3"]).stderr, "");
}

#[test]
fn filters_keep_what_they_name() {
    let recording = Recording::sample();
    for (filter, expected) in [
        (vec!["--status", "err"], vec!["prices.load"]),
        (vec!["--status", "ok"], vec!["prices.load", "prices.all"]),
        (vec!["--name", "all"], vec!["prices.all"]),
        (vec!["--grep", "boom"], vec!["prices.load"]),
        (vec!["--pid", "4712"], vec![]),
        (vec!["--app", "prices", "--name", "all"], vec!["prices.all"]),
        (
            vec!["--since", "2026-01-27T14:23:44.4Z"],
            vec!["prices.load"],
        ),
        (
            vec!["--until", "2026-01-27T14:23:44.3Z"],
            vec!["prices.load"],
        ),
        (vec!["--since", "5m"], vec![]),
    ] {
        let calls = recording.json(&[vec!["traces"], filter.clone()].concat());
        assert_eq!(names(&calls, "process"), expected, "{filter:?}");
    }
}

#[test]
fn nothing_to_show_is_fine_and_said() {
    let answer = Recording::sample().argus(&["logs", "--grep", "nowhere"]);
    assert_eq!(
        (answer.code, answer.stderr.as_str()),
        (0, "no log lines match\n")
    );
}

#[test]
fn log_lines_are_listed_in_the_order_they_came() {
    let recording = Recording::sample();
    assert_eq!(
        recording.json(&["logs"])[1],
        json!({
            "id": 2, "timestamp": "2026-01-27T14:23:44.623456789Z", "app_name": "prices",
            "process_name": "python3", "pid": 4711, "source": "stdout", "path": null,
            "level": null, "line": "out of oil", "said_at": null, "logger": null, "message": null,
            "attributes": null, "continues": 0, "template": null, "span": null,
        })
    );
    insta::assert_snapshot!(recording.argus(&["logs"]).stdout, @r"
    TIME                     APP      PID  SOURCE  LINE
    2026-01-27 14:23:44.623  prices  4711  stdout  started
    2026-01-27 14:23:44.623  prices  4711  stdout  out of oil
    ");
}

#[test]
fn metrics_are_samples_and_named_readings() {
    let recording = Recording::sample();
    let mut sample = json!({
        "id": 1, "timestamp": "2026-01-27T14:23:44.523456789Z", "app_name": "prices",
        "process_name": "python3", "pid": 4711, "cpu_percent": 12.5, "memory_mb": 64.0,
        "threads": 3,
    });
    for measure in Measure::ALL {
        // What was not measured is there all the same, and never zero.
        sample[measure.name()] = Value::Null;
    }
    assert_eq!(
        recording.json(&["metrics"]),
        json!({
            "samples": [sample],
            "metrics": [{
                "id": 1, "timestamp": "2026-01-27T14:23:44.723456789Z", "app_name": "prices",
                "pid": 4711, "name": "queue_depth", "value": 7.0, "unit": "1",
                "attributes": {"queue": "orders"},
            }],
        })
    );
    insta::assert_snapshot!(recording.argus(&["metrics"]).stdout, @r"
    TIME                     CPU %  MEMORY MB  THREADS  READ  WRITTEN  RECEIVED  SENT  FDS   PID  APP
    2026-01-27 14:23:44.523   12.5       64.0        3     –        –         –     –    –  4711  prices

    TIME                     APP      PID  VALUE  UNIT  METRIC
    2026-01-27 14:23:44.723  prices  4711      7  1     queue_depth {queue=orders}
    ");
    assert_eq!(
        recording.json(&["metrics", "--name", "queue"])["samples"],
        json!([])
    );
}

#[test]
fn functions_are_summed_up_the_dearest_first() {
    let recording = Recording::sample();
    let functions = recording.json(&["analyze"]);
    assert_eq!(names(&functions, "process"), ["prices.load", "prices.all"]);
    let load = functions[0].as_object().unwrap();
    assert_eq!((&load["count"], &load["errors"]), (&json!(2), &json!(1)));
    assert_eq!(
        (&load["total_ms"], &load["max_ms"]),
        (&json!(6.0), &json!(4.5))
    );
    for (key, expected) in [("p50_ms", 1.5), ("p95_ms", 4.5), ("p99_ms", 4.5)] {
        let value = load[key].as_f64().unwrap();
        assert!(
            (value - expected).abs() <= expected * 0.02,
            "{key}: {value}"
        );
    }
    assert_eq!(
        names(&recording.json(&["analyze", "--name", "all"]), "process"),
        ["prices.all"]
    );
    assert_eq!(recording.json(&["analyze", "--since", "5m"]), json!([]));
}

#[test]
fn text_from_outside_cannot_steer_the_terminal() {
    let nasty = "\x1b]0;owned\x07\u{202e}evil\r\x1b[2J\u{9b}31m";
    let recording = Recording::of(&argus_store::Batch {
        logs: vec![log(nasty)],
        ended: vec![span(1, nasty)],
        ..introduction()
    });
    for arguments in [
        ["logs"].as_slice(),
        &["traces"],
        &["analyze"],
        &[
            "query",
            "SELECT log_line, log_line AS \"\x1b[31m\" FROM log_entries",
        ],
        &["query", "SELECT nothing FROM \"\x1b[2Jx\""],
        &["traces", "--db", "/nowhere/\x1b[2Jx"],
    ] {
        let answer = recording.argus(arguments);
        let shown = answer.stdout + &answer.stderr;
        let steers = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
        assert!(!shown.contains(steers), "{arguments:?}: {shown:?}");
    }
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    use std::process::Stdio;
    let recording = Recording::of(&argus_store::Batch {
        logs: (0..5_000)
            .map(|_| log("a line of some length to fill the pipe"))
            .collect(),
        ..introduction()
    });
    let mut child = crate::recording::command(&recording.database())
        .args(["logs", "--limit", "5000"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(output.stderr, b"");
}

#[test]
fn a_listing_goes_on_in_both_directions() {
    let recording = Recording::sample();
    let ids = |arguments: &[&str]| -> Vec<i64> {
        let rows = recording.json(arguments);
        let rows = rows.as_array().unwrap();
        rows.iter().map(|row| row["id"].as_i64().unwrap()).collect()
    };
    assert_eq!(ids(&["traces", "--before", "3"]), [1, 2]);
    assert_eq!(ids(&["traces", "--before", "3", "--limit", "1"]), [2]);
    assert_eq!(ids(&["traces", "--after", "1"]), [2, 3]);
    assert_eq!(ids(&["traces", "--after", "1", "--limit", "1"]), [2]);
    assert_eq!(ids(&["traces", "--after", "3"]), [0; 0]);
    assert_eq!(ids(&["logs", "--after", "1"]), [2]);
    assert_eq!(ids(&["logs", "--before", "2"]), [1]);
    let answer = recording.argus(&["traces", "--after", "1", "--limit", "1"]);
    assert_eq!(
        answer.stderr,
        "the oldest 1 calls; --limit N shows more, --after 2 the next ones\n"
    );
    let both = recording.argus(&["traces", "--after", "1", "--before", "3"]);
    assert_eq!(both.code, 2, "{both:?}");
}

#[test]
fn a_search_that_is_ended_shows_what_it_found_and_where_to_go_on() {
    let recording = Recording::haystack();
    // The key is pressed before the search begins: blocked, it stays pending until it is collected.
    let pressed = r#"kill -INT $$; exec "$0" "$@""#;
    let ended = |arguments: &[&str]| {
        let output = crate::recording::wrapped(
            &recording.database(),
            &["env", "--block-signal=INT", "sh", "-c", pressed],
        )
        .args(arguments)
        .output()
        .unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (
            output.status.code(),
            text(output.stdout),
            text(output.stderr),
        )
    };
    let (code, found, said) = ended(&["traces", "--search", "needle", "--json"]);
    assert_eq!(code, Some(1));
    assert_eq!(
        said,
        "ended after 20,000 of 45,000 calls; --before 25001 goes on\n"
    );
    let found: Value = serde_json::from_str(&found).unwrap();
    assert_eq!(found[0]["number"], json!(44_990));
    assert_eq!(found.as_array().unwrap().len(), 1);
    let rest = recording.json(&["traces", "--search", "needle", "--before", "25001"]);
    assert_eq!(rest.as_array().unwrap().len(), 1);
    assert_eq!(rest[0]["number"], json!(5));
    let (_, _, said) = ended(&["traces", "--search", "needle", "--after", "0"]);
    assert_eq!(
        said,
        "ended after 20,000 of 45,000 calls; --after 20000 goes on\n"
    );
}
