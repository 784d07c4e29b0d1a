//! Whatever comes, nothing panics and nothing is made up.

use proptest::prelude::*;

use super::*;

/// Pieces of which lines of all formats are made, in any order.
fn line() -> impl Strategy<Value = String> {
    let pieces = prop_oneof![
        8 => prop::sample::select(vec![
            "2026-01-27", "T", " ", "14:23:45", ",123", ".5", "Z", "+01:00", " UTC", "[", "]", "{", "}",
            "\"", ":", "=", "INFO", "ERROR:", "level", "msg", " - ", "---", "<34>", "1 ", "Jan 27", "I0127",
            "1234:M 27 Jan 2026", "2026/01/27", "\\", "\\u", "\\ud83d", "*", "#0:", "*5", "\t", "at ",
            "Traceback (most recent call last):", "panic: ", "goroutine 1 [", "\x1b[32m", "\x1b", "é", "-",
            "1769523825", "27/Jan/2026:", "GET / HTTP/1.1", "null", ",", "a.b", "|", "(", ")", "DETAIL:  ",
        ]).prop_map(str::to_owned),
        1 => "\\PC{0,8}",
    ];
    prop::collection::vec(pieces, 0..16).prop_map(|pieces| pieces.concat())
}

/// Lines of each format, to be torn.
const SEEDS: [&str; 14] = [
    r#"{"level":"info","ts":1769523825,"msg":"a \"b\" \ud83d\ude00","x":{"y":[1]}}"#,
    r#"ts=2026-01-27T14:23:45Z level=info msg="a \"b\"" k=v"#,
    "2026-01-27 14:23:45,123 - app - INFO - x",
    "2026-01-27 14:23:45.123 [main] INFO  c.e.App - x",
    "2026-01-27T14:23:45.123+01:00  INFO 1234 --- [main] c.e.App : x",
    "2026/01/27 14:23:45 [error] 1234#0: *5 x",
    r#"1.2.3.4 - - [27/Jan/2026:14:23:45 +0000] "GET / HTTP/1.1" 500 12 "r" "u""#,
    "<34>Jan 27 14:23:45 host prog[1]: x",
    r#"<34>1 2026-01-27T14:23:45Z h p 1 I [a b="c"] x"#,
    "[2026-01-27T14:23:45Z INFO  a::b] x",
    "2026-01-27T14:23:45.123456Z  INFO s{a=1}: a::b: x k=v",
    "I0127 14:23:45.123456  1234 file.cc:12] x",
    "2026-01-27 14:23:45.123 UTC [1234] ERROR:  x",
    "1234:M 27 Jan 2026 14:23:45.123 * x",
];

#[test]
fn what_a_source_wrote_before_does_not_change_what_a_line_says() {
    let more = [
        "2026-01-27 14:23:45,123 INFO app.db x",
        "2026-01-27 14:23:45,123 [Thread-1] [INFO ] x",
        "[2026-01-27 14:23:45,123: INFO/Main] x",
        "[2026-01-27 14:23:45 +0000] [7] [INFO] x",
        "14:23:45.123 [main] INFO  c.e.App -- x",
        "2026-01-27 14:23:45,123 INFO [main] c.e.App - x",
        "2026-01-27T14:23:45+0000 host prog[1]: x",
        "2026/01/27 14:23:45 x",
        "2026-01-27 14:23:45 INFO x",
        "2026-01-27 14:23:45.123 | INFO | a.b:c:1 - x",
        "2026-01-27T14:23:45.123Z\tINFO\ta\tb.go:1\tx",
        "1769523825.5 INFO x",
    ];
    let lines: Vec<_> = SEEDS.into_iter().chain(more).collect();
    for (before, line) in lines
        .iter()
        .flat_map(|it| lines.iter().map(move |line| (it, line)))
    {
        let mut parser = Parser::new(TimeZone::UTC);
        let alone = parser.parse(line, now());
        let expected = (alone.format, alone.continuation, summary(&alone));
        let mut parser = Parser::new(TimeZone::UTC);
        for _ in 0..10 {
            parser.parse(before, now());
        }
        let after = parser.parse(line, now());
        let found = (after.format, after.continuation, summary(&after));
        assert_eq!(found, expected, "{line} after {before}");
    }
}

/// Where nothing is unescaped and no colour taken, whatever is told is a part of the line.
fn is_part(line: &str, part: &str) -> bool {
    line.contains(['\\', '\x1b']) || line.contains(part)
}

fn judge(parser: &mut Parser, line: &str) -> Result<(), TestCaseError> {
    let parsed = parser.parse(line, now());
    prop_assert!(is_part(line, parsed.message));
    prop_assert!(parsed.logger.is_none_or(|logger| is_part(line, logger)));
    for field in parsed.fields.iter() {
        prop_assert!(is_part(line, field.value.as_str()));
        if let Value::Number(_) = field.value {
            prop_assert!(field.value.as_f64().is_some());
        }
    }
    Ok(())
}

#[test]
fn a_hostile_line_takes_time_in_proportion() {
    let heads = [
        "",
        "2026-01-27T14:23:45Z INFO ",
        "2026-01-27 14:23:45,123 - ",
        "<34>1 - a b c d ",
        "{\"a\":\"",
    ];
    let pieces = [
        "a=",
        "a=b ",
        "[",
        "{\"a\":",
        "\\",
        "\\u",
        " - ",
        "x{",
        "x{}:",
        "a=\"",
        "[a b=\"c\"]",
        "\x1b[",
        "\x1b]",
        "(",
        "\t",
        "trace_id=",
        "trace_id",
        "traceparent:",
        "{",
        ": ",
        "a.",
        "\"a\":1,",
    ];
    let correlator = correlate::Correlator::new(&[]).expect("no patterns");
    // Quadratic, one of these would take minutes.
    for (head, piece) in heads
        .iter()
        .flat_map(|head| pieces.map(|piece| (head, piece)))
    {
        let line = format!("{head}{}", piece.repeat((1 << 17) / piece.len()));
        let mut parser = Parser::new(TimeZone::UTC);
        parser.parse(&line, now());
        parser.parse(&line, now());
        correlator.find(&line, |_, _| ());
    }
}

proptest! {
    #[test]
    fn any_lines_are_read_without_panic_and_in_their_own_words(
        lines in prop::collection::vec(line(), 1..12)
    ) {
        let mut parser = Parser::new(TimeZone::UTC);
        for line in lines {
            judge(&mut parser, &line)?;
        }
    }

    #[test]
    fn a_torn_or_changed_line_is_read_as_well(
        seed in 0..SEEDS.len(), from in 0..90_usize, to in 0..90_usize, with in "\\PC{0,2}"
    ) {
        let seed: Vec<char> = SEEDS[seed].chars().collect();
        let (from, to) = (from.min(seed.len()), to.min(seed.len()));
        let changed: String = seed[..from].iter().copied().chain(with.chars()).chain(seed[to..].iter().copied()).collect();
        let mut parser = Parser::new(TimeZone::UTC);
        judge(&mut parser, &changed)?;
        judge(&mut parser, &changed)?;
    }
}
