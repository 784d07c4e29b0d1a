//! A line of each format, and what it says.

use super::*;

fn check(format: Format, line: &str, expected: &str) {
    let mut parser = Parser::new(TimeZone::UTC);
    let parsed = parser.parse(line, now());
    assert_eq!(summary(&parsed), expected, "{line}");
    assert_eq!(parsed.format, format, "{line}");
    assert_eq!(parsed.continuation, Continuation::Begins, "{line}");
    // Read as the source's format, it says the same.
    let again = summary(&parser.parse(line, now()));
    assert_eq!(again, expected, "{line}");
}

#[test]
fn json() {
    let check = |line, expected| check(Format::Json, line, expected);
    check(
        r#"{"level":"info","ts":"2026-01-27T14:23:45.123Z","msg":"started","port":8080}"#,
        "2026-01-27T14:23:45.123Z INFO started {port=#8080}",
    );
    check(
        r#"{"level":30,"time":1769523825123,"pid":7,"hostname":"h","name":"api","msg":"ok"}"#,
        "2026-01-27T14:23:45.123Z INFO (api) ok {pid=#7, hostname=h}",
    );
    check(
        r#"{"@timestamp":"2026-01-27T14:23:45.000+01:00","log.level":"ERROR","message":"a \"b\"\n\u00e9","log.logger":"c.e.App","a":{"b":[1,"}"]},"t":true}"#,
        "2026-01-27T13:23:45Z ERROR (c.e.App) a \"b\"\né {a:{\"b\":[1,\"}\"]}, t:true}",
    );
    check(
        r#"{"asctime": "2026-01-27 14:23:45,123", "levelname": "WARNING", "name": "root", "message": "m", "x": null}"#,
        "2026-01-27T14:23:45.123Z WARN (root) m {x:null}",
    );
    check(
        r#"{"event":"login","timestamp":1769523825.123456,"severity":"crit"}"#,
        "2026-01-27T14:23:45.123456Z FATAL login",
    );
    check(
        r#"{"ts":"1769523825123456789","lvl":"dbug","message":"m","event":"e","msg":"n"}"#,
        "2026-01-27T14:23:45.123456789Z m {lvl=dbug, event=e, msg=n}",
    );
    check(
        r#"{"log":"hello\n","stream":"stderr","time":"2026-01-27T14:23:45.5Z"}"#,
        "2026-01-27T14:23:45.5Z hello\n {stream=stderr}",
    );
    check(
        r#"{"ts":1.769523825e9,"a\tb":"\ud83d\ude00\ud83d"}"#,
        "2026-01-27T14:23:45Z {\"ts\":1.769523825e9,\"a\\tb\":\"\\ud83d\\ude00\\ud83d\"} {a\tb=😀\u{fffd}}",
    );
    check("{}", "{}");
}

#[test]
fn what_is_nearly_json_is_a_message() {
    for line in [
        "{",
        "{\"a\":1",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1}}",
        "{\"a\":1} x",
        "{\"a\":[1}",
    ] {
        check(Format::Plain, line, line);
    }
}

#[test]
fn logfmt() {
    let check = |line, expected| check(Format::Logfmt, line, expected);
    check(
        r#"ts=2026-01-27T14:23:45.1Z level=info msg="a \"b\"" k=v n=1 flag"#,
        r#"2026-01-27T14:23:45.1Z INFO a "b" {k=v, n=#1, flag=}"#,
    );
    check(
        r#"time="2026-01-27T14:23:45Z" level=warning msg="a b" took=12ms"#,
        "2026-01-27T14:23:45Z WARN a b {took=12ms}",
    );
    check(
        "at=info method=GET path=/ status=200",
        "at=info method=GET path=/ status=200 {at=info, method=GET, path=/, status=#200}",
    );
}

#[test]
fn python() {
    let check = |line, expected| check(Format::Python, line, expected);
    check("WARNING:root:disk: full", "WARN (root) disk: full");
    let at = "2026-01-27T14:23:45.123Z";
    let all = [
        (
            "2026-01-27 14:23:45,123 - app.db - ERROR - no - way",
            "ERROR (app.db) no - way",
        ),
        ("2026-01-27 14:23:45,123 - INFO - started", "INFO started"),
        (
            "2026-01-27 14:23:45,123 ERROR app.db connection lost",
            "ERROR (app.db) connection lost",
        ),
        (
            "2026-01-27 14:23:45,123 INFO Starting up",
            "INFO Starting up",
        ),
        (
            "2026-01-27 14:23:45,123 INFO root: ready",
            "INFO (root) ready",
        ),
        (
            "2026-01-27 14:23:45,123 [INFO] app: ready",
            "INFO (app) ready",
        ),
        (
            "2026-01-27 14:23:45,123 [DEBUG] [app.db] q=1",
            "DEBUG (app.db) q=1",
        ),
        (
            "[2026-01-27 14:23:45,123] [CRITICAL] app: gone",
            "FATAL (app) gone",
        ),
        (
            "[2026-01-27 14:23:45,123] ERROR in app: boom",
            "ERROR (app) boom",
        ),
        (
            "[2026-01-27 14:23:45,123: WARNING/MainProcess] late",
            "WARN late {process=MainProcess}",
        ),
    ];
    for (line, expected) in all {
        self::check(Format::Python, line, &format!("{at} {expected}"));
    }
    check(
        "[2026-01-27 14:23:45 +0100] [1234] [INFO] Listening at: http://[::]:80 (1)",
        "2026-01-27T13:23:45Z INFO Listening at: http://[::]:80 (1) {pid=#1234}",
    );
}

#[test]
fn java() {
    check(
        Format::Logback,
        "2026-01-27 14:23:45.123 [main] INFO  c.e.App - Started in 1.2 s",
        "2026-01-27T14:23:45.123Z INFO (c.e.App) Started in 1.2 s {thread=main}",
    );
    check(
        Format::Logback,
        "14:23:45.123 [pool-1 thread 2] WARN c.e.App - slow",
        "2026-01-27T14:23:45.123Z WARN (c.e.App) slow {thread=pool-1 thread 2}",
    );
    check(
        Format::Logback,
        "2026-01-27 14:23:45,123 ERROR [main] c.e.App (App.java:12) - x",
        "2026-01-27T14:23:45.123Z ERROR (c.e.App) x {thread=main}",
    );
    check(
        Format::Logback,
        "14:23:45.123 [main] DEBUG c.e.App -- x",
        "2026-01-27T14:23:45.123Z DEBUG (c.e.App) x {thread=main}",
    );
    check(
        Format::Spring,
        "2026-01-27T14:23:45.123+01:00  INFO 1234 --- [           main] c.e.App                : up",
        "2026-01-27T13:23:45.123Z INFO (c.e.App) up {pid=#1234, thread=main}",
    );
    check(
        Format::Spring,
        "2026-01-27T14:23:45.123Z ERROR 1 --- [shop] [nio-8080-exec-1] o.a.c.[.[.[/] : x",
        "2026-01-27T14:23:45.123Z ERROR (o.a.c.[.[.[/]) x {pid=#1, thread=nio-8080-exec-1}",
    );
}

#[test]
fn web_servers() {
    check(
        Format::NginxError,
        "2026/01/27 14:23:45 [error] 1234#0: *5 open() failed",
        "2026-01-27T14:23:45Z ERROR open() failed {pid=#1234, tid=#0, connection=#5}",
    );
    check(
        Format::Access,
        r#"10.0.0.1 - bob [27/Jan/2026:14:23:45 +0100] "GET /a?b=c HTTP/1.1" 500 12 "http://r/" "curl/8 \"x\"""#,
        "2026-01-27T13:23:45Z ERROR GET /a?b=c HTTP/1.1 {method=GET, path=/a?b=c, status=#500, bytes=#12, remote_addr=10.0.0.1, user=bob, referer=http://r/, user_agent=curl/8 \\\"x\\\"}",
    );
    check(
        Format::Access,
        r#"::1 - - [27/Jan/2026:14:23:45 +0000] "GET / HTTP/1.1" 404 -"#,
        "2026-01-27T14:23:45Z WARN GET / HTTP/1.1 {method=GET, path=/, status=#404, remote_addr=::1}",
    );
}

#[test]
fn web_servers_with_a_twist() {
    check(
        Format::Access,
        r#"shop:443 10.0.0.1 - bob [27/Jan/2026:14:23:45 +0000] "GET / HTTP/1.1" 302 0"#,
        "2026-01-27T14:23:45Z INFO GET / HTTP/1.1 {method=GET, path=/, status=#302, bytes=#0, remote_addr=10.0.0.1, host=shop:443, user=bob}",
    );
    check(
        Format::Access,
        r#"127.0.0.1 - - [27/Jan/2026 14:23:45] "GET / HTTP/1.1" 200 -"#,
        "2026-01-27T14:23:45Z INFO GET / HTTP/1.1 {method=GET, path=/, status=#200, remote_addr=127.0.0.1}",
    );
}

#[test]
fn system_logs() {
    check(
        Format::Syslog,
        "Jan 27 14:23:45 web sshd[99]: error: no such user",
        "2026-01-27T14:23:45Z ERROR (sshd) no such user {host=web, pid=#99}",
    );
    check(
        Format::Syslog,
        "<34>Jan  7 14:23:45 web su: failed",
        "2026-01-07T14:23:45Z FATAL (su) failed {host=web}",
    );
    check(
        Format::Syslog5424,
        r#"<165>1 2026-01-27T14:23:45.003Z h app 12 ID47 [x@1 a="1" b="c \"d\""][y] started"#,
        r#"2026-01-27T14:23:45.003Z INFO (app) started {host=h, pid=#12, msgid=ID47, a=1, b=c "d"}"#,
    );
    check(Format::Syslog5424, "<3>1 - - - - - - m", "ERROR m");
    check(
        Format::Journal,
        "2026-01-27T14:23:45+0000 web systemd[1]: Started a.service.",
        "2026-01-27T14:23:45Z (systemd) Started a.service. {host=web, pid=#1}",
    );
}

#[test]
fn rust_go_and_google() {
    check(
        Format::EnvLogger,
        "[2026-01-27T14:23:45Z INFO  krate::module] msg",
        "2026-01-27T14:23:45Z INFO (krate::module) msg",
    );
    check(
        Format::Tracing,
        "2026-01-27T14:23:45.123456Z  INFO krate::module: a msg k=v n=3 q=\"x y\"",
        "2026-01-27T14:23:45.123456Z INFO (krate::module) a msg {k=v, n=#3, q=x y}",
    );
    check(
        Format::Tracing,
        "2026-01-27T14:23:45.123456Z ERROR request{id=5 path=\"/\"}:db{}: krate: a = b",
        "2026-01-27T14:23:45.123456Z ERROR (krate) a = b {id=#5, path=/}",
    );
    check(
        Format::Tracing,
        "\x1b[2m2026-01-27T14:23:45Z\x1b[0m \x1b[33m WARN\x1b[0m \x1b[2mkrate\x1b[0m\x1b[2m:\x1b[0m m \x1b[3mk\x1b[0m\x1b[2m=\x1b[0mv",
        "2026-01-27T14:23:45Z WARN (krate) m {k=v}",
    );
    check(
        Format::Glog,
        "I0127 14:23:45.123456  1234 file.cc:12] msg",
        "2026-01-27T14:23:45.123456Z INFO (file.cc:12) msg {tid=#1234}",
    );
    check(
        Format::Glog,
        "F20250127 14:23:45.5 1 a.go:1] m",
        "2025-01-27T14:23:45.5Z FATAL (a.go:1) m {tid=#1}",
    );
    check(
        Format::Go,
        "2026/01/27 14:23:45 main.go:12: msg",
        "2026-01-27T14:23:45Z main.go:12: msg",
    );
    check(
        Format::Go,
        "2026/01/27 14:23:45.000001 [WARN] msg",
        "2026-01-27T14:23:45.000001Z WARN msg",
    );
}

#[test]
fn databases() {
    check(
        Format::Postgres,
        "2026-01-27 14:23:45.123 UTC [1234] ERROR:  duplicate key",
        "2026-01-27T14:23:45.123Z ERROR duplicate key {pid=#1234}",
    );
    check(
        Format::Postgres,
        "2026-01-27 14:23:45.123 CET [1234-1] bob@shop LOG:  connection authorized",
        "2026-01-27T13:23:45.123Z INFO connection authorized {pid=#1234, user=bob, database=shop}",
    );
    check(
        Format::Postgres,
        "2026-01-27 14:23:45.123 XYZT [1] PANIC:  x",
        "2026-01-27T14:23:45.123Z FATAL x {pid=#1}",
    );
    check(
        Format::Redis,
        "1234:M 27 Jan 2026 14:23:45.123 # low memory",
        "2026-01-27T14:23:45.123Z WARN low memory {pid=#1234, role=M}",
    );
}

#[test]
fn a_time_and_whatever() {
    let check = |line, expected| check(Format::Dated, line, expected);
    check(
        "2026-01-27T14:23:45Z INF started port=1",
        "2026-01-27T14:23:45Z INFO started port=1",
    );
    check(
        "2026-01-27 14:23:45 something",
        "2026-01-27T14:23:45Z something",
    );
    check(
        "2026-01-27 14:23:45 [ERROR] x",
        "2026-01-27T14:23:45Z ERROR x",
    );
    check(
        "2026-01-27 14:23:45 - WARN: x",
        "2026-01-27T14:23:45Z WARN x",
    );
    check("1769523825 warning x", "2026-01-27T14:23:45Z WARN x");
    check(
        "2026-01-27 14:23:45 Config loaded",
        "2026-01-27T14:23:45Z Config loaded",
    );
    check(
        "2026-01-27 14:23:45 Error: x",
        "2026-01-27T14:23:45Z ERROR x",
    );
    check(
        "2026-01-27 14:23:45 Note: x",
        "2026-01-27T14:23:45Z Note: x",
    );
    check(
        "[2026-01-27 14:23:45] local.ERROR: x",
        "2026-01-27T14:23:45Z ERROR (local) x",
    );
    check(
        "[2026-01-27 14:23:45] [info] x",
        "2026-01-27T14:23:45Z INFO x",
    );
    check("1769523825.5 x", "2026-01-27T14:23:45.5Z x");
    check("1769523825123: x", "2026-01-27T14:23:45.123Z x");
    check(
        "2026-01-27T14:23:45.123Z\tINFO\thttp.server\tmain.go:12\tup\t{\"a\": 1}",
        "2026-01-27T14:23:45.123Z INFO (http.server) up\t{\"a\": 1} {caller=main.go:12}",
    );
    check(
        "2026-01-27 14:23:45.123 | INFO     | app.mod:run:12 - up",
        "2026-01-27T14:23:45.123Z INFO (app.mod:run:12) up",
    );
    check(
        "2026-01-27T14:23:45.123456Z 0 [Warning] [MY-010068] [Server] x",
        "2026-01-27T14:23:45.123456Z WARN [MY-010068] [Server] x",
    );
    check(
        "2026-01-27T14:23:45Z connection failed: reason",
        "2026-01-27T14:23:45Z connection failed: reason",
    );
}

#[test]
fn lines_without_a_time() {
    let check = |line, expected| check(Format::Plain, line, expected);
    check("hello", "hello");
    check(
        "INFO:     10.0.0.1:5 - \"GET / HTTP/1.1\" 200 OK",
        "INFO 10.0.0.1:5 - \"GET / HTTP/1.1\" 200 OK",
    );
    check("[error] x", "ERROR x");
    check("\x1b[33m[WARN]\x1b[0m x", "WARN x");
    check("<3>x", "ERROR x");
    check("warning: unused", "WARN unused");
    check("error[E0308]: mismatched", "ERROR error[E0308]: mismatched");
    check("DEBUG x", "DEBUG x");
    check("debug is a word here", "debug is a word here");
    check("Note: x", "Note: x");
    check("success", "success");
    check("Error handling was improved", "Error handling was improved");
}
