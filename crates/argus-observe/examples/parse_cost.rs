//! What it costs to read log lines: generated lines of each format through [`Parser::parse`], and the
//! same lines through [`Correlator::find`] and [`Masker::mask`]; one core, the best of several rounds.
//!
//! Prints one JSON object: lines per second for each format, nanoseconds a line for the rest, and
//! microseconds for what is built once.
//! `cargo run --release -p argus-observe --example parse_cost`

use std::hint::black_box;
use std::time::{Duration, Instant};

use argus_model::Timestamp;
use argus_observe::parse::correlate::Correlator;
use argus_observe::parse::mask::Masker;
use argus_observe::parse::{Format, Parser};
use jiff::tz::TimeZone;

/// A name, what it must be recognised as, and a line in which `@` is replaced by a number of two digits.
const LINES: [(&str, Format, &str); 20] = [
    (
        "json",
        Format::Json,
        r#"{"level":"info","ts":"2026-01-27T14:23:@.123Z","logger":"shop.cart","msg":"item added","user":"u@","items":@,"took_ms":1.@,"ok":true}"#,
    ),
    (
        "json_pino",
        Format::Json,
        r#"{"level":30,"time":17695238@123,"pid":4711,"hostname":"web-1","name":"api","req":{"method":"GET","url":"/a/@"},"msg":"request done"}"#,
    ),
    (
        "json_escaped",
        Format::Json,
        r#"{"level":"error","ts":"2026-01-27T14:23:@Z","msg":"cannot read \"file @\"\nno such file","path":"C:\\a\\b"}"#,
    ),
    (
        "logfmt",
        Format::Logfmt,
        r#"ts=2026-01-27T14:23:@.123Z level=info logger=shop.cart msg="item @ added" user=u@ items=@ took_ms=1.@"#,
    ),
    (
        "python_default",
        Format::Python,
        "WARNING:shop.cart:item @ is not in stock, the order of user u@ waits",
    ),
    (
        "python",
        Format::Python,
        "2026-01-27 14:23:@,123 - shop.cart - INFO - item @ added to the cart of user u@",
    ),
    (
        "logback",
        Format::Logback,
        "2026-01-27 14:23:@.123 [http-nio-8080-exec-@] INFO  c.e.shop.Cart - item @ added to the cart of user u@",
    ),
    (
        "spring",
        Format::Spring,
        "2026-01-27T14:23:@.123+01:00  INFO 4711 --- [nio-8080-exec-@] c.e.shop.Cart   : item @ added to the cart of user u@",
    ),
    (
        "nginx_error",
        Format::NginxError,
        "2026/01/27 14:23:@ [error] 1234#0: *@ open() \"/srv/www/a@.html\" failed (2: No such file or directory)",
    ),
    (
        "access",
        Format::Access,
        r#"203.0.113.@ - - [27/Jan/2026:14:23:@ +0000] "GET /shop/cart?item=@ HTTP/1.1" 200 51@ "https://example.org/" "Mozilla/5.0 (X11; Linux x86_64)""#,
    ),
    (
        "syslog",
        Format::Syslog,
        "Jan 27 14:23:@ web-1 sshd[47@]: Accepted publickey for deploy from 203.0.113.@ port 50@ ssh2",
    ),
    (
        "syslog_5424",
        Format::Syslog5424,
        r#"<165>1 2026-01-27T14:23:@.003Z web-1 shop 47@ ID47 [cart@32473 item="@" user="u@"] item added to the cart"#,
    ),
    (
        "journal",
        Format::Journal,
        "2026-01-27T14:23:@+0000 web-1 systemd[1]: Started session-@.scope - Session @ of user deploy.",
    ),
    (
        "env_logger",
        Format::EnvLogger,
        "[2026-01-27T14:23:@Z INFO  shop::cart] item @ added to the cart of user u@",
    ),
    (
        "tracing",
        Format::Tracing,
        "2026-01-27T14:23:@.123456Z  INFO shop::cart: item added to the cart user=u@ item=@ took_ms=1.@",
    ),
    (
        "glog",
        Format::Glog,
        "I0127 14:23:@.123456  1234 cart.cc:1@] item @ added to the cart of user u@",
    ),
    (
        "postgres",
        Format::Postgres,
        "2026-01-27 14:23:@.123 UTC [47@] shop@cart LOG:  duration: 12.@ ms  execute S_@: commit",
    ),
    (
        "redis",
        Format::Redis,
        "1234:M 27 Jan 2026 14:23:@.123 * Background saving started by pid 47@",
    ),
    (
        "dated_local",
        Format::Dated,
        "2026-01-27 14:23:@ INFO item @ added to the cart of user u@",
    ),
    (
        "plain",
        Format::Plain,
        "item @ was added to the cart of user u@ and nobody knows when or how grave that is",
    ),
];

const COUNT: usize = 20_000;
const ROUNDS: usize = 9;

fn lines(pattern: &str) -> Vec<String> {
    let line = |at: usize| pattern.replace('@', &(10 + at % 50).to_string());
    (0..COUNT).map(line).collect()
}

/// The shortest time in which `each` takes all lines.
fn best(lines: &[String], mut each: impl FnMut(&str)) -> Duration {
    let round = |_| {
        let start = Instant::now();
        for line in lines {
            each(black_box(line));
        }
        start.elapsed()
    };
    (0..ROUNDS).map(round).min().unwrap_or_default()
}

fn per_second(taken: Duration) -> f64 {
    (COUNT as f64 / taken.as_secs_f64()).round()
}

fn nanos(taken: Duration) -> f64 {
    (taken.as_secs_f64() * 1e10 / COUNT as f64).round() / 10.0
}

fn main() {
    let zone = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").expect("a zone");
    let now = Timestamp::from_nanos(1_769_600_000_000_000_000);
    let correlator = Correlator::new(&[]).expect("no patterns");
    let masker = Masker::default();
    let mut parsed = Vec::new();
    let mut traced = Vec::new();
    let mut masked = Vec::new();
    let ids = r#"{"level":"info","ts":"2026-01-27T14:23:@Z","msg":"a","trace_id":"4bf92f3577b34da6a3ce929d0e0e47@","password":"x@"}"#;
    let secret = ("json_with_id_and_password", Format::Json, ids);
    for (name, format, pattern) in LINES.into_iter().chain([secret]) {
        let lines = lines(pattern);
        let mut parser = Parser::new(zone.clone());
        let taken = best(&lines, |line| {
            black_box(parser.parse(line, now));
        });
        assert_eq!(parser.format(), Some(format), "{name}");
        parsed.push(format!("\"{name}\":{}", per_second(taken)));
        let taken = best(&lines, |line| {
            correlator.find(line, |_, value| {
                black_box(value);
            });
        });
        traced.push(format!("\"{name}\":{}", nanos(taken)));
        let taken = best(&lines, |line| {
            black_box(masker.mask(line));
        });
        masked.push(format!("\"{name}\":{}", nanos(taken)));
    }
    let start = Instant::now();
    black_box(Masker::default());
    let built = start.elapsed().as_micros();
    println!(
        "{{\"masker_built_us\":{built},\"parsed_lines_per_second\":{{{}}},\"correlate_ns_a_line\":{{{}}},\"mask_ns_a_line\":{{{}}}}}",
        parsed.join(","),
        traced.join(","),
        masked.join(",")
    );
}
