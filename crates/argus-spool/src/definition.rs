//! Names, subjects and log files: numbered once per process, written once per chunk generation.

use std::sync::atomic::{AtomicU32, Ordering};

use argus_model::codec::{Encoder, Full};
use argus_model::record::{LogFileInfo, SubjectInfo};
use argus_model::{Kind, NameNumber, NameText, Record};

/// Something that other records name by its number.
#[derive(Debug)]
pub struct Definition {
    number: u32,
    body: Body,
}

#[derive(Debug)]
enum Body {
    Name(NameText),
    Subject {
        pid: u32,
        start_ticks: u64,
        app_name: String,
        process_name: String,
        command_line: String,
        hostname: String,
        parent_pid: u32,
        parent_start_ticks: u64,
    },
    LogFile {
        path: String,
        /// Without its path.
        info: LogFileInfo<'static>,
    },
}

// Survives a fork: what was defined in the parent means the same in the child.
static NEXT_NAME: AtomicU32 = AtomicU32::new(1);
/// Far from the names': those are few and live as long as the program, so that a table by number
/// tells which are written; subjects and log files come and go without end.
static NEXT_PASSING: AtomicU32 = AtomicU32::new(FIRST_PASSING);
const FIRST_PASSING: u32 = 1 << 31;

/// Gives a name its number. The memory is never freed: keep one per function, never one per call.
pub fn define(name: NameText) -> &'static Definition {
    Box::leak(Box::new(Definition {
        number: NEXT_NAME.fetch_add(1, Ordering::Relaxed),
        body: Body::Name(name),
    }))
}

/// Gives an observed process its number. Keep one per process observed, for as long as it is.
pub fn describe(subject: &SubjectInfo<'_>) -> Definition {
    let body = Body::Subject {
        pid: subject.pid,
        start_ticks: subject.start_ticks,
        app_name: subject.app_name.to_owned(),
        process_name: subject.process_name.to_owned(),
        command_line: subject.command_line.to_owned(),
        hostname: subject.hostname.to_owned(),
        parent_pid: subject.parent_pid,
        parent_start_ticks: subject.parent_start_ticks,
    };
    Definition::passing(body)
}

/// Gives the content of a log file its number. Keep one per content, for as long as it is read.
pub fn describe_log_file(file: &LogFileInfo<'_>) -> Definition {
    Definition::passing(Body::LogFile {
        path: file.path.to_owned(),
        info: LogFileInfo { path: "", ..*file },
    })
}

impl Definition {
    fn passing(body: Body) -> Self {
        Self {
            number: NEXT_PASSING.fetch_add(1, Ordering::Relaxed),
            body,
        }
    }

    /// The number, as other records carry it.
    #[inline]
    pub fn number(&self) -> NameNumber {
        NameNumber(self.number)
    }

    /// The name's text; nothing for what is no name.
    pub fn name(&self) -> Option<&NameText> {
        match &self.body {
            Body::Name(name) => Some(name),
            Body::Subject { .. } | Body::LogFile { .. } => None,
        }
    }

    pub(crate) fn kind(&self) -> Kind {
        match self.body {
            Body::Name(_) => Kind::Name,
            Body::Subject { .. } => Kind::Subject,
            Body::LogFile { .. } => Kind::LogFile,
        }
    }

    pub(crate) fn encode(&self, out: &mut Encoder<'_>) -> Result<(), Full> {
        match &self.body {
            Body::Name(name) => {
                out.u32(0)?;
                name.encode(self.number(), out)
            }
            Body::Subject {
                pid,
                start_ticks,
                app_name,
                process_name,
                command_line,
                hostname,
                parent_pid,
                parent_start_ticks,
            } => {
                let info = SubjectInfo {
                    pid: *pid,
                    start_ticks: *start_ticks,
                    app_name,
                    process_name,
                    command_line,
                    hostname,
                    parent_pid: *parent_pid,
                    parent_start_ticks: *parent_start_ticks,
                };
                Record::Subject(self.number, info).encode(out)
            }
            Body::LogFile { path, info } => {
                let info = LogFileInfo { path, ..*info };
                Record::LogFile(self.number, info).encode(out)
            }
        }
    }
}
