//! Which lines belong together, and what a source's format is taken for.

use super::*;

/// Lines with `+` in front when they continue, and the level where there is one.
fn events(lines: &[&str]) -> String {
    let mut parser = Parser::new(TimeZone::UTC);
    let mut shown = String::new();
    for line in lines {
        let parsed = parser.parse(line, now());
        shown.push(match parsed.continuation {
            Continuation::Begins => '-',
            Continuation::Continues => '+',
        });
        shown.extend(parsed.level.and_then(|level| level.word().chars().next()));
        shown.push(' ');
    }
    shown.trim_end().to_owned()
}

fn check(text: &str, expected: &str) {
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(events(&lines), expected, "{text}");
}

const CHAINED: &str = "\
Traceback (most recent call last):
  File \"a.py\", line 1, in f
    x[1]
IndexError: list index out of range

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File \"a.py\", line 4, in <module>
    f()
app.errors.Failure: no
";

#[test]
fn a_chain_of_python_tracebacks_belongs_to_its_line() {
    let ends = "+E +E +E +E +E +E +E +E +E +E +E -I";
    let before = "ERROR:root:failed\n";
    check(
        &format!("{before}{CHAINED}INFO:root:next"),
        &format!("-E {ends}"),
    );
    let before = "2026-01-27 14:23:45,123 - app - ERROR - failed\n";
    let after = "2026-01-27 14:23:45,123 - app - INFO - next";
    check(&format!("{before}{CHAINED}{after}"), &format!("-E {ends}"));
    let before = "{\"level\":\"error\",\"msg\":\"failed\"}\n";
    let after = "{\"level\":\"info\",\"msg\":\"next\"}";
    check(&format!("{before}{CHAINED}{after}"), &format!("-E {ends}"));
}

#[test]
fn a_traceback_that_follows_no_log_line_is_an_error_of_its_own() {
    check(
        &format!("hello\n{CHAINED}bye"),
        "- -E +E +E +E +E +E +E +E +E +E +E -",
    );
    check(
        "Traceback (most recent call last):\n  File \"a\", line 1\nKeyboardInterrupt\nbye",
        "-E +E +E -",
    );
}

#[test]
fn a_java_trace_belongs_to_its_line() {
    check(
        "2026-01-27 14:23:45.123 [main] ERROR c.e.App - failed\n\
         java.lang.RuntimeException: x\n\
         \tat c.e.App.main(App.java:5)\n\
         Caused by: java.io.IOException: y\n\
         \tat c.e.App.read(App.java:9)\n\
         \t... 1 more\n\
         2026-01-27 14:23:45.124 [main] INFO c.e.App - next",
        "-E +E +E +E +E +E -I",
    );
    check(
        "Exception in thread \"main\" java.lang.Error: x\n\tat a.b(C.java)\nCaused by: z\n... 2 more\nbye",
        "-E +E +E +E -",
    );
}

#[test]
fn rust_go_and_node_end_in_one_event() {
    check(
        "thread 'main' panicked at src/main.rs:2:5:\noh no\nstack backtrace:\n   0: rust_begin_unwind\n             at /rustc/a\nnote: run with `RUST_BACKTRACE=full`\nbye",
        "-E +E +E +E +E +E -",
    );
    check(
        "panic: oh no\n\ngoroutine 1 [running]:\nmain.f(0x1, ...)\n\t/a/main.go:5 +0x1d\nmain.main()\n\t/a/main.go:9\nexit status 2\nbye now",
        "-F +F +F +F +F +F +F +F -",
    );
    check(
        "TypeError: x is not a function\n    at f (/a.js:1:1)\n    at g (/a.js:2:1) {\n  code: 'X'\n}\nbye",
        "-E +E +E +E +E -",
    );
}

#[test]
fn the_details_of_postgres_belong_to_their_line() {
    let head = "2026-01-27 14:23:45.123 UTC [1234]";
    check(
        &format!(
            "{head} ERROR:  duplicate key\n{head} DETAIL:  Key (a)=(1) exists.\n{head} STATEMENT:  commit\n\tand chain\n{head} LOG:  next"
        ),
        "-E +E +E +E -I",
    );
    let mut parser = Parser::new(TimeZone::UTC);
    parser.parse(&format!("{head} ERROR:  duplicate key"), now());
    let detail = format!("{head} DETAIL:  Key exists.");
    let parsed = parser.parse(&detail, now());
    assert_eq!(
        summary(&parsed),
        "2026-01-27T14:23:45.123Z ERROR DETAIL:  Key exists. {pid=#1234}"
    );
}

#[test]
fn where_lines_begin_with_a_time_others_continue() {
    check(
        "2026/01/27 14:23:45 a\nwithout\n\n2026/01/27 14:23:45 b",
        "- + + -",
    );
    check("one\ntwo\n  indented\n\nthree", "- - + + -");
    check(" INFO a: b\n INFO a: c", "-I -I");
}

#[test]
fn json_and_logfmt_begin_wherever_they_stand() {
    let dated = "2026/01/27 14:23:45 a\n".repeat(9);
    let expected = "- ".repeat(9);
    check(
        &format!("{dated}{{\"level\":\"warn\"}}\nlevel=error msg=b\na=1 b=2 c=3"),
        &format!("{expected}-W -E +E"),
    );
    // Pairs that say neither when nor how grave may be a part of what was said before.
    check(&format!("{dated}a=1 b=2 c=3"), &format!("{expected}+"));
}

#[test]
fn one_time_among_plain_lines_gathers_nothing() {
    let plain = "one\n".repeat(10);
    let expected = "- ".repeat(10);
    check(
        &format!("{plain}2026-01-27 14:23:45 a\n{plain}"),
        format!("{expected}- {expected}").trim_end(),
    );
}

#[test]
fn an_event_is_not_endless() {
    let mut parser = Parser::new(TimeZone::UTC);
    parser.parse("2026-01-27 14:23:45 WARN a", now());
    let mut begun = 0;
    for _ in 0..=MAX_CONTINUED {
        let parsed = parser.parse("no time any more", now());
        begun += u32::from(parsed.continuation == Continuation::Begins);
    }
    assert_eq!((begun, parser.format()), (1, Some(Format::Plain)));
    let parsed = parser.parse("and so on", now());
    assert_eq!(
        (parsed.continuation, parsed.level),
        (Continuation::Begins, None)
    );
}

#[test]
fn a_source_that_changes_its_format_is_followed() {
    let mut parser = Parser::new(TimeZone::UTC);
    parser.parse("starting", now());
    for _ in 0..20 {
        parser.parse("2026-01-27 14:23:45.123 [main] INFO c.e.App - a", now());
    }
    assert_eq!(parser.format(), Some(Format::Logback));
    for _ in 0..40 {
        let parsed = parser.parse("{\"level\":\"warn\",\"msg\":\"a\"}", now());
        assert_eq!((parsed.message, parsed.level), ("a", Some(Level::Warn)));
    }
    assert_eq!(parser.format(), Some(Format::Json));
}

#[test]
fn a_format_that_was_seen_first_does_not_swallow_another() {
    let mut parser = Parser::new(TimeZone::UTC);
    parser.parse("2026-01-27 14:23:45,123 INFO app.db ready", now());
    let line = "2026-01-27 14:23:45,123 WARN  [http-1] c.e.App:12 - slow";
    let parsed = parser.parse(line, now());
    assert_eq!(parsed.format, Format::Logback);
    assert_eq!(
        summary(&parsed),
        "2026-01-27T14:23:45.123Z WARN (c.e.App:12) slow {thread=http-1}"
    );
}
