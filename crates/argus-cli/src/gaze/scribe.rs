//! Log lines on their way into the spool: masked, understood, and each with its place.
//!
//! What a line means is made out before it is recorded, so that the record is whole. A line for which
//! there is no room is refused, and will come again: nothing here remembers it.

mod before;

use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs::File;
use std::time::{Duration, Instant};

use anyhow::Result;
use argus_model::codec::Encoder;
use argus_model::record::{LogIds, LogMeaning, LogPlace, LogSource};
use argus_model::{Level, Timestamp};
use argus_observe::line::{Line, Taken};
use argus_observe::parse::correlate::Correlator;
use argus_observe::parse::mask::Masker;
use argus_observe::parse::{Continuation, Parser, Value};
use argus_observe::tail::{Content, FileLine, Gap, StartAt, TailWarning, Told};
use argus_spool::{Definition, Offered, describe_log_file};
use jiff::tz::TimeZone;

use super::reading::Reading;
use super::recorder::{Event, LineRecord, Recorder, Subject};
use crate::moment;

/// Contents of which the definition is kept: files that are read at the same time.
const MOST_FILES: usize = 1_024;

/// Bytes for the ids of a line.
const ID_BYTES: usize = 4 * 1024;

/// A line that was recorded, for whoever shows it.
#[derive(Debug)]
pub(crate) struct Written<'a> {
    /// Its text, masked.
    pub(crate) text: &'a str,
    /// Its severity, where that was made out.
    pub(crate) level: Option<Level>,
    /// The record's number in this run.
    pub(crate) number: u64,
}

/// What became of something that was told.
pub(crate) enum Outcome<'a> {
    /// A line is recorded.
    Written(Written<'a>),
    /// Lines are missing, which is recorded.
    Missing(&'a Gap),
    /// Something is said to the user.
    Warning(TailWarning),
}

/// Writes the lines of several sources.
pub(crate) struct Scribe<'r> {
    recorder: &'r Recorder,
    parse: bool,
    /// A predecessor has recorded what stands before.
    resumes: bool,
    masker: Option<Masker>,
    correlator: Option<Correlator>,
    lines_per_second: Option<u32>,
    zone: TimeZone,
    sources: HashMap<usize, Stream>,
    files: HashMap<u64, Definition>,
    attributes: String,
    /// Room for the ids of a line.
    ids: Box<[u8; ID_BYTES]>,
}

/// Whether a source was begun before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Begun {
    Before,
    Now,
}

/// One source of lines.
struct Stream {
    path: String,
    parser: Parser,
    /// How many lines stand behind the first of the event.
    continues: u32,
    /// Lines that may still be read in this second.
    budget: Budget,
}

#[derive(Debug)]
struct Budget {
    since: Instant,
    left: u32,
}

/// A line, and where it came from.
struct Source<'a> {
    stream: usize,
    kind: LogSource,
    place: Option<(u64, u64)>,
    line: &'a Line<'a>,
    level: Option<Level>,
    said_at: Option<Timestamp>,
}

/// Where a line came from that stood in no file, and what is known of it besides.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pipe {
    /// Lines of one stream follow each other.
    pub(crate) stream: usize,
    pub(crate) kind: LogSource,
    pub(crate) level: Option<Level>,
    pub(crate) said_at: Option<Timestamp>,
    /// Where it can be read again: the key of its content, and the offset behind it.
    pub(crate) place: Option<(u64, u64)>,
}

impl Pipe {
    /// A stream of which nothing but its lines is known.
    pub(crate) fn of(kind: LogSource) -> Self {
        Self {
            stream: kind as usize,
            kind,
            level: None,
            said_at: None,
            place: None,
        }
    }
}

impl<'r> Scribe<'r> {
    /// # Errors
    /// When a pattern of ids is none.
    pub(crate) fn new(recorder: &'r Recorder, reading: &Reading) -> Result<Self> {
        Ok(Self {
            recorder,
            parse: reading.parse,
            resumes: reading.start() == StartAt::Resume,
            masker: reading.masker(),
            correlator: reading.correlator()?,
            lines_per_second: reading.lines_per_second,
            zone: TimeZone::system(),
            sources: HashMap::new(),
            files: HashMap::new(),
            attributes: String::new(),
            ids: Box::new([0; ID_BYTES]),
        })
    }

    /// Records what a follower tells about `subject`, and hands it to `show`.
    pub(crate) fn take(
        &mut self,
        subject: &Subject,
        told: Told<'_>,
        show: impl FnOnce(Outcome<'_>),
    ) -> Taken {
        match told {
            Told::Line(FileLine {
                source,
                key,
                end,
                line,
                ..
            }) => {
                let of = Source {
                    stream: source,
                    kind: LogSource::File,
                    place: Some((key, end)),
                    line: &line,
                    level: None,
                    said_at: None,
                };
                self.offer(subject, &of, show)
            }
            Told::Begins {
                source,
                path,
                content,
                key,
                offset,
                file,
            } => {
                let path = path.to_string_lossy();
                let is_new = self.begin(source, &path) == Begun::Now;
                if let Some(file) = file.filter(|_| is_new && self.resumes) {
                    self.recall(source, file, offset);
                }
                self.define(key, &path, content);
                self.note(subject, key, offset)
            }
            Told::Gap { path, gap } => {
                let detail = gap_detail(&path.to_string_lossy(), &gap);
                let event = Event {
                    detail: &detail,
                    ..Event::plain("log_gap")
                };
                self.recorder.event(subject, &event);
                show(Outcome::Missing(&gap));
                Taken::Yes
            }
            Told::Warning(warning) => {
                show(Outcome::Warning(warning));
                Taken::Yes
            }
        }
    }

    /// Records a line that came through a pipe. One that has no place cannot be read again, and its writer
    /// must not wait: if there is no room it is lost, and counted.
    pub(crate) fn line(
        &mut self,
        subject: &Subject,
        from: &Pipe,
        line: &Line<'_>,
        show: impl FnOnce(Outcome<'_>),
    ) -> Taken {
        self.begin(from.stream, "");
        let of = Source {
            stream: from.stream,
            kind: from.kind,
            place: from.place,
            line,
            level: from.level,
            said_at: from.said_at,
        };
        self.offer(subject, &of, show)
    }

    fn begin(&mut self, source: usize, path: &str) -> Begun {
        if self.sources.contains_key(&source) {
            return Begun::Before;
        }
        let stream = Stream {
            path: path.to_owned(),
            parser: Parser::new(self.zone.clone()),
            continues: 0,
            budget: Budget {
                since: Instant::now(),
                left: u32::MAX,
            },
        };
        self.sources.insert(source, stream);
        Begun::Now
    }

    /// Reads once more what a predecessor has recorded last, so that what continues it is told to.
    fn recall(&mut self, source: usize, file: &File, offset: u64) {
        let Some(stream) = self.sources.get_mut(&source).filter(|_| self.parse) else {
            return;
        };
        before::each_line(file, offset, |line| {
            let masked = self.masker.as_ref().map(|it| it.mask(&line.text));
            let parsed = stream
                .parser
                .parse(masked.as_deref().unwrap_or(&line.text), moment::now());
            stream.continues = counted(parsed.continuation, stream.continues);
        });
    }

    fn define(&mut self, key: u64, path: &str, content: &Content) {
        if self.files.len() >= MOST_FILES {
            // The oldest contents have the smallest keys.
            let mut keys: Vec<_> = self.files.keys().copied().collect();
            keys.sort_unstable();
            let limit = keys[keys.len() / 2];
            self.files.retain(|key, _| *key >= limit);
        }
        let info = argus_model::record::LogFileInfo {
            path,
            device: content.file.device,
            inode: content.file.inode,
            born_ns: content.file.born_ns,
            head_bytes: content.head.bytes,
            head_hash: content.head.hash,
        };
        self.files
            .entry(key)
            .or_insert_with(|| describe_log_file(&info));
    }

    fn note(&self, subject: &Subject, key: u64, offset: u64) -> Taken {
        let Some(file) = self.files.get(&key) else {
            return Taken::Yes;
        };
        taken(self.recorder.position(subject, file, offset))
    }

    fn offer(
        &mut self,
        subject: &Subject,
        of: &Source<'_>,
        show: impl FnOnce(Outcome<'_>),
    ) -> Taken {
        let Some(stream) = self.sources.get_mut(&of.stream) else {
            return Taken::Yes;
        };
        // A file can wait; what comes through a pipe would be lost.
        if of.place.is_some() && !stream.budget.allows(self.lines_per_second) {
            return Taken::NoRoom;
        }
        let masked = self.masker.as_ref().map(|it| it.mask(&of.line.text));
        let text: &str = masked.as_deref().unwrap_or(&of.line.text);
        let used = find_ids(self.correlator.as_ref(), text, &mut *self.ids);
        let mut meaning = LogMeaning {
            ids: LogIds(&self.ids[..used]),
            said_at: of.said_at,
            ..LogMeaning::default()
        };
        let (mut level, mut continues) = (of.level, stream.continues);
        if self.parse {
            let parsed = stream.parser.parse(text, moment::now());
            continues = counted(parsed.continuation, stream.continues);
            self.attributes.clear();
            for field in parsed.fields.iter() {
                add_attribute(&mut self.attributes, field.name, field.value);
            }
            if !self.attributes.is_empty() {
                self.attributes.push('}');
            }
            level = of.level.or(parsed.level);
            meaning.said_at = of.said_at.or(parsed.at);
            meaning.message = if parsed.message.len() < text.len() {
                parsed.message
            } else {
                ""
            };
            meaning.logger = parsed.logger.unwrap_or_default();
            meaning.continues = continues;
            meaning.attributes = &self.attributes;
        }
        let place = of.place.and_then(|(key, end)| {
            let file = self.files.get(&key)?;
            Some((file, end))
        });
        let record = LineRecord {
            source: of.kind,
            path: if place.is_some() { "" } else { &stream.path },
            text,
            altered: of.line.altered,
            level: level.map_or("", Level::word),
            file: place.map(|(file, _)| file),
            place: place.map_or(LogPlace::NONE, |(file, end)| LogPlace {
                file: file.number().0,
                end,
            }),
            meaning,
        };
        let number = match of.place {
            Some(_) => match self.recorder.offer_line(subject, &record) {
                Ok(number) => number,
                Err(Offered::NoRoom) => return Taken::NoRoom,
                Err(_) => return Taken::Yes,
            },
            None => self.recorder.line(subject, &record),
        };
        stream.continues = continues;
        stream.budget.left = stream.budget.left.saturating_sub(1);
        show(Outcome::Written(Written {
            text,
            level,
            number,
        }));
        Taken::Yes
    }
}

impl Budget {
    /// Whether one more line may be read.
    fn allows(&mut self, lines_per_second: Option<u32>) -> bool {
        let Some(most) = lines_per_second else {
            return true;
        };
        if self.left > most || self.since.elapsed() >= Duration::from_secs(1) {
            self.since = Instant::now();
            self.left = most;
        }
        self.left > 0
    }
}

/// How many lines a line stands behind the first of its event, by the line before it.
fn counted(continuation: Continuation, before: u32) -> u32 {
    match continuation {
        Continuation::Begins => 0,
        Continuation::Continues => before.saturating_add(1),
    }
}

fn taken(offered: Offered) -> Taken {
    match offered {
        Offered::NoRoom => Taken::NoRoom,
        Offered::Accepted | Offered::Lost | Offered::Disabled => Taken::Yes,
    }
}

/// The ids of a line, encoded; how many bytes they take. What does not fit any more is left out.
fn find_ids(correlator: Option<&Correlator>, text: &str, space: &mut [u8]) -> usize {
    let Some(correlator) = correlator else {
        return 0;
    };
    let mut out = Encoder::new(space);
    let (mut used, mut is_full) = (0, false);
    correlator.find(text, |name, value| {
        if !is_full && LogIds::encode(&mut out, name, value).is_ok() {
            used = out.used();
        } else {
            is_full = true;
        }
    });
    used
}

/// Adds to a JSON object that is not closed yet.
fn add_attribute(object: &mut String, name: &str, value: Value<'_>) {
    object.push(if object.is_empty() { '{' } else { ',' });
    quote(object, name);
    object.push(':');
    match value {
        Value::Text(text) => quote(object, text),
        Value::Json(json) => object.push_str(json),
        // Not every number of a log is one of JSON: 007, +5, 0x1f.
        Value::Number(number) => match serde_json::from_str::<serde_json::Number>(number) {
            Ok(_) => object.push_str(number),
            Err(_) => quote(object, number),
        },
    }
}

fn quote(out: &mut String, text: &str) {
    // Text always has a form in JSON, and a string takes all of it.
    let quoted = serde_json::to_string(text).unwrap_or_else(|_| "\"\"".into());
    out.push_str(&quoted);
}

fn gap_detail(path: &str, gap: &Gap) -> String {
    let mut detail = String::from("{\"path\":");
    quote(&mut detail, path);
    let bytes = gap
        .bytes
        .map_or_else(|| "null".into(), |bytes| bytes.to_string());
    let _ = write!(
        detail,
        ",\"reason\":\"{}\",\"from\":{},\"bytes\":{bytes},\"text\":",
        gap.reason.word(),
        gap.from
    );
    quote(&mut detail, &gap.to_string());
    detail.push('}');
    detail
}
