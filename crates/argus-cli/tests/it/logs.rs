//! `argus logs`: which lines, what stands around them, in which order, and everything with an id.

use std::sync::Arc;

use argus_model::trace::trace_id;
use argus_model::{SpanKey, SpanNumber};
use argus_store::Batch;
use argus_store::batch::{
    LogMeaning, LogRow, LogTemplate, ProducerRow, RemoteParentRow, SpanRow, Status, Subject,
};
use serde_json::{Value, json};

use crate::recording::{
    Answer, Recording, before, introduction, log, open_span, producer, span, subject,
};

/// Another program.
pub(crate) fn shop() -> Arc<Subject> {
    let mut subject = (*subject()).clone();
    subject.run.pid = 4712;
    subject.app_name = "shop".into();
    Arc::new(subject)
}

/// A line of standard output, so many milliseconds before the end of the recording.
pub(crate) fn line(millis: u64, level: &str, text: &str) -> LogRow {
    LogRow {
        at: before(millis),
        level: Some(level.into()),
        ..log(text)
    }
}

/// Makes it one of the other program's log file.
pub(crate) fn of_shop(row: LogRow) -> LogRow {
    LogRow {
        subject: shop(),
        source: "file",
        path: Some("/var/log/shop.log".into()),
        ..row
    }
}

pub(crate) fn meaning(row: LogRow, meaning: LogMeaning) -> LogRow {
    LogRow {
        meaning: Some(Box::new(meaning)),
        ..row
    }
}

fn with_id(id: &str) -> LogMeaning {
    LogMeaning {
        ids: vec![("trace_id".into(), id.into())],
        ..LogMeaning::default()
    }
}

pub(crate) fn continuation(row: LogRow, continues: u32) -> LogRow {
    let behind = LogMeaning {
        continues,
        ..LogMeaning::default()
    };
    meaning(row, behind)
}

fn key(number: u64) -> SpanKey {
    SpanKey {
        producer: producer(),
        number: SpanNumber(number),
    }
}

fn lines() -> Vec<LogRow> {
    let slow = LogMeaning {
        said_at: Some(before(5_500)),
        message: Some("slow request".into()),
        logger: Some("shop.web".into()),
        attributes: Some(r#"{"ms":812,"path":"/buy"}"#.into()),
        ..with_id("ab12")
    };
    vec![
        LogRow {
            template: Some(1),
            ..line(5_000, "INFO", "INFO started in 12 ms")
        },
        LogRow {
            template: Some(2),
            ..of_shop(meaning(
                line(4_900, "WARN", "WARN slow request id=ab12"),
                slow,
            ))
        },
        LogRow {
            span: Some(key(7)),
            ..meaning(
                line(4_800, "ERROR", "ERROR no quote id=ab12"),
                with_id("ab12"),
            )
        },
        of_shop(line(4_790, "INFO", "INFO in between")),
        continuation(line(4_780, "ERROR", "  File \"prices.py\", line 3"), 1),
        continuation(line(4_770, "ERROR", "ValueError: no quote"), 2),
        LogRow {
            template: Some(1),
            ..line(4_700, "INFO", "INFO started in 7 ms")
        },
        LogRow {
            source: "stderr",
            level: None,
            ..line(4_600, "", "plain words")
        },
        line(4_500, "DEBUG", "DEBUG bye"),
    ]
}

fn templates() -> Vec<LogTemplate> {
    let template = |id, pattern: &str, count, first, last| LogTemplate {
        id,
        pattern: pattern.into(),
        count,
        first: before(first),
        last: before(last),
    };
    vec![
        template(2, "WARN slow request id=<*>", 1, 4_900, 4_900),
        template(1, "INFO started in <*> ms", 1_200, 64_700, 4_700),
    ]
}

fn calls() -> Vec<SpanRow> {
    let call = |number, name: &str, ended, millis: u64| SpanRow {
        ended_at: before(ended),
        duration_ns: millis * 1_000_000,
        ..span(number, name)
    };
    vec![
        call(5, "prices.other", 4_850, 1),
        SpanRow {
            captured: Some(r#"{"i":{"id":"'ab12'"},"o":{"result":"3"}}"#.into()),
            ..call(6, "prices.quote", 4_000, 900)
        },
        SpanRow {
            status: Status::Err,
            exception: Some("ValueError: no quote".into()),
            ..call(7, "prices.linked", 4_750, 80)
        },
        SpanRow {
            captured: Some(r#"{"i":{"id":"'ab12'"}}"#.into()),
            ..call(8, "prices.later", 3_000, 5)
        },
    ]
}

fn batch() -> Batch {
    let mut open = open_span(9, "prices.never");
    open.started_at = before(4_890);
    open.captured = Some(r#"{"i":{"id":"'ab12'"}}"#.into());
    Batch {
        opened: vec![open],
        ended: calls(),
        logs: lines(),
        log_templates: templates(),
        ..introduction()
    }
}

fn recording() -> Recording {
    Recording::of(&batch())
}

fn texts(rows: &Value) -> Vec<&str> {
    let rows = rows.as_array().unwrap().iter();
    rows.map(|row| row["line"].as_str().unwrap()).collect()
}

/// The first words of the lines that are shown.
fn check(arguments: &[&str], expected: &[&str]) {
    let rows = recording().json(&[&["logs"], arguments].concat());
    let texts = texts(&rows);
    assert_eq!(texts.len(), expected.len(), "{arguments:?}: {texts:?}");
    for (text, start) in texts.iter().zip(expected) {
        assert!(text.trim().starts_with(start), "{arguments:?}: {texts:?}");
    }
}

fn printed(arguments: &[&str]) -> Answer {
    let answer = recording().argus(&[&["logs"], arguments].concat());
    assert_eq!(answer.code, 0, "{answer:?}");
    answer
}

#[test]
fn a_page_of_several_programs_is_in_order_of_time_with_levels() {
    insta::assert_snapshot!(printed(&[]).stdout, @r#"
    TIME                     APP      PID  SOURCE  LEVEL  LINE
    2026-01-27 14:23:40.123  prices  4711  stdout  INFO   INFO started in 12 ms
    2026-01-27 14:23:40.223  shop    4712  file    WARN   WARN slow request id=ab12
    2026-01-27 14:23:40.323  prices  4711  stdout  ERROR  ERROR no quote id=ab12
    2026-01-27 14:23:40.343  prices  4711  stdout  ERROR    File "prices.py", line 3
    2026-01-27 14:23:40.353  prices  4711  stdout  ERROR  ValueError: no quote
    2026-01-27 14:23:40.333  shop    4712  file    INFO   INFO in between
    2026-01-27 14:23:40.423  prices  4711  stdout  INFO   INFO started in 7 ms
    2026-01-27 14:23:40.523  prices  4711  stderr         plain words
    2026-01-27 14:23:40.623  prices  4711  stdout  DEBUG  DEBUG bye
    "#);
}

#[test]
fn a_line_as_json_has_everything_that_is_known() {
    let rows = recording().json(&["logs", "--level", "warn", "--app", "shop"]);
    assert_eq!(
        rows,
        json!([{
            "id": 2, "timestamp": "2026-01-27T14:23:40.223456789Z",
            "said_at": "2026-01-27T14:23:39.623456789Z", "app_name": "shop",
            "process_name": "python3", "pid": 4712, "source": "file",
            "path": "/var/log/shop.log", "level": "WARN", "logger": "shop.web",
            "line": "WARN slow request id=ab12", "message": "slow request",
            "attributes": {"ms": 812, "path": "/buy"}, "continues": 0, "template": 2,
            "span": null,
        }])
    );
    let linked = recording().json(&["logs", "--grep", "ERROR"]);
    assert_eq!(linked[0]["span"]["number"], 7);
}

#[test]
fn filters_keep_what_they_name() {
    check(&["--level", "fatal"], &[]);
    check(&["--level", "Warning", "--app", "shop"], &["WARN"]);
    check(&["--level", "error"], &["ERROR", "File", "ValueError"]);
    check(
        &["--regex", r"in \d+ ms$"],
        &["INFO started in 12", "INFO started in 7"],
    );
    check(&["--regex", "(?i)^PLAIN"], &["plain"]);
    check(
        &["--regex", "^INFO", "--grep", "between"],
        &["INFO in between"],
    );
    check(
        &["--template", "1"],
        &["INFO started in 12", "INFO started in 7"],
    );
    check(&["--template", "2"], &["WARN"]);
    check(&["--source", "stderr"], &["plain"]);
    check(&["--source", "file"], &["WARN", "INFO in between"]);
    check(&["--source", "journal"], &[]);
    check(&["--pid", "4712"], &["WARN", "INFO in between"]);
    check(&["--since", "2026-01-27T14:23:40.55Z"], &["DEBUG"]);
}

#[test]
fn a_limit_counts_lines_that_are_meant() {
    check(&["--regex", "INFO", "--limit", "1"], &["INFO started in 7"]);
    let answer = printed(&["--regex", "INFO", "--limit", "1"]);
    assert_eq!(
        answer.stderr,
        "the newest 1 log lines; --limit N shows more, --before 7 the next ones\n"
    );
    check(
        &["--regex", "INFO", "--limit", "1", "--before", "7"],
        &["INFO in between"],
    );
    check(
        &["--regex", "INFO", "--limit", "1", "--after", "0"],
        &["INFO started in 12"],
    );
}

#[test]
fn an_event_is_never_torn() {
    // The first line alone matches, then the last alone.
    check(
        &["--grep", "ERROR no quote"],
        &["ERROR", "File", "ValueError"],
    );
    check(
        &["--regex", "^ValueError"],
        &["ERROR", "File", "ValueError"],
    );
    let rows = recording().json(&["logs", "--regex", "^ValueError"]);
    let context: Vec<_> = rows
        .as_array()
        .unwrap()
        .iter()
        .map(|row| &row["context"])
        .collect();
    assert_eq!(context, [&json!(true), &json!(true), &Value::Null]);
}

#[test]
fn context_is_of_the_same_output_and_told_apart() {
    let answer = printed(&["--regex", "^ERROR|slow", "-C", "1"]);
    insta::assert_snapshot!(answer.stdout, @r#"
       TIME                     APP      PID  SOURCE  LEVEL  LINE
       2026-01-27 14:23:40.123  prices  4711  stdout  INFO   INFO started in 12 ms
    >  2026-01-27 14:23:40.323  prices  4711  stdout  ERROR  ERROR no quote id=ab12
       2026-01-27 14:23:40.343  prices  4711  stdout  ERROR    File "prices.py", line 3
       2026-01-27 14:23:40.353  prices  4711  stdout  ERROR  ValueError: no quote
    --
    >  2026-01-27 14:23:40.223  shop    4712  file    WARN   WARN slow request id=ab12
       2026-01-27 14:23:40.333  shop    4712  file    INFO   INFO in between
    "#);
    insta::assert_snapshot!(printed(&["--grep", "in 7", "-B", "2", "-A", "1"]).stdout, @r#"
       TIME                     APP      PID  SOURCE  LEVEL  LINE
       2026-01-27 14:23:40.343  prices  4711  stdout  ERROR    File "prices.py", line 3
       2026-01-27 14:23:40.353  prices  4711  stdout  ERROR  ValueError: no quote
    >  2026-01-27 14:23:40.423  prices  4711  stdout  INFO   INFO started in 7 ms
       2026-01-27 14:23:40.623  prices  4711  stdout  DEBUG  DEBUG bye
    "#);
    check(
        &["--grep", "in 7", "-B", "1"],
        &["ValueError", "INFO started in 7"],
    );
    check(
        &["--grep", "in 7", "-A", "9"],
        &["INFO started in 7", "DEBUG"],
    );
    check(
        &["--grep", "in 7", "-C", "9", "-A", "0"],
        &["INFO", "ERROR", "File", "ValueError", "INFO"],
    );
}

#[test]
fn hits_that_meet_are_one_group() {
    let answer = printed(&["--regex", "ms$|bye", "-C", "1"]);
    assert_eq!(
        answer.stdout.matches("--\n").count(),
        1,
        "{}",
        answer.stdout
    );
    let answer = printed(&["--regex", "ms$|bye", "-C", "2"]);
    assert_eq!(
        answer.stdout.matches("--\n").count(),
        0,
        "{}",
        answer.stdout
    );
    assert_eq!(answer.stdout.matches("\n>").count(), 3, "{}", answer.stdout);
}

#[test]
fn lines_are_merged_by_the_time_they_tell() {
    check(
        &["--by", "said", "--limit", "8"],
        &[
            "WARN",
            "ERROR",
            "File",
            "ValueError",
            "INFO in between",
            "INFO started in 7",
            "plain",
            "DEBUG",
        ],
    );
    let answer = printed(&["--by", "said", "--app", "shop", "--grep", "slow"]);
    assert!(
        answer.stdout.contains("14:23:39.623  shop"),
        "{}",
        answer.stdout
    );
}

#[test]
fn lines_of_an_event_have_the_time_that_its_first_tells() {
    let said = LogMeaning {
        said_at: Some(before(60_000)),
        ..LogMeaning::default()
    };
    let recording = Recording::of(&Batch {
        logs: vec![
            of_shop(line(900, "INFO", "INFO ready")),
            meaning(line(800, "ERROR", "ERROR no quote"), said),
            continuation(line(790, "ERROR", "ValueError"), 1),
        ],
        ..introduction()
    });
    insta::assert_snapshot!(recording.argus(&["logs", "--by", "said"]).stdout, @r"
    TIME                     APP      PID  SOURCE  LEVEL  LINE
    2026-01-27 14:22:45.123  prices  4711  stdout  ERROR  ERROR no quote
    2026-01-27 14:22:45.123  prices  4711  stdout  ERROR  ValueError
    2026-01-27 14:23:44.223  shop    4712  file    INFO   INFO ready
    ");
}

#[test]
fn an_id_brings_its_lines_and_calls_together() {
    insta::assert_snapshot!(printed(&["--correlation", "ab12"]).stdout, @r#"
    TIME                     APP      PID  KIND  TEXT
    2026-01-27 14:23:40.223  prices  4711  span  prices.quote(id='ab12') → 3 (900 ms)
    2026-01-27 14:23:40.223  shop    4712  log   WARN slow request id=ab12
    2026-01-27 14:23:40.233  prices  4711  span  prices.never(id='ab12') (open)
    2026-01-27 14:23:40.293  prices  4711  span  prices.linked() ✗ ValueError: no quote (80 ms)
    2026-01-27 14:23:40.323  prices  4711  log   ERROR no quote id=ab12
    2026-01-27 14:23:40.343  prices  4711  log     File "prices.py", line 3
    2026-01-27 14:23:40.353  prices  4711  log   ValueError: no quote
    "#);
    let entries = recording().json(&["logs", "--correlation", "ab12"]);
    let entries = entries.as_array().unwrap();
    let kinds: Vec<_> = entries
        .iter()
        .map(|entry| entry["kind"].as_str().unwrap())
        .collect();
    assert_eq!(kinds, ["span", "log", "span", "span", "log", "log", "log"]);
    let times: Vec<_> = entries
        .iter()
        .map(|entry| entry["timestamp"].as_str().unwrap())
        .collect();
    assert!(times.is_sorted(), "{times:?}");
    assert_eq!(entries[5]["context"], true);
    assert_eq!(entries[2]["ended_at"], Value::Null);
    assert_eq!(entries[1]["line"], "WARN slow request id=ab12");
    assert_eq!(entries[0]["process"], "prices.quote");
    assert_eq!(entries[0]["arguments"], json!({"id": "'ab12'"}));
}

#[test]
fn a_trace_brings_the_calls_that_it_begins_and_enters() {
    let [root, entered] = [1, 2].map(|number| SpanRow {
        ended_at: before(number * 100),
        ..span(number, &format!("trace.call_{number}"))
    });
    let nonce = root.key.producer.nonce;
    let of_ours = trace_id(nonce, root.key.number);
    let foreign = 0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c;
    let recording = Recording::of(&Batch {
        remote_parents: vec![RemoteParentRow {
            key: entered.key,
            at: before(300),
            trace: foreign,
            parent: 7,
        }],
        ended: vec![root, entered, span(3, "another")],
        ..introduction()
    });
    let calls = |id: &str| -> Vec<String> {
        let entries = recording.json(&["logs", "--correlation", id]);
        let names = entries
            .as_array()
            .unwrap()
            .iter()
            .map(|entry| &entry["process"]);
        names
            .map(|name| name.as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(calls(&format!("{of_ours:032x}")), ["trace.call_1"]);
    assert_eq!(calls(&format!("{foreign:032x}")), ["trace.call_2"]);
    assert_eq!(
        calls("0000000000000007"),
        ["trace.call_2"],
        "below that span"
    );
    assert!(calls(&format!("{:032x}", 5)).is_empty());
}

#[test]
fn an_id_that_nothing_has_is_fine_and_said() {
    let answer = printed(&["--correlation", "nobody's"]);
    assert_eq!(answer.stderr, "no log lines match\n");
    assert_eq!(recording().json(&["logs", "--correlation", "x"]), json!([]));
}

#[test]
fn templates_are_listed_the_most_frequent_first() {
    insta::assert_snapshot!(printed(&["--templates"]).stdout, @r"
    ID  COUNT      RATE  FIRST                    LAST                     TEMPLATE
     1  1,200  1200/min  2026-01-27 14:22:40.423  2026-01-27 14:23:40.423  INFO started in <*> ms
     2      1         –  2026-01-27 14:23:40.223  2026-01-27 14:23:40.223  WARN slow request id=<*>
    ");
    let rows = recording().json(&["logs", "--templates"]);
    assert_eq!(
        rows[0],
        json!({
            "id": 1, "count": 1200, "rate_per_minute": 1200.0,
            "first_seen": "2026-01-27T14:22:40.423456789Z",
            "last_seen": "2026-01-27T14:23:40.423456789Z",
            "template": "INFO started in <*> ms",
        })
    );
    assert_eq!(rows[1]["rate_per_minute"], Value::Null);
    assert_eq!(
        printed(&["--templates", "--limit", "1"]).stderr,
        "the most frequent 1 templates; --limit N shows more\n"
    );
    assert_eq!(
        printed(&["--templates", "--grep", "x"]).stderr,
        "no templates match\n"
    );
    let recent = recording().json(&["logs", "--templates", "--until", "2026-01-27T14:23:00Z"]);
    assert_eq!(recent.as_array().unwrap().len(), 1);
}

#[test]
fn a_search_that_is_ended_shows_what_it_found_and_where_to_go_on() {
    let recording = Recording::of(&Batch {
        logs: (1..=12_000)
            .map(|number| log(&format!("line {number}")))
            .collect(),
        ..introduction()
    });
    // The key is pressed before the search begins: blocked, it stays pending until it is collected.
    let pressed = r#"kill -INT $$; exec "$0" "$@""#;
    let by = ["env", "--block-signal=INT", "sh", "-c", pressed];
    let output = crate::recording::wrapped(&recording.database(), &by)
        .args(["logs", "--regex", "^line (11999|3)$"])
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert_eq!(said, "ended after 5,000 lines; --before 7001 goes on\n");
    let found = String::from_utf8(output.stdout).unwrap();
    assert!(found.ends_with("line 11999\n"), "{found}");
    let rest = recording.json(&["logs", "--regex", "^line (11999|3)$", "--before", "7001"]);
    assert_eq!(texts(&rest), ["line 3"]);
}

#[test]
fn a_second_run_of_a_program_is_no_context() {
    let mut later = (*subject()).clone();
    later.run.pid = 4713;
    let later = Arc::new(later);
    let of_later = |row| LogRow {
        subject: Arc::clone(&later),
        ..row
    };
    let recording = Recording::of(&Batch {
        producers: vec![ProducerRow {
            ..introduction().producers.remove(0)
        }],
        logs: vec![
            log("one"),
            of_later(log("other")),
            log("needle"),
            of_later(log("more")),
            log("two"),
        ],
        ..Batch::default()
    });
    let rows = recording.json(&["logs", "--grep", "needle", "-C", "5"]);
    assert_eq!(texts(&rows), ["one", "needle", "two"]);
}
