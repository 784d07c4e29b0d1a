//! Programs that speak `log`: every record becomes a line of the span that the thread is in.
//!
//! ```
//! argus_client::log_bridge().install(log::LevelFilter::Info)?;
//! log::warn!(left = 3; "little room");
//! # Ok::<(), log::SetLoggerError>(())
//! ```
//!
//! A program that has a logger keeps it by putting it behind this one:
//!
//! ```
//! # struct Mine;
//! # impl log::Log for Mine {
//! #     fn enabled(&self, _: &log::Metadata<'_>) -> bool { true }
//! #     fn log(&self, _: &log::Record<'_>) {}
//! #     fn flush(&self) {}
//! # }
//! argus_client::log_bridge().before(Mine).install(log::LevelFilter::Info)?;
//! # Ok::<(), log::SetLoggerError>(())
//! ```
//!
//! Level, target as logger, and message are recorded; key-value pairs become attributes, those of
//! sensitive names masked.

use argus_model::level::Level;
use argus_spool::Thread;
use log::kv::{Error, Key, Value, VisitSource, VisitValue};
use log::{LevelFilter, Log, Metadata, Record, SetLoggerError};

use crate::line::{Line, Shown};
use crate::redact::Sensitive;

/// A logger that records. Made by [`log_bridge`](crate::log_bridge).
pub struct Logger {
    sensitive: Sensitive,
    next: Option<Box<dyn Log>>,
    is_on: bool,
}

impl std::fmt::Debug for Logger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Logger")
            .field("sensitive", &self.sensitive)
            .field("next", &self.next.is_some())
            .finish_non_exhaustive()
    }
}

impl Default for Logger {
    fn default() -> Self {
        Self {
            sensitive: Sensitive::default(),
            next: None,
            is_on: !argus_spool::disabled(),
        }
    }
}

impl Logger {
    /// Masks the values of these keys instead of those in
    /// [`DEFAULT_SENSITIVE`](crate::redact::DEFAULT_SENSITIVE).
    #[must_use]
    pub fn sensitive(mut self, sensitive: Sensitive) -> Self {
        self.sensitive = sensitive;
        self
    }

    /// Hands every record to `next`, after it was recorded.
    #[must_use]
    pub fn before(mut self, next: impl Log + 'static) -> Self {
        self.next = Some(Box::new(next));
        self
    }

    /// Makes this the program's logger, for levels up to `most`. When recording is off and no other
    /// logger stands behind, nothing is logged at all, at the cost of one comparison.
    ///
    /// # Errors
    /// When the program has a logger already.
    pub fn install(self, most: LevelFilter) -> Result<(), SetLoggerError> {
        let is_needed = self.is_on || self.next.is_some();
        log::set_boxed_logger(Box::new(self))?;
        log::set_max_level(if is_needed { most } else { LevelFilter::Off });
        Ok(())
    }

    fn record(&self, record: &Record<'_>) {
        let place = Thread::mine().current();
        let level = level(record.level());
        // As for events of `tracing`: of a trace that is not recorded only what went wrong.
        if !place.is_recorded() && (level < Level::Error || place.is_quiet()) {
            return;
        }
        let mut line = Line::begin();
        line.say(*record.args());
        let mut pairs = Pairs {
            line: &mut line,
            sensitive: &self.sensitive,
        };
        // Ends at a pair that cannot be read; those before it are there.
        let _ = record.key_values().visit(&mut pairs);
        line.write(level, record.target(), place.number());
        line.end();
    }
}

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.is_on || self.next.as_ref().is_some_and(|it| it.enabled(metadata))
    }

    fn log(&self, record: &Record<'_>) {
        if self.is_on {
            self.record(record);
        }
        if let Some(next) = &self.next
            && next.enabled(record.metadata())
        {
            next.log(record);
        }
    }

    fn flush(&self) {
        if let Some(next) = &self.next {
            next.flush();
        }
    }
}

fn level(level: log::Level) -> Level {
    match level {
        log::Level::Error => Level::Error,
        log::Level::Warn => Level::Warn,
        log::Level::Info => Level::Info,
        log::Level::Debug => Level::Debug,
        log::Level::Trace => Level::Trace,
    }
}

struct Pairs<'a> {
    line: &'a mut Line,
    sensitive: &'a Sensitive,
}

impl<'kvs> VisitSource<'kvs> for Pairs<'_> {
    fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), Error> {
        if self.sensitive.covers(key.as_str()) {
            self.line.add(key.as_str(), Shown::Masked);
            return Ok(());
        }
        value.visit(OneValue {
            line: self.line,
            key: key.as_str(),
        })
    }
}

struct OneValue<'a> {
    line: &'a mut Line,
    key: &'a str,
}

impl OneValue<'_> {
    fn add(&mut self, value: Shown<'_>) -> Result<(), Error> {
        self.line.add(self.key, value);
        Ok(())
    }
}

impl<'v> VisitValue<'v> for OneValue<'_> {
    fn visit_any(&mut self, value: Value<'_>) -> Result<(), Error> {
        self.add(Shown::Formatted(format_args!("{value}")))
    }

    fn visit_i64(&mut self, value: i64) -> Result<(), Error> {
        self.add(Shown::Int(value))
    }

    fn visit_u64(&mut self, value: u64) -> Result<(), Error> {
        match i64::try_from(value) {
            Ok(value) => self.add(Shown::Int(value)),
            Err(_) => self.add(Shown::Formatted(format_args!("{value}"))),
        }
    }

    fn visit_f64(&mut self, value: f64) -> Result<(), Error> {
        self.add(Shown::Float(value))
    }

    fn visit_bool(&mut self, value: bool) -> Result<(), Error> {
        self.add(Shown::Bool(value))
    }

    fn visit_str(&mut self, value: &str) -> Result<(), Error> {
        self.add(Shown::Text(value))
    }
}
