//! The system's journal: what its units say, with whose words they are.
//!
//! `journalctl --follow` reads it, as JSON, so that every format of its files is understood and what this
//! user may see is decided there. It is asked for the entries of a unit, and for those of programs
//! that call themselves by that name (`SYSLOG_IDENTIFIER`).
//!
//! Entries are numbered within a log, so a reader that knows the [`Place`] of the last line it took goes
//! on exactly behind it. Whoever has no room for a line refuses it, and `journalctl` waits meanwhile.
//!
//! An entry that is no text comes as an array of bytes; it is read as a line of a file would be.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::process::{Command, Stdio};

use argus_model::{Level, Timestamp};
use serde_json::{Map, Value};

use crate::errand::{Errand, LastLine};
use crate::line::{Line, Splitter, Taken};
use crate::platform::Bond;
use crate::tail::{Content, Head, Identity, Position};

/// The longest entry, as JSON: a line of the longest kind, with everything escaped.
const MOST_BYTES: usize = 8 << 20;

/// Where the journal lies; without one of these folders there is none.
const PLACES: [&str; 2] = ["/run/log/journal", "/var/log/journal"];

/// Bits of an offset that count the lines of an entry.
const LINES_BITS: u32 = u16::BITS;

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

/// Up to where a journal was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Within which numbers are given: the journal's id of that.
    pub log: u128,
    /// The number of an entry.
    pub entry: u64,
    /// How many of its lines, from the first.
    pub lines: u16,
}

impl Place {
    /// The log as a content of which positions are kept, as of a file's: its id stands for the file.
    pub fn content(self) -> Content {
        Content {
            file: Identity {
                device: (self.log >> 64) as u64,
                inode: self.log as u64,
                born_ns: 0,
            },
            head: Head::default(),
        }
    }

    /// A number that grows with the place: the entry's, and its lines in the lowest 16 bits.
    pub fn offset(self) -> u64 {
        self.entry << LINES_BITS | u64::from(self.lines)
    }

    /// The place that has this content and offset.
    pub fn of(position: &Position) -> Self {
        let Identity { device, inode, .. } = position.content.file;
        Self {
            log: u128::from(device) << 64 | u128::from(inode),
            entry: position.offset >> LINES_BITS,
            lines: position.offset as u16,
        }
    }

    /// Of what a cursor tells, its log and its number: the rest would say the same again.
    fn of_cursor(cursor: &str) -> Option<Self> {
        let part = |name: char| {
            let mut parts = cursor.split(';').filter_map(|part| part.split_once('='));
            let (_, value) = parts.find(|(key, _)| key.chars().eq([name]))?;
            Some(value)
        };
        Some(Self {
            log: u128::from_str_radix(part('s')?, 16).ok()?,
            entry: u64::from_str_radix(part('i')?, 16).ok()?,
            lines: u16::MAX,
        })
    }

    fn cursor(self) -> String {
        format!("s={:032x};i={:x}", self.log, self.entry)
    }

    /// Whether a line at `other` was read before.
    fn covers(self, other: Self) -> bool {
        self.log == other.log && (other.entry, other.lines) <= (self.entry, self.lines)
    }
}

/// Where reading begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Since {
    /// With the first entry that there is.
    Beginning,
    /// With the next one.
    Now,
    /// Behind this place. Where its log is gone, with the first entry of the one that is there.
    Behind(Place),
}

/// A line of an entry.
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
    /// Where it stands, the line included.
    pub place: Option<Place>,
}

/// The entries of a unit, as they come.
#[derive(Debug)]
pub struct Journal {
    errand: Errand,
    output: Option<OwnedFd>,
    error: Option<LastLine>,
    entries: Entries,
}

/// What journalctl wrote, on its way to whoever reads.
#[derive(Debug, Default)]
struct Entries {
    /// What nobody has taken yet: entries, each with a line break behind it.
    held: Vec<u8>,
    /// The entry at the beginning of `held` is too long to be kept.
    is_too_long: bool,
    /// Up to where lines are known to whoever reads.
    known: Option<Place>,
    /// How many lines of the entry that is told were taken.
    taken: u16,
}

impl Journal {
    /// Begins with the entries of `unit`.
    ///
    /// # Errors
    /// Where there is no journal, or nothing to read it with.
    pub fn follow(unit: &str, since: Since) -> Result<Self, JournalError> {
        if !PLACES.iter().any(|place| Path::new(place).is_dir()) {
            return Err(JournalError::None);
        }
        let known = match since {
            Since::Beginning => None,
            Since::Now => newest().map_err(JournalError::Reader)?,
            Since::Behind(place) => Some(place),
        };
        let cursor = known.map(|place| format!("--cursor={}", place.cursor()));
        // Of the newest entry no place is known where there is none yet.
        let lines = match (known, since) {
            (None, Since::Now) => "--lines=0",
            _ => "--no-tail",
        };
        let mut command = journalctl();
        command
            .args(["--follow", "--all", lines])
            .args(cursor)
            .arg(format!("_SYSTEMD_UNIT={}", full_name(unit)))
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
                entries: Entries {
                    known,
                    ..Entries::default()
                },
            })
        };
        started().map_err(JournalError::Reader)
    }

    /// Up to where lines were read before this one began: what it was given, or the newest entry then.
    pub fn begins_behind(&self) -> Option<Place> {
        self.entries.known
    }

    /// Readable when there are entries; nothing once it is over.
    pub fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.output.as_ref().map(AsFd::as_fd)
    }

    /// Hands out the lines that have come, until one is refused: that one comes again. Afterwards
    /// [`Journal::descriptor`] tells whether it is over, and [`Journal::last_words`] why.
    pub fn read(&mut self, mut each: impl FnMut(&Entry<'_>) -> Taken) -> Taken {
        loop {
            if self.entries.offer(&mut each) == Taken::NoRoom {
                return Taken::NoRoom;
            }
            let Some(output) = &self.output else {
                return Taken::Yes;
            };
            let mut space = [0; 16 * 1024];
            match rustix::io::read(output, &mut space) {
                Ok(0) => self.output = None,
                Ok(count) => self.entries.hold(&space[..count]),
                Err(rustix::io::Errno::INTR) => {}
                Err(rustix::io::Errno::AGAIN) => return Taken::Yes,
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

impl Entries {
    fn hold(&mut self, bytes: &[u8]) {
        self.held.extend_from_slice(bytes);
        // Whatever was complete has been told, so what is held has no end yet.
        if self.held.len() > MOST_BYTES && !self.held.contains(&b'\n') {
            self.held.clear();
            self.is_too_long = true;
        }
    }

    fn offer(&mut self, each: &mut impl FnMut(&Entry<'_>) -> Taken) -> Taken {
        let held = std::mem::take(&mut self.held);
        let (mut from, mut taken) = (0, Taken::Yes);
        for end in memchr::memchr_iter(b'\n', &held) {
            if !std::mem::take(&mut self.is_too_long) {
                taken = self.tell(&held[from..end], each);
            }
            if taken == Taken::NoRoom {
                break;
            }
            self.taken = 0;
            from = end + 1;
        }
        self.held = held;
        self.held.drain(..from);
        taken
    }

    /// What is no entry is left out: `journalctl` writes nothing else.
    fn tell(&mut self, json: &[u8], each: &mut impl FnMut(&Entry<'_>) -> Taken) -> Taken {
        let Ok(Value::Object(entry)) = serde_json::from_slice(json) else {
            return Taken::Yes;
        };
        let Some(message) = message(&entry) else {
            return Taken::Yes;
        };
        let text = |name: &str| entry.get(name).and_then(Value::as_str);
        let number = |name: &str| text(name).and_then(|text| text.parse::<u64>().ok());
        let said_at = number("_SOURCE_REALTIME_TIMESTAMP").or(number("__REALTIME_TIMESTAMP"));
        let micros = said_at.and_then(|micros| i64::try_from(micros).ok());
        let level = number("PRIORITY").and_then(|priority| u8::try_from(priority).ok());
        let place = text("__CURSOR").and_then(Place::of_cursor);
        let mut lines = 0_u16;
        Splitter::default().offer(&message, |line, _| {
            lines = lines.saturating_add(1);
            let place = place.map(|place| Place { lines, ..place });
            let is_known = self.known.zip(place).is_some_and(|(k, p)| k.covers(p));
            if lines <= self.taken || is_known {
                return Taken::Yes;
            }
            let taken = each(&Entry {
                pid: number("_PID").and_then(|pid| u32::try_from(pid).ok()),
                process_name: text("_COMM"),
                line,
                level: level.and_then(Level::from_syslog),
                said_at: micros.map(|micros| Timestamp::from_nanos(micros.saturating_mul(1_000))),
                place,
            });
            if taken == Taken::Yes {
                self.taken = lines;
            }
            taken
        })
    }
}

fn journalctl() -> Command {
    let mut command = Command::new("journalctl");
    command.args(["--output=json", "--quiet"]);
    command
}

/// The place of the newest entry of all that this user may see.
fn newest() -> io::Result<Option<Place>> {
    let mut command = journalctl();
    command.args(["--lines=1", "--output-fields=MESSAGE"]);
    let output = command.stderr(Stdio::null()).output()?.stdout;
    let entry: Option<Map<String, Value>> = serde_json::from_slice(&output).ok();
    let cursor = entry.as_ref().and_then(|entry| entry.get("__CURSOR"));
    Ok(cursor.and_then(Value::as_str).and_then(Place::of_cursor))
}

/// What the journal of a unit is called where files are called by their path.
pub fn name(unit: &str) -> String {
    format!("journal:{}", full_name(unit))
}

fn full_name(unit: &str) -> String {
    if unit.contains('.') {
        unit.to_owned()
    } else {
        format!("{unit}.service")
    }
}

/// What an entry says, with a line break behind it.
fn message(entry: &Map<String, Value>) -> Option<Vec<u8>> {
    let mut message = match entry.get("MESSAGE")? {
        Value::String(text) => text.clone().into_bytes(),
        Value::Array(bytes) => bytes.iter().filter_map(byte).collect(),
        _ => return None,
    };
    message.push(b'\n');
    Some(message)
}

fn byte(value: &Value) -> Option<u8> {
    u8::try_from(value.as_u64()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn describe(entry: &Entry<'_>) -> String {
        let nanos = entry.said_at.map(Timestamp::nanos);
        let (pid, name, level) = (entry.pid, entry.process_name, entry.level);
        let (text, altered) = (&entry.line.text, entry.line.altered);
        format!("{pid:?} {name:?} {level:?} {nanos:?} {text} {altered}")
    }

    fn told(json: &str) -> Vec<String> {
        let mut lines = Vec::new();
        let mut entries = Entries::default();
        entries.hold(json.as_bytes());
        entries.hold(b"\n");
        entries.offer(&mut |entry| {
            lines.push(describe(entry));
            Taken::Yes
        });
        lines
    }

    #[test]
    fn an_entry_has_its_speaker_its_time_and_its_level() {
        let json = r#"{"MESSAGE":"two\nlines","_PID":"77","_COMM":"nginx","PRIORITY":"3","#;
        let json = format!(r#"{json}"__REALTIME_TIMESTAMP":"1769523825123456"}}"#);
        let rest = "Some(77) Some(\"nginx\") Some(Error) Some(1769523825123456000)";
        assert_eq!(
            told(&json),
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

    #[test]
    fn an_entry_that_is_too_long_is_left_out_and_the_next_is_read() {
        let mut entries = Entries::default();
        let mut texts = Vec::new();
        let long = vec![b'x'; MOST_BYTES / 2 + 1];
        let next = br#"{"MESSAGE":"next"}"#;
        for piece in [&long[..], &long, b"more\n", next, b"\n"] {
            entries.hold(piece);
            entries.offer(&mut |entry| {
                texts.push(entry.line.text.to_string());
                Taken::Yes
            });
        }
        assert_eq!(texts, ["next"]);
    }

    /// Two entries of two lines each, of one log.
    const TWO: &str = concat!(
        r#"{"MESSAGE":"a\nb","__CURSOR":"s=0000000000000000000000000000000f;i=9;b=1;m=2"}"#,
        "\n",
        r#"{"MESSAGE":"c\nd","__CURSOR":"s=0000000000000000000000000000000f;i=a;b=1;m=2"}"#,
        "\n"
    );

    #[test]
    fn what_was_refused_comes_again_and_nothing_twice() {
        let mut entries = Entries::default();
        entries.hold(TWO.as_bytes());
        let (mut asked, mut texts) = (0, Vec::new());
        loop {
            let taken = entries.offer(&mut |entry| {
                asked += 1;
                if asked % 2 == 1 {
                    return Taken::NoRoom;
                }
                texts.push(entry.line.text.to_string());
                Taken::Yes
            });
            if taken == Taken::Yes {
                break;
            }
        }
        assert_eq!(texts, ["a", "b", "c", "d"]);
    }

    #[test]
    fn reading_goes_on_behind_the_last_line() {
        let known = |entry, lines| {
            let log = 15;
            Some(Place { log, entry, lines })
        };
        let other_log = Some(Place {
            log: 16,
            entry: 99,
            lines: 1,
        });
        for (known, expected) in [
            (None, "abcd"),
            (known(9, 1), "bcd"),
            (known(9, u16::MAX), "cd"),
            (known(10, 1), "d"),
            (known(10, 2), ""),
            (other_log, "abcd"),
        ] {
            let mut texts = String::new();
            let mut entries = Entries {
                known,
                ..Entries::default()
            };
            entries.hold(TWO.as_bytes());
            entries.offer(&mut |entry| {
                texts += &entry.line.text;
                Taken::Yes
            });
            assert_eq!(texts, expected, "{known:?}");
        }
    }

    #[test]
    fn a_place_survives_as_a_position() {
        let place = Place {
            log: 0x833b_3f5f_1a20_428b_89b8_4463_f729_9ef8,
            entry: 0x9db,
            lines: 2,
        };
        let position = Position {
            content: place.content(),
            offset: place.offset(),
            noted_ns: 1,
        };
        assert_eq!(Place::of(&position), place);
    }

    #[test]
    fn a_cursor_is_written_as_it_is_read() {
        let cursor = "s=833b3f5f1a20428b89b84463f7299ef8;i=9db";
        let place = Place::of_cursor(&format!("{cursor};b=d4803ae9;m=2f066810d;t=66;x=b2"));
        assert_eq!(place.unwrap().cursor(), cursor);
        for text in ["", "s=1", "i=1", "s=x;i=1", "nonsense"] {
            assert_eq!(Place::of_cursor(text), None, "{text}");
        }
    }
}
