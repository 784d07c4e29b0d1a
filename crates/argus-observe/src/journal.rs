//! The system's journal: what its units say, with whose words they are.
//!
//! `journalctl --follow` reads it, as JSON, so that every format of its files is understood and what this
//! user may see is decided there. It is asked for the entries of a unit, and for those of programs
//! that call themselves by that name (`SYSLOG_IDENTIFIER`), from now on.
//!
//! An entry that is no text comes as an array of bytes; it is read as a line of a file would be.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::process::{Command, Stdio};

use argus_model::{Level, Timestamp};
use serde_json::Value;

use crate::errand::{Errand, LastLine};
use crate::line::{Line, Splitter};
use crate::platform::Bond;

/// The longest entry, as JSON: a line of the longest kind, with everything escaped.
const MOST_BYTES: usize = 8 << 20;

/// Where the journal lies; without one of these folders there is none.
const PLACES: [&str; 2] = ["/run/log/journal", "/var/log/journal"];

/// Why the journal cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// This system keeps none.
    #[error("this system has no journal (neither /run/log/journal nor /var/log/journal)")]
    None,
    /// What reads it cannot be started.
    #[error("journalctl cannot be started")]
    Reader(#[source] io::Error),
}

/// An entry.
#[derive(Debug)]
pub struct Entry<'a> {
    /// Whose words these are: a process id.
    pub pid: Option<u32>,
    /// The name the kernel gave that process.
    pub process_name: Option<&'a str>,
    /// What was said; an entry of several lines comes as several.
    pub line: Line<'a>,
    /// How severe it is.
    pub level: Option<Level>,
    /// When it was said.
    pub said_at: Option<Timestamp>,
}

/// The entries of a unit, as they come.
#[derive(Debug)]
pub struct Journal {
    errand: Errand,
    output: Option<OwnedFd>,
    error: Option<LastLine>,
    splitter: Splitter,
}

impl Journal {
    /// Begins with the entries of `unit` from now on.
    ///
    /// # Errors
    /// Where there is no journal, or nothing to read it with.
    pub fn follow(unit: &str) -> Result<Self, JournalError> {
        if !PLACES.iter().any(|place| Path::new(place).is_dir()) {
            return Err(JournalError::None);
        }
        let full = if unit.contains('.') {
            unit.to_owned()
        } else {
            format!("{unit}.service")
        };
        let mut command = Command::new("journalctl");
        command
            .args(["--follow", "--output=json", "--lines=0", "--quiet", "--all"])
            .arg(format!("_SYSTEMD_UNIT={full}"))
            .arg("+")
            .arg(format!("SYSLOG_IDENTIFIER={unit}"))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let started = || {
            let mut errand = Errand::start(command, Bond::Bound)?;
            Ok(Self {
                output: errand.output()?,
                error: errand.error()?,
                errand,
                splitter: Splitter::up_to(MOST_BYTES),
            })
        };
        started().map_err(JournalError::Reader)
    }

    /// Readable when there are entries; nothing once it is over.
    pub fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.output.as_ref().map(AsFd::as_fd)
    }

    /// Hands out the entries that have come. Afterwards [`Journal::descriptor`] tells whether it is over,
    /// and [`Journal::last_words`] why.
    pub fn read(&mut self, mut each: impl FnMut(&Entry<'_>)) {
        let mut space = vec![0; 64 * 1024];
        while let Some(output) = &self.output {
            match rustix::io::read(output, &mut space) {
                Ok(0) => self.output = None,
                Ok(count) => self
                    .splitter
                    .push(&space[..count], |line| tell(&line.text, &mut each)),
                Err(rustix::io::Errno::INTR) => {}
                Err(rustix::io::Errno::AGAIN) => return,
                Err(_) => self.output = None,
            }
        }
    }

    /// What journalctl said last of what went wrong.
    pub fn last_words(&mut self) -> Option<String> {
        self.errand.collect();
        let error = self.error.as_mut()?;
        error.read();
        error.text()
    }
}

/// What is no entry is left out: `journalctl` writes nothing else.
fn tell(json: &str, each: &mut impl FnMut(&Entry<'_>)) {
    let Ok(Value::Object(entry)) = serde_json::from_str(json) else {
        return;
    };
    let text = |name: &str| entry.get(name).and_then(Value::as_str);
    let number = |name: &str| text(name).and_then(|text| text.parse::<u64>().ok());
    let said_at = number("_SOURCE_REALTIME_TIMESTAMP").or(number("__REALTIME_TIMESTAMP"));
    let micros = said_at.and_then(|micros| i64::try_from(micros).ok());
    let level = number("PRIORITY").and_then(|priority| u8::try_from(priority).ok());
    let mut message = match entry.get("MESSAGE") {
        Some(Value::String(text)) => text.clone().into_bytes(),
        Some(Value::Array(bytes)) => bytes.iter().filter_map(byte).collect(),
        _ => return,
    };
    message.push(b'\n');
    Splitter::default().push(&message, |line| {
        each(&Entry {
            pid: number("_PID").and_then(|pid| u32::try_from(pid).ok()),
            process_name: text("_COMM"),
            line,
            level: level.and_then(Level::from_syslog),
            said_at: micros.map(|micros| Timestamp::from_nanos(micros.saturating_mul(1_000))),
        });
    });
}

fn byte(value: &Value) -> Option<u8> {
    u8::try_from(value.as_u64()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(json: &str) -> Vec<String> {
        let mut lines = Vec::new();
        tell(json, &mut |entry: &Entry<'_>| {
            let nanos = entry.said_at.map(Timestamp::nanos);
            let (pid, name, level) = (entry.pid, entry.process_name, entry.level);
            lines.push(format!(
                "{pid:?} {name:?} {level:?} {nanos:?} {} {}",
                entry.line.text, entry.line.altered
            ));
        });
        lines
    }

    #[test]
    fn an_entry_has_its_speaker_its_time_and_its_level() {
        let json = r#"{"MESSAGE":"two\nlines","_PID":"77","_COMM":"nginx","PRIORITY":"3",
            "__REALTIME_TIMESTAMP":"1769523825123456"}"#;
        let rest = "Some(77) Some(\"nginx\") Some(Error) Some(1769523825123456000)";
        assert_eq!(
            told(json),
            [format!("{rest} two false"), format!("{rest} lines false")]
        );
    }

    #[test]
    fn bytes_that_are_no_text_are_read_like_those_of_a_file() {
        let json = r#"{"MESSAGE":[111,107,32,255]}"#;
        assert_eq!(told(json), ["None None None None ok \u{fffd} true"]);
    }

    #[test]
    fn what_is_no_entry_is_left_out() {
        for json in [
            "",
            "{",
            "[]",
            "{}",
            r#"{"MESSAGE":null}"#,
            "-- No entries --",
        ] {
            assert_eq!(told(json), [""; 0], "{json}");
        }
    }
}
