//! Log lines: where each one stood, and what it means.
//!
//! What follows the text of a line, in this order; a shorter record leaves the rest out:
//!
//! ```text
//! file         varint   the number of a log file's definition, 0 for a line of no file
//! end          varint   the offset behind the line, 0 without a file
//! flags        u8       1: said_at is known, 2: the message is a part of the line, 4: it is not
//! said_at      i64      nanoseconds since the Unix epoch, when flagged
//! message      varint, varint: first byte and length in the line; or a text; as flagged
//! continues    varint   its place behind the first line of its event
//! logger       text
//! attributes   text     a JSON object, empty when there are none
//! ids          pairs of texts, name and value, to the end
//! ```

use std::ops::Range;

use super::{Kind, LogSource, Record};
use crate::codec::{Decoder, Encoder, Full, Malformed};
use crate::identity::SpanNumber;
use crate::time::{Monotonic, Timestamp};

const SAID_AT: u8 = 1;
const PART: u8 = 2;
const TEXT: u8 = 4;

/// The content of a log file, which lines name by its number: which file, and how it begins. See
/// `argus_observe::tail` for what that is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct LogFileInfo<'a> {
    /// The path that is followed.
    pub path: &'a str,
    /// Device number.
    pub device: u64,
    /// Inode number.
    pub inode: u64,
    /// When the file was made, in nanoseconds since the Unix epoch; 0 when that is not known.
    pub born_ns: i64,
    /// How many bytes of its beginning were looked at.
    pub head_bytes: u32,
    /// The FNV-1a hash of these bytes.
    pub head_hash: u64,
}

/// Where a line of a followed file ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LogPlace {
    /// The number of the file's definition; 0 for a line of no file.
    pub file: u32,
    /// The offset behind the line.
    pub end: u64,
}

impl LogPlace {
    /// In no file.
    pub const NONE: Self = Self { file: 0, end: 0 };
}

/// What a log line means, as far as it was made out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LogMeaning<'a> {
    /// The time that the line itself tells.
    pub said_at: Option<Timestamp>,
    /// What it says, without time, level and the like; empty when that was not made out.
    pub message: &'a str,
    /// Of a line that continues an event: how many lines it stands behind the event's first. 0 for a
    /// first line.
    pub continues: u32,
    /// The logger's name, empty when there is none.
    pub logger: &'a str,
    /// What else it tells: a JSON object, empty when there is nothing.
    pub attributes: &'a str,
    /// Ids by which it belongs to other lines and spans.
    pub ids: LogIds<'a>,
}

/// Encoded pairs of name and value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LogIds<'a>(pub &'a [u8]);

impl<'a> LogIds<'a> {
    /// The pairs, up to the first that does not parse.
    pub fn iter(self) -> impl Iterator<Item = (&'a str, &'a str)> {
        let mut input = Decoder::new(self.0);
        std::iter::from_fn(move || {
            if input.is_empty() {
                return None;
            }
            Some((input.text().ok()?, input.text().ok()?))
        })
    }

    /// Appends a pair.
    ///
    /// # Errors
    /// When it does not fit.
    pub fn encode(out: &mut Encoder<'_>, name: &str, value: &str) -> Result<(), Full> {
        out.text(name)?;
        out.text(value)
    }
}

/// What follows whose a record is and when.
pub(super) fn encode(record: &Record<'_>, out: &mut Encoder<'_>) -> Result<(), Full> {
    match record {
        Record::Log {
            source,
            path,
            line,
            altered,
            span,
            level,
            place,
            meaning,
            ..
        } => {
            out.u64(span.0)?;
            out.u8(*source as u8)?;
            out.u8(u8::from(*altered))?;
            out.text(level)?;
            out.text(path)?;
            out.text(line)?;
            encode_rest(line, *place, meaning, out)
        }
        Record::LogPosition { place, .. } => {
            out.varint(place.file.into())?;
            out.varint(place.end)
        }
        _ => Ok(()),
    }
}

/// What follows the first word of a record of these kinds.
pub(super) fn decode<'a>(
    kind: Kind,
    word: u32,
    input: &mut Decoder<'a>,
) -> Result<Record<'a>, Malformed> {
    if kind == Kind::LogFile {
        return Ok(Record::LogFile(word, decode_info(input)?));
    }
    let at = Monotonic::from_nanos(input.u64()?);
    if kind == Kind::LogPosition {
        let place = LogPlace {
            file: input.varint_u32()?,
            end: input.varint()?,
        };
        return Ok(Record::LogPosition {
            subject: word,
            at,
            place,
        });
    }
    let span = SpanNumber(input.u64()?);
    let source = LogSource::from_byte(input.u8()?);
    let altered = input.u8()? != 0;
    let (level, path, line) = (input.text()?, input.text()?, input.text()?);
    let (place, meaning) = decode_rest(line, input)?;
    Ok(Record::Log {
        subject: word,
        at,
        span,
        source,
        altered,
        level,
        path,
        line,
        place,
        meaning,
    })
}

pub(super) fn encode_info(
    number: u32,
    info: &LogFileInfo<'_>,
    out: &mut Encoder<'_>,
) -> Result<(), Full> {
    out.u32(number)?;
    out.u64(info.device)?;
    out.u64(info.inode)?;
    out.i64(info.born_ns)?;
    out.u64(info.head_hash)?;
    out.varint(info.head_bytes.into())?;
    out.text(info.path)
}

fn decode_info<'a>(input: &mut Decoder<'a>) -> Result<LogFileInfo<'a>, Malformed> {
    Ok(LogFileInfo {
        device: input.u64()?,
        inode: input.u64()?,
        born_ns: input.i64()?,
        head_hash: input.u64()?,
        head_bytes: input.varint_u32()?,
        path: input.text()?,
    })
}

fn encode_rest(
    line: &str,
    place: LogPlace,
    meaning: &LogMeaning<'_>,
    out: &mut Encoder<'_>,
) -> Result<(), Full> {
    let means_nothing = *meaning == LogMeaning::default();
    if place == LogPlace::NONE && means_nothing {
        return Ok(());
    }
    out.varint(place.file.into())?;
    out.varint(place.end)?;
    if means_nothing {
        return Ok(());
    }
    let part = part_of(line, meaning.message);
    let said_at = meaning.said_at.map_or(0, |_| SAID_AT);
    let message = match (&part, meaning.message.is_empty()) {
        (_, true) => 0,
        (Some(_), false) => PART,
        (None, false) => TEXT,
    };
    out.u8(said_at | message)?;
    if let Some(said_at) = meaning.said_at {
        out.i64(said_at.nanos())?;
    }
    match (message, part) {
        (PART, Some(part)) => {
            out.varint(part.start as u64)?;
            out.varint(part.len() as u64)?;
        }
        (TEXT, _) => out.text(meaning.message)?,
        _ => {}
    }
    out.varint(meaning.continues.into())?;
    out.text(meaning.logger)?;
    out.text(meaning.attributes)?;
    out.bytes(meaning.ids.0)
}

fn decode_rest<'a>(
    line: &'a str,
    input: &mut Decoder<'a>,
) -> Result<(LogPlace, LogMeaning<'a>), Malformed> {
    if input.is_empty() {
        return Ok((LogPlace::NONE, LogMeaning::default()));
    }
    let place = LogPlace {
        file: input.varint_u32()?,
        end: input.varint()?,
    };
    if input.is_empty() {
        return Ok((place, LogMeaning::default()));
    }
    let flags = input.u8()?;
    let said_at = match flags & SAID_AT {
        0 => None,
        _ => Some(Timestamp::from_nanos(input.i64()?)),
    };
    let message = match flags & (PART | TEXT) {
        PART => {
            let start = usize::try_from(input.varint()?).map_err(|_| Malformed)?;
            let length = usize::try_from(input.varint()?).map_err(|_| Malformed)?;
            let end = start.checked_add(length).ok_or(Malformed)?;
            line.get(start..end).ok_or(Malformed)?
        }
        TEXT => input.text()?,
        _ => "",
    };
    let meaning = LogMeaning {
        said_at,
        message,
        continues: input.varint_u32()?,
        logger: input.text()?,
        attributes: input.text()?,
        ids: LogIds(input.rest()),
    };
    Ok((place, meaning))
}

/// Where in `line` the text stands, if it is a part of it and not merely equal to one.
fn part_of(line: &str, text: &str) -> Option<Range<usize>> {
    let start = (text.as_ptr() as usize).checked_sub(line.as_ptr() as usize)?;
    let end = start.checked_add(text.len())?;
    (end <= line.len()).then_some(start..end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, place: LogPlace, meaning: LogMeaning<'_>, most_bytes: usize) {
        let mut space = [0; 512];
        let mut out = Encoder::new(&mut space);
        encode_rest(line, place, &meaning, &mut out).unwrap();
        let length = out.used();
        assert!(length <= most_bytes, "{length} bytes");
        let mut input = Decoder::new(&space[..length]);
        assert_eq!(decode_rest(line, &mut input), Ok((place, meaning)));
    }

    #[test]
    fn a_line_without_meaning_costs_its_place_and_one_without_a_place_nothing() {
        let place = LogPlace { file: 3, end: 90 };
        check("line", LogPlace::NONE, LogMeaning::default(), 0);
        check("line", place, LogMeaning::default(), 2);
    }

    #[test]
    fn a_message_is_told_by_where_it_stands_or_as_it_is() {
        let line = "2026-01-27 INFO all is well";
        let place = LogPlace { file: 3, end: 90 };
        let meaning = LogMeaning {
            said_at: Some(Timestamp::from_nanos(-5)),
            message: &line[16..],
            ..LogMeaning::default()
        };
        check(line, place, meaning, 16);
        let mut ids = [0; 64];
        let mut out = Encoder::new(&mut ids);
        LogIds::encode(&mut out, "trace_id", "ab").unwrap();
        LogIds::encode(&mut out, "request_id", "é").unwrap();
        let length = out.used();
        let elsewhere = "all is \"well\"".to_owned();
        let meaning = LogMeaning {
            message: &elsewhere,
            continues: 7,
            logger: "shop",
            attributes: "{\"n\":1}",
            ids: LogIds(&ids[..length]),
            ..meaning
        };
        check(line, place, meaning, 100);
        let pairs: Vec<_> = meaning.ids.iter().collect();
        assert_eq!(pairs, [("trace_id", "ab"), ("request_id", "é")]);
    }

    #[test]
    fn a_message_beyond_the_line_is_malformed() {
        let mut space = [0; 16];
        let mut out = Encoder::new(&mut space);
        out.varint(1).unwrap();
        out.varint(2).unwrap();
        out.u8(PART).unwrap();
        out.varint(3).unwrap();
        out.varint(9).unwrap();
        let length = out.used();
        let mut input = Decoder::new(&space[..length]);
        assert_eq!(decode_rest("short", &mut input), Err(Malformed));
    }
}
