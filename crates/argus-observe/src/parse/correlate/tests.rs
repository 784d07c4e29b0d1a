//! Ids in every form, in none, and in foreign text.

use std::sync::LazyLock;

use proptest::prelude::*;

use super::*;

fn pattern(name: &str, expression: &str) -> Pattern {
    Pattern {
        name: name.to_owned(),
        expression: expression.to_owned(),
    }
}

fn found(correlator: &Correlator, line: &str) -> String {
    let mut found = Vec::new();
    correlator.find(line, |name, value| found.push(format!("{name}={value}")));
    found.join(" ")
}

fn check(line: &str, expected: &str) {
    let correlator = Correlator::new(&[]).expect("no patterns");
    assert_eq!(found(&correlator, line), expected, "{line}");
}

#[test]
fn keys_are_known_in_every_usual_form() {
    for line in [
        "trace_id=7f3a",
        "INFO a trace_id=7f3a b",
        "a trace_id: 7f3a, b",
        "[trace_id=7f3a] a",
        "(traceId: '7f3a')",
        r#"{"trace_id":"7f3a"}"#,
        r#"{"a":1, "traceId" : "7f3a"}"#,
        r#"{"trace.id":"7f3a"}"#,
        r#"{"msg":"{\"traceId\":\"7f3a\"}"}"#,
        "dd.trace_id=7f3a",
        "TRACE_ID=7f3a",
        "traceID=7f3a",
        "traceid=7f3a",
        "{'trace_id' => '7f3a'}",
        "otel.trace_id=\"7f3a\"",
    ] {
        check(line, "trace_id=7f3a");
    }
    for line in [
        "request_id=1-2",
        "requestId=1-2",
        "X-Request-Id: 1-2",
        "x-request-id: \"1-2\"",
        "req_id=1-2",
        "reqId=1-2",
        "aws_request_id=1-2",
    ] {
        check(line, "request_id=1-2");
    }
    check(
        "correlation_id=a correlationId=b X-Correlation-ID: c",
        "correlation_id=a correlation_id=b correlation_id=c",
    );
    check("session_id=a&sessionId=b", "session_id=a session_id=b");
    check(
        r#"{"trace_id":"a","span_id":"b","parent_span_id":"c","parentSpanId":"d"}"#,
        "trace_id=a span_id=b",
    );
    check(
        r#"{"dd.trace_id":123,"dd.span_id":456}"#,
        "trace_id=123 span_id=456",
    );
}

#[test]
fn a_traceparent_holds_two_ids() {
    let (trace, span) = ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7");
    let expected = format!("trace_id={trace} span_id={span}");
    check(&format!("traceparent: 00-{trace}-{span}-01"), &expected);
    check(
        &format!("{{\"traceparent\":\"00-{trace}-{span}-00\"}}"),
        &expected,
    );
    check(&format!("Traceparent=00-{trace}-{span}-01 x"), &expected);
    check(&format!("traceparent: 00-{trace}-0000000000000000-01"), "");
    check(&format!("traceparent: ff-{trace}-{span}-01"), "");
    check(&format!("traceparent: 00-{trace}-{span}"), "");
}

#[test]
fn what_is_no_id_is_not_found() {
    for line in [
        "a line of prose about a trace id and a valid session",
        "trace_id",
        "trace_id=",
        "trace_id: -",
        "trace_id=null",
        "trace_id=None",
        "trace_id=\"\"",
        "span_id=0000000000000000",
        "span_id=0",
        "grid=1 valid=2 android: 3",
        "subtrace_id=1",
        "identity=5",
        "user_id=5",
        "requests_id=1",
        "trace_id 5",
        "séid=1",
        "id=1",
        "_id=1",
    ] {
        check(line, "");
    }
    check(&format!("trace_id={}", "a".repeat(257)), "");
    check(&format!("trace_id={} b", "a".repeat(257)), "");
    let longest = "a".repeat(256);
    check(
        &format!("trace_id={longest}"),
        &format!("trace_id={longest}"),
    );
}

#[test]
fn a_pattern_finds_its_first_group_or_its_match() {
    let patterns = [
        pattern("order", r"(?i)order[ #]+(\d+)"),
        pattern("ticket", r"\b[A-Z]{2,5}-\d+\b"),
        pattern("nothing", "x*"),
    ];
    let correlator = Correlator::new(&patterns).expect("patterns");
    let line = "trace_id=1 Order #55 of order 66, see OPS-7";
    assert_eq!(
        found(&correlator, line),
        "trace_id=1 order=55 order=66 ticket=OPS-7"
    );
}

#[test]
fn a_pattern_that_is_wrong_or_too_large_is_refused() {
    let check = |expression, told: &str| {
        let error = Correlator::new(&[pattern("mine", expression)]).expect_err("refused");
        assert_eq!(error.to_string(), format!("the pattern of mine: {told}"));
    };
    check("(", "not a regular expression: unclosed group");
    check(r"(\w{1000}){1000}", "the expression is too large");
}

proptest! {
    #[test]
    fn foreign_text_is_survived(line in "\\PC{0,40}") {
        check_bounds(&line);
    }

    #[test]
    fn pieces_of_keys_are_survived(
        pieces in prop::collection::vec(prop::sample::select(vec![
            "trace", "_id", "Id", "ID", "=", ":", "\"", "\\", " ", "é", "req", "traceparent", "00-", "0",
            "span", "-", ".", "parent", "null", "{", "d", "i",
        ]), 0..20)
    ) {
        check_bounds(&pieces.concat());
    }
}

static ALL: LazyLock<Correlator> =
    LazyLock::new(|| Correlator::new(&[pattern("all", ".*")]).expect("a pattern"));

fn check_bounds(line: &str) {
    ALL.find(line, |_, value| {
        assert!((1..=MAX_BYTES).contains(&value.len()) && line.contains(value));
    });
}
