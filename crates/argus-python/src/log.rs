//! Records of Python's `logging` as log lines; `argus/logging.py` hands them over.
//!
//! A record is one event of one or more lines. The first line carries what is known of the event, the
//! others say only how far behind it they stand. No foreign code runs here.

use argus_client::current::Thread;
use argus_model::record::{LogIds, LogMeaning, LogPlace, LogSource, Record};
use argus_model::{Kind, Level, SpanNumber, Timestamp};
use argus_spool::{Weight, append};
use pyo3::prelude::*;
use pyo3::types::PyString;

use crate::context;
use crate::space::Space;

/// The longest line; the rest of a longer one is left out.
const MOST_BYTES: usize = 16 * 1024;
/// The most lines of one event.
const MOST_LINES: usize = 1_000;

/// What the program attached to a record: a JSON object, and the names and values in it by which the
/// event belongs to others.
type Attached = (String, Vec<(String, String)>);

/// An event, as `logging` tells it.
struct Event<'a> {
    span: SpanNumber,
    level: Level,
    weight: Weight,
    meaning: LogMeaning<'a>,
    message: &'a str,
    altered: bool,
}

/// Records one event. `text` is all of it, and `message` what of it the program said.
#[pyfunction]
pub fn log(
    level: f64,
    created: f64,
    logger: &Bound<'_, PyString>,
    message: &Bound<'_, PyString>,
    text: &Bound<'_, PyString>,
    attached: Option<Attached>,
) {
    if argus_spool::disabled() {
        return;
    }
    let (logger, message) = (logger.to_string_lossy(), message.to_string_lossy());
    let altered = text.to_str().is_err();
    let text = text.to_string_lossy();
    let (attributes, pairs) = attached.unwrap_or_default();
    let mut ids = Space::default();
    for (name, value) in pairs {
        ids.write(|out| LogIds::encode(out, &name, &value));
    }
    let level = severity(level);
    let event = Event {
        // SAFETY: bound objects prove that the thread is attached.
        span: unsafe { context::here(Thread::mine()) }.number(),
        level,
        weight: match level {
            Level::Error | Level::Fatal => Weight::Error,
            _ => Weight::Normal,
        },
        meaning: LogMeaning {
            said_at: moment(created),
            logger: cut(&logger, MOST_BYTES),
            attributes: &attributes,
            ids: LogIds(ids.bytes()),
            ..LogMeaning::default()
        },
        message: message.lines().next().unwrap_or_default(),
        altered,
    };
    event.record(&text);
}

impl Event<'_> {
    fn record(&self, text: &str) {
        let mut lines = text.lines();
        self.record_first(lines.next().unwrap_or_default());
        for (line, continues) in lines.by_ref().take(MOST_LINES - 1).zip(1..) {
            self.record_next(line, continues);
        }
        let left_out = lines.count();
        if left_out > 0 {
            self.record_next(&format!("[{left_out} more lines]"), MOST_LINES as u32);
        }
    }

    fn record_first(&self, whole: &str) {
        let line = cut(whole, MOST_BYTES);
        let message = match line.find(self.message) {
            // It goes without saying.
            _ if line == self.message || self.message.is_empty() => "",
            Some(start) => &line[start..start + self.message.len()],
            None => cut(self.message, MOST_BYTES),
        };
        let meaning = LogMeaning {
            message,
            ..self.meaning
        };
        self.append(whole, line, self.level.word(), meaning);
    }

    fn record_next(&self, whole: &str, continues: u32) {
        let meaning = LogMeaning {
            continues,
            ..LogMeaning::default()
        };
        self.append(whole, cut(whole, MOST_BYTES), "", meaning);
    }

    fn append(&self, whole: &str, line: &str, level: &str, meaning: LogMeaning<'_>) {
        append(Kind::Log, self.weight, &[], |out, at| {
            Record::Log {
                subject: 0,
                at,
                source: LogSource::Logger,
                path: "",
                line,
                altered: self.altered || line.len() < whole.len(),
                span: self.span,
                level,
                place: LogPlace::NONE,
                meaning,
            }
            .encode(out)
        });
    }
}

/// A level of the program's own counts as the standard one below it.
fn severity(level: f64) -> Level {
    match level {
        ..10.0 => Level::Trace,
        ..20.0 => Level::Debug,
        ..30.0 => Level::Info,
        ..40.0 => Level::Warn,
        ..50.0 => Level::Error,
        _ => Level::Fatal,
    }
}

/// Seconds since the Unix epoch; none for what cannot be a moment.
fn moment(seconds: f64) -> Option<Timestamp> {
    let nanos = seconds * 1e9;
    (nanos.abs() < i64::MAX as f64).then(|| Timestamp::from_nanos(nanos as i64))
}

fn cut(text: &str, most: usize) -> &str {
    &text[..text.floor_char_boundary(most)]
}
