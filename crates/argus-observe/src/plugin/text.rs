//! One line of what a plugin prints: Prometheus text format, or `name value`.
//!
//! ```text
//! # comments, HELP and TYPE lines are skipped
//! queue_depth 5
//! http_requests_total{method="post",code="200"} 1027 1395066363000
//! request_seconds_bucket{le="+Inf"} 144320
//! {"name with spaces",kind="x"} 1
//! ```
//!
//! A time behind the value and an OpenMetrics exemplar (` # {…} …`) are checked or skipped, not
//! kept: the time of a value is when it was read. Names are taken more freely than Prometheus
//! does (`cache.hits`, `disk/used`), but begin with a letter, `_` or `:`, so that a date is none.
//! Whatever is a control character in a name or a label becomes U+FFFD.

use std::iter::Peekable;
use std::str::CharIndices;

/// So many labels a metric may have.
const MAX_LABELS: usize = 32;

/// A value with its name.
#[derive(Debug, Clone, PartialEq)]
pub struct Metric {
    /// What it is called.
    pub name: String,
    /// What tells it from others of the name, in the order in which it was printed.
    pub labels: Vec<(String, String)>,
    /// A finite number.
    pub value: f64,
    /// What it is counted in (UCUM, as everywhere here: `s`, `By`), where its name says so as
    /// Prometheus' naming rules have it.
    pub unit: Option<&'static str>,
}

/// What a line says.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Said {
    Metric(Metric),
    /// A metric whose value is infinite or no number: nothing to record.
    NoNumber,
    /// Blank, or a comment.
    Nothing,
}

/// A line that says nothing that can be understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Garbage;

pub(super) fn parse(line: &str) -> Result<Said, Garbage> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return Ok(Said::Nothing);
    }
    let end = line.find(|next| !is_name(next)).unwrap_or(line.len());
    let (name, rest) = line.split_at(end);
    let rest = rest.trim_start();
    let (name, labels, rest) = match rest.strip_prefix('{') {
        Some(inside) => labelled(name, inside)?,
        None => (name.to_owned(), Vec::new(), rest),
    };
    if name.is_empty() || (end > 0 && !name.starts_with(is_first)) {
        return Err(Garbage);
    }
    let value = number(rest)?;
    if !value.is_finite() {
        return Ok(Said::NoNumber);
    }
    Ok(Said::Metric(Metric {
        unit: unit(&name),
        name,
        labels,
        value,
    }))
}

fn is_first(character: char) -> bool {
    character.is_alphabetic() || matches!(character, '_' | ':')
}

fn is_name(character: char) -> bool {
    !character.is_whitespace()
        && !character.is_control()
        && !matches!(character, '{' | '}' | '"' | ',' | '=' | '#')
}

/// The value, and nothing behind it but a time and an exemplar.
fn number(rest: &str) -> Result<f64, Garbage> {
    let rest = rest
        .split_once(" # ")
        .map_or(rest, |(before, _exemplar)| before);
    let mut words = rest.split_whitespace();
    let value = words.next().ok_or(Garbage)?;
    let value = value.parse().map_err(|_| Garbage)?;
    if let Some(time) = words.next() {
        time.parse::<f64>().map_err(|_| Garbage)?;
    }
    words.next().map_or(Ok(value), |_| Err(Garbage))
}

type Labelled<'a> = (String, Vec<(String, String)>, &'a str);

/// What stands between braces: labels, and the name, too, where none stood before them.
fn labelled<'a>(name: &str, inside: &'a str) -> Result<Labelled<'a>, Garbage> {
    let mut name = name.to_owned();
    let mut labels = Vec::new();
    let mut rest = inside.trim_start();
    loop {
        if let Some(behind) = rest.strip_prefix('}') {
            return Ok((name, labels, behind));
        }
        let (key, behind) = match rest.strip_prefix('"') {
            Some(quoted_key) => quoted(quoted_key)?,
            None => {
                let end = rest.find(|next| !is_name(next)).ok_or(Garbage)?;
                (rest[..end].to_owned(), &rest[end..])
            }
        };
        let behind = behind.trim_start();
        rest = match behind.strip_prefix('=') {
            Some(value) => {
                let value = value.trim_start().strip_prefix('"').ok_or(Garbage)?;
                let (value, behind) = quoted(value)?;
                if key.is_empty() || labels.len() == MAX_LABELS {
                    return Err(Garbage);
                }
                labels.push((key, value));
                behind
            }
            None if name.is_empty() && rest.starts_with('"') => {
                name = key;
                behind
            }
            None => return Err(Garbage),
        };
        rest = rest.trim_start();
        match rest.strip_prefix(',') {
            Some(next) => rest = next.trim_start(),
            None if rest.starts_with('}') => {}
            None => return Err(Garbage),
        }
    }
}

/// A text up to its closing quote, and what stands behind that.
fn quoted(inside: &str) -> Result<(String, &str), Garbage> {
    let mut text = String::new();
    let mut rest = inside.char_indices().peekable();
    while let Some((at, next)) = rest.next() {
        match next {
            '"' => return Ok((text, &inside[at + 1..])),
            '\\' => unescape(&mut rest, &mut text),
            _ if next.is_control() => text.push('\u{fffd}'),
            _ => text.push(next),
        }
    }
    Err(Garbage)
}

/// `\\`, `\"` and `\n` are one character, any other `\` is one itself.
fn unescape(rest: &mut Peekable<CharIndices<'_>>, text: &mut String) {
    match rest.peek() {
        Some((_, escaped @ ('\\' | '"'))) => text.push(*escaped),
        // A line break: the one that was meant, but a name has only one line.
        Some((_, 'n')) => text.push('\u{fffd}'),
        _ => {
            text.push('\\');
            return;
        }
    }
    rest.next();
}

/// The unit in a name, by Prometheus' rules: its last word, before `_total` or `_sum`. What ends in
/// `_count` or `_bucket` counts observations, whatever they are measured in.
fn unit(name: &str) -> Option<&'static str> {
    const UNITS: [(&str, &str); 18] = [
        ("seconds", "s"),
        ("milliseconds", "ms"),
        ("microseconds", "us"),
        ("nanoseconds", "ns"),
        ("minutes", "min"),
        ("hours", "h"),
        ("days", "d"),
        ("bytes", "By"),
        ("bits", "bit"),
        ("percent", "%"),
        ("ratio", "1"),
        ("celsius", "Cel"),
        ("volts", "V"),
        ("amperes", "A"),
        ("watts", "W"),
        ("joules", "J"),
        ("hertz", "Hz"),
        ("meters", "m"),
    ];
    let name = ["_total", "_sum"]
        .iter()
        .find_map(|ending| name.strip_suffix(ending))
        .unwrap_or(name);
    let last = name.rsplit('_').next()?;
    let known = UNITS.into_iter().find(|(word, _)| *word == last);
    known.map(|(_, unit)| unit)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A line back as `name{label=value,…} value unit`, or what else it is.
    fn read(line: &str) -> String {
        match parse(line) {
            Ok(Said::Metric(metric)) => {
                let labels = metric.labels.iter();
                let labels: Vec<_> = labels
                    .map(|(key, value)| format!("{key}={value}"))
                    .collect();
                let labels = labels.join(",");
                let unit = metric.unit.unwrap_or("-");
                format!("{}{{{labels}}} {} {unit}", metric.name, metric.value)
            }
            Ok(Said::NoNumber) => "no number".into(),
            Ok(Said::Nothing) => "nothing".into(),
            Err(Garbage) => "garbage".into(),
        }
    }

    fn check(line: &str, expected: &str) {
        assert_eq!(read(line), expected, "{line:?}");
    }

    #[test]
    fn plain_lines_are_names_and_values() {
        check("queue_depth 5", "queue_depth{} 5 -");
        check("  cache.hits\t-1.5e3  ", "cache.hits{} -1500 -");
        check("disk/used-now 0.1", "disk/used-now{} 0.1 -");
        check("größe 1", "größe{} 1 -");
        check(":x:y 1", ":x:y{} 1 -");
    }

    #[test]
    fn prometheus_text_is_understood() {
        check("# HELP x Something", "nothing");
        check("# TYPE x histogram", "nothing");
        check("# EOF", "nothing");
        check("", "nothing");
        check(
            r#"http_requests_total{method="post",code="200"} 1027 1395066363000"#,
            "http_requests_total{method=post,code=200} 1027 -",
        );
        check(
            r#"x_bucket{le="+Inf"} 144320"#,
            "x_bucket{le=+Inf} 144320 -",
        );
        check(r#"m { a = "1" , b="2", } 3"#, "m{a=1,b=2} 3 -");
        check("m{} 3", "m{} 3 -");
        check(r#"m{p="C:\\D \"q\" \x"} 1"#, r#"m{p=C:\D "q" \x} 1 -"#);
        check(r#"{"a name",b="2"} 3"#, "a name{b=2} 3 -");
        check(r#"x_total 17 1.5 # {id="KOO"} 9.8"#, "x_total{} 17 -");
        check(
            "something_weird{problem=\"division by zero\"} +Inf",
            "no number",
        );
        check("x NaN", "no number");
        check("x -Inf 12", "no number");
    }

    #[test]
    fn units_are_read_from_names() {
        check("latency_seconds 1", "latency_seconds{} 1 s");
        check("cpu_seconds_total 1", "cpu_seconds_total{} 1 s");
        check("latency_seconds_sum 1", "latency_seconds_sum{} 1 s");
        check("latency_seconds_count 1", "latency_seconds_count{} 1 -");
        check("latency_seconds_bucket 1", "latency_seconds_bucket{} 1 -");
        check("heap_bytes 1", "heap_bytes{} 1 By");
        check("seconds_left 1", "seconds_left{} 1 -");
    }

    #[test]
    fn garbage_is_told_from_metrics() {
        for line in [
            "hello",
            "5",
            "5 6",
            "2026-01-27 14:23:45",
            "2026-01-27 5",
            "name value",
            "name 1 2 3",
            "name 1 x",
            "name 1_000",
            "name 1,5",
            "{} 1",
            "{a=\"1\"} 1",
            "x{ 1",
            "x{a} 1",
            "x{a=1} 1",
            "x{a=\"1} 1",
            "x{=\"1\"} 1",
            "x{a=\"1\"b=\"2\"} 1",
            "x{a=\"1\"}",
            "x{\"y\"} 1",
            "x=5",
            "{\"level\":\"info\",\"n\":1}",
            "Traceback (most recent call last):",
        ] {
            check(line, "garbage");
        }
    }

    #[test]
    fn control_characters_do_not_get_through() {
        check("m{a=\"\u{1b}[31mred\"} 1", "m{a=\u{fffd}[31mred} 1 -");
        check(r#"m{a="two\nlines"} 1"#, "m{a=two\u{fffd}lines} 1 -");
        check("m\u{7}x 1", "garbage");
    }

    #[test]
    fn labels_are_bounded() {
        let line = |count: usize| format!("m{{{}}} 1", "a=\"1\",".repeat(count));
        assert!(parse(&line(MAX_LABELS)).is_ok());
        assert_eq!(parse(&line(MAX_LABELS + 1)), Err(Garbage));
    }

    fn text(value: &str) -> String {
        value.replace('\\', "\\\\").replace('"', "\\\"")
    }

    fn printed(metric: &Metric) -> String {
        let labels = metric.labels.iter();
        let labels: Vec<_> = labels
            .map(|(key, value)| format!("{key}=\"{}\"", text(value)))
            .collect();
        match labels.is_empty() {
            true => format!("{} {}", metric.name, metric.value),
            false => format!("{}{{{}}} {}", metric.name, labels.join(","), metric.value),
        }
    }

    proptest! {
        #[test]
        fn what_is_printed_is_read(
            name in "[a-zA-Z_:][a-zA-Z0-9_:]{0,20}",
            labels in proptest::collection::vec(("[a-zA-Z_][a-zA-Z0-9_]{0,8}", "\\PC{0,12}"), 0..5),
            value in proptest::num::f64::NORMAL | proptest::num::f64::ZERO,
            time in proptest::option::of(any::<i64>()),
        ) {
            let metric = Metric { unit: unit(&name), name, labels, value };
            let mut line = printed(&metric);
            if let Some(time) = time {
                line.push_str(&format!(" {time}"));
            }
            // A label may hold what looks like an exemplar.
            prop_assert_eq!(parse(&line), Ok(Said::Metric(metric)));
        }

        #[test]
        fn no_line_makes_it_panic(line in ".{0,80}") {
            let _ = parse(&line);
        }

        #[test]
        fn no_line_that_is_nearly_one_makes_it_panic(
            line in r#"[a-c{}"=,\\ #0-9.+\-eNI\né]{0,40}"#,
        ) {
            if let Ok(Said::Metric(metric)) = parse(&line) {
                prop_assert!(metric.value.is_finite());
                prop_assert!(!metric.name.is_empty());
                prop_assert!(!metric.name.contains(char::is_control));
            }
        }
    }
}
