//! The formats that are known, and in which order a line is tried to be one of them.

use std::fmt;

use super::fields::Sheet;
use super::stamp::Clock;
use super::{Found, dated, json, logfmt, plain, server, syslog};

/// How a line is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Format {
    /// A JSON object a line.
    Json,
    /// `level=info msg="a b"`.
    Logfmt,
    /// Python's `logging`, in its usual layouts, Flask's, Celery's and gunicorn's among them.
    Python,
    /// log4j and logback.
    Logback,
    /// Spring Boot.
    Spring,
    /// nginx's error log.
    NginxError,
    /// The access log of nginx and Apache, common or combined.
    Access,
    /// syslog, RFC 3164.
    Syslog,
    /// syslog, RFC 5424.
    Syslog5424,
    /// journald's short-iso, and syslog with an ISO time.
    Journal,
    /// Rust's env_logger.
    EnvLogger,
    /// Rust's tracing-subscriber.
    Tracing,
    /// glog and klog.
    Glog,
    /// PostgreSQL.
    Postgres,
    /// Redis.
    Redis,
    /// Go's `log`.
    Go,
    /// A time, perhaps a level, a message.
    Dated,
    /// Anything else; perhaps a level in front.
    Plain,
}

impl Format {
    /// Every format.
    pub const ALL: [Self; 18] = [
        Self::Json,
        Self::Logfmt,
        Self::Python,
        Self::Logback,
        Self::Spring,
        Self::NginxError,
        Self::Access,
        Self::Syslog,
        Self::Syslog5424,
        Self::Journal,
        Self::EnvLogger,
        Self::Tracing,
        Self::Glog,
        Self::Postgres,
        Self::Redis,
        Self::Go,
        Self::Dated,
        Self::Plain,
    ];

    /// Its name for people.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Json => "JSON",
            Self::Logfmt => "logfmt",
            Self::Python => "Python logging",
            Self::Logback => "logback",
            Self::Spring => "Spring Boot",
            Self::NginxError => "nginx error log",
            Self::Access => "access log",
            Self::Syslog => "syslog",
            Self::Syslog5424 => "syslog (RFC 5424)",
            Self::Journal => "journal",
            Self::EnvLogger => "env_logger",
            Self::Tracing => "tracing",
            Self::Glog => "glog",
            Self::Postgres => "PostgreSQL",
            Self::Redis => "Redis",
            Self::Go => "Go log",
            Self::Dated => "time and message",
            Self::Plain => "plain",
        }
    }

    /// Its lines have their time, if any, in front.
    pub(super) const fn leads_with_time(self) -> bool {
        !matches!(self, Self::Json | Self::Logfmt | Self::Plain)
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The line's parts, if it is of a known format: that of the source, or one that can begin so.
pub(super) fn read(
    line: &str,
    first: Option<Format>,
    clock: &mut Clock,
    sheet: &mut Sheet,
) -> Option<Found> {
    let family = first.map(Family::of);
    if let Some(family) = family
        && let Some(found) = family.read(line, first, clock, sheet)
    {
        return Some(found);
    }
    for other in Family::beginning_with(*line.as_bytes().first()?) {
        sheet.clear();
        if family != Some(*other)
            && let Some(found) = other.read(line, None, clock, sheet)
        {
            return Some(found);
        }
    }
    None
}

/// Formats that are read together, because they begin alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Family {
    Json,
    Logfmt,
    Dated,
    Access,
    Syslog,
    Glog,
    Redis,
    Python,
    None,
}

impl Family {
    const fn of(format: Format) -> Self {
        match format {
            Format::Json => Self::Json,
            Format::Logfmt => Self::Logfmt,
            Format::Access => Self::Access,
            Format::Syslog | Format::Syslog5424 => Self::Syslog,
            Format::Glog => Self::Glog,
            Format::Redis => Self::Redis,
            Format::Plain => Self::None,
            _ => Self::Dated,
        }
    }

    /// Those whose lines can begin with that byte, in the order in which they are tried.
    const fn beginning_with(first: u8) -> &'static [Self] {
        match first {
            b'{' => &[Self::Json],
            b'[' => &[Self::Dated],
            b'<' => &[Self::Syslog],
            b'0'..=b'9' => &[Self::Dated, Self::Redis, Self::Access],
            b'A'..=b'Z' => &[
                Self::Glog,
                Self::Syslog,
                Self::Python,
                Self::Logfmt,
                Self::Access,
            ],
            b'a'..=b'z' | b':' | b'_' | b'@' => &[Self::Logfmt, Self::Access],
            _ => &[],
        }
    }

    fn read(
        self,
        line: &str,
        first: Option<Format>,
        clock: &mut Clock,
        sheet: &mut Sheet,
    ) -> Option<Found> {
        match self {
            Self::Json => json::read(line, clock, sheet),
            Self::Logfmt => logfmt::read(line, clock, sheet),
            Self::Dated => dated::read(line, first, clock, sheet),
            Self::Access => server::access(line, clock, sheet),
            Self::Syslog => syslog::read(line, clock, sheet),
            Self::Glog => server::glog(line, clock, sheet),
            Self::Redis => server::redis(line, clock, sheet),
            Self::Python => plain::python(line),
            Self::None => None,
        }
    }
}
