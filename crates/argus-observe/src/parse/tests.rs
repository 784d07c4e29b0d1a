//! Whole lines: each format, whole events, foreign text.

use super::*;

mod events;
mod foreign;
mod formats;

/// 2026-01-28T12:00:00Z, a day after what most lines tell of.
pub(super) fn now() -> Timestamp {
    moment("2026-01-28T12:00:00Z")
}

pub(super) fn moment(text: &str) -> Timestamp {
    let at: jiff::Timestamp = text.parse().expect("a time in RFC 3339");
    Timestamp::from_nanos(i64::try_from(at.as_nanosecond()).expect("of our age"))
}

pub(super) fn shown(at: Timestamp) -> String {
    jiff::Timestamp::from_nanosecond(i128::from(at.nanos()))
        .expect("within jiff's range")
        .to_string()
}

/// `time LEVEL (logger) message {name=value, ...}`, without what is absent.
pub(super) fn summary(parsed: &Parsed<'_>) -> String {
    let mut parts = Vec::new();
    parts.extend(parsed.at.map(shown));
    parts.extend(parsed.level.map(|level| level.to_string()));
    parts.extend(parsed.logger.map(|logger| format!("({logger})")));
    parts.push(parsed.message.to_owned());
    if !parsed.fields.is_empty() {
        let fields = parsed.fields.iter().map(|field| match field.value {
            Value::Text(text) => format!("{}={text}", field.name),
            Value::Number(digits) => format!("{}=#{digits}", field.name),
            Value::Json(json) => format!("{}:{json}", field.name),
        });
        parts.push(format!("{{{}}}", fields.collect::<Vec<_>>().join(", ")));
    }
    parts.join(" ")
}
